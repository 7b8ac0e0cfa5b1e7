"""Put the measured figures of the monitors into the page: every table of docs/monitoring.md between its two markers.

    python benchmarks/bench_monitoring_tables.py [--check]

Reads ``results/monitoring.json`` and ``results/monitoring_limits.json``; ``--check`` only says whether the page agrees.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "monitoring.md"
WORLDS = ("walk_t5", "garch_t", "clp_blocks", "ecb_pairs")
ACCUSING = ("performance", "drift", "data_quality")
#: Rules of drift and data quality with fewer alarms a year than this in every world are not listed one by one.
LISTED_FROM = 0.015
#: What stands where a part was not measured since the rules last changed.
PENDING = "*Not measured yet with the limits in force: run the benchmark.*"
LIMIT_NAMES = {
    "skill": "`skill`, CRPS above the random walk's",
    "narrow": "`calibration`, too narrow, log variance",
    "wide": "`calibration`, too wide, log variance",
    "bias": "`bias`, standard errors",
    "scale_log": "drift `scale` of any other series, log ratio",
    "volatility_log": "drift `scale` of the volatility, log ratio",
    "min_correlation_change": "`correlation_change`, correlation",
    "importance_distance": "`importance_drift`, share",
    "surprise_log_evidence": "`volatility`, log evidence (in force)",
    "walk_log_evidence": "`volatility`, log evidence (a walk's, not in force)",
}


def _rate(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    text = f"{row['per_year']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    nominal = row.get("nominal_per_year")
    return text if nominal is None or math.isnan(nominal) else f"{text} {nominal:.2f}"


def rates_table(result: Mapping[str, Any]) -> str:
    """Return the table of false alarms: measured, interval, nominal."""
    by_key = {(r["profile"], r["monitor"], r["rule"], r["subject"], r["null"]): r for r in result["rates"]}
    keys = list(dict.fromkeys(key[:4] for key in by_key))
    lines = [f"| Rule | {' | '.join(WORLDS)} |", "|---|" + "---|" * len(WORLDS)]

    def line(name: str, key: tuple[str, ...]) -> None:
        cells = [_rate(by_key.get((*key, world))) for world in WORLDS]  # type: ignore[arg-type]
        lines.append(f"| {name} | {' | '.join(cells)} |")

    for monitor in ACCUSING:
        mine = [key for key in keys if key[:2] == ("recommended", monitor) and key[2] != "all"]
        for key in mine:
            worst = max(by_key[(*key, world)]["per_year"] for world in WORLDS if (*key, world) in by_key)
            if monitor == "performance" or worst >= LISTED_FROM:
                subject = "" if key[2] == "volatility" else f" {key[3]}"
                line(f"{'' if monitor == 'performance' else monitor + ' '}{key[2]}{subject}".replace("_", " "), key)
        line(f"**{monitor.replace('_', ' ')}, all {len(mine)} rules**", ("recommended", monitor, "all", "all"))
    line("**all monitors of one pair together**", ("recommended", "all", "all", "all"))
    line("classic performance (RMSE, Mann–Whitney)", ("classic", "performance", "all", "all"))
    line("classic drift (five tests on the level)", ("classic", "drift", "all", "all"))
    return "\n".join(lines)


def families_table(result: Mapping[str, Any]) -> str:
    """Return the false alarms by what they accuse: the budget of the goals."""
    families = {
        "coverage (`calibration`)": lambda r: r["rule"] == "calibration",
        "bias": lambda r: r["rule"] == "bias",
        "all others": lambda r: r["rule"] not in ("calibration", "bias"),
    }
    mine = [r for r in result["rates"] if r["profile"] == "recommended" and not r["describes"] and r["rule"] != "all"]
    lines = [f"| Accuses | about | {' | '.join(WORLDS)} |", "|---|---|" + "---|" * len(WORLDS)]
    for (name, belongs), goal in zip(families.items(), ("0.3", "0.3", "0.4"), strict=True):
        cells = [f"{sum(r['per_year'] for r in mine if r['null'] == world and belongs(r)):.2f}" for world in WORLDS]
        lines.append(f"| {name} | {goal} | {' | '.join(cells)} |")
    return "\n".join(lines)


def limits_table(limits: Mapping[str, Any]) -> str:
    """Return the limits chosen: value, budget, what each raises in the world that decided it."""
    lines = ["| Limit | Horizon | Value | Budget a year | Raises | Decided by |", "|---|---|---|---|---|---|"]
    for row in limits["limits"]:
        subject = "" if row["subject"] == "all" else row["subject"]
        lines.append(
            f"| {LIMIT_NAMES[row['name']]} | {subject} | {row['value']:.2f} | {row['budget']:g} | "
            f"{row['per_year']:.3f} | {row['world']} |"
        )
    return "\n".join(lines)


def power_table(result: Mapping[str, Any]) -> str:
    """Return the table of power: what any rule finds in time, and which rule does most of it."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in result["power"]:
        groups.setdefault((row["profile"], row["world"], row["subject"], row["fault"]), []).append(row)
    lines = [
        "| Fault | World | Horizon | Within | Found | Median delay | Trials | Mostly by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (profile, world, subject, fault), rows in sorted(groups.items(), key=_order):
        for row in _shown(rows):
            delay = (
                "–" if row["median_delay"] is None or math.isnan(row["median_delay"]) else f"{row['median_delay']:.0f}"
            )
            name = fault + (" (classic)" if profile == "classic" else "")
            lines.append(
                f"| {name} | {world} | {subject} | {row['within']} | {row['found']:.0%} [{100 * row['low']:.0f}, "
                f"{100 * row['high']:.0f}] | {delay} | {row['trials']} | {_by(row, rows)} |"
            )
    return "\n".join(lines)


def _order(item: tuple[tuple[str, ...], Any]) -> tuple[Any, ...]:
    (profile, world, subject, _fault), _ = item
    horizons = ("7d", "15d", "30d", "90d", "all")
    return profile != "recommended", horizons.index(subject), world != "walk_t5"


def _shown(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of a fault the page shows: any rule, or the states of a broken feed, or one limit's own."""
    return [row for row in rows if row["rule"] in ("any", "fired", "unknown") or " at " in row["rule"]]


def _by(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    if row["rule"] != "any":
        return str(row["rule"]).replace("performance/", "").replace("_log_evidence", " limit").replace("_", " ")
    alone = [other for other in rows if "/" in other["rule"] and " at " not in other["rule"] and other["found"] > 0]
    return str(max(alone, key=lambda other: other["found"])["rule"]) if alone else "–"


def speed_table(result: Mapping[str, Any]) -> str:
    """Return what watching costs."""
    seconds, years = result["processor_s"], result["years"]
    lines = ["| What | Goal | Measured |", "|---|---|---|"]
    lines += [
        f"| {years[world]:.0f} years of daily watching, {world}, both profiles | 180 s on 2 cores | "
        f"{seconds[world]['watching']:.0f} s of processor time, and {seconds[world]['forecasts']:.0f} s for its "
        "forecasts |"
        for world in WORLDS
    ]
    speed = result["speed"]
    lines.append(
        f"| every monitor of one pair ({speed['drivers']} drivers), one day, warm | 0.5 s | "
        f"{speed['one_day_wall_s']:.2f} s |"
    )
    lines.append(f"| the same over ten years of days | 60 s | {speed['ten_years_wall_s']:.1f} s |")
    return "\n".join(lines)


def goals_table(result: Mapping[str, Any]) -> str:
    """Return each goal beside what was measured: met, met within its interval only, or missed."""
    lines = ["| Goal | World | Wanted | Measured | |", "|---|---|---|---|---|"]
    for row in result.get("rates", ()):
        if (row["profile"], row["monitor"]) == ("recommended", "all"):
            verdict = _verdict(row["high"] <= 1, row["per_year"] <= 1)
            text = f"{row['per_year']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
            lines.append(f"| false alarms a year, all monitors | {row['null']} | at most 1 | {text} | {verdict} |")
    for world in ("walk_t5", "garch_t"):
        for fault, goal in (("CRPS ratio +0.40", 0.8), ("intervals x0.5", 0.9), ("bias 1 sigma", 0.8)):
            lines += _goal(result, ("recommended", world, "7d", fault, "any"), f"7d {fault}", goal)
    by = "performance/volatility at "
    for world, limit, goal in (("walk_t5", "walk_log_evidence", 0.9), ("garch_t", "surprise_log_evidence", 0.5)):
        name = f"volatility x2, limit of {world}"
        lines += _goal(result, ("recommended", world, "all", "volatility x2", by + limit), name, goal)
    lines += _goal(result, ("recommended", "walk_t5", "90d", "CRPS ratio +0.40", "any"), "90d CRPS ratio +0.40", 0.0)
    lines += _goal(result, ("classic", "walk_t5", "90d", "CRPS ratio +0.40", "any"), "the same, classic profile", 0.0)
    return "\n".join(lines) if len(lines) > 2 else PENDING


def _goal(result: Mapping[str, Any], key: tuple[str, ...], name: str, goal: float) -> list[str]:
    index = ("profile", "world", "subject", "fault", "rule")
    out = []
    for row in result.get("power", ()):
        if tuple(row[column] for column in index) == key:
            found = f"{row['found']:.0%} [{100 * row['low']:.0f}, {100 * row['high']:.0f}] of {row['trials']}"
            wanted = f"{goal:.0%} in {row['within']} days" if goal else f"shown, {row['within']} days"
            verdict = _verdict(row["low"] >= goal, row["found"] >= goal) if goal else ""
            out.append(f"| {name} | {row['world']} | {wanted} | {found} | {verdict} |")
    return out


def _verdict(surely: bool, at_all: bool) -> str:
    return "met" if surely else "met, not beyond its interval" if at_all else "**missed**"


def nominal_line(result: Mapping[str, Any]) -> str:
    """Return of how many rules the nominal rate lies in the measured interval."""
    rows = [
        r
        for r in result["rates"]
        if r["profile"] == "recommended" and not r["describes"] and r.get("nominal_per_year") is not None
    ]
    parts = []
    for name, mine in (
        ("rules", [r for r in rows if r["rule"] != "all"]),
        ("monitors", [r for r in rows if r["rule"] == "all"]),
    ):
        inside = sum(r["low"] - 5e-5 <= r["nominal_per_year"] <= r["high"] + 5e-5 for r in mine)
        parts.append(f"{inside} of {len(mine)} {name} and worlds")
    return f"The nominal rate lies inside the measured interval for {' and '.join(parts)}."


def filled(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with each table between ``<!-- name -->`` and ``<!-- /name -->``."""
    for name, table in tables.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start not in page or end not in page:
            raise SystemExit(f"docs/monitoring.md has no place for the table {name!r}: add its two markers.")
        before, rest = page.split(start, 1)
        page = f"{before}{start}\n{table}\n\n{end}{rest.split(end, 1)[1]}"
    return page


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    results = ROOT / "benchmarks" / "results"
    result = json.loads((results / "monitoring.json").read_text(encoding="utf-8"))
    chosen = results / "monitoring_limits.json"
    measured = "rates" in result
    tables = {
        "goals": goals_table(result),
        "limits": limits_table(json.loads(chosen.read_text(encoding="utf-8"))) if chosen.exists() else PENDING,
        "families": families_table(result) if measured else PENDING,
        "rates": f"{rates_table(result)}\n\n{nominal_line(result)}" if measured else PENDING,
        "power": power_table(result) if result.get("power") else PENDING,
        "speed": speed_table(result) if measured and "speed" in result else PENDING,
    }
    old = PAGE.read_text(encoding="utf-8")
    new = filled(old, tables)
    if args.check:
        sys.exit(0 if new == old else "docs/monitoring.md does not show the newest figures; run this without --check.")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
