"""What the doctor found: one thing looked at, its state, and how a list of them is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

State = Literal["ok", "warn", "fail", "unknown"]

_LISTED = 5
_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "bold red"),
    "unknown": ("unknown", "magenta"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: where it belongs, its state, what was seen, and what to do when it is not ok."""

    area: str
    name: str
    state: State
    detail: str
    remedy: str = ""


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 where everything is ok or a warning, 1 where anything failed or could not be told."""
    return 1 if any(finding.state in ("fail", "unknown") for finding in findings) else 0


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as JSON-ready values with a count per state."""
    counts = Counter(finding.state for finding in findings)
    return {
        "counts": {state: counts.get(state, 0) for state in _MARKS},
        "exit_code": exit_code(findings),
        "findings": [asdict(finding) for finding in findings],
    }


def render(findings: Sequence[Finding], console: Console) -> None:
    """Print the findings by area, remedies under what needs one."""
    from rich.table import Table
    from rich.text import Text

    name_width = max((len(finding.name) for finding in findings), default=0)
    for area in dict.fromkeys(finding.area for finding in findings):
        console.print(Text(area, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        table.add_column(width=max(len(label) for label, _ in _MARKS.values()))
        table.add_column(width=name_width)
        table.add_column(overflow="fold")
        for finding in findings:
            if finding.area != area:
                continue
            label, style = _MARKS[finding.state]
            table.add_row(Text(label, style=style), Text(finding.name), Text(finding.detail))
            if finding.remedy and finding.state != "ok":
                table.add_row("", "", Text(f"→ {finding.remedy}", style="dim"))
        console.print(table)
    counts = Counter(finding.state for finding in findings)
    console.print()
    console.print(Text(", ".join(f"{counts[state]} {label}" for state, (label, _) in _MARKS.items() if counts[state])))


def listed(items: Sequence[str]) -> str:
    """Return the first few of some names, and how many more there are."""
    more = len(items) - _LISTED
    return ", ".join(items[:_LISTED]) + (f" and {more} more" if more > 0 else "")
