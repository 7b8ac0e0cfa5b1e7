"""The vectorised rules against a plain twin that sees one row at a time, as they arrive."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.market.quality import apply_quality
from forex_assets.settings import QualitySettings, load_settings
from forex_assets_tests.market.observed import MARKET, NOW, observations

DAYS = calendar_for("CL").sessions("2022-03-01", "2022-09-30")
LIMITS = load_settings(environ={}).platform.quality
SPEC = MARKET.model_copy(update={"reference": None, "range": (1e-3, 1e6)})


def plain_verdicts(frame: pd.DataFrame, limits: QualitySettings) -> dict[int, tuple[pd.Timestamp, str]]:
    """Row → first verdict, for daily closes in order, by the words of the rules."""
    dates = [day.date() for day in frame["event_time"]]
    values = frame["value"].to_list()
    known = frame["available_at"].to_list()
    found: dict[int, tuple[pd.Timestamp, str]] = {}

    def withdraw(row: int, at: pd.Timestamp, rule: str) -> None:
        if row not in found or at < found[row][0]:
            found[row] = (at, rule)

    moves: list[float] = []  # absolute log moves per square root of a business day
    sigmas: list[float | None] = []
    gaps: list[int] = []
    kept: list[int] = []
    spiked: set[int] = set()
    far_out: set[int] = set()
    run: list[int] = []
    for i, value in enumerate(values):
        slow = median(moves[-limits.volatility_window_rows :]) / 0.6744897501960817 if len(moves) >= 20 else None
        fast = median(moves[-limits.volatility_fast_rows :]) / 0.6744897501960817 if slow is not None else None
        sigma = None if slow is None or fast is None else max(slow, fast)
        gap = max(int(np.busday_count(dates[i - 1], dates[i])), 1) if i else 1
        sigmas.append(sigma)
        gaps.append(gap)
        stretch = math.sqrt(gap)
        good = True
        if i >= 5:
            size = abs(math.log(value / median(values[max(0, i - limits.volatility_window_rows) : i])))
            if any(abs(size - power * math.log(10)) <= limits.unit_tolerance_log for power in (2, 3)):
                withdraw(i, known[i], "unit")
                good = False
        if i >= 3 and sigma is not None:
            away = abs(math.log(value / median(values[max(0, i - 5) : i])))
            if away > limits.jump_gross_log * stretch and away >= limits.jump_robust_sigma * sigma * stretch:
                if good:
                    withdraw(i, known[i], "jump")
                good = False
        if i:
            moves.append(abs(math.log(value / values[i - 1])) / stretch)
        if not good:
            continue
        kept.append(i)
        if len(kept) >= 3:
            before, middle, after = kept[-3:]
            up, back = math.log(values[middle] / values[before]), math.log(values[after] / values[middle])
            s = sigmas[middle]
            if s is not None and before not in spiked and up * back < 0:
                s *= math.sqrt(gaps[middle])
                big = abs(up) >= max(limits.spike_log, limits.spike_robust_sigma * s)
                returned = abs(back) >= limits.spike_reversal_share * abs(up)
                landed = abs(up + back) <= max((1 - limits.spike_reversal_share) * abs(up), 3 * s)
                if big and returned and landed:
                    spiked.add(middle)
                    withdraw(middle, known[after], "spike")
        for length, least in ((1, limits.outlier_robust_sigma), (2, limits.outlier_pair_robust_sigma)):
            s = sigmas[kept[-1 - length]] if len(kept) >= length + 2 else None
            if s is None:
                continue
            around = kept[-length - 2 :]
            before, after = math.log(values[around[0]]), math.log(values[around[-1]])
            out = [math.log(values[row]) - (before + after) / 2 for row in around[1:-1]]
            mean = sum(out) / length
            far = abs(mean) >= max(limits.outlier_log, least * s * math.sqrt(gaps[around[1]]))
            together = min(math.copysign(1, mean) * each for each in out) >= 0.7 * abs(mean)
            if far and together and abs(after - before) <= 0.6 * abs(mean) and not far_out & set(around[:-1]):
                far_out.update(around[1:-1])
                for row in around[1:-1]:
                    withdraw(row, known[i], "outlier")
        run = [*run, i] if run and values[run[-1]] == value else [i]
        if len(run) == limits.stale_run_length:
            for row in run[1:]:
                withdraw(row, known[i], "stale")
        elif len(run) > limits.stale_run_length:
            withdraw(i, known[i], "stale")
    return found


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    sigma=st.sampled_from([0.001, 0.005, 0.02, 0.06]),
    planted=st.lists(
        st.tuples(
            st.integers(0, len(DAYS) - 1),
            st.integers(1, 6),
            st.sampled_from([0.001, 0.01, 0.5, 0.75, 0.92, 1.06, 1.1, 1.4, 2.0, 100.0, 1000.0]),
        ),
        max_size=10,
    ),
    stale=st.lists(st.tuples(st.integers(0, len(DAYS) - 1), st.integers(2, 8)), max_size=4),
    dropped=st.lists(st.integers(0, len(DAYS) - 1), max_size=20),
)
def test_vectorised_rules_equal_the_plain_twin(
    seed: int, sigma: float, planted: list[tuple[int, int, float]], stale: list[tuple[int, int]], dropped: list[int]
) -> None:
    values = 500 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, sigma, len(DAYS))))
    for place, length, factor in planted:
        values[place : place + length] *= factor
    for place, length in stale:
        values[place : place + length] = values[place]
    keep = np.setdiff1d(np.arange(len(DAYS)), dropped)
    frame = observations(SPEC, DAYS[keep], np.clip(values[keep], 1e-3, 1e6))
    judged = apply_quality(frame, {SPEC.id: SPEC}, LIMITS, now=NOW)
    bad = judged[judged["withdrawn_at"].notna()]
    ours = {int(row): (at, rule) for row, at, rule in zip(bad.index, bad["withdrawn_at"], bad["rule"], strict=True)}
    assert ours == plain_verdicts(frame, LIMITS)
