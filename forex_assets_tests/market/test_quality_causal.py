"""Verdicts known by an instant depend on nothing that came after it, whatever the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.market.quality import apply_quality
from forex_assets.settings import load_settings
from forex_assets_tests.market.observed import MARKET, NOW, observations

DAYS = calendar_for("CL").sessions("2022-03-01", "2022-07-29")
CROWDED = (50, 75)  # faults fall close together, so that they meet
SETTINGS = load_settings(environ={})
FIXING = SETTINGS.series["usdclp_fixing"]
SPECS = {MARKET.id: MARKET, FIXING.id: FIXING}

faults = st.lists(
    st.tuples(
        st.sampled_from(["scale", "stale", "weekend", "ahead", "revision", "again", "late", "gap", "bar"]),
        st.sampled_from([MARKET.id, FIXING.id]),
        st.integers(*CROWDED),
        st.sampled_from([1.12, 1.07, 0.93, 1.02, 0.6, 1.5, 0.01, 100.0]),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=20,
)


def world(planted: list[tuple[str, str, int, float, int]], seed: int) -> pd.DataFrame:
    """A close and its fixing with faults planted in both."""
    rng = np.random.default_rng(seed)
    level = 800 * np.exp(np.cumsum(rng.normal(0, rng.choice([0.001, 0.003, 0.006]), len(DAYS))))
    frames = {MARKET.id: observations(MARKET, DAYS, level), FIXING.id: observations(FIXING, DAYS, np.roll(level, 1))}
    extra: list[pd.DataFrame] = []
    for kind, name, place, factor, count in planted:
        frame = frames[name]
        place = min(place, len(frame) - 1)
        row = frame.iloc[[place]]
        if kind == "scale":
            frame.loc[place : place + count // 4, "value"] *= factor
        elif kind == "stale":
            frame.loc[place : place + count, "value"] = frame["value"].iloc[place]
        elif kind == "weekend":
            extra.append(
                row.assign(
                    event_time=row["event_time"] + pd.Timedelta(days=6 - int(row["event_time"].dt.weekday.iloc[0]))
                )
            )
        elif kind == "ahead":
            extra.append(
                row.assign(event_time=row["event_time"] + pd.Timedelta(days=7 * count), value=row["value"] * factor)
            )
        elif kind == "revision":
            extra.append(
                row.assign(value=row["value"] * factor, available_at=row["available_at"] + pd.Timedelta(days=count))
            )
        elif kind == "again":
            extra.append(row.assign(value=row["value"] * factor))
        elif kind == "late":
            frame.loc[place, "available_at"] += pd.Timedelta(days=count)
        elif kind == "gap":
            frames[name] = frame.drop(frame.index[place : place + count]).reset_index(drop=True)
        else:
            frame.loc[place, ["open", "high", "low"]] = frame["value"].iloc[place] * np.array([1.0, factor, 0.99])
    return pd.concat([*frames.values(), *extra], ignore_index=True).reset_index(names="row")


def verdicts(frame: pd.DataFrame, until: pd.Timestamp) -> dict[int, tuple[Any, ...]]:
    judged = apply_quality(frame, SPECS, SETTINGS.platform.quality, now=NOW)
    known = judged[judged["withdrawn_at"] <= until]
    return {row: tuple(rest) for row, *rest in known[["row", "withdrawn_at", "rule", "reason"]].to_numpy()}


@pytest.mark.capability("E03", "K17")
@settings(max_examples=50, deadline=None)
@example(planted=[("scale", MARKET.id, 60, 1.07, 1), ("revision", FIXING.id, 61, 1.02, 3)], seed=3)
@given(planted=faults, seed=st.integers(0, 10_000))
def test_no_verdict_depends_on_anything_known_after_it(planted: list[Any], seed: int) -> None:
    frame = world(planted, seed)
    rng = np.random.default_rng(seed + 1)
    judged = apply_quality(frame, SPECS, SETTINGS.platform.quality, now=NOW)
    bad = judged[judged["withdrawn_at"].notna()]
    telling = pd.concat([bad["available_at"], bad["withdrawn_at"]]).drop_duplicates()  # where verdicts come and go
    for instant in telling.sample(min(len(telling), 6), random_state=seed):
        known = frame[frame["available_at"] <= instant]
        future = frame[frame["available_at"] > instant].copy()
        before = verdicts(frame, instant)
        assert verdicts(known, instant) == before
        future["value"] *= rng.choice([0.01, 0.5, 0.93, 1.0, 1.07, 1.4, 100.0], len(future))
        future = future.sample(frac=rng.choice([0.3, 0.9, 1.0]), random_state=seed)
        assert verdicts(pd.concat([known, future]), instant) == before


@settings(max_examples=60, deadline=None)
@given(planted=faults, seed=st.integers(0, 10_000))
def test_no_row_is_lost_or_withdrawn_before_it_was_known(planted: list[Any], seed: int) -> None:
    frame = world(planted, seed)
    judged = apply_quality(frame, SPECS, SETTINGS.platform.quality, now=NOW)
    assert judged["row"].to_list() == frame["row"].to_list()
    bad = judged[judged["withdrawn_at"].notna()]
    assert (bad["withdrawn_at"] >= bad["available_at"]).all()
    assert bad[["rule", "reason"]].notna().all(axis=None)
    assert judged.loc[judged["withdrawn_at"].isna(), ["rule", "reason"]].isna().all(axis=None)
    again = apply_quality(judged, SPECS, SETTINGS.platform.quality, now=NOW)
    pd.testing.assert_frame_equal(again, judged)
