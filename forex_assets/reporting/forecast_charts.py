"""The forecast in pictures: the fan and the ranges as SVG for the page, the fan as PNG for the Dagster UI."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from forex_assets.levels import MEDIAN_INDEX, QUANTILE_COLUMNS
from forex_assets.reporting.drawing import (
    Canvas,
    Scale,
    both,
    day_numbers,
    label_rows,
    page_class,
    polygon,
    polyline,
    price_axis,
    spread,
    text_width,
    time_axis,
)
from forex_assets.reporting.inputs import ReportInputs
from forex_assets.reporting.localize import Language, Localizer
from forex_assets.reporting.view import ReportView, build_view

HISTORY_DAYS_WIDE = 182
HISTORY_DAYS_NARROW = 70


def fan_chart(view: ReportView, loc: Localizer) -> Markup:
    """Return about six months of history and the quantile bands of the longest path, with the tenors' target dates."""
    return both(lambda narrow: _fan(view, loc, narrow))


def _fan(view: ReportView, loc: Localizer, narrow: bool) -> Markup:
    width, height = (372.0, 330.0) if narrow else (1072.0, 440.0)
    left, right = (46.0, width - 56.0) if narrow else (56.0, width - 128.0)
    as_of = int(day_numbers([view.inputs.as_of])[0])
    history = view.history[
        day_numbers(view.history["event_date"]) >= as_of - (HISTORY_DAYS_NARROW if narrow else HISTORY_DAYS_WIDE)
    ]
    past_days, past = day_numbers(history["event_date"]), history["value"].to_numpy(dtype=float)
    days, bands = _bands(view)
    values = np.concatenate([past, bands.ravel()])
    if not len(values):
        return Markup("")
    first = int(past_days[0]) if len(past_days) else int(days[0])
    final = int(days[-1]) if len(days) else as_of + 3
    x = Scale(first, final, left, right)

    marks: list[tuple[str, Any]] = [(horizon.name, horizon.active) for horizon in view.shown]
    centres = [x(int(day_numbers([row.target_date])[0])) for _, row in marks]
    rows = label_rows(centres, [text_width(name, 15) for name, _ in marks])
    top = 16.0 * (max(rows, default=0) + 1) + 8
    bottom = height - 30
    pad = 0.04 * float(values.max() - values.min() or values.max())
    y = Scale(float(values.min()) - pad, float(values.max()) + pad, bottom, top)

    label = loc.text("chart.fan.alt", pair=_pair_name(view), as_of=loc.date(view.inputs.as_of))
    canvas = Canvas(width, height, str(label))
    price_axis(canvas, y, left, right, loc, 5 if narrow else 6)
    time_axis(canvas, x, bottom, top, loc, 44 if narrow else 52)
    canvas.line(left, bottom, right, bottom, "c-axis")

    xs = [x(int(day)) for day in days]
    count = len(QUANTILE_COLUMNS)
    for i in range(MEDIAN_INDEX if len(xs) else 0):
        canvas.path(polygon(xs, [y(v) for v in bands[:, count - 1 - i]], [y(v) for v in bands[:, i]]), "c-fan")
    if len(xs):
        for column, css in ((0, "c-edge95"), (count - 1, "c-edge95"), (2, "c-edge80"), (count - 3, "c-edge80")):
            canvas.path(polyline(xs, [y(v) for v in bands[:, column]]), css)
        canvas.path(polyline(xs, [y(v) for v in bands[:, MEDIAN_INDEX]]), "c-centre")
    canvas.path(polyline([x(int(day)) for day in past_days], [y(v) for v in past]), "c-history")

    for (name, row), centre, place in zip(marks, centres, rows, strict=True):
        line_top = 16.0 * (place + 1) + 4
        canvas.line(centre, line_top, centre, bottom, "c-target")
        canvas.line(centre, y(row.q025), centre, y(row.q975), "c-w95")
        canvas.line(centre, y(row.q100), centre, y(row.q900), "c-w80")
        canvas.mark(centre, y(row.q500), "centre", 3.2 if narrow else 3.8, _range_tip(row, loc))
        canvas.text(centre, line_top - 4, name, "c-strong", "middle")
    if len(past):
        canvas.mark(x(int(past_days[-1])), y(past[-1]), "last", 3.6)
    if len(xs):
        ends = [(count - 1, "95%"), (count - 3, "80%"), (MEDIAN_INDEX, ""), (2, "80%"), (0, "95%")]
        heights = spread([y(bands[-1, i]) for i, _ in ends], 15, top, bottom)
        for (i, name), at in zip(ends, heights, strict=True):
            css = "c-strong" if i == MEDIAN_INDEX else "c-tick"
            text = loc.number(bands[-1, i], 0 if loc.price_decimals == 2 else loc.price_decimals)
            suffix = f" ({name})" if name else f" {loc.text('chart.centre')}"
            suffix = "" if narrow else suffix
            canvas.text(right + 9, at + 4, f"{text}{suffix}", css)
    return canvas.svg(page_class(narrow))


def _bands(view: ReportView) -> tuple[np.ndarray, np.ndarray]:
    """Return days and quantiles of the longest path, from the last known value on; empty when none may be shown."""
    longest = view.longest
    if longest is None or longest.active is None:
        return np.empty(0, dtype=np.int64), np.empty((0, len(QUANTILE_COLUMNS)))
    row: Any = longest.active
    days = np.concatenate([day_numbers([row.last_event_date]), day_numbers(longest.path["step_date"])])
    start = np.full((1, len(QUANTILE_COLUMNS)), row.last_value)
    return days, np.vstack([start, longest.path[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)])


def _pair_name(view: ReportView) -> str:
    return f"{view.inputs.pair.base}/{view.inputs.pair.quote}"


def _range_tip(row: Any, loc: Localizer) -> str:
    return str(
        loc.text(
            "chart.range_tip",
            date=loc.date(row.target_date),
            centre=loc.price(row.q500),
            low80=loc.price(row.q100),
            high80=loc.price(row.q900),
            low95=loc.price(row.q025),
            high95=loc.price(row.q975),
        )
    )


def range_bar(row: Any, spot: float, limits: tuple[float, float], loc: Localizer) -> Markup:
    """Return a small bar of the 80% and 95% ranges around the last value, on the scale shared by all horizons."""
    canvas = Canvas(300, 30, _range_tip(row, loc))
    x = Scale(limits[0], limits[1], 4, 296)
    q025, q100, q500, q900, q975 = (getattr(row, name) for name in ("q025", "q100", "q500", "q900", "q975"))
    canvas.rect(x(q025), 11, x(q975) - x(q025), 8, "r-95")
    canvas.rect(x(q100), 8, x(q900) - x(q100), 14, "r-80")
    canvas.line(x(spot), 1, x(spot), 29, "r-spot")
    canvas.mark(x(q500), 15, "centre", 4)
    return canvas.svg("bar")


def _moment(days: float) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=round(days))


def _month_label(moment: dt.date, loc: Localizer) -> str:
    return loc.month(moment) if moment.month > 1 else f"{loc.month(moment)}\n{moment.year}"


def fan_chart_png(inputs: ReportInputs, language: Language = "en") -> bytes:
    """Return the fan chart as a PNG, for asset metadata in the Dagster UI."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import MonthLocator
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    view = build_view(inputs)
    loc = Localizer(language, view.price_decimals)
    figure = Figure(figsize=(9.6, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    cutoff = pd.Timestamp(view.inputs.as_of) - pd.Timedelta(days=HISTORY_DAYS_WIDE)
    history = view.history[view.history["event_date"] >= cutoff]
    axes.plot(history["event_date"].to_numpy(), history["value"].to_numpy(), color="#1b2733", linewidth=1.4)
    days, bands = _bands(view)
    if len(days):
        dates = days.astype("datetime64[D]")
        for i in range(MEDIAN_INDEX):
            axes.fill_between(dates, bands[:, i], bands[:, -1 - i], color="#1f5f99", alpha=0.12, linewidth=0)
        axes.plot(dates, bands[:, MEDIAN_INDEX], color="#1f5f99", linestyle="--", linewidth=1.2)
    for horizon in view.shown:
        row: Any = horizon.active
        axes.plot([row.target_date] * 2, [row.q025, row.q975], color="#123f68", linewidth=1.0)
        axes.plot([row.target_date] * 2, [row.q100, row.q900], color="#123f68", linewidth=3.0)
        above = (row.target_date, row.q975)
        axes.annotate(horizon.name, above, xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9)
    axes.set_title(
        f"{_pair_name(view)} · {loc.text('head.as_of')} {loc.date(view.inputs.as_of)}", loc="left", fontsize=11
    )
    axes.set_ylabel(loc.unit(view.inputs.pair.unit), fontsize=9)
    decimals = 0 if view.price_decimals == 2 else 3
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: loc.number(value, decimals)))
    axes.xaxis.set_major_locator(MonthLocator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _month_label(_moment(value), loc)))
    axes.grid(axis="y", color="#d8dee5", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    target_file = io.BytesIO()
    figure.savefig(target_file, format="png")
    return target_file.getvalue()
