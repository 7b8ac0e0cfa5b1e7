"""Tables that stay readable at 80 columns: every column declared once, some only where there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Row = TypeVar("Row")
WIDE = 110
"""From this many columns on, a table shows its ``wide`` columns too."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column: heading, text of a row's cell, and how it is shown.

    ``wide`` columns appear only where there is room. A ``once`` column repeats no value of the row above, and where the
    first of them changes a new group of rows starts, after an empty line.
    """

    title: str
    cell: Callable[[Row], str]
    right: bool = False
    wide: bool = False
    once: bool = False


def print_table(console: Console, rows: Sequence[Row], columns: Iterable[Column[Row]]) -> None:
    """Print rows under their headings. Cells are plain text: nothing in them is read as markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = [column for column in columns if console.width >= WIDE or not column.wide]
    # One column of the gap between cells is the box's own divider.
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2 if console.width >= WIDE else 1, 0, 0)
    )
    for column in shown:
        table.add_column(Text(column.title), justify="right" if column.right else "left", no_wrap=True)
    texts = [[column.cell(row) for column in shown] for row in rows]
    repeats = [position for position, column in enumerate(shown) if column.once]
    for above, cells in zip([None, *texts], texts, strict=False):
        if above and repeats and above[repeats[0]] != cells[repeats[0]]:
            table.add_section()
        hidden = [i for i in repeats if above and above[: i + 1] == cells[: i + 1]]
        table.add_row(*(Text("" if i in hidden else cell) for i, cell in enumerate(cells)))
    console.print(table)
