"""Charts of the desk report: SVG drawn by hand for the page, PNG through matplotlib for the Dagster UI.

SVG carries no colours of its own: classes are styled by the page, so light and dark need one drawing. Each chart is
drawn for a wide and a narrow page, because text inside a scaled-down drawing cannot be read.
"""

from __future__ import annotations

import datetime as dt
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from forex_assets.levels import MEDIAN_INDEX, QUANTILE_COLUMNS
from forex_assets.reporting.inputs import ReportInputs
from forex_assets.reporting.localize import Language, Localizer
from forex_assets.reporting.view import HorizonView, ReportView, State, build_view, records

HISTORY_DAYS_WIDE = 182
HISTORY_DAYS_NARROW = 70
GAP_DAYS = 12


class Canvas:
    """Collects SVG elements; coordinates are pixels of the viewBox."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height, self.label = width, height, label
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """Draw one straight line."""
        self._parts.append(f'<path class="{css}" d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"/>')

    def path(self, d: str, css: str) -> None:
        """Draw a path."""
        if d:
            self._parts.append(f'<path class="{css}" d="{d}"/>')

    def rect(self, x: float, y: float, width: float, height: float, css: str) -> None:
        """Draw a rectangle."""
        self._parts.append(f'<rect class="{css}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"/>')

    def text(self, x: float, y: float, text: str, css: str = "c-tick", anchor: str = "start") -> None:
        """Write a text; ``y`` is its baseline."""
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text class="{css}" x="{_n(x)}" y="{_n(y)}"{at}>{escape(text)}</text>')

    def mark(self, x: float, y: float, kind: str, size: float, tip: str = "") -> None:
        """Draw an outcome or a state: shapes differ, so that colour is never the only sign."""
        title = f"<title>{escape(tip)}</title>" if tip else ""
        if kind in ("miss", "bad"):
            s = size * 1.25
            d = f"M{_n(x - s)} {_n(y - s)}L{_n(x + s)} {_n(y + s)}M{_n(x - s)} {_n(y + s)}L{_n(x + s)} {_n(y - s)}"
            self._parts.append(f'<path class="m-{kind}" d="{d}">{title}</path>')
        elif kind == "unknown":
            s = size * 1.35
            d = f"M{_n(x)} {_n(y - s)}L{_n(x + s)} {_n(y)}L{_n(x)} {_n(y + s)}L{_n(x - s)} {_n(y)}Z"
            self._parts.append(f'<path class="m-{kind}" d="{d}">{title}</path>')
        else:
            self._parts.append(f'<circle class="m-{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}">{title}</circle>')

    def svg(self, css: str) -> Markup:
        """Return the drawing as an element with a text alternative."""
        return Markup(  # noqa: S704  # nosec B704  # built from numbers, our class names and escaped text
            f'<svg class="{css}" viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" '
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


def _css(narrow: bool) -> str:
    return "narrow" if narrow else "wide"


def _n(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0").replace("-0", "0") if text in ("-0.0",) else text.removesuffix(".0")


def _polyline(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in zip(xs, ys, strict=True)) if len(xs) else ""


def _polygon(xs: Sequence[float], upper: Sequence[float], lower: Sequence[float]) -> str:
    return _polyline([*xs, *reversed(xs)], [*upper, *reversed(lower)]) + "Z"


def _days(dates: object) -> np.ndarray:
    return np.asarray(pd.DatetimeIndex(dates).to_numpy(), dtype="datetime64[D]").astype(np.int64)  # type: ignore[arg-type]


def _text_width(text: str, size: float) -> float:
    return 0.56 * size * len(text)


def _price_axis(canvas: Canvas, y: Scale, left: float, right: float, loc: Localizer, count: int) -> None:
    ticks = nice_ticks(y.low, y.high, count)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    if decimals and abs(round(step, decimals) - step) > 1e-12:
        decimals += 1
    for tick in ticks:
        canvas.line(left, y(tick), right, y(tick), "c-grid")
        canvas.text(left - 7, y(tick) + 4, loc.number(tick, decimals), anchor="end")


def _time_axis(canvas: Canvas, x: Scale, bottom: float, top: float, loc: Localizer, spacing: float) -> None:
    """Month starts; a year is written where it begins and on the first label."""
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
        width = _text_width(label, 12)
        if at + width / 2 > canvas.width:
            continue
        canvas.text(max(at, x.start - 4 + width / 2), bottom + 17, label, anchor="middle")


def _every(dates: Sequence[pd.Timestamp], x: Scale, spacing: float) -> int:
    if len(dates) < 2:
        return 1
    apart = (x(dates[-1].value // 86_400_000_000_000) - x(dates[0].value // 86_400_000_000_000)) / (len(dates) - 1)
    return max(1, math.ceil(spacing / max(apart, 1e-9)))


# --------------------------------------------------------------------------------------------------------- fan chart


def fan_chart(view: ReportView, loc: Localizer) -> Markup:
    """Return about six months of history and the quantile bands of the longest path, with the tenors' target dates."""
    return both(lambda narrow: _fan(view, loc, narrow))


def _fan(view: ReportView, loc: Localizer, narrow: bool) -> Markup:
    width, height = (372.0, 330.0) if narrow else (1072.0, 440.0)
    left, right = (46.0, width - 56.0) if narrow else (56.0, width - 128.0)
    as_of = int(_days([view.inputs.as_of])[0])
    history = view.history[
        _days(view.history["event_date"]) >= as_of - (HISTORY_DAYS_NARROW if narrow else HISTORY_DAYS_WIDE)
    ]
    past_days, past = _days(history["event_date"]), history["value"].to_numpy(dtype=float)
    days, bands = _bands(view)
    values = np.concatenate([past, bands.ravel()])
    if not len(values):
        return Markup("")
    first = int(past_days[0]) if len(past_days) else int(days[0])
    final = int(days[-1]) if len(days) else as_of + 3
    x = Scale(first, final, left, right)

    marks: list[tuple[str, Any]] = [(horizon.name, horizon.active) for horizon in view.shown]
    centres = [x(int(_days([row.target_date])[0])) for _, row in marks]
    rows = label_rows(centres, [_text_width(name, 15) for name, _ in marks])
    top = 16.0 * (max(rows, default=0) + 1) + 8
    bottom = height - 30
    pad = 0.04 * float(values.max() - values.min() or values.max())
    y = Scale(float(values.min()) - pad, float(values.max()) + pad, bottom, top)

    label = loc.text("chart.fan.alt", pair=_pair_name(view), as_of=loc.date(view.inputs.as_of))
    canvas = Canvas(width, height, str(label))
    _price_axis(canvas, y, left, right, loc, 5 if narrow else 6)
    _time_axis(canvas, x, bottom, top, loc, 44 if narrow else 52)
    canvas.line(left, bottom, right, bottom, "c-axis")

    xs = [x(int(day)) for day in days]
    count = len(QUANTILE_COLUMNS)
    for i in range(MEDIAN_INDEX if len(xs) else 0):
        canvas.path(_polygon(xs, [y(v) for v in bands[:, count - 1 - i]], [y(v) for v in bands[:, i]]), "c-fan")
    if len(xs):
        for column, css in ((0, "c-edge95"), (count - 1, "c-edge95"), (2, "c-edge80"), (count - 3, "c-edge80")):
            canvas.path(_polyline(xs, [y(v) for v in bands[:, column]]), css)
        canvas.path(_polyline(xs, [y(v) for v in bands[:, MEDIAN_INDEX]]), "c-centre")
    canvas.path(_polyline([x(int(day)) for day in past_days], [y(v) for v in past]), "c-history")

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
    return canvas.svg(_css(narrow))


def _bands(view: ReportView) -> tuple[np.ndarray, np.ndarray]:
    """Return days and quantiles of the longest path, from the last known value on; empty when none may be shown."""
    longest = view.longest
    if longest is None or longest.active is None:
        return np.empty(0, dtype=np.int64), np.empty((0, len(QUANTILE_COLUMNS)))
    row: Any = longest.active
    days = np.concatenate([_days([row.last_event_date]), _days(longest.path["step_date"])])
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


# ---------------------------------------------------------------------------------------------------------- outcomes


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
    days = _days(rows["as_of"])
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
    _price_axis(canvas, y, left, right, loc, 4)
    _time_axis(canvas, x, bottom, top, loc, 46)
    canvas.line(left, bottom, right, bottom, "c-axis")
    for low, high, css in (("q025", "q975", "c-i95"), ("q100", "q900", "c-i80")):
        d = "".join(
            f"M{_n(x(int(day)))} {_n(y(a))}V{_n(y(b))}" for day, a, b in zip(days, rows[low], rows[high], strict=True)
        )
        canvas.path(d, css)
    for day, row in zip(days, records(rows), strict=True):
        kind = outcome_kind(row)
        tip = "" if narrow else f"{loc.date(row.as_of)} → {loc.date(row.target_date)}: {loc.price(row.actual)}"
        canvas.mark(x(int(day)), y(row.actual), kind, 2.6, tip)
    return canvas.svg(_css(narrow))


# ------------------------------------------------------------------------------------------------------ dot, whisker


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
                            f"M{_n(left + 5)} {_n(at - 4)}L{_n(left)} {_n(at)}L{_n(left + 5)} {_n(at + 4)}", "c-arrow"
                        )
                    if dot.high > high:
                        canvas.path(
                            f"M{_n(right - 5)} {_n(at - 4)}L{_n(right)} {_n(at)}L{_n(right - 5)} {_n(at + 4)}",
                            "c-arrow",
                        )
                inside = min(max(dot.value, low), high)
                canvas.mark(x(inside), at, dot.state, 4.2, f"{dot.group} {dot.name}: {dot.text}")
            canvas.text(width, at + 4, dot.text, anchor="end")
            at += row_height
        return canvas.svg(_css(narrow))

    return both(draw)


# ------------------------------------------------------------------------------------------------------------ widths


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
    all_days = np.concatenate([_days(h.widths["as_of"]) for _, h in lines])
    peak = max(float(h.widths["width"].max()) for _, h in lines)
    x = Scale(int(all_days.min()), max(int(all_days.max()), int(all_days.min()) + 1), left, right)
    y = Scale(0.0, peak * 1.06, bottom, top)
    canvas = Canvas(width, height, str(loc.text("chart.width.alt")))
    for value in nice_ticks(0, y.high, 5):
        canvas.line(left, y(value), right, y(value), "c-grid")
        canvas.text(left - 7, y(value) + 4, loc.percent(value, 0), anchor="end")
    _time_axis(canvas, x, bottom, top, loc, 52)
    canvas.line(left, bottom, right, bottom, "c-axis")
    ends = spread([y(float(h.widths["width"].iloc[-1])) for _, h in lines], 15, top, bottom)
    for (i, horizon), at in zip(lines, ends, strict=True):
        days, values = _days(horizon.widths["as_of"]), horizon.widths["width"].to_numpy(dtype=float)
        cuts = np.flatnonzero(np.diff(days) > GAP_DAYS) + 1
        for part_days, part in zip(np.split(days, cuts), np.split(values, cuts), strict=True):
            xs, ys = [x(int(day)) for day in part_days], [y(v) for v in part]
            canvas.path(
                _polyline(xs, ys) if len(xs) > 1 else f"M{_n(xs[0] - 2)} {_n(ys[0])}h4", f"c-line c-line{i % 4}"
            )
        end = x(int(days[-1])) + 7
        text = horizon.name if narrow else f"{horizon.name}  {loc.percent(values[-1])}"
        canvas.text(end, at + 4, text, "c-strong")
    return canvas.svg(_css(narrow))


# -------------------------------------------------------------------------------------------------------- range bars


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


# --------------------------------------------------------------------------------------------------------------- png


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
