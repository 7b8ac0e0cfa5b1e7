"""Group monitoring: what every monitor finds each business day, the drift report with its trend, and their checks."""

import datetime as dt
from collections import Counter
from typing import Any

import dagster as dg
import pandas as pd

from forex_assets.clock import AsOf
from forex_assets.defs import jobs
from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors, say
from forex_assets.defs.forecasts import ALL_DAYS
from forex_assets.defs.partitions import business_days
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.schemas import Table
from forex_assets.schemas.monitoring import DRIFT_REPORT, FINDINGS
from forex_assets.settings import PairSpec

GROUP = "monitoring"
#: Findings older than this are stale: a long weekend and a day of grace.
MAX_AGE = dt.timedelta(days=5)
_ERROR_FROM = ("high", "critical")


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition]:
    """Return the monitoring assets of one pair."""
    days = business_days(pipeline.settings, pair)
    deps: list[Any] = [
        [pair.id, "observations"],
        [pair.id, "bars"],
        dg.AssetDep([pair.id, "backtest"], partition_mapping=ALL_DAYS),
        dg.AssetDep([pair.id, "evaluation"], partition_mapping=ALL_DAYS),
    ]
    forecast: Any = dg.AssetDep([pair.id, "forecast"], partition_mapping=ALL_DAYS)

    shared: dict[str, Any] = {
        "partitions_def": days,
        "deps": deps,
        "backfill_policy": SINGLE_RUN,
        "io_manager_key": SLICE_IO,
        "freshness_policy": dg.FreshnessPolicy.time_window(fail_window=MAX_AGE),
    }

    @dg.asset(
        name="findings",
        key_prefix=pair.id,
        **{**shared, "deps": [*deps, forecast]},
        **asset_options(pair, "findings", GROUP),
    )
    def findings(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.event_alerts import alert_of
        from forex_assets.findings_view import findings_of
        from forex_assets.ops.alerts import Outbox
        from forex_assets.watching import stored_frames

        with readable_errors():
            frames = findings_of(pipeline, stored_frames(pipeline, pair.id), _days(context))
        describe_slices(context, context.asset_key, frames)
        for (day,), frame in list(frames.items())[-5:]:
            say(context, day, "fired", findings_markdown(frame))
        if frames and (alert := alert_of(frames[max(frames)], now=utc_now())) is not None:
            Outbox.from_settings(pipeline.settings).append(alert)
        return frames

    @dg.asset(
        name="drift_report",
        key_prefix=pair.id,
        **shared,
        **asset_options(pair, "drift_report", GROUP),
    )
    def drift_report(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.findings_view import drift_reports_of
        from forex_assets.watching import stored_frames

        with readable_errors():
            frames = drift_reports_of(pipeline, stored_frames(pipeline, pair.id), _days(context))
        describe_slices(context, context.asset_key, frames)
        return frames

    return [drift_report, findings]


def _days(context: dg.AssetExecutionContext) -> list[dt.date]:
    return [dt.date.fromisoformat(key) for key in context.partition_keys]


def findings_markdown(frame: pd.DataFrame) -> str:
    """Return what fires, what it means in Spanish and English, and how many rules are clear or unknown, as Markdown."""
    from forex_assets.reporting.alarm_texts import meaning

    fired = frame.loc[(frame["state"] == "fired") & (frame["profile"] == "recommended")]
    counts = Counter(frame.loc[frame["profile"] == "recommended", "state"])
    lines = [f"{counts['fired']} fired, {counts['clear']} clear, {counts['unknown']} unknown"]
    told = [
        f"  - {meaning(str(row.monitor), str(row.rule), 'es')}\n  - {meaning(str(row.monitor), str(row.rule), 'en')}"
        for row in fired.itertuples()
    ]
    said = [
        f"- **{row.severity}** {row.monitor}/{row.rule} {row.subject}: {str(row.reasons).splitlines()[0]}"
        f" ({rate_words(row.false_alarms_per_year)})"
        for row in fired.itertuples()
    ]
    lines += [f"{line}\n{means}" for line, means in zip(said, told, strict=True)]
    return "\n".join(lines)


def rate_words(per_year: object) -> str:
    """Return a rule's measured false-alarm rate in words."""
    rate = float(str(per_year))
    return "no measured false-alarm rate" if rate != rate else f"false alarms a year: {rate:.2f}"


def build_checks(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetChecksDefinition]:
    """Return the checks of the newest findings and drift report; their severity is the findings' own."""
    key = dg.AssetKey([pair.id, "findings"])
    specs = {
        "no_alarm": "No rule of the recommended profile that accuses model or data fires.",
        "no_unknown": "Every rule of the recommended profile could judge.",
    }

    @dg.multi_asset_check(
        name=f"{pair.id}_findings_checks",
        specs=[dg.AssetCheckSpec(name, asset=key, description=doc) for name, doc in specs.items()],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Any:
        label, frame = _newest(pipeline, pair.id, FINDINGS)
        chosen = {check.name for check in context.selected_asset_check_keys}
        for name in specs:
            if name in chosen:
                yield _check(key, name, label, frame)

    drift_key = dg.AssetKey([pair.id, "drift_report"])

    @dg.asset_check(
        asset=drift_key, name="no_action_needed", description="The drift score and its trend ask for no action."
    )
    def drift_check() -> dg.AssetCheckResult:
        label, frame = _newest(pipeline, pair.id, DRIFT_REPORT)
        rows = frame.loc[frame["profile"] == "recommended"]
        needed = rows.loc[rows["drift_detected"] & rows["action_needed"]]
        text = "; ".join(f"{row.subject}: {row.advice}" for row in needed.itertuples())
        return dg.AssetCheckResult(
            passed=len(rows) > 0 and needed.empty,
            severity=dg.AssetCheckSeverity.WARN,
            description=text or (f"{label}: nothing to do" if len(rows) else "no drift report is stored"),
        )

    return [checks, drift_check]


def _newest(pipeline: Pipeline, pair_id: str, table: Table) -> tuple[str, pd.DataFrame]:
    keys = pipeline.store.keys(table, pair_id)
    if not keys:
        return "none stored", table.empty()
    return keys[-1][0], pipeline.store.read(table, pair_id, [keys[-1]], allow_bad=True)


def _check(key: dg.AssetKey, name: str, label: str, frame: pd.DataFrame) -> dg.AssetCheckResult:
    from forex_assets.monitoring.registry import monitors

    describing = {monitor.name for monitor in monitors() if monitor.describes}
    rows = frame.loc[frame["profile"] == "recommended"]
    wanted = "fired" if name == "no_alarm" else "unknown"
    found = rows.loc[(rows["state"] == wanted) & ~rows["monitor"].isin(describing)]
    severe = wanted == "fired" and bool(found["severity"].isin(_ERROR_FROM).any())
    first = "; ".join(
        f"{row.monitor}/{row.rule} {row.subject}: {str(row.reasons).splitlines()[0]}"
        + (f" ({rate_words(row.false_alarms_per_year)})" if wanted == "fired" else "")
        for row in found.head(3).itertuples()
    )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=len(rows) > 0 and found.empty,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        description=f"{label}: {len(found)} {wanted}. {first}".strip() if len(rows) else "no findings are stored",
        metadata={"rules": len(rows), wanted: len(found)},
    )


def build_schedule(pipeline: Pipeline, pair: PairSpec) -> dg.ScheduleDefinition:
    """Return the daily schedule of the monitors, at the hour of the daily check (B15)."""
    crons = pipeline.settings.platform.schedules

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = AsOf(context.scheduled_execution_time).date
        days = pipeline.snapshot_days(pair.id)
        if not days:
            return dg.SkipReason(f"No bars of {pair.id} are stored yet.")
        return dg.RunRequest(run_key=f"{pair.id}-{today}", partition_key=days[-1].isoformat())

    return dg.ScheduleDefinition(
        name=f"{pair.id}_daily_monitoring",
        cron_schedule=crons.daily_check,
        execution_timezone=crons.timezone,
        job_name=jobs.job_name(pair.id, jobs.MONITORING),
        execution_fn=evaluate,
        description="Every monitor on the newest day.",
        tags={"pair": pair.id},
    )
