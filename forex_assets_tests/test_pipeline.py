"""The steps of the graph without Dagster: what each reads, what it refuses, and that its shortcuts change nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets import schemas
from forex_assets.errors import DataError, StoreError, UnusableSliceError
from forex_assets.market.asof import bars_as_of, data_hash
from forex_assets.market_data import observations_hash
from forex_assets.pipeline import PROVENANCE, LazyFrames, Pipeline, day_key
from forex_assets.store.slice_file import Verdict
from forex_assets.store.slices import SliceStore
from forex_assets_tests.defs.world import PAIR, settings_of, small_config

NOW = pd.Timestamp("2025-06-14 12:00", tz="UTC")
LAST = dt.date(2025, 6, 13)
DAYS = [dt.date(2025, 6, day) for day in (4, 5, 6, 9, 10, 11, 12, 13)]
REVISED_ON = dt.date(2025, 6, 10)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Observations of the official series and a snapshot per day; one old value was revised on 10 June."""
    root = tmp_path_factory.mktemp("pipeline")
    made = Pipeline(settings_of(small_config(root / "configs"), root / "home"), SliceStore("memory://pipeline"))
    frames = made.data.ingest(PAIR, now=NOW)
    observations = frames["observations"]
    old = observations.loc[
        (observations["series"] == "usdclp_fixing")
        & (observations["event_time"] == pd.Timestamp("2025-05-15", tz="UTC"))
    ]
    seen = pd.Timestamp("2025-06-10 15:00", tz="UTC")
    revision = old.assign(value=old["value"] + 3.0, available_at=seen)
    observations.loc[old.index, "withdrawn_at"] = seen
    observations.loc[old.index, ["rule", "reason"]] = ["revision", "planted"]
    frames["observations"] = pd.concat([observations, revision], ignore_index=True)
    for name, frame in frames.items():
        made.store.write(schemas.TABLES[name], PAIR, (), frame)
    write_days(made, made.bars(PAIR, DAYS))
    return made


def write_days(pipeline: Pipeline, frames: LazyFrames) -> None:
    for key in frames:
        frame = frames[key]
        meta = {name: str(frame[name].iloc[0]) for name in PROVENANCE}
        pipeline.store.write(schemas.BARS, PAIR, key, frame, meta=meta)


@pytest.mark.capability("K14")
@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_snapshot_cut_from_the_newest_one_equals_the_one_made_by_itself(pipeline: Pipeline, day: dt.date) -> None:
    """Held against the plain twin: the bars of one day alone."""
    stored = pipeline.store.read(schemas.BARS, PAIR, [(day_key(day),)]).drop(columns=list(PROVENANCE))
    alone = bars_as_of(pipeline.observations(PAIR), pipeline.settings.pair(PAIR), np.datetime64(day, "D"))
    pd.testing.assert_frame_equal(stored, alone.reset_index(drop=True), check_exact=True)
    assert pipeline.store.info(schemas.BARS, PAIR, (day_key(day),)).meta["data_hash"] == data_hash(alone)


def test_the_revision_is_unknown_before_it_was_seen_and_known_after(pipeline: Pipeline) -> None:
    for day in DAYS:
        bars = pipeline.store.read(schemas.BARS, PAIR, [(day_key(day),)])
        rows = bars.loc[bars["event_date"] == "2025-05-15"]
        assert len(rows) == (2 if day >= REVISED_ON else 1)
        assert rows["withdrawn_at"].notna().sum() == (1 if day >= REVISED_ON else 0)


@pytest.mark.capability("K14")
def test_forecasts_in_a_batch_equal_those_made_day_by_day_from_each_days_own_snapshot(pipeline: Pipeline) -> None:
    together = pipeline.forecasts(PAIR, "7d", DAYS)
    for day in DAYS:
        alone = pipeline.forecasts(PAIR, "7d", [day])[("7d", day_key(day))]
        mine = together[("7d", day_key(day))]
        pd.testing.assert_frame_equal(mine.reset_index(drop=True), alone.reset_index(drop=True), check_exact=True)
        own = pipeline.forecast_on(PAIR, "7d", pipeline.snapshot(PAIR, day).bars, [day])[("7d", day_key(day))]
        walk = mine["model"] == "random_walk"
        assert np.array_equal(mine.loc[walk, "q500"], own.loc[own["model"] == "random_walk", "q500"]), (
            "the stored snapshot of the day is what the forecast is made from"
        )


def test_the_default_as_of_is_the_newest_business_day_with_data_and_never_after_today(pipeline: Pipeline) -> None:
    assert pipeline.default_as_of(PAIR, now=NOW) == LAST
    assert pipeline.default_as_of(PAIR, now=pd.Timestamp("2025-06-11 18:00", tz="UTC")) == dt.date(2025, 6, 11)
    # 02:00 UTC on the 12th is still the 11th in Santiago.
    assert pipeline.default_as_of(PAIR, now=pd.Timestamp("2025-06-12 02:00", tz="UTC")) == dt.date(2025, 6, 11)
    assert pipeline.default_as_of(PAIR, now=pd.Timestamp("2025-06-08 18:00", tz="UTC")) == dt.date(2025, 6, 6)


@pytest.mark.parametrize("as_of", [None, dt.date(2024, 1, 3)])
def test_a_missing_snapshot_names_pair_day_and_command(pipeline: Pipeline, as_of: dt.date | None) -> None:
    empty = Pipeline(pipeline.settings, SliceStore("memory://nothing"))
    with pytest.raises(StoreError, match=f"No bars of {PAIR} are stored") as caught:
        empty.snapshot(PAIR, as_of)
    assert f"forex run --pair {PAIR}" in caught.value.remedy
    if as_of:
        assert str(as_of) in caught.value.message
        assert f"--as-of {as_of}" in caught.value.remedy


@pytest.mark.capability("L18")
def test_bars_judged_bad_are_not_forecast_from(pipeline: Pipeline) -> None:
    other = Pipeline(pipeline.settings, SliceStore("memory://bad-bars"))
    day = DAYS[-1]
    frame = pipeline.store.read(schemas.BARS, PAIR, [(day_key(day),)])
    meta = pipeline.store.info(schemas.BARS, PAIR, (day_key(day),)).meta
    verdict = Verdict("bad", ("positive_values: planted",))
    other.store.write(schemas.BARS, PAIR, (day_key(day),), frame, verdict=verdict, meta=meta)
    with pytest.raises(UnusableSliceError, match="positive_values: planted"):
        other.forecasts(PAIR, "7d", [day])


def test_an_evaluation_before_maturity_is_refused_and_says_when_it_matures(pipeline: Pipeline) -> None:
    made = pipeline.forecasts(PAIR, "7d", [LAST])
    with pytest.raises(DataError, match=r"have not matured.*2025-06-23"):
        pipeline.evaluations(PAIR, "7d", pd.concat(made.values()))


def test_an_evaluation_scores_against_the_value_dated_the_target_date(pipeline: Pipeline) -> None:
    day = dt.date(2025, 6, 4)
    made = pipeline.forecasts(PAIR, "7d", [day])
    rows = pipeline.evaluations(PAIR, "7d", pd.concat(made.values()))[("7d", day_key(day))]
    bars = pipeline.snapshot(PAIR).bars
    target = rows["target_date"].iloc[0]
    assert target == pd.Timestamp("2025-06-11")
    assert set(rows["actual"]) == set(bars.loc[bars["event_date"] == target, "value"])
    assert np.allclose(rows["error"], rows["mean"] - rows["actual"])
    assert set(rows["matured_on"]) == {pd.Timestamp("2025-06-10")}, "the fixing is known the business day before"


def test_matured_days_are_those_whose_value_is_known_at_the_end_of_the_day_asked(pipeline: Pipeline) -> None:
    days = [dt.date(2025, 6, 4), dt.date(2025, 6, 5), dt.date(2025, 6, 6)]
    assert pipeline.matured_as_ofs(PAIR, "7d", days, as_of=dt.date(2025, 6, 10)) == days[:1]
    assert pipeline.matured_as_ofs(PAIR, "7d", days, as_of=dt.date(2025, 6, 9)) == []
    assert pipeline.matured_as_ofs(PAIR, "7d", days, as_of=LAST) == days
    assert pipeline.matured_as_ofs(PAIR, "7d", [], as_of=LAST) == []


def test_scores_without_any_evaluation_say_unknown_and_show_the_backtest(pipeline: Pipeline) -> None:
    backtest = pipeline.backtest(PAIR, "7d", every=20)
    report = pipeline.performance(PAIR, "7d", backtest)
    active = report.loc[report["is_active"]]
    live = active.loc[active["window"] == "live_60"]
    assert live.empty or set(live["coverage_state"]) == {"unknown"}
    assert (active.loc[active["window"] == "backtest_all", "n"] > 50).all()


@pytest.mark.capability("E09")
def test_the_hash_of_observations_depends_on_values_not_on_when_they_were_fetched(pipeline: Pipeline) -> None:
    rows = pipeline.observations(PAIR)
    later = rows.assign(retrieved_at=rows["retrieved_at"] + pd.Timedelta("1D"), payload_hash="other")
    assert observations_hash(later) == observations_hash(rows)
    changed = rows.copy()
    changed.loc[changed.index[5], "value"] += 1e-9 * abs(changed.loc[changed.index[5], "value"])
    assert observations_hash(changed) != observations_hash(rows)


def test_ingesting_again_keeps_everything_and_changes_no_hash(pipeline: Pipeline, tmp_path: Path) -> None:
    other = Pipeline(pipeline.settings.model_copy(update={"home": tmp_path}), SliceStore("memory://again"))
    first = other.data.write_ingest(PAIR, now=NOW)["observations"]
    second = other.data.write_ingest(PAIR, now=NOW + pd.Timedelta("1D"))["observations"]
    pd.testing.assert_frame_equal(first, second)


@settings(max_examples=20)
@given(count=st.integers(0, 30))
def test_lazy_frames_are_built_when_asked_for_and_never_for_a_look(count: int) -> None:
    built: list[tuple[str, ...]] = []

    def make(key: tuple[str, ...]) -> pd.DataFrame:
        built.append(key)
        return pd.DataFrame({"key": [key[0]]})

    keys = [(str(number),) for number in range(count)]
    frames = LazyFrames(keys, make)
    assert len(frames) == count
    assert list(frames) == keys
    assert all(key in frames for key in keys)
    assert ("other",) not in frames
    assert built == []
    with pytest.raises(KeyError):
        frames[("other",)]
    assert [frames[key]["key"].iloc[0] for key in keys] == [key[0] for key in keys]
    assert built == keys


def test_the_horizons_of_a_run_share_one_history_until_a_slice_is_written_anew(pipeline: Pipeline) -> None:
    first = pipeline.history(PAIR, pipeline.snapshot(PAIR, LAST).bars)
    assert pipeline.history(PAIR, pipeline.snapshot(PAIR, LAST).bars) is first
    earlier = pipeline.history(PAIR, pipeline.snapshot(PAIR, DAYS[0]).bars)
    assert len(earlier) < len(first)
    again = pipeline.history(PAIR, pipeline.snapshot(PAIR, LAST).bars)
    assert again is not first
    np.testing.assert_array_equal(again.value, first.value)

    stored = pipeline.store.read(schemas.OBSERVATIONS, PAIR, [()])
    pipeline.store.write(schemas.OBSERVATIONS, PAIR, (), stored)
    assert pipeline.history(PAIR, pipeline.snapshot(PAIR, LAST).bars) is not again

    pipeline.memory.forget()
    assert pipeline.history(PAIR, pipeline.snapshot(PAIR, LAST).bars) is not again


def test_what_is_kept_is_made_again_only_from_something_else(pipeline: Pipeline) -> None:
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    assert [pipeline.memory.kept("example", key, make) for key in ("a", "a", "b", "b", "a")] == [0, 0, 1, 1, 2]
