"""A store that was damaged in every way is told apart file by file, and mended without deleting anything."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from forex_assets import schemas
from forex_assets.market.sources.embedded import EMBEDDED_DIR
from forex_assets.ops.doctor.deep import deep_findings
from forex_assets.ops.doctor.findings import Finding
from forex_assets.pipeline import Pipeline
from forex_assets.repair import repair
from forex_assets.settings import Settings, load_settings
from forex_assets.store.damage import inspect_store
from forex_assets.store.slices import SliceStore
from forex_assets.store.warehouse import publish
from forex_assets_tests.cli.conftest import forex  # noqa: F401
from forex_assets_tests.store.frames import bars, filled, forecast

pytestmark = pytest.mark.capability("L05", "L18", "B02")
NOW = dt.datetime(2025, 6, 20, 12, tzinfo=dt.UTC)
FIRST, SECOND = pd.Timestamp("2025-06-13T23:00", tz="UTC"), pd.Timestamp("2025-06-16T23:00", tz="UTC")
PAIR = "usdclp"


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 0xFF
    path.write_bytes(bytes(data))


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def foreign(path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(path)


def of_another_day(path: Path) -> None:
    shutil.copy(path.with_name("2025-06-10.parquet"), path)


def older(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(
        table.replace_schema_metadata({**(table.schema.metadata or {}), b"forex.schema_version": b"0"}), path
    )


DAMAGE: dict[str, Callable[[Path], None]] = {
    item.__name__: item for item in (emptied, cut, without_end, flipped, zeros, foreign, of_another_day, older)
}


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    made = SliceStore(tmp_path / "store", clock=lambda: NOW)
    for day in ("2025-06-10", "2025-06-11", "2025-06-12"):
        made.write(schemas.BARS, PAIR, (day,), bars(40, as_of=day))
        made.write(schemas.FORECAST, PAIR, ("7d", day), forecast(day))
    return made


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_kind_of_damage_is_found_and_named(store: SliceStore, damage: str) -> None:
    assert inspect_store(store, now=NOW).damaged == ()
    path = Path(store.info(schemas.BARS, PAIR, ("2025-06-11",)).path)
    DAMAGE[damage](path)
    seen = inspect_store(store, now=NOW)
    (found,) = seen.damaged
    assert (found.table, found.pair, found.key) == ("bars", PAIR, ("2025-06-11",))
    assert found.name == "usdclp/bars/2025-06-11.parquet"
    assert str(path) in found.reason
    assert seen.whole == 5


def test_what_else_lies_there_is_told_apart(store: SliceStore, tmp_path: Path) -> None:
    root = tmp_path / "store"
    (root / "notes.txt").write_text("mine")
    (root / PAIR / "bars" / "a b.parquet").write_bytes(b"")
    (root / PAIR / "bars" / ".2025-06-11.parquet.1.ab.tmp").write_bytes(b"half")
    (root / PAIR / "away").symlink_to(tmp_path)
    seen = inspect_store(store, now=NOW)
    assert set(seen.strange) == {"notes.txt", "usdclp/bars/a b.parquet", "usdclp/away"}
    assert seen.unfinished == ("usdclp/bars/.2025-06-11.parquet.1.ab.tmp",)
    assert (seen.whole, seen.ahead) == (6, ())


def test_a_clock_that_stepped_back_is_named_and_harms_nothing(store: SliceStore) -> None:
    seen = inspect_store(store, now=NOW - dt.timedelta(hours=3))
    assert len(seen.ahead) == 6
    assert seen.damaged == ()
    back = SliceStore(store.root, clock=lambda: NOW - dt.timedelta(days=400))
    back.write(schemas.BARS, PAIR, ("2025-06-11",), bars(7, as_of="2025-06-11"))
    assert len(store.read(schemas.BARS, PAIR, [("2025-06-11",)])) == 7


def test_a_root_that_vanished_is_empty_and_can_be_written_again(store: SliceStore, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "store")
    seen = inspect_store(store, now=NOW)
    assert (seen.whole, seen.damaged, seen.strange) == (0, (), ())
    store.write(schemas.BARS, PAIR, ("2025-06-11",), bars(3))
    assert inspect_store(store, now=NOW).whole == 1


@pytest.fixture
def served(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Pipeline, pd.DataFrame]:
    """A home that ingested twice from a folder of files; the second time one value had changed."""
    data = tmp_path / "data"
    data.mkdir()
    text = gzip.decompress((EMBEDDED_DIR / "usdclp_observado_daily.csv.gz").read_bytes()).decode()
    lines = text.splitlines()
    (data / "usdclp_observado_daily.csv").write_text("\n".join([lines[0], *lines[-300:]]) + "\n")
    monkeypatch.setenv("FOREX_DATA_DIR", str(data))
    monkeypatch.setenv("FOREX_PAIRS", PAIR)
    pipeline = Pipeline(load_settings())
    pipeline.data.write_ingest(PAIR, now=FIRST)
    changed = lines[-5].split(",")[0] + ",951.25"
    (data / "usdclp_observado_daily.csv").write_text(
        "\n".join([lines[0], *lines[-300:-5], changed, *lines[-4:]]) + "\n"
    )
    pipeline.data.write_ingest(PAIR, now=SECOND)
    return pipeline, pipeline.store.read(schemas.OBSERVATIONS, PAIR, [()])


def test_damaged_observations_are_made_again_from_payloads_revisions_included(
    served: tuple[Pipeline, pd.DataFrame], tmp_path: Path
) -> None:
    pipeline, before = served
    assert (before["rule"] == "revision").sum() >= 1
    path = Path(pipeline.store.info(schemas.OBSERVATIONS, PAIR, ()).path)
    damaged_bytes = path.read_bytes()[:500]
    path.write_bytes(damaged_bytes)
    (tmp_path / "data" / "usdclp_observado_daily.csv").unlink()  # the source is gone: only payloads are left
    seen = inspect_store(pipeline.store, now=NOW)
    (done,) = repair(pipeline, seen.damaged, now=NOW)
    assert (done.outcome, Path(done.aside).read_bytes()) == ("rebuilt", damaged_bytes)
    after = pipeline.store.read(schemas.OBSERVATIONS, PAIR, [()])
    columns = ["series", "event_time", "available_at", "value", "source", "withdrawn_at", "rule", "payload_hash"]
    pd.testing.assert_frame_equal(after[columns], before[columns])
    again = inspect_store(pipeline.store, now=NOW)
    assert again.damaged == ()
    assert len(again.aside) == 1


def test_other_slices_are_moved_aside_and_named_for_the_graph(served: tuple[Pipeline, pd.DataFrame]) -> None:
    pipeline, _ = served
    store = pipeline.store
    store.write(schemas.BARS, PAIR, ("2025-06-12",), bars(5, as_of="2025-06-12"))
    store.write(schemas.BACKTEST, PAIR, ("7d",), filled(schemas.BACKTEST, 2))
    for table, key in ((schemas.BARS, ("2025-06-12",)), (schemas.BACKTEST, ("7d",))):
        emptied(Path(store.info(table, PAIR, key).path))
    done = repair(pipeline, inspect_store(store, now=NOW).damaged, now=NOW)
    assert {item.outcome for item in done} == {"to_materialise"}
    assert "forex run --pair usdclp --as-of 2025-06-12 --force" in " ".join(item.detail for item in done)
    assert not store.exists(schemas.BARS, PAIR, ("2025-06-12",))
    assert sorted(path.name for path in Path(store.root).rglob(".damaged/**/*.parquet")) == [
        "2025-06-12.parquet",
        "7d.parquet",
    ]
    assert repair(pipeline, inspect_store(store, now=NOW).damaged, now=NOW) == []


def test_without_payloads_the_sources_at_hand_are_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREX_PAIRS", "eurusd")
    pipeline = Pipeline(load_settings())
    pipeline.data.write_ingest("eurusd", now=FIRST)
    emptied(Path(pipeline.store.info(schemas.OBSERVATIONS, "eurusd", ()).path))
    (done,) = repair(pipeline, inspect_store(pipeline.store, now=NOW).damaged, now=NOW)
    assert done.outcome == "rebuilt"
    assert "no payload was kept" in done.detail
    assert len(pipeline.store.read(schemas.OBSERVATIONS, "eurusd", [()])) > 1000


def test_a_pair_that_is_configured_no_more_is_named(served: tuple[Pipeline, pd.DataFrame]) -> None:
    pipeline, _ = served
    pipeline.store.write(schemas.OBSERVATIONS, "gone", (), filled(schemas.OBSERVATIONS, 2))
    emptied(Path(pipeline.store.info(schemas.OBSERVATIONS, "gone", ()).path))
    (done,) = repair(pipeline, inspect_store(pipeline.store, now=NOW).damaged, now=NOW)
    assert done.outcome == "failed"
    assert "configs/pairs/gone.yaml" in done.detail


def found(settings: Settings) -> dict[str, Finding]:
    return {item.name: item for item in deep_findings(settings, now=NOW)}


def test_the_doctor_reads_store_archive_and_warehouse(served: tuple[Pipeline, pd.DataFrame]) -> None:
    pipeline, _ = served
    settings, store = pipeline.settings, pipeline.store
    publish(store, settings.home / "warehouse.duckdb", [schemas.OBSERVATIONS])
    sound = found(settings)
    assert {name: item.state for name, item in sound.items() if name != "clock"} == {
        "slices": "ok",
        "payloads": "ok",
        "warehouse": "ok",
    }
    for path in settings.home.glob("raw/*/*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(bytes(data))
    cut(settings.home / "warehouse.duckdb")
    cut(Path(store.info(schemas.QUARANTINE, PAIR, ()).path))
    (Path(store.root) / "stray.csv").write_text("x")
    bad = found(settings)
    assert bad["payloads"].state == bad["warehouse"].state == bad["usdclp/quarantine"].state == "fail"
    assert bad["strange files"].state == "warn"
    assert all(item.remedy for item in bad.values() if item.state != "ok")


@pytest.mark.capability("B26")
def test_the_command_mends_and_says_so(served: tuple[Pipeline, pd.DataFrame], forex) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    pipeline, _ = served
    emptied(Path(pipeline.store.info(schemas.OBSERVATIONS, PAIR, ()).path))
    assert "usdclp/observations" in forex("doctor", "--deep").out
    mended = json.loads(forex("doctor", "--repair", "--json").out)["findings"]
    assert [item["state"] for item in mended if item["area"] == "repair"] == ["ok"]
    assert [item["name"] for item in mended if item["area"] == "deep" and item["state"] == "fail"] == []
    assert len(pipeline.store.read(schemas.OBSERVATIONS, PAIR, [()])) > 300
