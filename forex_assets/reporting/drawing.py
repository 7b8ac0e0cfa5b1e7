"""Drawing by hand in SVG: a canvas, scales, axes, and where labels find room.

SVG carries no colours of its own: classes are styled by the page, so light and dark need one drawing. Each chart is
drawn for a wide and a narrow page, because text inside a scaled-down drawing cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from forex_assets.reporting.localize import Localizer


class Canvas:
    """Collects SVG elements; coordinates are pixels of the viewBox."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height, self.label = width, height, label
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """Draw one straight line."""
        self._parts.append(f'<path class="{css}" d="M{px(x1)} {px(y1)}L{px(x2)} {px(y2)}"/>')

    def path(self, d: str, css: str) -> None:
        """Draw a path."""
        if d:
            self._parts.append(f'<path class="{css}" d="{d}"/>')

    def rect(self, x: float, y: float, width: float, height: float, css: str) -> None:
        """Draw a rectangle."""
        self._parts.append(f'<rect class="{css}" x="{px(x)}" y="{px(y)}" width="{px(width)}" height="{px(height)}"/>')

    def text(self, x: float, y: float, text: str, css: str = "c-tick", anchor: str = "start") -> None:
        """Write a text; ``y`` is its baseline."""
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text class="{css}" x="{px(x)}" y="{px(y)}"{at}>{escape(text)}</text>')

    def mark(self, x: float, y: float, kind: str, size: float, tip: str = "") -> None:
        """Draw an outcome or a state: shapes differ, so that colour is never the only sign."""
        title = f"<title>{escape(tip)}</title>" if tip else ""
        if kind in ("miss", "bad"):
            s = size * 1.25
            d = f"M{px(x - s)} {px(y - s)}L{px(x + s)} {px(y + s)}M{px(x - s)} {px(y + s)}L{px(x + s)} {px(y - s)}"
            self._parts.append(f'<path class="m-{kind}" d="{d}">{title}</path>')
        elif kind == "unknown":
            s = size * 1.35
            d = f"M{px(x)} {px(y - s)}L{px(x + s)} {px(y)}L{px(x)} {px(y + s)}L{px(x - s)} {px(y)}Z"
            self._parts.append(f'<path class="m-{kind}" d="{d}">{title}</path>')
        else:
            self._parts.append(f'<circle class="m-{kind}" cx="{px(x)}" cy="{px(y)}" r="{px(size)}">{title}</circle>')

    def svg(self, css: str) -> Markup:
        """Return the drawing as an element with a text alternative."""
        return Markup(  # noqa: S704  # nosec B704  # built from numbers, our class names and escaped text
            f'<svg class="{css}" viewBox="0 0 {px(self.width)} {px(self.height)}" role="img" '
            f'aria-label="{escape(self.label)}">{"".join(self._parts)}</svg>'
        )


@dataclass(frozen=True)
class Scale:
    """Linear map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of ``value``."""
        span = self.high - self.low
        return self.start + (value - self.low) / (span or 1.0) * (self.end - self.start)


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Return round values inside [low, high], about ``count`` of them."""
    raw = (high - low) / max(count, 1)
    if not math.isfinite(raw) or raw <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions moved as little as a sweep allows so that neighbours are ``gap`` apart inside [low, high]."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = [0.0] * len(positions)
    at = low - gap
    for i in order:
        at = max(positions[i], at + gap)
        placed[i] = at
    at = high + gap
    for i in reversed(order):
        at = min(placed[i], at - gap)
        placed[i] = at
    return placed


def label_rows(centres: Sequence[float], widths: Sequence[float], gap: float = 4.0) -> list[int]:
    """Return for each label the first row in which it overlaps no label placed before it."""
    ends: list[float] = []
    rows = []
    for centre, width in zip(centres, widths, strict=True):
        left = centre - width / 2
        row = next((i for i, end in enumerate(ends) if left >= end + gap), len(ends))
        if row == len(ends):
            ends.append(-math.inf)
        ends[row] = centre + width / 2
        rows.append(row)
    return rows


def both(draw: Callable[[bool], Markup]) -> Markup:
    """Return a chart drawn for a wide and for a narrow page; the page shows one."""
    return Markup("{}{}").format(draw(False), draw(True))


def page_class(narrow: bool) -> str:
    """Return the class of a drawing for a wide or a narrow page."""
    return "narrow" if narrow else "wide"


def px(value: float) -> str:
    """Return a coordinate as short as it can be written."""
    text = f"{value:.1f}"
    return text.removesuffix(".0").replace("-0", "0") if text in ("-0.0",) else text.removesuffix(".0")


def polyline(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Return the path through some points."""
    return "M" + "L".join(f"{px(x)} {px(y)}" for x, y in zip(xs, ys, strict=True)) if len(xs) else ""


def polygon(xs: Sequence[float], upper: Sequence[float], lower: Sequence[float]) -> str:
    """Return the path around the area between two lines."""
    return polyline([*xs, *reversed(xs)], [*upper, *reversed(lower)]) + "Z"


def day_numbers(dates: object) -> np.ndarray:
    """Return dates as days since 1970-01-01."""
    return np.asarray(pd.DatetimeIndex(dates).to_numpy(), dtype="datetime64[D]").astype(np.int64)  # type: ignore[arg-type]


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is drawn."""
    return 0.56 * size * len(text)


def price_axis(canvas: Canvas, y: Scale, left: float, right: float, loc: Localizer, count: int) -> None:
    """Draw the grid of a price axis and its figures."""
    ticks = nice_ticks(y.low, y.high, count)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    if decimals and abs(round(step, decimals) - step) > 1e-12:
        decimals += 1
    for tick in ticks:
        canvas.line(left, y(tick), right, y(tick), "c-grid")
        canvas.text(left - 7, y(tick) + 4, loc.number(tick, decimals), anchor="end")


def time_axis(canvas: Canvas, x: Scale, bottom: float, top: float, loc: Localizer, spacing: float) -> None:
    """Draw month starts; a year is written where it begins and on the first label."""
    start, end = pd.Timestamp(int(x.low), unit="D"), pd.Timestamp(int(x.high), unit="D")
    months = list(pd.date_range(start, end, freq="MS"))
    if len(months) < 2:  # a short span: weeks
        weeks = list(pd.date_range(start, end, freq="W-MON"))
        every = _every(weeks, x, spacing)
        for week in weeks[::every]:
            at = x(week.value // 86_400_000_000_000)
            canvas.line(at, top, at, bottom, "c-grid")
            canvas.text(at, bottom + 17, loc.short_date(week), anchor="middle")
        return
    every = _every(months, x, spacing)
    for i, month in enumerate(months[::every]):
        at = x(month.value // 86_400_000_000_000)
        canvas.line(at, bottom, at, bottom + 4, "c-axis")
        label = loc.month(month)
        if i == 0 or month.month == 1 or (every > 1 and month.year != months[(i - 1) * every].year):
            label = f"{label} {month.year}"
        width = text_width(label, 12)
        if at + width / 2 > canvas.width:
            continue
        canvas.text(max(at, x.start - 4 + width / 2), bottom + 17, label, anchor="middle")


def _every(dates: Sequence[pd.Timestamp], x: Scale, spacing: float) -> int:
    if len(dates) < 2:
        return 1
    apart = (x(dates[-1].value // 86_400_000_000_000) - x(dates[0].value // 86_400_000_000_000)) / (len(dates) - 1)
    return max(1, math.ceil(spacing / max(apart, 1e-9)))
