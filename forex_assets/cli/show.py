"""What the commands print for people: summaries, forecasts, backtest and validation tables from plain values.

Everything here takes the values that ``--json`` prints and reads nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape

from forex_assets.cli.common import digits_for, number, price_range
from forex_assets.cli.tables import WIDE, Column, print_table
from forex_assets.summary import why_not

Values = Mapping[str, Any]
KIND = {"fixing": "official fixing", "close": "market close"}
WINDOWS = {"live_60": "last 60", "backtest_1y": "1 year", "backtest_5y": "5 years", "backtest_all": "all years"}
HOW_TO_READ = (
    "hit: share of outcomes inside the 95% interval, with its confidence interval and n. IS / RW: interval score over "
    "the random walk's; below 1 is better. ? and unknown: too few independent forecasts to tell."
)


def print_summary(console: Console, summary: Values, notes: Sequence[str] = ()) -> None:
    """Print one pair: forecasts with intervals, coverage with n, interval score against the random walk, gaps."""
    digits = digits_for(summary["last_value"])
    target = summary["target"]
    console.print(f"\n[bold]{escape(summary['label'])}[/], as of [bold]{summary['as_of']}[/]", soft_wrap=True)
    console.print(
        f"Last {KIND[target['kind']]} [bold]{number(summary['last_value'], digits)}[/] {target['unit']}, dated "
        f"{summary['last_event_date']}, from source [bold]{summary['target_source']}[/]{_not_used(summary)}."
    )
    console.print()
    print_table(
        console,
        summary["horizons"],
        [
            Column("Tenor", lambda row: row["horizon"]),
            Column("Target", lambda row: row["forecast"]["target_date"] if row["forecast"] else "-"),
            Column("Centre", lambda row: _centre(row, digits), right=True),
            Column("80% range", lambda row: _range(row, "interval_80", digits), right=True),
            Column("95% range", lambda row: _range(row, "interval_95", digits), right=True),
            Column("Checks", lambda row: row.get("verdict", {}).get("state", "none")),
        ],
    )
    console.print()
    print_table(
        console,
        summary["horizons"],
        [
            Column("Tenor", lambda row: row["horizon"]),
            Column("hit, last 60", lambda row: _coverage(row["scores"].get("live_60"))),
            Column("Verdict", lambda row: (row["scores"].get("live_60") or {}).get("coverage_state", "unknown")),
            Column("hit, 5 years", lambda row: _coverage(row["scores"].get("backtest_5y"))),
            Column("IS / RW, 5 years", lambda row: _ratio(row["scores"].get("backtest_5y"))),
        ],
    )
    for language, path in summary["reports"].items():
        console.print(f"Report ({language}): {escape(path)}", soft_wrap=True)
    if summary["quarantined_rows"]:
        console.print(f"Quarantined observations: {summary['quarantined_rows']} (reasons in the report and the UI).")
    for row in summary["horizons"]:
        if row["forecast"] is None and (reasons := row.get("verdict", {}).get("reasons")):
            console.print(f"[yellow]Withheld:[/] {row['horizon']}: {escape('; '.join(reasons))}")
    for gap in summary["missing"]:
        console.print(f"[yellow]Missing:[/] {escape(gap)}")
    for note in notes:
        console.print(f"[yellow]Note:[/] {escape(note)}")


def _not_used(summary: Values) -> str:
    """Return why the target's other sources did not serve: `` (not siete: offline; …)``."""
    entry = next((entry for entry in summary["sources"] if entry["series"] == summary["target"]["series"]), None)
    reasons = why_not(entry) if entry else ""
    return escape(f" (others: {reasons})") if reasons else ""


def _centre(row: Values, digits: int) -> str:
    if row["forecast"]:
        return number(row["forecast"]["mean"], digits)
    return "withheld" if row.get("verdict") else "none"


def _range(row: Values, name: str, digits: int) -> str:
    return price_range(row["forecast"][name], digits) if row["forecast"] else "-"


def _coverage(scores: Values | None) -> str:
    if not scores or scores["coverage_95"] is None:
        return "unknown"
    return f"{between(scores, 'coverage_95', share=True)} ({int(scores['n'])})"


def _ratio(scores: Values | None) -> str:
    if not scores or scores["interval_score_ratio"] is None:
        return "unknown"
    return between(scores, "interval_score_ratio", digits=3, end_digits=2)


def between(row: Values, name: str, *, share: bool = False, digits: int = 0, end_digits: int = 0) -> str:
    """Return an estimate with its confidence interval: ``95% [91, 98]``; ends nobody could compute are ``[?]``."""
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if value is None:
        return "unknown"
    scale, sign = (100, "%") if share else (1, "")
    ends = "?" if low is None or high is None else f"{scale * low:.{end_digits}f}, {scale * high:.{end_digits}f}"
    return f"{scale * value:.{digits}f}{sign} [{ends}]"


def print_how_to_read(console: Console) -> None:
    """Print what the columns of :func:`print_summary` mean."""
    console.print(f"\n[dim]{HOW_TO_READ}[/]")


def print_status(console: Console, summaries: Sequence[Values], empty: Iterable[str], problems: Sequence[str]) -> None:
    """Print every stored pair, those with nothing stored, and what is wrong."""
    for summary in summaries:
        print_summary(console, summary)
    if summaries:
        print_how_to_read(console)
    console.print()
    for name in empty:
        console.print(f"{name}: nothing stored.")
    console.print("[bold]Problems:[/] " + ("none found." if not problems else ""))
    for problem in problems:
        console.print(f"  {escape(problem)}", soft_wrap=True)


def print_forecasts(console: Console, results: Iterable[Values]) -> None:
    """Print one day's forecasts per pair: the deployed model, and the random walk below it."""
    for position, result in enumerate(results):
        digits = digits_for(result["last_value"])
        gap = "\n" if position else ""
        console.print(
            f"{gap}[bold]{escape(result['label'])}[/], as of [bold]{result['as_of']}[/]: last "
            f"[bold]{number(result['last_value'], digits)}[/] {result['unit']}",
            soft_wrap=True,
        )
        console.print(f"dated {result['last_event_date']}, from source {result['source']}.")
        console.print()
        rows = [(horizon, model) for horizon in result["horizons"] for model in _models(horizon)]
        print_table(console, rows, _forecast_columns(digits))
        if console.width < WIDE:
            views = ", ".join(f"{row['horizon']} {_direction(row)}" for row in result["horizons"])
            console.print(f"Down / flat / up: {views}.")
        console.print(f"[dim]Flat: within {result['horizons'][0]['direction']['band']:.1%} of the last value.[/]")
        for text in _carried(result["horizons"]):
            console.print(text)
        if console.width < WIDE:
            console.print(f"[dim]{_made(result['horizons'])}[/]")
        for text in result["damaged"]:
            console.print(f"[yellow]Damaged:[/] {escape(text)}", soft_wrap=True)


def _forecast_columns(digits: int) -> list[Column[tuple[Values, Values]]]:
    return [
        Column("Tenor", lambda row: str(row[0]["horizon"]), once=True),
        Column("Target", lambda row: str(row[1]["target_date"]), once=True),
        Column("Model", lambda row: str(row[1]["model"])),
        Column("Centre", lambda row: number(row[1]["mean"], digits), right=True),
        Column("80% range", lambda row: price_range(row[1]["interval_80"], digits), right=True),
        Column("95% range", lambda row: price_range(row[1]["interval_95"], digits), right=True),
        Column("Down / flat / up", lambda row: _direction(row[0]) if row[1] is row[0]["active"] else "", wide=True),
        Column("Width factors from", lambda row: str(row[1]["calibrated_from"] or "none"), wide=True),
        Column("Read from", lambda row: "store" if row[0]["stored"] else "computed now", wide=True),
    ]


def _direction(horizon: Values) -> str:
    shares = horizon["direction"]
    return f"{shares['down']:.0%} / {shares['flat']:.0%} / {shares['up']:.0%}"


def _carried(horizons: Sequence[Values]) -> Iterator[str]:
    """Yield what the deployed model is made of by tenor, and in a line each what is left out and what failed."""
    made = [(row["horizon"], row["made_of"]) for row in horizons if row["made_of"]]
    shares = {
        name: ", ".join(f"{escape(member)} {share:.0%}" for member, share in of["carried_by"].items())
        for name, of in made
    }
    if shares:
        yield "Made of: " + "; ".join(f"{name} {text}" for name, text in shares.items()) + "."
    reasons: dict[str, str] = {}
    for _, of in made:
        reasons |= {name: re.split("[:;,]", reason)[0] for name, reason in of["left_out"].items()}
    if reasons:
        told = ", ".join(f"{escape(name)} ({escape(reason)})" for name, reason in sorted(reasons.items()))
        yield f"[dim]Left out: {told}. The whole reasons: --json, or the report.[/]"
    failed = [name for name, of in made if of["degraded"]]
    if failed:
        yield f"[yellow]Degraded:[/] a model that should carry weight failed ({', '.join(failed)})."


def _models(horizon: Values) -> Iterator[Values]:
    yield horizon["active"]
    if horizon["random_walk"]["model"] != horizon["active"]["model"]:
        yield horizon["random_walk"]


def _made(horizons: Sequence[Values]) -> str:
    now = [row["horizon"] for row in horizons if not row["stored"]]
    factors = sorted({row["active"]["calibrated_from"] for row in horizons} - {None})
    origin = "Read from the store" if not now else f"Computed now, not stored: {', '.join(now)}"
    return (
        f"{origin}. Width factors learned before {', '.join(factors)}." if factors else f"{origin}. No width factors."
    )


def print_backtest(console: Console, scores: Sequence[Values], rows: int, target: str | None) -> None:
    """Print the scores of every model beside the random walk, pair by pair."""
    console.print("[bold]Backtest[/]: every model beside the random walk on the same targets")
    for pair, of_pair in groupby(scores, key=lambda row: row["pair"]):
        listed = list(of_pair)
        console.print(f"\n[bold]{pair}[/], last outcome {listed[0]['as_of']}")
        print_table(
            console,
            listed,
            [
                Column("Tenor", lambda row: f"{row['horizon']}d", once=True),
                Column("Model", lambda row: row["model"]),
                Column("n", lambda row: str(row["n"]), right=True),
                Column("eff. n", lambda row: f"{row['n_effective']:.0f}", right=True, wide=True),
                Column("80%", lambda row: f"{row['coverage_80']:.0%}", right=True),
                Column("95%", lambda row: between(row, "coverage_95", share=True), right=True),
                Column("IS / RW", lambda row: _against_walk(row, "interval_score_ratio", 2), right=True),
                Column("CRPS / RW", lambda row: _crps(row, console.width), right=True),
                Column("U", lambda row: f"{row['theil_u']:.3f}", right=True, wide=True),
                Column(
                    "95% width",
                    lambda row: number(row["width_95"], digits_for(10 * row["width_95"])),
                    right=True,
                    wide=True,
                ),
            ],
        )
    console.print(
        "[dim]80%, 95%: share of outcomes inside the interval, in brackets its confidence interval. IS, CRPS / RW: "
        "score over the random walk's; below 1 is better. ?: too few independent forecasts to tell.[/]"
    )
    console.print(f"{rows:,} rows" + (f", written to {escape(target)}" if target else "."), soft_wrap=True)


def _against_walk(row: Values, name: str, end_digits: int) -> str:
    return "1" if row["model"] == "random_walk" else between(row, name, digits=3, end_digits=end_digits)


def _crps(row: Values, width: int) -> str:
    if width >= WIDE or row["crps_ratio"] is None:
        return _against_walk(row, "crps_ratio", 3)
    return "1" if row["model"] == "random_walk" else f"{row['crps_ratio']:.3f}"


def print_validation(console: Console, rows: Sequence[Values]) -> None:
    """Print coverage, bias and interval score of the deployed model by window, pair by pair."""
    console.print("[bold]Matured forecasts of the deployed model[/], by window of maturity")
    for pair, of_pair in groupby(rows, key=lambda row: row["pair"]):
        listed = list(of_pair)
        console.print(f"\n[bold]{pair}[/], as of {listed[0]['as_of']}, model {listed[0]['model']}")
        print_table(
            console,
            listed,
            [
                Column("Tenor", lambda row: f"{row['horizon']}d", once=True),
                Column("Status", lambda row: row["status"], once=True),
                Column("Window", lambda row: WINDOWS.get(row["window"], str(row["window"]))),
                Column("n", lambda row: str(row["n"]), right=True),
                Column("eff.", lambda row: f"{row['n_effective']:.0f}", right=True, wide=True),
                Column("hit 95%", lambda row: between(row, "coverage_95", share=True), right=True),
                Column("Coverage", lambda row: row["coverage_state"]),
                Column("bias σ", lambda row: _signed(row["bias_sigma"]), right=True),
                Column("Bias", lambda row: row["bias_state"], wide=True),
                Column("IS / RW", lambda row: _score_ratio(row, console.width), right=True),
                Column("A17", lambda row: row["coverage_state_classic"], wide=True),
                Column("A18", lambda row: row["bias_state_classic"], wide=True),
            ],
        )
    console.print(
        "[dim]eff.: what n overlapping forecasts are worth. hit 95%: share inside the 95% interval, in brackets its "
        "confidence interval. bias σ: mean error in the model's own standard deviations. unknown: too few effective "
        "forecasts to judge. Status: of the newest matured forecasts; `forex check` says what to do."
        + (" A17, A18: the classic thresholds, for information.[/]" if console.width >= WIDE else "[/]")
    )


def _signed(value: float | None) -> str:
    return "?" if value is None else f"{value:+.2f}"


def _score_ratio(row: Values, width: int) -> str:
    if row["interval_score_ratio"] is None:
        return "?"
    if width >= WIDE:
        return between(row, "interval_score_ratio", digits=3, end_digits=2)
    return f"{row['interval_score_ratio']:.3f}"
