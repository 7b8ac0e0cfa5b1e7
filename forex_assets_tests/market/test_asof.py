"""What was known when: snapshots, driver states, hashes, and the leakage canary."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.errors import DataError
from forex_assets.market.asof import (
    bars_as_of,
    bars_for,
    chain_hashes,
    data_hash,
    drivers_as_of,
    newest_usable_date,
    quarantine,
)
from forex_assets.market.ingest import ingest
from forex_assets.market.publication import available_at
from forex_assets.schemas import BARS, DRIVERS, OBSERVATIONS
from forex_assets.settings import Settings, load_settings
from forex_assets_tests.market.test_chain import Scripted, sessions

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
PROVENANCE = ("config_hash", "data_hash", "code_version")
TARGET = "usdclp_fixing"


@pytest.fixture(scope="module")
def shipped() -> tuple[Settings, pd.DataFrame]:
    """The packaged settings and everything the package ships for usdclp."""
    settings = load_settings(environ={"FOREX_OFFLINE": "1"})
    return settings, ingest(settings, "usdclp", now=NOW, environ={}).observations


def rows(settings: Settings, series: str, values: dict[str, float], **columns: Any) -> pd.DataFrame:
    """Observations of one series, published by its rule."""
    spec = settings.series[series]
    days = np.array(list(values), dtype="datetime64[D]")
    frame = pd.DataFrame(
        {
            "pair": "usdclp",
            "series": series,
            "event_time": pd.DatetimeIndex(days.astype("datetime64[ns]")).tz_localize("UTC"),
            "available_at": pd.DatetimeIndex(available_at(spec, days).astype("datetime64[ns]")).tz_localize("UTC"),
            "value": list(values.values()),
            "open": np.nan,
            "high": np.nan,
            "low": np.nan,
            "unit": spec.unit,
            "source": "embedded",
            "retrieved_at": pd.Timestamp(NOW),
            "payload_hash": "0" * 64,
            "withdrawn_at": pd.NaT,
            "rule": None,
            "reason": None,
        }
    ).assign(**columns)
    stamped = frame.assign(**dict.fromkeys(PROVENANCE, ""))
    return OBSERVATIONS.conform(stamped[list(OBSERVATIONS.column_names)]).drop(columns=list(PROVENANCE))


@pytest.mark.capability("K17", "A01")
def test_an_origin_at_the_end_of_friday_knows_mondays_fixing(shipped: tuple[Settings, pd.DataFrame]) -> None:
    settings, observations = shipped
    friday = bars_as_of(observations, settings.pair("usdclp"), "2025-06-06")
    assert friday["event_date"].max() == pd.Timestamp("2025-06-09")
    saturday = bars_as_of(observations, settings.pair("usdclp"), "2025-06-07")
    assert saturday["event_date"].max() == pd.Timestamp("2025-06-09")
    thursday = bars_as_of(observations, settings.pair("usdclp"), "2025-06-05")
    assert thursday["event_date"].max() == pd.Timestamp("2025-06-06")


def test_snapshots_of_many_days_equal_each_day_alone(shipped: tuple[Settings, pd.DataFrame]) -> None:
    settings, observations = shipped
    pair = settings.pair("usdclp")
    days = calendar_for("CL").sessions("2025-05-05", "2025-05-30")
    for day, frame in bars_for(observations, pair, days):
        pd.testing.assert_frame_equal(frame, bars_as_of(observations, pair, day))
        assert (frame["as_of"] == pd.Timestamp(day)).all()
        stamped = frame.assign(**dict.fromkeys(PROVENANCE, "x"))
        pd.testing.assert_frame_equal(BARS.conform(stamped), stamped)


def test_snapshot_before_any_data_is_empty_with_the_right_types(shipped: tuple[Settings, pd.DataFrame]) -> None:
    settings, observations = shipped
    frame = bars_as_of(observations, settings.pair("usdclp"), "1999-06-01")
    assert len(frame) == 0
    assert data_hash(frame) == data_hash(frame.iloc[:0])
    assert chain_hashes(frame) == []
    BARS.conform(frame.assign(**dict.fromkeys(PROVENANCE, "x")))


def test_row_withdrawn_later_is_shown_as_good_and_afterwards_with_its_rule(
    configured: Settings,
) -> None:
    observations = rows(configured, TARGET, sessions("2025-06-02", "2025-06-13"))
    bad = observations["event_time"] == pd.Timestamp("2025-06-10", tz="UTC")
    observations.loc[bad, "withdrawn_at"] = pd.Timestamp("2025-06-11 22:00", tz="UTC")
    observations.loc[bad, "rule"] = "spike"
    pair = configured.pair("usdclp")
    before = bars_as_of(observations, pair, "2025-06-10")
    assert before["withdrawn_at"].isna().all()
    assert before["withdrawn_rule"].isna().all()
    after = bars_as_of(observations, pair, "2025-06-11").set_index("event_date")
    assert after.loc["2025-06-10", "withdrawn_rule"] == "spike"
    assert after.loc["2025-06-10", "value"] == 900.0
    assert after["withdrawn_at"].notna().sum() == 1


class TestHashes:
    def test_snapshot_that_is_a_pure_prefix_has_the_later_ones_hash_at_its_length(
        self, shipped: tuple[Settings, pd.DataFrame]
    ) -> None:
        settings, observations = shipped
        pair = settings.pair("usdclp")
        chain = chain_hashes(bars_as_of(observations, pair, "2025-06-13"))
        for day, frame in bars_for(observations, pair, calendar_for("CL").sessions("2025-04-01", "2025-06-13")):
            assert chain[len(frame) - 1] == data_hash(frame), day

    def test_hash_does_not_depend_on_row_order_or_as_of(self, shipped: tuple[Settings, pd.DataFrame]) -> None:
        settings, observations = shipped
        frame = bars_as_of(observations, settings.pair("usdclp"), "2025-06-06")
        shuffled = frame.sample(frac=1, random_state=3).assign(as_of=pd.Timestamp("2025-06-08"))
        assert data_hash(shuffled) == data_hash(frame)

    @pytest.mark.parametrize("column", ["value", "open", "available_at", "event_date", "source", "withdrawn_at"])
    def test_hash_changes_with_every_column_that_matters(
        self, shipped: tuple[Settings, pd.DataFrame], column: str
    ) -> None:
        settings, observations = shipped
        frame = bars_as_of(observations, settings.pair("usdclp"), "2025-06-06")
        changed = frame.copy()
        replacement: dict[str, Any] = {
            "value": frame["value"].iloc[-1] + 0.01,
            "open": 1.0,
            "available_at": frame["available_at"].iloc[-1] + pd.Timedelta(microseconds=1),
            "event_date": frame["event_date"].iloc[-1] + pd.Timedelta(days=1),
            "source": "folder",
            "withdrawn_at": pd.Timestamp("2025-06-06", tz="UTC"),
        }
        changed.loc[len(frame) - 1, column] = replacement[column]
        assert data_hash(changed) != data_hash(frame)
        assert chain_hashes(changed)[:-1] == chain_hashes(frame)[:-1]

    def test_hash_survives_a_round_trip_through_parquet(
        self, shipped: tuple[Settings, pd.DataFrame], tmp_path: Any
    ) -> None:
        settings, observations = shipped
        frame = bars_as_of(observations, settings.pair("usdclp"), "2025-06-06")
        frame.to_parquet(tmp_path / "x.parquet")
        assert data_hash(pd.read_parquet(tmp_path / "x.parquet")) == data_hash(frame)


class TestDrivers:
    def test_one_row_per_driver_and_day_missing_ones_too(self, shipped: tuple[Settings, pd.DataFrame]) -> None:
        settings, observations = shipped
        pair = settings.pair("usdclp")
        days = np.array(["2025-06-12", "2025-06-13"], dtype="datetime64[D]")
        frame = drivers_as_of(observations, settings, pair, days)
        assert frame[["as_of", "series"]].to_records(index=False).tolist() == [
            (pd.Timestamp(day).value, name) for day in days for name in pair.drivers
        ]
        stamped = frame.assign(**dict.fromkeys(PROVENANCE, "x"))
        pd.testing.assert_frame_equal(DRIVERS.conform(stamped), stamped)
        missing = frame[frame["series"] == "vix"]
        assert set(missing["state"]) == {"missing"}
        assert set(missing["note"]) == {"no source has given any value; see source_status"}

    @pytest.mark.capability("K17")
    def test_a_macro_value_is_unknown_until_the_morning_it_appears(
        self, shipped: tuple[Settings, pd.DataFrame]
    ) -> None:
        settings, observations = shipped
        days = np.array(["2025-06-08", "2025-06-09"], dtype="datetime64[D]")
        frame = drivers_as_of(observations, settings, settings.pair("usdclp"), days)
        cpi = frame[frame["series"] == "ipc_yoy"]
        assert cpi["event_date"].tolist() == [pd.Timestamp("2025-04-01"), pd.Timestamp("2025-05-01")]

    def test_changes_are_over_observations_known_then(self, configured: Settings) -> None:
        values = {day: 4.0 + place / 100 for place, day in enumerate(sessions("2025-04-01", "2025-06-13"))}
        observations = pd.concat([rows(configured, "copper_lme", values), rows(configured, "tpm", values)])
        pair = configured.pair("usdclp")
        frame = drivers_as_of(observations, configured, pair, np.array(["2025-06-13"], dtype="datetime64[D]"))
        copper = frame.set_index("series").loc["copper_lme"]
        known = list(values.values())[:-1]  # copper of the 13th is published on the 16th
        assert copper["value"] == known[-1]
        for lag in (1, 5, 20):
            assert copper[f"change_{lag}"] == pytest.approx(np.log(known[-1] / known[-1 - lag]), abs=1e-15)
        rate = frame.set_index("series").loc["tpm"]
        assert rate["change_5"] == pytest.approx(0.05)
        assert (copper["change_kind"], rate["change_kind"]) == ("log", "diff")

    def test_change_over_more_observations_than_known_is_empty(self, configured: Settings) -> None:
        observations = rows(configured, "tpm", sessions("2025-06-09", "2025-06-12", 5.0))
        frame = drivers_as_of(
            observations, configured, configured.pair("usdclp"), np.array(["2025-06-12"], dtype="datetime64[D]")
        ).set_index("series")
        assert frame.loc["tpm", "change_1"] == 0.0
        assert np.isnan(frame.loc["tpm", "change_5"])

    def test_value_turns_stale_one_session_after_its_limit(self, configured: Settings) -> None:
        spec = configured.series["tpm"]
        assert spec.max_age_business_days == 5
        observations = rows(configured, "tpm", {"2025-06-03": 5.0})
        days = np.array(["2025-06-10", "2025-06-11"], dtype="datetime64[D]")
        frame = drivers_as_of(observations, configured, configured.pair("usdclp"), days)
        rate = frame[frame["series"] == "tpm"]
        assert rate["state"].tolist() == ["fresh", "stale"]
        assert rate["note"].tolist()[1] == "newest value is dated 2025-06-03, 6 sessions of CL ago; the limit is 5"
        assert rate["age_days"].tolist() == [7, 8]

    def test_withdrawn_value_steps_back_to_the_one_before(self, configured: Settings) -> None:
        observations = rows(configured, "tpm", {"2025-06-11": 5.0, "2025-06-12": 500.0})
        observations.loc[1, ["withdrawn_at", "rule"]] = [pd.Timestamp("2025-06-11 22:00", tz="UTC"), "range"]
        day = np.array(["2025-06-12"], dtype="datetime64[D]")
        frame = drivers_as_of(observations, configured, configured.pair("usdclp"), day).set_index("series")
        assert frame.loc["tpm", "value"] == 5.0
        only = drivers_as_of(observations.iloc[1:], configured, configured.pair("usdclp"), day).set_index("series")
        assert only.loc["tpm", "state"] == "missing"
        assert "withdrawn" in only.loc["tpm", "note"]

    def test_revised_value_counts_once_and_from_its_revision_on(self, configured: Settings) -> None:
        observations = rows(configured, "tpm", {"2025-06-10": 5.0, "2025-06-11": 5.25, "2025-06-12": 5.5})
        newer = rows(configured, "tpm", {"2025-06-10": 4.0}, available_at=pd.Timestamp("2025-06-12 15:00", tz="UTC"))
        observations.loc[0, ["withdrawn_at", "rule"]] = [newer["available_at"].iloc[0], "revision"]
        both = pd.concat([observations, newer], ignore_index=True)
        days = np.array(["2025-06-11", "2025-06-12"], dtype="datetime64[D]")
        rate = (
            drivers_as_of(both, configured, configured.pair("usdclp"), days).set_index(["series", "as_of"]).loc["tpm"]
        )
        assert rate["value"].tolist() == [5.5, 5.5]
        assert rate["change_1"].tolist() == [0.25, 0.25]
        # Unwithdrawn, an old version still counts once: the one known last stands.
        double = pd.concat([observations.assign(withdrawn_at=pd.NaT), newer], ignore_index=True)
        double["withdrawn_at"] = pd.to_datetime(double["withdrawn_at"], utc=True)
        tripled = pd.concat([double, rows(configured, "tpm", {"2025-06-09": 1.0})], ignore_index=True)
        last = drivers_as_of(tripled, configured, configured.pair("usdclp"), days[1:]).set_index("series").loc["tpm"]
        assert last["change_1"] == 0.25
        assert np.isnan(last["change_5"])

    def test_driver_that_starts_later_says_when(self, shipped: tuple[Settings, pd.DataFrame]) -> None:
        settings, observations = shipped
        day = np.array(["2020-01-02"], dtype="datetime64[D]")
        frame = drivers_as_of(observations, settings, settings.pair("usdclp"), day).set_index("series")
        assert frame.loc["copper_lme", "note"] == "its first value became known on 2023-01-04, after this as_of"

    def test_pair_without_drivers_has_an_empty_table(self, configured: Settings) -> None:
        pair = configured.pair("usdclp").model_copy(update={"drivers": []})
        day = np.array(["2020-01-02"], dtype="datetime64[D]")
        frame = drivers_as_of(rows(configured, "tpm", {"2025-06-11": 5.0}), configured, pair, day)
        DRIVERS.conform(frame.assign(**dict.fromkeys(PROVENANCE, "x")))
        assert len(frame) == 0


class TestNewestUsableDate:
    def test_it_is_the_last_shipped_fixing(self, shipped: tuple[Settings, pd.DataFrame]) -> None:
        settings, observations = shipped
        assert newest_usable_date(observations, settings.pair("usdclp")) == dt.date(2025, 6, 13)

    def test_it_is_never_after_today_though_tomorrows_fixing_is_known(
        self, shipped: tuple[Settings, pd.DataFrame]
    ) -> None:
        settings, observations = shipped
        friday_evening = dt.datetime(2025, 6, 6, 23, tzinfo=dt.UTC)
        assert newest_usable_date(observations, settings.pair("usdclp"), now=friday_evening) == dt.date(2025, 6, 6)

    def test_withdrawn_values_do_not_count(self, configured: Settings) -> None:
        observations = rows(configured, TARGET, sessions("2025-06-09", "2025-06-12"))
        observations.loc[3, "withdrawn_at"] = pd.Timestamp("2025-06-11 22:00", tz="UTC")
        assert newest_usable_date(observations, configured.pair("usdclp")) == dt.date(2025, 6, 11)

    def test_without_any_it_says_what_to_do(self, configured: Settings) -> None:
        with pytest.raises(DataError, match="usdclp_fixing") as caught:
            newest_usable_date(rows(configured, "tpm", {"2025-06-11": 5.0}), configured.pair("usdclp"))
        assert "FOREX_DATA_DIR" in caught.value.remedy


def test_quarantine_holds_the_withdrawn_rows_with_rule_and_reason(configured: Settings) -> None:
    observations = rows(configured, TARGET, sessions("2025-06-09", "2025-06-12"))
    observations.loc[2, ["withdrawn_at", "rule", "reason"]] = [pd.Timestamp(NOW), "range", "5 is outside"]
    kept = quarantine(observations)
    assert kept[["rule", "reason"]].to_numpy().tolist() == [["range", "5 is outside"]]
    assert list(kept.columns) == [name for name in OBSERVATIONS.column_names if name not in PROVENANCE]


DAYS = list(sessions("2025-04-01", "2025-06-13"))


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    as_of=st.sampled_from(DAYS[25:]),
    factor=st.floats(0.5, 2.0),
    kind=st.sampled_from(["change", "drop", "withdraw", "revise"]),
    seed=st.integers(0, 2**31),
)
@pytest.mark.capability("K17")
def test_nothing_available_after_as_of_changes_what_was_known(
    configured: Settings, as_of: str, factor: float, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    names = [TARGET, "tpm", "copper_lme", "wti"]
    observations = pd.concat(
        [
            rows(configured, name, dict(zip(DAYS, 50 + rng.normal(size=len(DAYS)).cumsum(), strict=True)))
            for name in names
        ],
        ignore_index=True,
    )
    cut = pd.Timestamp(as_of_instants(np.array([as_of], dtype="datetime64[D]"))[0]).tz_localize("UTC")
    later = observations.index[observations["available_at"] > cut]
    assume(len(later))
    chosen = rng.choice(later, size=max(1, len(later) // 2), replace=False)
    changed = observations.copy()
    if kind == "change":
        changed.loc[chosen, "value"] *= factor
    elif kind == "drop":
        changed = changed.drop(index=chosen)
    elif kind == "withdraw":
        # Judged bad after as_of: any row, even one known before.
        anyone = rng.choice(observations.index, size=10, replace=False)
        changed.loc[anyone, "withdrawn_at"] = np.maximum(
            changed.loc[anyone, "available_at"], cut + pd.Timedelta(microseconds=1)
        )
        changed.loc[anyone, "rule"] = "spike"
    else:
        anyone = rng.choice(observations.index, size=10, replace=False)
        newer = observations.loc[anyone].assign(value=lambda frame: frame["value"] * factor)
        newer["available_at"] = np.maximum(newer["available_at"], cut) + pd.Timedelta(days=1)
        changed = pd.concat([changed, newer], ignore_index=True)
    pair = configured.pair("usdclp")
    days = np.array([as_of], dtype="datetime64[D]")
    before, after = (bars_as_of(frame, pair, as_of) for frame in (observations, changed))
    pd.testing.assert_frame_equal(before, after)
    assert data_hash(before) == data_hash(after)
    pd.testing.assert_frame_equal(
        drivers_as_of(observations, configured, pair, days), drivers_as_of(changed, configured, pair, days)
    )


@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(as_of=st.sampled_from(DAYS[25:-1]), seed=st.integers(0, 2**31), wild=st.sampled_from([1.01, 1.5, 0.01, 100.0]))
@pytest.mark.capability("K17")
def test_later_data_at_the_sources_changes_nothing_even_through_the_quality_rules(
    configured: Settings, as_of: str, seed: int, wild: float
) -> None:
    rng = np.random.default_rng(seed)
    names = [TARGET, "tpm", "copper_lme"]
    whole = configured.pair("usdclp")
    pair = whole.model_copy(update={"chains": {name: [f"only_{name}"] for name in names}, "drivers": names[1:]})
    settings = configured.model_copy(update={"pairs": {"usdclp": pair}})
    levels = {TARGET: 930.0, "tpm": 5.0, "copper_lme": 4.4}
    values = {
        name: dict(zip(DAYS, level * np.exp(rng.normal(scale=0.006, size=len(DAYS)).cumsum()), strict=True))
        for name, level in levels.items()
    }
    cut = as_of_instants(np.array([as_of], dtype="datetime64[D]"))[0]
    changed: dict[str, dict[str, float]] = {}
    for name, held in values.items():
        known = available_at(settings.series[name], np.array(list(held), dtype="datetime64[D]"))
        changed[name] = {
            day: value if instant <= cut else value * wild * (1 + 0.02 * rng.normal())
            for (day, value), instant in zip(held.items(), known, strict=True)
        }

    def snapshot(source_values: dict[str, dict[str, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
        sources = {f"only_{name}": Scripted(f"only_{name}", held, now=NOW) for name, held in source_values.items()}
        observations = ingest(settings, "usdclp", now=NOW, sources=sources).observations
        days = np.array([as_of], dtype="datetime64[D]")
        return bars_as_of(observations, pair, as_of), drivers_as_of(observations, settings, pair, days)

    (bars, drivers), (bars_changed, drivers_changed) = snapshot(values), snapshot(changed)
    pd.testing.assert_frame_equal(bars, bars_changed)
    assert data_hash(bars) == data_hash(bars_changed)
    pd.testing.assert_frame_equal(drivers, drivers_changed)
