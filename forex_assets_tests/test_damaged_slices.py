"""One slice that cannot be read is named, and everything that can do without it goes on."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from forex_assets import schemas
from forex_assets.errors import UnusableSliceError
from forex_assets.forecast_view import forecast_of
from forex_assets.pipeline import DamagedSliceWarning, Pipeline, day_key
from forex_assets.settings import load_settings
from forex_assets.store.slice_file import Verdict
from forex_assets.summary import pair_summary
from forex_assets_tests.cli.conftest import forex  # noqa: F401
from forex_assets_tests.store.frames import filled

pytestmark = pytest.mark.capability("L18", "J13")
PAIR, DAY, NOW = "eurusd", dt.date(2025, 6, 12), pd.Timestamp("2025-06-13T20:00", tz="UTC")
KEY = ("7d", day_key(DAY))


@pytest.fixture
def pipeline(home: Path) -> Pipeline:
    """A home with bars and one forecast of one pair."""
    made = Pipeline(load_settings())
    made.data.write_ingest(PAIR, now=NOW)
    bars = made.bars(PAIR, [DAY])[(day_key(DAY),)]
    made.store.write(schemas.BARS, PAIR, (day_key(DAY),), bars, meta={"data_hash": str(bars["data_hash"].iloc[-1])})
    frame = filled(schemas.FORECAST, 3).assign(
        as_of=pd.Timestamp(DAY),
        is_target=True,
        is_active=[True, False, False],
        model=["champion_zero", "random_walk", "garch"],
        horizon=7,
        carried_by=None,
        left_out=None,
    )
    hashed = made.active(PAIR, "7d", DAY).config_hash
    made.store.write(schemas.FORECAST, PAIR, KEY, frame, meta={"config_hash": hashed})
    return made


def older_schema(path: Path) -> None:
    """Rewrite a slice as a version of its table from before."""
    table = pq.read_table(path)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"forex.schema_version": b"0"})
    pq.write_table(table, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(bytes(data))


DAMAGE = {"older schema": older_schema, "truncated": cut, "0 bytes": emptied}


def path_of(pipeline: Pipeline, table: schemas.Table, key: tuple[str, ...]) -> Path:
    return Path(pipeline.store.info(table, PAIR, key).path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_status_goes_on_without_a_damaged_forecast_and_names_it(pipeline: Pipeline, damage: str) -> None:
    path = path_of(pipeline, schemas.FORECAST, KEY)
    assert pair_summary(pipeline, PAIR)["damaged"] == []
    DAMAGE[damage](path)
    summary = pair_summary(pipeline, PAIR)
    assert [str(path) in text for text in summary["damaged"]] == [True]
    first = summary["horizons"][0]
    assert first["verdict"]["state"] == "damaged"
    assert first["forecast"] is None
    assert summary["last_value"] > 0


def test_status_goes_on_without_sources_and_quarantine(pipeline: Pipeline) -> None:
    for table in (schemas.SOURCE_STATUS, schemas.QUARANTINE):
        cut(path_of(pipeline, table, ()))
    summary = pair_summary(pipeline, PAIR)
    assert len(summary["damaged"]) == 2
    assert (summary["sources"], summary["quarantined_rows"]) == ([], 0)


@pytest.mark.capability("B26")
def test_the_command_names_what_is_damaged_and_shows_the_rest(pipeline: Pipeline, forex) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    path = path_of(pipeline, schemas.FORECAST, KEY)
    emptied(path)
    shown = json.loads(forex("status", "--pair", PAIR, "--json").out)
    assert [item["pair"] for item in shown["pairs"]] == [PAIR]
    assert any(str(path) in text for text in shown["problems"])
    bars = path_of(pipeline, schemas.BARS, (day_key(DAY),))
    emptied(bars)
    shown = json.loads(forex("status", "--json").out)
    assert shown["pairs"] == []
    assert any(str(bars) in text and "Remedy" in text for text in shown["problems"])
    assert forex("status", "--check").code == 1


def test_a_forecast_that_cannot_be_read_is_computed_instead(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = forecast_of(pipeline, PAIR, DAY, ["7d"])
    assert stored["horizons"][0]["stored"]
    assert stored["damaged"] == []
    frame = pipeline.store.read(schemas.FORECAST, PAIR, [KEY])
    monkeypatch.setattr(Pipeline, "forecast_on", lambda self, pair, horizon, bars, days: {KEY: frame})
    path = path_of(pipeline, schemas.FORECAST, KEY)
    cut(path)
    computed = forecast_of(pipeline, PAIR, DAY, ["7d"])
    assert not computed["horizons"][0]["stored"]
    assert [str(path) in text for text in computed["damaged"]] == [True]
    assert computed["last_value"] == stored["last_value"]


def test_damaged_bars_give_way_to_the_observations(pipeline: Pipeline) -> None:
    stored = forecast_of(pipeline, PAIR, DAY, ["7d"])
    emptied(path_of(pipeline, schemas.BARS, (day_key(DAY),)))
    shown = forecast_of(pipeline, PAIR, DAY, ["7d"])
    assert shown["last_value"] == stored["last_value"]
    assert len(shown["damaged"]) == 1


def test_scores_leave_out_what_cannot_be_read_and_say_so(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    days = ["2025-05-01", "2025-05-02", "2025-05-05", "2025-05-06"]
    for day in days:
        frame = filled(schemas.EVALUATION, 2).assign(horizon=7, as_of=pd.Timestamp(day), matured_on=pd.Timestamp(day))
        pipeline.store.write(schemas.EVALUATION, PAIR, ("7d", day), frame)
    older_schema(path_of(pipeline, schemas.EVALUATION, ("7d", days[1])))
    flipped(path_of(pipeline, schemas.EVALUATION, ("7d", days[2])))
    seen: list[pd.DataFrame] = []

    def report(evaluation: pd.DataFrame, *_: object, **__: object) -> pd.DataFrame:
        seen.append(evaluation)
        return filled(schemas.PERFORMANCE_REPORT, 1).drop(columns=["config_hash", "data_hash", "code_version"]).iloc[:0]

    monkeypatch.setattr("forex_assets.evaluation.performance.performance_report", report)
    with pytest.warns(DamagedSliceWarning) as told:
        pipeline.performance(PAIR, "7d", filled(schemas.BACKTEST, 1).assign(actual=float("nan")), as_of=DAY)
    assert {f"{day:%Y-%m-%d}" for day in seen[0]["as_of"]} == {days[0], days[3]}
    assert [days[1] in str(item.message) or days[2] in str(item.message) for item in told] == [True, True]
    pipeline.store.write(
        schemas.EVALUATION, PAIR, ("7d", days[0]), filled(schemas.EVALUATION, 1), verdict=Verdict("bad", ("wrong",))
    )
    with pytest.raises(UnusableSliceError, match="wrong"):
        pipeline.performance(PAIR, "7d", filled(schemas.BACKTEST, 1), as_of=DAY)


def test_reading_what_is_whole_keeps_order_and_names_the_rest(pipeline: Pipeline) -> None:
    store = pipeline.store
    keys = [("30d", f"2025-03-{day:02d}") for day in range(1, 29)]
    for key in keys:
        store.write(schemas.FORECAST, PAIR, key, filled(schemas.FORECAST, 2, start=key[1]))
    cut(path_of(pipeline, schemas.FORECAST, keys[5]))
    rows, left_out = store.read_whole_ones(schemas.FORECAST, PAIR, keys)
    expected = store.read(schemas.FORECAST, PAIR, [key for key in keys if key != keys[5]])
    pd.testing.assert_frame_equal(rows, expected)
    assert len(left_out) == 1
    assert left_out[0].startswith("forecast 30d/2025-03-06: ")
    empty, nothing = store.read_whole_ones(schemas.EVALUATION, PAIR, [])
    assert (len(empty), nothing) == (0, ())
