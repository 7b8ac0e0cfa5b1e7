"""Rules that decide whether a slice may be used downstream; each states what it expects and what it saw.

The verdict is written into the slice it judges, in the same atomic write, so no reader can meet an unjudged slice.
The asset checks report the same rules; they do not judge a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import Table
from forex_assets.store.slice_file import Verdict

State = Literal["good", "bad", "unknown"]

WIDTH_RATIO_BAND = (0.25, 4.0)
MAX_CENTRE_MOVE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule on one slice."""

    name: str
    doc: str
    check: Callable[[pd.DataFrame], RuleResult]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule expected of a slice, what it saw, and what follows."""

    rule: str
    state: State
    expected: str
    actual: str

    @property
    def reason(self) -> str:
        """One line for verdicts and metadata."""
        return f"{self.rule}: expected {self.expected}, saw {self.actual}"


def not_empty(frame: pd.DataFrame) -> RuleResult:
    """A slice that others compute from must hold rows."""
    state: State = "good" if len(frame) else "bad"
    return RuleResult("not_empty", state, "at least 1 row", f"{len(frame)} rows")


def positive_values(frame: pd.DataFrame) -> RuleResult:
    """Values that are in use must be finite and positive."""
    values = frame.loc[frame["withdrawn_at"].isna(), "value"].to_numpy(dtype=float)
    wrong = int(np.sum(~(np.isfinite(values) & (values > 0))))
    return RuleResult(
        "positive_values", "good" if wrong == 0 else "bad", "0 rows not positive", f"{wrong} of {len(values)}"
    )


def monotone_quantiles(frame: pd.DataFrame) -> RuleResult:
    """Quantiles must be finite, positive and not cross."""
    quantiles = frame[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    ok = (
        np.isfinite(quantiles).all(axis=1) & (quantiles > 0).all(axis=1) & (np.diff(quantiles, axis=1) >= 0).all(axis=1)
    )
    wrong = int(np.sum(~ok))
    return RuleResult(
        "monotone_quantiles",
        "good" if wrong == 0 else "bad",
        "0 rows crossing or not positive",
        f"{wrong} of {len(frame)}",
    )


def forecast_sanity(frame: pd.DataFrame) -> RuleResult:
    """The 95% width of every model must be within 0.25 and 4 times that of the random walk (σ√steps) at the target."""
    last = frame.loc[frame["is_target"]]
    width = (last["q975"] - last["q025"]).to_numpy(dtype=float)
    days, _ = pd.factorize(last["as_of"])
    horizons, distinct = pd.factorize(last["horizon"])
    group = days * max(len(distinct), 1) + horizons
    walks = (last["model"] == "random_walk").to_numpy()
    yardstick = np.full(int(group.max(initial=-1)) + 1, np.nan)
    np.fmax.at(yardstick, group[walks], width[walks])
    ratio = width / yardstick[group]
    move = np.abs(last["mean"].to_numpy(dtype=float) / last["last_value"].to_numpy(dtype=float) - 1.0)
    expected = (
        f"95% width {WIDTH_RATIO_BAND[0]:g}-{WIDTH_RATIO_BAND[1]:g} x the random walk's, "
        f"centre within {MAX_CENTRE_MOVE_SHARE:.0%} of the last value"
    )
    if not len(last) or not np.isfinite(ratio).all():
        return RuleResult("forecast_sanity", "bad", expected, "no random walk to compare with")
    ok = (
        (ratio >= WIDTH_RATIO_BAND[0]).all()
        and (ratio <= WIDTH_RATIO_BAND[1]).all()
        and (move <= MAX_CENTRE_MOVE_SHARE).all()
    )
    actual = f"width ratio {ratio.min():.2f}-{ratio.max():.2f}, centre at most {move.max():.2%} away"
    return RuleResult("forecast_sanity", "good" if ok else "bad", expected, actual)


def _performance_state(column: str, rule: str, expected: str) -> Callable[[pd.DataFrame], RuleResult]:
    def check(frame: pd.DataFrame) -> RuleResult:
        rows = frame.loc[frame["is_active"]]
        bad = rows.loc[rows[column] == "bad"]
        chosen = bad if len(bad) else rows.loc[rows["window"] == "live_60"]
        if chosen.empty:
            return RuleResult(rule, "unknown", expected, "no matured forecast yet")
        row = chosen.iloc[0]
        name = "coverage_95" if rule == "interval_coverage" else "bias_sigma"
        value, low, high = (row[name], row[f"{name}_low"], row[f"{name}_high"])
        state: State = row[column]
        seen = (
            f"{value:.3f} [{low:.3f}, {high:.3f}], n {int(row['n'])}, effective n {row['n_effective']:.1f}, "
            f"window {row['window']}"
            if np.isfinite(value)
            else f"n {int(row['n'])}"
        )
        return RuleResult(rule, state, expected, seen)

    return check


interval_coverage = _performance_state(
    "coverage_state", "interval_coverage", "95% coverage inside the profile's band, or its interval reaching it"
)
bias = _performance_state(
    "bias_state", "bias", "mean error inside the profile's band in sigma, or its interval reaching it"
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "bars": (
        Rule("not_empty", "The snapshot holds rows.", not_empty),
        Rule("positive_values", "Every value in use is finite and positive.", positive_values),
    ),
    "forecast": (
        Rule("not_empty", "The day has forecasts.", not_empty),
        Rule("monotone_quantiles", "Quantiles are finite, positive and do not cross.", monotone_quantiles),
        Rule(
            "forecast_sanity",
            "Widths of the order of a random walk's, centres near the last value.",
            forecast_sanity,
        ),
    ),
    "backtest": (
        Rule("not_empty", "The backtest holds rows.", not_empty),
        Rule("monotone_quantiles", "Quantiles are finite, positive and do not cross.", monotone_quantiles),
    ),
    "performance_report": (
        Rule(
            "interval_coverage",
            "Coverage of the deployed 95% interval: bad in any window, else as over the last 60 matured forecasts.",
            interval_coverage,
        ),
        Rule(
            "bias",
            "Mean error of the deployed model in its own sigma: bad in any window, else as over the last 60 matured.",
            bias,
        ),
    ),
}


def judge_slice(table: Table, frame: pd.DataFrame) -> Verdict:
    """Return the verdict of a slice: bad when any rule is, unknown when any cannot tell, else good."""
    results = [rule.check(frame) for rule in RULES.get(table.name, ())]
    bad = tuple(result.reason for result in results if result.state == "bad")
    unknown = tuple(result.reason for result in results if result.state == "unknown")
    if bad:
        return Verdict("bad", bad)
    return Verdict("unknown", unknown) if unknown else Verdict("good")
