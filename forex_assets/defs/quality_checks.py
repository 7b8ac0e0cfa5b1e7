"""Asset checks on the observations: schema per series, gaps against the calendar, dates against a reference."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.feed_alerts import stored_feed_findings, told
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.settings import PairSpec, SeriesSpec

MAX_MISSING_SHARE = 0.02
CHECKS = {
    "series_schema": "Unit, range, verdict and times of every series are as its catalogue entry declares (pandera).",
    "gaps": "Sessions of each series' calendar without a usable value since the pair's history start.",
    "date_shift": "Each series with a reference moves with it on the declared date, not a day early or late.",
    "feeds": "No rule accuses a whole feed (age, calendar, level, unit, dates, disagreement, premium).",
    "quarantine_share": "Share of rows withdrawn by quality rules, by series and rule.",
}


def build(pipeline: Pipeline, pair: PairSpec) -> dg.AssetChecksDefinition:
    """Return the checks on one pair's observations."""
    key = dg.AssetKey([pair.id, "observations"])
    specs = {name: pipeline.settings.series[name] for name in pair.all_series}

    @dg.multi_asset_check(
        name=f"{pair.id}_observations_checks",
        specs=[dg.AssetCheckSpec(name, asset=key, description=doc) for name, doc in CHECKS.items()],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = {check.name for check in context.selected_asset_check_keys}
        observations = pipeline.data.stored_observations(pair.id)
        if observations is None:
            for name in sorted(selected):
                yield _result(key, name, False, "unknown: no observations are stored", pd.DataFrame())
            return
        rows = {name: observations.loc[observations["series"] == name].reset_index(drop=True) for name in specs}
        if "series_schema" in selected:
            yield _series_schema(key, rows, specs)
        if "gaps" in selected:
            yield _gaps(key, rows, specs, pair)
        if "date_shift" in selected:
            yield _date_shift(key, rows, specs)
        if "feeds" in selected:
            yield _feeds(key, observations, pipeline, pair)
        if "quarantine_share" in selected:
            yield _quarantine_share(key, observations)

    return checks


def _result(
    key: dg.AssetKey, name: str, passed: bool, description: str, table: pd.DataFrame, *, error: bool = False
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={"rows": dg.MetadataValue.md(table.to_markdown(index=False) if len(table) else "none")},
    )


def _series_schema(
    key: dg.AssetKey, rows: dict[str, pd.DataFrame], specs: dict[str, SeriesSpec]
) -> dg.AssetCheckResult:
    from pandera.errors import SchemaError

    from forex_assets.market.quality import observation_schema

    broken = []
    for name, spec in specs.items():
        try:
            observation_schema(spec).validate(rows[name])
        except SchemaError as error:
            broken.append({"series": name, "breaks": str(error)[:300]})
    text = f"expected 0 series breaking their schema, saw {len(broken)} of {len(specs)}"
    return _result(key, "series_schema", not broken, text, pd.DataFrame(broken), error=True)


def _gaps(
    key: dg.AssetKey, rows: dict[str, pd.DataFrame], specs: dict[str, SeriesSpec], pair: PairSpec
) -> dg.AssetCheckResult:
    from forex_assets.market.quality import gap_report

    lines: list[dict[str, object]] = []
    worst = 0.0
    for name, spec in specs.items():
        frame = rows[name]
        if frame.empty:
            lines.append({"series": name, "sessions": 0, "missing": "all", "longest": "no source answered"})
            continue
        first = max(pd.Timestamp(pair.history_start), frame["event_time"].min().tz_localize(None)).date()
        last = frame["event_time"].max().tz_localize(None).date()
        calendar = calendar_for(spec.calendar)
        found = gap_report(frame, spec, calendar, first, last)
        sessions = len(calendar.sessions(np.datetime64(first, "D"), np.datetime64(last, "D")))
        missing = int(found["missing"].sum())
        if spec.frequency == "daily":
            worst = max(worst, missing / max(sessions, 1))
        longest = found.loc[found["missing"].idxmax()] if len(found) else None
        lines.append(
            {
                "series": name,
                "sessions": sessions,
                "missing": missing,
                "longest": "-"
                if longest is None
                else f"{longest['first_missing']:%Y-%m-%d} … {longest['last_missing']:%Y-%m-%d} ({longest['missing']})",
            }
        )
    absent = [str(line["series"]) for line in lines if line["missing"] == "all"]
    passed = worst <= MAX_MISSING_SHARE and not absent
    text = f"expected at most {MAX_MISSING_SHARE:.0%} of sessions missing in any daily series, saw {worst:.2%}" + (
        f"; unknown for {', '.join(absent)}: no source answered" if absent else ""
    )
    return _result(key, "gaps", passed, text, pd.DataFrame(lines))


def _date_shift(key: dg.AssetKey, rows: dict[str, pd.DataFrame], specs: dict[str, SeriesSpec]) -> dg.AssetCheckResult:
    from forex_assets.market.quality import detect_date_shift

    lines = []
    shifted, unknown = [], []
    for name, spec in specs.items():
        if spec.reference is None or spec.reference.series not in rows:
            continue
        report = detect_date_shift(
            _usable(rows[name]),
            _usable(rows[spec.reference.series]),
            calendar_for(spec.calendar),
            reference_shift_business_days=spec.reference.shift_business_days,
        )
        if not report.confident:
            unknown.append(name)
        elif report.lag != 0:
            shifted.append(f"{name} by {report.lag} sessions")
        lines.append(
            {
                "series": name,
                "reference": spec.reference.series,
                "lag": report.lag if report.confident else "unknown",
                "correlation at lag": round(report.correlation[report.lag], 3),
                "n": report.n,
            }
        )
    if not lines:
        return _result(key, "date_shift", True, "no series of this pair declares a reference", pd.DataFrame())
    seen = "; ".join([*shifted, *(f"unknown for {name}: too little evidence" for name in unknown)]) or "none shifted"
    text = f"expected every series on its reference's dates, saw {seen}"
    return _result(key, "date_shift", not shifted and not unknown, text, pd.DataFrame(lines), error=bool(shifted))


def _feeds(key: dg.AssetKey, observations: pd.DataFrame, pipeline: Pipeline, pair: PairSpec) -> dg.AssetCheckResult:
    judged = stored_feed_findings(pipeline, pair.id, observations, as_of=utc_now().to_pydatetime())
    found = [item for item in judged if item.state == "found"]
    clear = {item.series for item in judged if item.state == "clear"}
    unjudged = sorted({item.series for item in judged} - clear - {item.series for item in found})
    unknown = sum(item.state == "unknown" for item in judged)
    seen = "; ".join([*map(told, found), *(f"unknown for {name}: no rule could judge it" for name in unjudged)])
    text = f"expected 0 findings, saw {len(found)} of {len(judged)}, {unknown} unknown" + (f": {seen}" if seen else "")
    columns = ["series", "rule", "against", "state", "since", "reason"]
    rows = [{name: getattr(item, name) for name in columns} for item in judged if item.state != "clear"]
    return _result(key, "feeds", not found and not unjudged, text, pd.DataFrame(rows))


def _usable(frame: pd.DataFrame) -> pd.DataFrame:
    good = frame.loc[frame["withdrawn_at"].isna(), ["event_time", "value"]]
    return good.drop_duplicates("event_time", keep="last").sort_values("event_time")


def _quarantine_share(key: dg.AssetKey, observations: pd.DataFrame) -> dg.AssetCheckResult:
    bad = observations.loc[observations["withdrawn_at"].notna() & (observations["rule"] != "revision")]
    share = len(bad) / max(len(observations), 1)
    by_rule = bad.groupby(["series", "rule"]).size().rename("rows").reset_index() if len(bad) else pd.DataFrame()
    seen = f"{share:.3%} ({len(bad)} of {len(observations)})"
    text = f"expected at most {MAX_MISSING_SHARE:.0%} of rows withdrawn, saw {seen}"
    return _result(key, "quarantine_share", share <= MAX_MISSING_SHARE, text, by_rule)
