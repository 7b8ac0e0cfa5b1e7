"""Several pairs ingested at once: the same rows as one by one, every provider asked once, a failure its own."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.errors import StoreError
from forex_assets.market.contract import FetchRequest, FetchResult, Source
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.pipeline import Pipeline
from forex_assets.settings import SeriesSpec, Settings, load_settings
from forex_assets_tests.market.provider_cases import CASES, NOW
from forex_assets_tests.market.provider_server import PATIENT, Provider, Reply

PAIRS = ["eurusd", "usdzar"]
MOMENT = pd.Timestamp("2025-06-14T06:00", tz="UTC")


@pytest.mark.capability("A01", "K17")
@pytest.mark.parametrize("label", ["findic", "mindicador", "stooq", "yahoo", "ecb_live (SDMX)"])
def test_whoever_asks_for_the_same_at_once_shares_one_request(
    provider: Provider, tmp_path: Path, series: dict[str, SeriesSpec], label: str
) -> None:
    case, threads = CASES[label], 6
    rows = sorted(case.truth().items())
    provider.always(Reply(case.answer(case.dated(rows))))
    request = FetchRequest(series[case.series], rows[-40][0].item(), rows[-1][0].item(), _truth)
    start = threading.Barrier(threads)

    def one(source: Source) -> FetchResult:
        start.wait()
        return source.fetch(request)

    with (
        HttpGateway(PATIENT, cache_dir=tmp_path, now=NOW) as gateway,
        ThreadPoolExecutor(max_workers=threads) as pool,
    ):
        sources = [case.build(provider.base_url, gateway) for _ in range(threads)]
        results = list(pool.map(one, sources))
    asked = Counter((each.path, *sorted(each.query.items())) for each in provider.requests)
    assert asked
    assert set(asked.values()) == {1}
    for result in results:
        assert result.payload_hash == results[0].payload_hash
        pd.testing.assert_frame_equal(result.frame, results[0].frame)
    assert len(results[0].frame) > 20


def _truth(name: str) -> pd.DataFrame:
    case = next(case for case in CASES.values() if case.series == name)
    days, values = zip(*sorted(case.truth().items()), strict=True)
    return pd.DataFrame({"event_date": pd.DatetimeIndex(days).astype("datetime64[ns]"), "value": values})


def test_other_answers_do_not_wait_for_a_slow_one(tmp_path: Path) -> None:
    with HttpGateway(PATIENT, cache_dir=tmp_path, now=NOW) as gateway, gateway.turn("yahoo dxy"):
        other = threading.Thread(target=lambda: gateway.turn("yahoo vix").__enter__(), daemon=True)
        other.start()
        other.join(10)
        assert not other.is_alive()


@pytest.fixture
def desk(home: Path) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={"pairs": {name: settings.pair(name) for name in PAIRS}})


@pytest.mark.capability("A01", "E03")
def test_pairs_together_are_what_they_are_one_by_one(desk: Settings, tmp_path: Path) -> None:
    together = Pipeline(desk).data.write_ingests(PAIRS, now=MOMENT)
    apart = Pipeline(desk.model_copy(update={"home": tmp_path / "x", "store_root": str(tmp_path / "x" / "store")}))
    assert list(together) == PAIRS
    for name in PAIRS:
        frames = together[name]
        assert not isinstance(frames, Exception)
        for table, frame in apart.data.write_ingest(name, now=MOMENT).items():
            pd.testing.assert_frame_equal(frames[table], frame)
        assert len(frames["observations"]) > 1000


@pytest.mark.capability("K18")
def test_a_pair_that_fails_is_told_and_the_others_are_ingested(desk: Settings) -> None:
    pipeline = Pipeline(desk)
    pipeline.data.write_ingest("usdzar", now=MOMENT)
    info = pipeline.store.info(schemas.OBSERVATIONS, "usdzar", ())
    Path(info.path).write_bytes(b"not a table")
    made = Pipeline(desk).data.write_ingests(PAIRS, now=MOMENT)
    assert isinstance(made["usdzar"], StoreError)
    assert info.path in made["usdzar"].message
    assert isinstance(made["eurusd"], dict)
    assert Path(info.path).read_bytes() == b"not a table"
    assert pipeline.store.info(schemas.OBSERVATIONS, "eurusd", ()).rows == len(made["eurusd"]["observations"])
