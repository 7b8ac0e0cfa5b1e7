"""What became of earlier forecasts in pictures: outcomes in their intervals, estimates on whiskers, widths by day."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from forex_assets.reporting.drawing import (
    Canvas,
    Scale,
    both,
    day_numbers,
    nice_ticks,
    page_class,
    polyline,
    price_axis,
    px,
    spread,
    time_axis,
)
from forex_assets.reporting.localize import Localizer
from forex_assets.reporting.view import HorizonView, ReportView, State, records

GAP_DAYS = 12


def outcome_chart(horizon: HorizonView, loc: Localizer) -> Markup:
    """Return the intervals issued for recent target dates and what happened: dot, ring or cross."""
    return both(lambda narrow: _outcomes(horizon, loc, narrow))


def outcome_kind(row: Any) -> str:
    """Return ``hit`` (inside 80%), ``edge`` (inside 95% only) or ``miss``."""
    if row.covered_80:
        return "hit"
    return "edge" if row.covered_95 else "miss"


def _outcomes(horizon: HorizonView, loc: Localizer, narrow: bool) -> Markup:
    width, height = (372.0, 230.0) if narrow else (520.0, 250.0)
    left, right, top, bottom = 46.0, width - 10.0, 10.0, height - 28.0
    rows = horizon.outcomes
    days = day_numbers(rows["as_of"])
    values = rows[["q025", "q975", "actual"]].to_numpy(dtype=float)
    x = Scale(int(days.min()) - 1, int(days.max()) + 1, left + 4, right)
    pad = 0.04 * float(values.max() - values.min() or values.max())
    y = Scale(float(values.min()) - pad, float(values.max()) + pad, bottom, top)
    label = loc.text(
        "chart.outcomes.alt",
        horizon=horizon.name,
        n=len(rows),
        in80=int(rows["covered_80"].sum()),
        in95=int(rows["covered_95"].sum()),
    )
    canvas = Canvas(width, height, str(label))
    price_axis(canvas, y, left, right, loc, 4)
    time_axis(canvas, x, bottom, top, loc, 46)
    canvas.line(left, bottom, right, bottom, "c-axis")
    for low, high, css in (("q025", "q975", "c-i95"), ("q100", "q900", "c-i80")):
        d = "".join(
            f"M{px(x(int(day)))} {px(y(a))}V{px(y(b))}" for day, a, b in zip(days, rows[low], rows[high], strict=True)
        )
        canvas.path(d, css)
    for day, row in zip(days, records(rows), strict=True):
        kind = outcome_kind(row)
        tip = "" if narrow else f"{loc.date(row.as_of)} → {loc.date(row.target_date)}: {loc.price(row.actual)}"
        canvas.mark(x(int(day)), y(row.actual), kind, 2.6, tip)
    return canvas.svg(page_class(narrow))


@dataclass(frozen=True)
class Dot:
    """One estimate with its confidence interval."""

    group: str
    name: str
    value: float
    low: float
    high: float
    state: State
    text: str


def dot_chart(
    dots: Sequence[Dot],
    loc: Localizer,
    *,
    label: str,
    reference: float,
    band: tuple[float, float] | None,
    limits: tuple[float, float],
    clip: tuple[float, float],
    tick: Callable[[float], str],
) -> Markup:
    """Return estimates as marks on whiskers, beside the reference and its tolerance band.

    The axis covers at least ``limits`` and at most ``clip``; a whisker that runs on ends in an arrow head.
    """

    def draw(narrow: bool) -> Markup:
        width = 372.0 if narrow else 520.0
        row_height, head = 21.0, 20.0
        left, right = (104.0, width - 62.0) if narrow else (134.0, width - 70.0)
        groups = list(dict.fromkeys(dot.group for dot in dots))
        height = head + row_height * len(dots) + 8 * (len(groups) - 1) + 26
        canvas = Canvas(width, height, label)
        known = [v for dot in dots for v in (dot.value, dot.low, dot.high) if math.isfinite(v)]
        low, high = max(min([*known, *limits]), clip[0]), min(max([*known, *limits]), clip[1])
        x = Scale(low, high, left, right)
        bottom = height - 24
        if band is not None:
            canvas.rect(x(band[0]), head - 6, x(band[1]) - x(band[0]), bottom - head + 6, "c-tolerance")
        for value in nice_ticks(low, high, 3 if narrow else 5):
            canvas.line(x(value), head - 6, x(value), bottom, "c-grid")
            canvas.text(x(value), bottom + 16, tick(value), anchor="middle")
        canvas.line(x(reference), head - 6, x(reference), bottom, "c-reference")
        at, group = head + 8.0, ""
        for dot in dots:
            if dot.group != group:
                at += 8 if group else 0
                canvas.text(0, at + 4, dot.group, "c-strong")
                group = dot.group
            canvas.text(left - 10, at + 4, dot.name, anchor="end")
            if math.isfinite(dot.value):
                if math.isfinite(dot.low) and math.isfinite(dot.high):
                    canvas.line(x(max(dot.low, low)), at, x(min(dot.high, high)), at, "c-ci")
                    if dot.low < low:
                        canvas.path(
                            f"M{px(left + 5)} {px(at - 4)}L{px(left)} {px(at)}L{px(left + 5)} {px(at + 4)}", "c-arrow"
                        )
                    if dot.high > high:
                        canvas.path(
                            f"M{px(right - 5)} {px(at - 4)}L{px(right)} {px(at)}L{px(right - 5)} {px(at + 4)}",
                            "c-arrow",
                        )
                inside = min(max(dot.value, low), high)
                canvas.mark(x(inside), at, dot.state, 4.2, f"{dot.group} {dot.name}: {dot.text}")
            canvas.text(width, at + 4, dot.text, anchor="end")
            at += row_height
        return canvas.svg(page_class(narrow))

    return both(draw)


def width_chart(view: ReportView, loc: Localizer) -> Markup:
    """Return the 95% interval's width, in percent of the last value, by the day the forecast was made."""
    return both(lambda narrow: _width_lines(view, loc, narrow))


def _width_lines(view: ReportView, loc: Localizer, narrow: bool) -> Markup:
    lines = [(i, h) for i, h in enumerate(view.horizons) if len(h.widths)]
    if not lines:
        return Markup("")
    width, height = (372.0, 260.0) if narrow else (1072.0, 280.0)
    left, right, top, bottom = (40.0, width - 44.0, 10.0, height - 28.0)
    if not narrow:
        right = width - 96.0
    all_days = np.concatenate([day_numbers(h.widths["as_of"]) for _, h in lines])
    peak = max(float(h.widths["width"].max()) for _, h in lines)
    x = Scale(int(all_days.min()), max(int(all_days.max()), int(all_days.min()) + 1), left, right)
    y = Scale(0.0, peak * 1.06, bottom, top)
    canvas = Canvas(width, height, str(loc.text("chart.width.alt")))
    for value in nice_ticks(0, y.high, 5):
        canvas.line(left, y(value), right, y(value), "c-grid")
        canvas.text(left - 7, y(value) + 4, loc.percent(value, 0), anchor="end")
    time_axis(canvas, x, bottom, top, loc, 52)
    canvas.line(left, bottom, right, bottom, "c-axis")
    ends = spread([y(float(h.widths["width"].iloc[-1])) for _, h in lines], 15, top, bottom)
    for (i, horizon), at in zip(lines, ends, strict=True):
        days, values = day_numbers(horizon.widths["as_of"]), horizon.widths["width"].to_numpy(dtype=float)
        cuts = np.flatnonzero(np.diff(days) > GAP_DAYS) + 1
        for part_days, part in zip(np.split(days, cuts), np.split(values, cuts), strict=True):
            xs, ys = [x(int(day)) for day in part_days], [y(v) for v in part]
            canvas.path(polyline(xs, ys) if len(xs) > 1 else f"M{px(xs[0] - 2)} {px(ys[0])}h4", f"c-line c-line{i % 4}")
        end = x(int(days[-1])) + 7
        text = horizon.name if narrow else f"{horizon.name}  {loc.percent(values[-1])}"
        canvas.text(end, at + 4, text, "c-strong")
    return canvas.svg(page_class(narrow))
