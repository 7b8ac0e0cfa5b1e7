"""Bad input never reads as fine: whatever every monitor is given, what needs more is unknown and says why.

Thresholds with a wrong unit or order and unknown keys are refused when the profile is loaded: see ``test_policies``.
"""

from __future__ import annotations

import datetime as dt
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets.errors import StoreError
from forex_assets.findings_view import drift_history, drift_reports_of, findings_of, newest_findings
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.observed import Observed, observed
from forex_assets.monitoring.registry import judge_day
from forex_assets.pipeline import Pipeline
from forex_assets.schemas.monitoring import DRIFT_REPORT, FINDINGS
from forex_assets.settings import load_settings
from forex_assets_tests.monitoring.scored import path, quiet_frames, settings

SETTINGS = settings()
DAYS = path().dates
TODAY = DAYS[-1].item()
#: What one value, or a table of dates, can tell.
ONE_VALUE = {("data_quality", "range"), ("shock", "vix_level"), ("regime", "intervention")}
COUNTS = {("data_quality", "completeness")}


def kept(series: Observed, rows: slice) -> Observed:
    """A series with some of its values."""
    columns = ("dates", "values", "available", "withdrawn")
    return replace(series, **{name: getattr(series, name)[rows] for name in columns})


def each(frames: Frames, change: Callable[[Observed], Observed]) -> Frames:
    """Frames with price and drivers changed alike."""
    drivers = {name: change(series) for name, series in frames.drivers.items()}
    return replace(frames, target=change(frames.target), drivers=drivers)


def findings(frames: Frames, day: dt.date = TODAY) -> tuple[Finding, ...]:
    """What all monitors say of a day; nothing is computed from what is no number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return judge_day(frames, day, SETTINGS, "recommended")


def told(found: tuple[Finding, ...]) -> set[tuple[str, str]]:
    """Rules that answered; none failed, and each that could not tell says why."""
    assert {finding.monitor for finding in found} == {"performance", "drift", "regime", "shock", "data_quality"}
    assert not [finding for finding in found if finding.rule == "monitor_failed"]
    for finding in found:
        why = finding.cannot_tell
        assert (why is not None) == (finding.state == "unknown")
        assert why is None or why in finding.reasons[0] or why.sentence == finding.reasons[0]
    return {(finding.monitor, finding.rule) for finding in found if finding.state != "unknown"}


def reason(found: tuple[Finding, ...], monitor: str, rule: str, subject: str) -> str:
    (one,) = [f for f in found if (f.monitor, f.rule, f.subject) == (monitor, rule, subject)]
    assert one.state == "unknown"
    return one.reasons[0]


def test_too_few_observations() -> None:
    quiet = quiet_frames()
    young = replace(
        each(quiet, lambda series: kept(series, slice(-40, None))),
        scores=quiet.scores.loc[quiet.scores["matured_on"] >= DAYS[-5]],
    )
    found = findings(young)
    assert told(found) == ONE_VALUE
    assert not [finding for finding in found if finding.state == "fired"]
    assert "5 of the 60 matured" in reason(found, "performance", "skill", "7d")
    assert "39 of the 310 observations" in reason(found, "drift", "location", "returns")
    empty = replace(each(quiet, lambda series: kept(series, slice(0, 0))), scores=quiet.scores.iloc[:0])
    assert told(findings(empty)) == {("regime", "intervention")}


def test_all_equal_windows() -> None:
    flat = each(quiet_frames(), lambda series: replace(series, values=np.full(len(series.values), series.values[-1])))
    found = findings(flat)
    scored = {("performance", rule) for rule in ("skill", "evidence", "calibration", "bias")}
    of_forecasts = {("drift", rule) for rule in ("location", "scale", "distribution")}  # residuals and PIT
    assert told(found) == ONE_VALUE | COUNTS | scored | of_forecasts
    assert {f.subject.split("_")[0] for f in found if f.monitor == "drift" and f.state != "unknown"} == {
        "residual",
        "pit",
    }
    assert "do not move" in reason(found, "performance", "volatility", "usdclp_close")
    assert "does not move" in reason(found, "data_quality", "correlation_change", "vix")
    assert "does not move" in reason(found, "data_quality", "importance_drift", "all")


def test_values_that_are_no_numbers() -> None:
    quiet = quiet_frames()
    holes = np.arange(len(DAYS)) % 2 == 0
    rows = pd.DataFrame(
        {
            "series": "vix", "unit": "index", "value": np.where(holes, np.nan, quiet.drivers["vix"].values),
            "event_time": pd.to_datetime(DAYS).tz_localize("UTC"),
            "available_at": pd.to_datetime(DAYS).tz_localize("UTC"),
            "withdrawn_at": pd.Series(pd.NaT, index=range(len(DAYS)), dtype="datetime64[us, UTC]"),
        }
    )  # fmt: skip
    rows.loc[1, "value"] = np.inf
    # On the way in, what is no number is no value: the session is missing, and counted as such.
    assert len(observed(rows, "vix", "index").values) == (~holes).sum() - 1
    # Should any come another way, it is not computed with.
    scores = quiet.scores.assign(**dict.fromkeys(("crps", "pit", "error_sigma"), np.nan))
    broken = each(quiet, lambda series: replace(series, values=np.where(holes[::-1], np.nan, series.values)))
    found = findings(replace(broken, scores=scores))
    assert told(found) == COUNTS | {("regime", "intervention")}
    assert "100% of the window" in reason(found, "performance", "bias", "7d")
    assert "not a number" in reason(found, "data_quality", "range", "usdclp_close")


def test_a_series_that_stopped() -> None:
    quiet = quiet_frames()
    stopped = replace(
        each(quiet, lambda series: kept(series, slice(0, -60))),
        scores=quiet.scores.loc[quiet.scores["matured_on"] <= DAYS[-61]],
    )
    found = findings(stopped)
    assert told(found) == COUNTS | {("regime", "intervention")}
    assert {f.state for f in found if f.rule == "completeness"} == {"fired"}
    for monitor, rule, subject in (
        ("performance", "volatility", "usdclp_close"),
        ("drift", "link", "link_copper_comex"),
        ("data_quality", "range", "vix"),
        ("data_quality", "correlation_change", "dxy"),
    ):
        assert "business days old" in reason(found, monitor, rule, subject)
    assert "fewer than two series" in reason(found, "data_quality", "importance_drift", "all")
    # One driver that stopped blinds its own rules and leaves the others their sight.
    one = {**quiet.drivers, "vix": kept(quiet.drivers["vix"], slice(0, -60))}
    found = findings(replace(quiet, drivers=one))
    blind = {f.subject for f in found if f.monitor == "data_quality" and f.state == "unknown"}
    assert blind == {"vix"}


def test_clock_skew() -> None:
    quiet = quiet_frames()
    ahead = np.timedelta64(30, "D")
    # A source whose clock is ahead: what it gave in the last month is not known yet, and the series has stopped.
    late = each(quiet, lambda series: replace(series, available=series.available + ahead))
    found = findings(late)
    assert "business days old" in reason(found, "performance", "volatility", "usdclp_close")
    assert "business days old" in reason(found, "drift", "location", "vix")
    # A source whose dates are ahead: what it says of days to come is no news, and an age is never negative.
    tomorrow = replace(quiet.target, dates=quiet.target.dates + np.timedelta64(7, "D"))
    found = findings(replace(quiet, target=tomorrow))
    assert told(found) >= {("performance", "volatility"), ("data_quality", "range")}
    assert not [f for f in found if any("-" in part and "business days old" in part for part in f.reasons)]


@pytest.fixture
def history(home: Path) -> Iterator[tuple[Pipeline, list[Path]]]:
    """A home with the drift report and the findings of one day."""
    pipeline, frames = Pipeline(load_settings()), quiet_frames()
    files = []
    for table, made in (
        (DRIFT_REPORT, drift_reports_of(pipeline, frames, [DAYS[-2].item()])),
        (FINDINGS, findings_of(pipeline, frames, [DAYS[-2].item()], ("shock",))),
    ):
        for key, frame in made.items():
            pipeline.store.write(table, frames.pair, key, frame, meta={})
            files.append(Path(pipeline.store.info(table, frames.pair, key).path))
    yield pipeline, files
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2]])
def test_a_corrupted_history_file_is_named_and_neither_dropped_nor_written_over(
    history: tuple[Pipeline, list[Path]], damage: Callable[[bytes], bytes]
) -> None:
    pipeline, files = history
    frames = quiet_frames()
    assert len(drift_history(pipeline, frames.pair, before=TODAY))
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    left = [file.read_bytes() for file in files]
    for file, read in (
        (files[0], lambda: drift_reports_of(pipeline, frames, [TODAY])),
        (files[1], lambda: findings_of(pipeline, frames, [TODAY], ("shock",))),
        (files[1], lambda: newest_findings(pipeline, frames.pair)),
    ):
        with pytest.raises(StoreError) as refused:
            read()
        assert file.name in str(refused.value)
        assert refused.value.remedy
    assert [file.read_bytes() for file in files] == left
