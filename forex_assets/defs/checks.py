"""Asset checks, by one factory from the rules that judge slices, plus schema, freshness and the classic thresholds.

Checks are unpartitioned: a partitioned one costs three times as much per slice and records no partition in a single-run
range. Each looks at the newest stored slices, shows expected beside actual, and counts the verdicts of recent ones.
Enforcement is elsewhere: the verdict stands inside the slice, and readers refuse a bad one. A rule that cannot tell
is reported as a warning that says so, never as passed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import dagster as dg
import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.errors import DataError, StoreError
from forex_assets.pipeline import Pipeline, day_key, utc_now
from forex_assets.schemas import Table
from forex_assets.settings import PairSpec
from forex_assets.verdicts import RULES, Rule, RuleResult, State

SHOWN_SLICES_PER_HORIZON = 5
COUNTED_SLICES = 60
Slices = list[tuple[str, pd.DataFrame]]


@dataclass(frozen=True, slots=True)
class CheckRule:
    """One asset check: its name and meaning, how it looks at the newest slices, whether a failure is an error."""

    name: str
    doc: str
    run: Callable[[Slices], list[tuple[str, RuleResult]]]
    error: bool = True


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetChecksDefinition]:
    """Return the asset checks of one pair."""

    def sessions_late(day: pd.Timestamp, reference: pd.Timestamp) -> int:
        first, last = np.datetime64(day, "D"), np.datetime64(reference, "D")
        return int(pipeline.calendar(pair.id).count(np.array([first]), np.array([last]))[0]) if last > first else 0

    limit = pipeline.settings.series[pair.target.series].max_age_business_days

    def bars_freshness(label: str, frame: pd.DataFrame) -> RuleResult:
        newest = frame["event_date"].max()
        today = utc_now().tz_convert(pipeline.settings.platform.schedules.timezone).tz_localize(None)
        late = sessions_late(newest, today)
        return RuleResult(
            "freshness",
            "good" if late <= limit else "unknown",
            f"newest value at most {limit} business days before today",
            f"newest value {day_key(newest)}, {late} business days old",
        )

    def origin_freshness(label: str, frame: pd.DataFrame) -> RuleResult:
        if frame.empty:
            return RuleResult("freshness", "unknown", "a forecast", "an empty slice")
        late = sessions_late(frame["last_event_date"].iloc[0], frame["as_of"].iloc[0])
        return RuleResult(
            "freshness",
            "good" if late <= limit else "bad",
            f"last value at most {limit} business days before as_of",
            f"{late} business days",
        )

    def drivers_freshness(label: str, frame: pd.DataFrame) -> RuleResult:
        states = Counter(frame["state"])
        late = sorted(frame.loc[frame["state"] != "fresh", "series"])
        return RuleResult(
            "freshness",
            "good" if not late else "unknown",
            "every driver fresh",
            f"{states.get('fresh', 0)} of {len(frame)} fresh" + (f"; not: {', '.join(late)}" if late else ""),
        )

    def classic(column: str, rule: str, expected: str, value: str) -> Callable[[str, pd.DataFrame], RuleResult]:
        def check(label: str, frame: pd.DataFrame) -> RuleResult:
            rows = frame.loc[frame["is_active"] & (frame["window"] == "live_60")]
            state: State = rows[column].iloc[0] if len(rows) else "unknown"
            seen = f"{rows[value].iloc[0]:.3f}, n {int(rows['n'].iloc[0])}" if len(rows) else "no matured forecast"
            return RuleResult(rule, state, expected, seen)

        return check

    classic_limits = pipeline.settings.classic
    extras: dict[str, list[CheckRule]] = {
        "bars": [
            CheckRule(
                "freshness",
                "The newest value is recent; old embedded data warn, they never block.",
                _newest(bars_freshness),
            )
        ],
        "drivers": [CheckRule("freshness", "Each driver's newest value is recent.", _newest(drivers_freshness))],
        "forecast": [CheckRule("freshness", "The forecast started from a recent value.", _each(origin_freshness))],
        "performance_report": [
            CheckRule(
                "interval_coverage_classic",
                "The classic rule A17, beside ours: it holds or fails whatever the evidence.",
                _each(
                    classic(
                        "coverage_state_classic",
                        "interval_coverage_classic",
                        f"coverage_95 >= {classic_limits.coverage.min_share}",
                        "coverage_95",
                    )
                ),
                error=False,
            ),
            CheckRule(
                "bias_classic",
                "The classic rule A18, beside ours: a fixed limit in quote units.",
                _each(
                    classic(
                        "bias_state_classic",
                        "bias_classic",
                        f"|mean error| < {classic_limits.bias.max_abs_quote_units:g} {pair.unit}",
                        "bias",
                    )
                ),
                error=False,
            ),
        ],
    }
    tables = (
        schemas.BARS,
        schemas.DRIVERS,
        schemas.BACKTEST,
        schemas.INTERVAL_CALIBRATION,
        schemas.FORECAST,
        schemas.EVALUATION,
        schemas.PERFORMANCE_REPORT,
    )
    return [_checks_of(pipeline, pair, table, extras.get(table.name, [])) for table in tables]


def _checks_of(
    pipeline: Pipeline, pair: PairSpec, table: Table, extras: Sequence[CheckRule]
) -> dg.AssetChecksDefinition:
    key = dg.AssetKey([pair.id, table.name])
    rules = [
        CheckRule(
            "schema", "Columns, types, keys and emptiness are as declared.", lambda slices: _schema(table, slices)
        ),
        *(CheckRule(rule.name, rule.doc, _each(_ignoring_label(rule))) for rule in RULES.get(table.name, ())),
        *extras,
    ]

    @dg.multi_asset_check(
        name=f"{pair.id}_{table.name}_checks",
        specs=[dg.AssetCheckSpec(rule.name, asset=key, description=rule.doc) for rule in rules],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        slices, unreadable = newest_slices(pipeline, pair.id, table)
        verdicts = count_verdicts(pipeline, pair.id, table)
        selected = {check.name for check in context.selected_asset_check_keys}
        for rule in rules:
            if rule.name not in selected:
                continue
            results = [
                *rule.run(slices),
                *((label, RuleResult(rule.name, "bad", "a slice that can be read", why)) for label, why in unreadable),
            ] or [("none", RuleResult(rule.name, "unknown", "a stored slice", "none stored"))]
            yield check_result(key, rule, results, verdicts)

    return checks


def newest_slices(pipeline: Pipeline, pair_id: str, table: Table) -> tuple[Slices, list[tuple[str, str]]]:
    """Return the newest stored slices of a table, a few per horizon, bad ones too, with their labels.

    A slice that cannot be read is returned apart, with why: it must not fail the run that is about to mend it.
    """
    keys = pipeline.store.keys(table, pair_id)
    by_horizon: dict[str, list[tuple[str, ...]]] = {}
    for key in keys:
        by_horizon.setdefault(key[0] if len(key) == 2 else "", []).append(key)
    single = bool(keys) and len(keys[0]) == 1 and table.name in ("bars",)
    count = 1 if single else SHOWN_SLICES_PER_HORIZON
    shown = [key for group in by_horizon.values() for key in group[-count:]]
    slices: Slices = []
    unreadable: list[tuple[str, str]] = []
    for key in shown:
        label = "/".join(key) or "all"
        try:
            slices.append((label, pipeline.store.read(table, pair_id, [key], allow_bad=True)))
        except StoreError as error:
            unreadable.append((label, error.message))
    return slices, unreadable


def count_verdicts(pipeline: Pipeline, pair_id: str, table: Table) -> dict[str, int]:
    """Return how many of the newest stored slices carry each verdict, and how many cannot be read."""

    def state(key: tuple[str, ...]) -> str:
        try:
            return pipeline.store.info(table, pair_id, key).verdict.state
        except StoreError:
            return "unreadable"

    keys = sorted(pipeline.store.keys(table, pair_id), key=lambda key: key[-1:])[-COUNTED_SLICES:]
    return dict(Counter(state(key) for key in keys))


def check_result(
    key: dg.AssetKey, rule: CheckRule, results: Sequence[tuple[str, RuleResult]], verdicts: dict[str, int]
) -> dg.AssetCheckResult:
    """Fold the results over slices into one check result: bad fails, unknown warns and says so."""
    states = [result.state for _, result in results]
    state: State = "bad" if "bad" in states else "unknown" if "unknown" in states else "good"
    table = dg.MetadataValue.md(
        "| slice | state | expected | actual |\n|---|---|---|---|\n"
        + "\n".join(f"| {label} | {r.state} | {_cell(r.expected)} | {_cell(r.actual)} |" for label, r in results)
    )
    worst = next((item for item in results if item[1].state == state), results[0])
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=rule.name,
        passed=state == "good",
        severity=dg.AssetCheckSeverity.ERROR if state == "bad" and rule.error else dg.AssetCheckSeverity.WARN,
        description=f"{state}: {worst[0]}: {worst[1].reason}",
        metadata={"state": state, "slices": table, "verdicts_of_recent_slices": verdicts or {"none": 0}},
    )


def _cell(text: str) -> str:
    """Return text that does not break a row of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _ignoring_label(rule: Rule) -> Callable[[str, pd.DataFrame], RuleResult]:
    return lambda _label, frame: rule.check(frame)


def _newest(rule: Callable[[str, pd.DataFrame], RuleResult]) -> Callable[[Slices], list[tuple[str, RuleResult]]]:
    return lambda slices: [(label, rule(label, frame)) for label, frame in slices[-1:] if len(frame)]


def _each(rule: Callable[[str, pd.DataFrame], RuleResult]) -> Callable[[Slices], list[tuple[str, RuleResult]]]:
    return lambda slices: [(label, rule(label, frame)) for label, frame in slices]


def _schema(table: Table, slices: Slices) -> list[tuple[str, RuleResult]]:
    """Check the newest slice against the declared table, as the store did when it wrote and read it."""
    results: list[tuple[str, RuleResult]] = []
    expected = f"{len(table.columns)} columns of version {table.version}, key {', '.join(table.key)}"
    for label, frame in slices[-1:]:
        ok = RuleResult("schema", "good", expected, f"{len(frame)} rows, {len(frame.columns)} columns")
        try:
            table.conform(frame)
        except DataError as error:
            results.append((label, replace(ok, state="bad", actual=str(error)[:300])))
        else:
            results.append((label, ok))
    return results


__all__ = ["build", "check_result", "count_verdicts", "newest_slices"]
