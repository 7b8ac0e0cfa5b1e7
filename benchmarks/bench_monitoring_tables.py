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
LIMIT_NAMES = {
    "skill": "`skill`, CRPS above the random walk's",
    "narrow": "`calibration`, too narrow, log variance",
    "wide": "`calibration`, too wide, log variance",
    "bias": "`bias`, standard errors",
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
    limits = json.loads((results / "monitoring_limits.json").read_text(encoding="utf-8"))
    tables = {
        "limits": limits_table(limits),
        "families": families_table(result),
        "rates": rates_table(result),
        "power": power_table(result),
        "speed": speed_table(result),
    }
    old = PAGE.read_text(encoding="utf-8")
    new = filled(old, tables)
    if args.check:
        sys.exit(0 if new == old else "docs/monitoring.md does not show the newest figures; run this without --check.")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
