"""What people see fits their window: nothing is cut off at 80 columns, and more is shown where there is room."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from forex_assets.cli import show
from forex_assets.cli.common import digits_for
from forex_assets.cli.tables import Column, print_table
from forex_assets_tests.cli import values

MODELS = ("random_walk", "champion_zero", "rw_blend", "rw_empirical")
WINDOWS = ("live_60", "backtest_1y", "backtest_5y", "backtest_all")
Show = Callable[[Console], None]


def printed(show: Show, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _summary(console: Console) -> None:
    show.print_summary(console, values.summary())


def _forecasts(console: Console) -> None:
    show.print_forecasts(console, [values.day(), values.day(16.6895), values.day(4_123.5)])


def _backtest(console: Console) -> None:
    rows = [values.report_row(days, model) for days in (7, 15, 30, 90) for model in MODELS]
    show.print_backtest(console, rows, 12_345, None)


def _validation(console: Console) -> None:
    rows = [values.report_row(days, "champion_zero", window) for days in (7, 90) for window in WINDOWS]
    show.print_validation(console, rows)


@pytest.mark.capability("B12", "B13")
@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("show_it", [_summary, _forecasts, _backtest, _validation])
def test_nothing_is_cut_off_at_any_usual_width(show_it: Show, width: int) -> None:
    text = printed(show_it, width)
    assert "…" not in text
    paths = ("Report (",)
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith(paths))


def test_the_directional_view_and_what_failed_are_shown_at_every_width() -> None:
    def broken(console: Console) -> None:
        day = values.day()
        day["horizons"][0]["made_of"] |= {"degraded": True}
        show.print_forecasts(console, [day])

    for width in (80, 140):
        text = printed(broken, width)
        assert "38% / 27% / 35%" in text
        assert "Degraded: a model that should carry weight failed (7d)." in text
        assert "driver vix (no VIX at this origin)" in text


def test_paths_stay_on_one_line_so_that_they_can_be_copied() -> None:
    assert "/srv/forex/reports/usdclp/2025-06-13/report_es.html\n" in printed(_summary, 40)


@pytest.mark.parametrize(
    ("show_it", "heading"), [(_backtest, "eff. n"), (_validation, "A17"), (_forecasts, "Read from")]
)
def test_a_wide_window_shows_more(show_it: Show, heading: str) -> None:
    assert heading not in printed(show_it, 80)
    assert heading in printed(show_it, 140)


@pytest.mark.capability("J08")
def test_coverage_is_never_shown_without_n_and_interval() -> None:
    text = printed(_summary, 80)
    assert "100% [88, 100] (5092)" in text
    assert "100% [?] (5092)" in text


@pytest.mark.capability("L18")
def test_what_cannot_be_told_reads_unknown_and_says_why() -> None:
    text = printed(lambda console: show.print_status(console, [values.summary()], [], []), 80)
    assert "unknown" in text
    assert "too few independent forecasts" in " ".join(text.split())


@pytest.mark.capability("E09")
def test_the_summary_says_which_source_served_and_why_the_others_did_not() -> None:
    text = " ".join(printed(_summary, 80).split())
    assert "official fixing 930.25 CLP per USD, dated 2025-06-13, from source embedded" in text
    assert "(others: siete: offline; mindicador: failed: timed out after 3.0 s)" in text
    assert "Missing: copper_comex, dxy: no source answered" in text


def test_a_withheld_forecast_says_why() -> None:
    summary = values.summary()
    summary["horizons"][0] |= {"forecast": None, "verdict": {"state": "bad", "reasons": ["95% width 3 times σ√h"]}}
    text = printed(lambda console: show.print_summary(console, summary), 80)
    assert "withheld" in text
    assert "Withheld: 7d: 95% width 3 times σ√h" in text


def test_a_close_is_called_a_market_close() -> None:
    summary = values.summary()
    summary["target"]["kind"] = "close"
    assert "Last market close 930.25" in printed(lambda console: show.print_summary(console, summary), 80)


def test_text_from_outside_is_never_read_as_markup() -> None:
    text = printed(lambda console: show.print_summary(console, values.summary(label="USD [bold]CLP[/]")), 80)
    assert "USD [bold]CLP[/]" in text


def test_a_once_column_names_a_group_once_and_groups_stand_apart() -> None:
    rows = [("7d", "a"), ("7d", "b"), ("15d", "a")]
    columns: list[Column[tuple[str, str]]] = [
        Column("Tenor", lambda row: row[0], once=True),
        Column("Model", lambda row: row[1]),
    ]
    lines = [line.strip() for line in printed(lambda console: print_table(console, rows, columns), 80).splitlines()]
    assert lines == ["Tenor  Model", "────────────", "7d     a", "b", "", "15d    a"]


@pytest.mark.parametrize(("price", "digits"), [(0.93, 4), (17.2, 4), (930.0, 2), (4_120.0, 1), (16_400.0, 0)])
def test_a_price_has_about_six_figures(price: float, digits: int) -> None:
    assert digits_for(price) == digits
