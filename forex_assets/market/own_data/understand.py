"""From a file nobody described to an address: what was understood, and what only a person can say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forex_assets.errors import ValidationError
from forex_assets.market.own_data.compare import CLEARLY, Match, match, matches
from forex_assets.market.own_data.layout import (
    DateColumn,
    Layout,
    almost_columns,
    date_columns,
    decimals,
    in_order,
    parses,
)
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import TableAddress

_VALUE_NAMES = frozenset(
    {"value", "valor", "close", "cierre", "last", "ultimo", "último", "precio", "price", "observado"}
)
_USUAL_SCALES = (0.01, 100.0, 0.001, 1000.0)
_PRICES = ("open", "high", "low")
_NOT_A_VALUE = 1e-9


@dataclass(frozen=True)
class Answers:
    """What a person said about the file; None where nothing."""

    series: str | None = None
    date_column: str | None = None
    date_format: str | None = None
    column: str | None = None
    decimal: str | None = None
    zone: str | None = None
    scale: float | None = None
    shift_sessions: int | None = None

    def but(self, **said: Any) -> Answers:
        """Return these answers with one more."""
        return dataclasses.replace(self, **said)


@dataclass(frozen=True)
class Question:
    """What cannot be told from the file: the answer's name, the question, and what may be answered."""

    answer: str
    text: str
    choices: tuple[str, ...]

    @property
    def option(self) -> str:
        """The option of the command line that answers it."""
        return "--" + self.answer.replace("_", "-")


@dataclass(frozen=True)
class Understood:
    """What a file is, as far as it can be told.

    Parameters
    ----------
    address:
        How the source ``added`` reads it; None while questions stand in the way.
    series:
        The series it holds.
    rows:
        ``event_date`` and ``value`` as they will be read (before ``scale`` and ``shift_sessions``).
    lines:
        What was understood, as label and text.
    match:
        How it fits what is held of that series; None where that cannot be told.
    questions:
        What a person has to say; none of them is answered by a guess.
    """

    lines: tuple[tuple[str, str], ...]
    questions: tuple[Question, ...]
    address: TableAddress | None = None
    series: str | None = None
    rows: pd.DataFrame | None = field(default=None, repr=False)
    match: Match | None = None


def understand(
    file: str,
    layout: Layout,
    specs: Mapping[str, SeriesSpec],
    held: Mapping[str, pd.DataFrame],
    answers: Answers,
    *,
    new: SeriesSpec | None = None,
) -> Understood:
    """Return what a file is; every ambiguity becomes a question.

    Parameters
    ----------
    file:
        Name under which the file will stand in the folder of added files.
    layout:
        The file as a table.
    specs:
        The catalogue.
    held:
        Series → ``event_date`` and ``value`` of what is known of it now.
    answers:
        What was said already; it is checked against the file.
    new:
        Declaration of a series of the desk's own, where the file is one.

    Raises
    ------
    ValidationError
        When an answer contradicts the file, or the file holds no dates or no numbers.
    """
    lines = [("file", _kind(layout))]
    dates = _date_column(layout, answers)
    if isinstance(dates, Question):
        return Understood(tuple(lines), (dates,))
    date_format = _date_format(layout, dates, answers)
    value = _value_column(layout, dates, answers)
    lines += [("left out", str(column)) for column in almost_columns(layout.table) if column.kind == "number"]
    if isinstance(value, Question):
        return Understood(tuple(lines), (value,))
    questions = [date_format] if isinstance(date_format, Question) else []
    marks = decimals(layout.table[value])
    if answers.decimal is not None:
        if answers.decimal not in marks:
            raise _contradiction("decimal", answers.decimal, f"column {value!r} is no number under it")
        marks = (answers.decimal,)
    if isinstance(date_format, Question):
        # Without dates nothing can be compared; one question after the other.
        return Understood(tuple(lines), (date_format,))
    lines.append(("dates", _dates_said(layout, dates, date_format)))
    candidates = []
    for mark in marks:
        address = _address(file, layout, dates, date_format, value, mark, answers, new)
        rows = _rows(layout, address)
        candidates.append((mark, address, rows, _found(rows, specs, held, answers, new)))
    fitting = [each for each in candidates if each[3]]
    if len(candidates) > 1 and len(fitting) != 1:
        example = str(layout.table[value].dropna().iloc[0])
        questions.append(
            Question("decimal", f"Is {example!r} in column {value!r} written with a decimal point or comma?", marks)
        )
        return Understood(tuple(lines), tuple(questions))
    mark, address, rows, found = (fitting or candidates)[0]
    lines.append(("decimal", f"{'comma' if mark == ',' else 'point'}, values in column {value!r}"))
    return _meaning(lines, questions, address, rows, found, specs, held, answers, new)


def _meaning(
    lines: list[tuple[str, str]],
    questions: list[Question],
    address: TableAddress,
    rows: pd.DataFrame,
    found: list[Match],
    specs: Mapping[str, SeriesSpec],
    held: Mapping[str, pd.DataFrame],
    answers: Answers,
    new: SeriesSpec | None,
) -> Understood:
    name = new.id if new else answers.series
    if name is None:
        if not found or (len(found) > 1 and found[1].median_gap < CLEARLY * max(found[0].median_gap, _NOT_A_VALUE)):
            near = tuple(fit.series for fit in found) or tuple(specs)
            fits = "It fits " + " and ".join(near) if found else "It fits nothing that is held"
            questions.append(Question("series", f"{fits}. Which series is it?", near))
            return Understood(tuple(lines), tuple(questions), rows=rows)
        name = found[0].series
    spec = new or specs[name]
    fit = None if new else next((each for each in found if each.series == name), None)
    lines.append(("series", f"{name}: {spec.label}"))
    scale, told = _scale(rows, spec, fit, answers, overlap=_overlap(rows, held.get(name)))
    if isinstance(told, Question):
        questions.append(told)
    else:
        lines.append(("unit", told))
    shift, said = _shift(spec, fit, answers, is_new=new is not None)
    if isinstance(said, Question):
        questions.append(said)
    else:
        lines.append(("belongs to", said))
    lines.append(("overlap", _overlap_said(fit, rows, held.get(name))))
    known = spec.publication
    lines.append(("known from", f"rule {known.rule}, {known.time} {known.zone}"))
    final = address.model_copy(update={"scale": scale, "shift_sessions": shift})
    return Understood(tuple(lines), tuple(questions), None if questions else final, name, rows, fit)


def _kind(layout: Layout) -> str:
    parts = {"csv": "CSV", "parquet": "Parquet", "xlsx": "Excel"}[layout.kind]
    if layout.kind == "csv":
        parts += f", separator {layout.separator!r}, {layout.encoding}"
    if layout.sheet is not None:
        parts += f", sheet {layout.sheet!r}" + (f" of {len(layout.sheets)}" if len(layout.sheets) > 1 else "")
    if layout.skip_rows:
        parts += f", {layout.skip_rows} lines above the header"
    return f"{parts}, {len(layout.table)} rows"


def _date_column(layout: Layout, answers: Answers) -> DateColumn | Question:
    found = date_columns(layout.table)
    if answers.date_column is not None:
        for column in found:
            if column.name == answers.date_column:
                return column
        said = f"it is no column of dates; {_list(found)}"
        raise _contradiction("date_column", answers.date_column, f"{said}{_almost(layout, 'date')}")
    if not found:
        columns = ", ".join(map(str, layout.table.columns))
        raise ValidationError(
            f"No column holds a date in every row; the columns are {columns}{_almost(layout, 'date')}.",
            remedy="delete rows that are no data (totals, footnotes), or write dates as YYYY-MM-DD.",
        )
    if len(found) > 1:
        return Question("date_column", "Which column is the date?", tuple(column.name for column in found))
    return found[0]


def _almost(layout: Layout, kind: str) -> str:
    return "".join(f"; {column}" for column in almost_columns(layout.table) if column.kind == kind)


def _list(found: list[DateColumn]) -> str:
    return "columns of dates: " + (", ".join(column.name for column in found) or "none")


def _date_format(layout: Layout, dates: DateColumn, answers: Answers) -> str | Question | None:
    if answers.date_format is not None:
        if not parses(layout.table[dates.name].dropna().astype(str).str.strip(), answers.date_format):
            raise _contradiction("date_format", answers.date_format, f"column {dates.name!r} is not written so")
        return answers.date_format
    if len(dates.formats) == 1:
        return dates.formats[0]
    texts = layout.table[dates.name].dropna()
    ordered = [each for each in dates.formats if in_order(texts, each)]
    if len(ordered) == 1:
        return ordered[0]
    return Question(
        "date_format",
        f"Day or month first in {texts.iloc[0]!r} (column {dates.name!r})?",
        tuple(str(each) for each in dates.formats),
    )


def _value_column(layout: Layout, dates: DateColumn, answers: Answers) -> str | Question:
    others = [str(name) for name in layout.table.columns if str(name) != dates.name]
    numeric = [name for name in others if decimals(layout.table[name])]
    if answers.column is not None:
        if answers.column not in numeric:
            said = f"columns of numbers: {', '.join(numeric) or 'none'}"
            raise _contradiction("column", answers.column, f"{said}{_almost(layout, 'number')}")
        return answers.column
    if not numeric:
        columns = ", ".join(map(str, layout.table.columns))
        raise ValidationError(
            f"No column holds numbers; the columns are {columns}{_almost(layout, 'number')}.",
            remedy="delete what is no number (currency signs, percent signs) and add the file again.",
        )
    named = [name for name in numeric if name.strip().lower() in _VALUE_NAMES]
    if len(numeric) == 1:
        return numeric[0]
    if len(named) == 1:
        return named[0]
    return Question("column", "Which column is the value?", tuple(named or numeric))


def _address(
    file: str,
    layout: Layout,
    dates: DateColumn,
    date_format: str | None,
    value: str,
    mark: str,
    answers: Answers,
    new: SeriesSpec | None,
) -> TableAddress:
    grouped = mark == "." and layout.table[value].dropna().astype(str).str.contains(",", regex=False).any()
    zone = answers.zone or (new.publication.zone if new else "UTC") if dates.has_offset else None
    prices = {name for name in _PRICES if name in layout.table.columns and decimals(layout.table[name])}
    return TableAddress(
        file=file,
        column=value,
        date_column=dates.name,
        date_format=date_format,
        decimal=mark,
        thousands="," if grouped else None,
        separator=layout.separator,
        ohlc=prices == set(_PRICES) and value.lower() in ("close", "value"),
        sheet=layout.sheet,
        skip_rows=layout.skip_rows,
        encoding=layout.encoding,
        zone=zone,
    )


def _dates_said(layout: Layout, dates: DateColumn, date_format: str | None) -> str:
    written = date_format or ("ISO 8601" if layout.kind == "csv" else "real dates")
    told = f"column {dates.name!r}, {written}"
    if dates.has_offset:
        return f"{told}; instants with an offset"
    return f"{told}; stamps without a zone: the date as it is written" if dates.has_time else told


def _rows(layout: Layout, address: TableAddress) -> pd.DataFrame:
    """Return the rows of the table as the source will read them, without scale and shift."""
    from forex_assets.market.tabular import rows_of

    tidy, _ = rows_of(layout.table, address, label=address.file)
    return tidy[["event_date", "value"]]


def _found(
    rows: pd.DataFrame,
    specs: Mapping[str, SeriesSpec],
    held: Mapping[str, pd.DataFrame],
    answers: Answers,
    new: SeriesSpec | None,
) -> list[Match]:
    if new is not None:
        return []
    if answers.series is not None:
        frame = held.get(answers.series)
        fit = None if frame is None else match(rows, frame, specs[answers.series])
        return [] if fit is None else [fit]
    return matches(rows, held, specs)


def _scale(
    rows: pd.DataFrame, spec: SeriesSpec, fit: Match | None, answers: Answers, *, overlap: int
) -> tuple[float, str | Question]:
    low, high = spec.range
    if answers.scale is not None:
        return answers.scale, f"{spec.unit}, multiplied by {answers.scale:g} as said"
    if fit is not None:
        told = "as it is" if fit.scale == 1 else f"multiplied by {fit.scale:g}"
        return fit.scale, f"{spec.unit}, {told} (checked on {fit.dates} dates)"
    typical = float(rows["value"].median())
    if overlap >= 10:
        text = f"On {overlap} dates that are held it is another number, in no usual unit. What is it multiplied by?"
        return 1.0, Question("scale", text, ("1",))
    if low <= typical <= high:
        return (
            1.0,
            f"{spec.unit}, as it is (not checked: inside the range {low:g} to {high:g}, nothing to compare with)",
        )
    text = f"Typically {typical:g}, outside {low:g} to {high:g} {spec.unit}. What is it multiplied by?"
    return 1.0, Question("scale", text, tuple(f"{s:g}" for s in _USUAL_SCALES if low <= typical * s <= high))


def _shift(spec: SeriesSpec, fit: Match | None, answers: Answers, *, is_new: bool) -> tuple[int, str | Question]:
    def said(shift: int) -> str:
        if not shift:
            return "the date it carries"
        return f"the session {abs(shift)} {'before' if shift < 0 else 'after'} the date it carries"

    if answers.shift_sessions is not None:
        return answers.shift_sessions, f"{said(answers.shift_sessions)}, as said"
    if spec.frequency == "monthly":
        return 0, "the month it carries"
    if fit is not None and fit.clear:
        return fit.shift_sessions, f"{said(fit.shift_sessions)} (checked on {fit.dates} dates)"
    why = "the dates next to it fit as well" if fit is not None else "there is nothing to compare with"
    if is_new:
        why = "the series is new"
    text = f"Which session does a value dated t belong to: t (0), the one before (-1), or after (1)? ({why})"
    return 0, Question("shift_sessions", text, ("0", "-1", "1"))


def _overlap(rows: pd.DataFrame, held: pd.DataFrame | None) -> int:
    return 0 if held is None else int(rows["event_date"].isin(held["event_date"]).sum())


def _overlap_said(fit: Match | None, rows: pd.DataFrame, held: pd.DataFrame | None) -> str:
    span = f"{rows['event_date'].min():%Y-%m-%d} to {rows['event_date'].max():%Y-%m-%d}"
    if fit is None:
        shared = _overlap(rows, held)
        return (
            f"{len(rows)} values, {span}; {shared} of their dates are held"
            if shared
            else f"{len(rows)} values, {span}; none of their dates are held"
        )
    return (
        f"{len(rows)} values, {span}; {fit.dates} of their dates are held, {fit.equal} with the same value, "
        f"typically {fit.median_gap:.3%} apart, at most {fit.largest_gap:.2%} ({fit.largest_on:%Y-%m-%d}); "
        f"{fit.new_dates} dates are new"
    )


def _contradiction(answer: str, value: str, why: str) -> ValidationError:
    return ValidationError(
        f"--{answer.replace('_', '-')} {value!r} does not fit the file: {why}.", remedy="correct the option."
    )
