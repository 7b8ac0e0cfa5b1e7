"""What people read in the UI about the loop: why it fired, what a search tried, the gate, versions over accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from forex_assets import schemas
from forex_assets.defs.assets import picture_markdown
from forex_assets.lifecycle.subject import Subject

if TYPE_CHECKING:
    from forex_assets.lifecycle.reports import CandidateReport
    from forex_assets.lifecycle.versions import ConfigVersion
    from forex_assets.pipeline import Pipeline

SUMMARY_VERSIONS = 12
#: Newest evaluated days in the picture of accuracy.
SHOWN_DAYS = 250


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell).replace("|", "/").replace("\n", "; ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def trigger_markdown(frame: pd.DataFrame) -> str:
    """Return the rules of a trigger with their states, and what follows."""
    first = frame.iloc[0]
    rows = frame[["rule", "state", "reason"]].to_markdown(index=False)
    word = "A search is asked for" if first["should_optimize"] else "No search"
    return f"**{word}**: {first['reasons'].splitlines()[0]}\n\n{rows}"


def search_markdown(table: Sequence[Any], rows: int = 10) -> str:
    """Return the best configurations of a search as a table."""
    if not table:
        return "nothing was evaluated"
    frame = pd.DataFrame(table).sort_values("objective", na_position="last").head(rows)
    columns = ["model", "objective", "crps_ratio", "coverage_80", "coverage_95", "error"]
    shown = frame[columns].copy()
    shown["parameters"] = [
        ", ".join(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in item.items())
        for item in frame["parameters"]
    ]
    return str(shown.round(4).to_markdown(index=False))


def gate_markdown(frame: pd.DataFrame) -> str:
    """Return the judgement of a candidate, one row per criterion."""
    first = frame.iloc[0]
    word = "approved" if first["approved"] else "not approved"
    opening = f", opening {first['opening']} of the year" if first["opening"] else ""
    shown = frame.assign(**{"95% interval": [_ends(row) for row in frame.itertuples()]})
    rows = shown[["criterion", "state", "expected", "actual", "95% interval", "n"]].to_markdown(index=False)
    return f"**{first['candidate']} {word}** against {first['incumbent']}{opening}\n\n{rows}"


def _ends(row: Any) -> str:
    return "" if pd.isna(row.low) or pd.isna(row.high) else f"[{row.low:.4g}, {row.high:.4g}] {row.unit}"


def criteria_markdown(own: pd.DataFrame) -> str:
    """Return one criterion of several horizons."""
    if own.empty:
        return "none"
    return str(own[["subject", "as_of", "state", "expected", "actual"]].to_markdown(index=False))


def timeline(pipeline: Pipeline, pair_id: str, names: Sequence[str]) -> str:
    """Return the newest versions of some horizons as a table: what was current when, why, and with which accuracy."""
    rows = []
    for horizon in names:
        pointers = pipeline.lifecycle.of(Subject.forecast(pair_id, horizon))
        for span in pointers.history[-SUMMARY_VERSIONS:]:
            version = pipeline.lifecycle.versions.find(span.version)
            crps = version.metrics.get("crps") if version else None
            rows.append(
                (
                    horizon,
                    span.valid_from,
                    span.version,
                    version.model if version else "",
                    span.cause,
                    f"{crps.value:.4g} {crps.unit}" if crps else "",
                    f"{span.recorded_at:%Y-%m-%d %H:%M}",
                )
            )
    return table(("Horizon", "From", "Version", "Model", "By", "CRPS at the gate", "Recorded (UTC)"), rows)


def candidate_metadata(pipeline: Pipeline, report: CandidateReport) -> dict[str, str]:
    """Return what is shown of a search: its best configurations, a picture of all, what would change, the result."""
    from forex_assets.reporting.loop_charts import search_chart

    shown = {"search": search_markdown(report.table)}
    version = report.candidate
    candidate = {"model": version.model, "parameters": version.parameter_values} if version else None
    if picture := search_chart(report.table, in_use=report.incumbent_objective, candidate=candidate):
        shown["search plot"] = picture_markdown("search", picture)
    if version:
        shown["what would change"] = changes(version, pipeline.lifecycle.versions.find(version.parents[0]))
    return {**shown, "result": "\n".join(f"- {reason}" for reason in report.reasons)}


def changes(version: ConfigVersion, before: ConfigVersion | None) -> str:
    """Return a version beside the one before it (None: the settings' model), one row for each value that differs."""

    def values(item: ConfigVersion | None) -> dict[str, str]:
        if item is None:
            return {"model": "the settings' model"}
        parameters = {name: _short(part.value, part.unit) for name, part in item.parameters.items()}
        return {"model": item.model, "tuned on data through": str(item.data_cutoff), **parameters}

    old, new = values(before), values(version)
    rows = [(name, old.get(name, ""), new.get(name, "")) for name in {**old, **new} if old.get(name) != new.get(name)]
    return table(("", before.hash if before else "settings", version.hash), rows)


def _short(value: Any, unit: str) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if unit in ("", "1", "name") else f"{text} {unit}"


def accuracy_picture(pipeline: Pipeline, pair_id: str, horizon: str) -> str:
    """Return the versions of a horizon over the accuracy of the forecasts made with them, or why there is none yet."""
    from forex_assets.reporting.loop_charts import versions_chart

    keys = sorted(key for key in pipeline.store.keys(schemas.EVALUATION, pair_id) if key[0] == horizon)
    if not keys:
        return "No forecast of this horizon has matured."
    rows = pipeline.store.read(schemas.EVALUATION, pair_id, keys[-SHOWN_DAYS:])
    spans = pipeline.lifecycle.of(Subject.forecast(pair_id, horizon)).history[-SUMMARY_VERSIONS:]
    picture = versions_chart(rows, spans, first_in_use=f"settings ({pipeline.settings.active_model(pair_id)})")
    return picture_markdown("versions over accuracy", picture)
