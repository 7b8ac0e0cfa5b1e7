"""Charts of the evidence: calibration curve, PIT histogram, interval score through time, width and coverage by regime.

One drawing serves two readers: classes without colours for the report, which styles them for light and dark, and a
picture of its own with colours inside for the Dagster UI (:func:`pictures`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from forex_assets.reporting.drawing import Canvas, Scale, both, nice_ticks
from forex_assets.reporting.localize import Localizer
from forex_assets.reporting.view import YARDSTICK

REGIMES = ("calm", "normal", "turbulent")
WIDE, NARROW = (520.0, 300.0), (372.0, 270.0)
_STYLE = (
    "<style>text{font:12.5px system-ui,sans-serif;fill:#51606f}.c-strong{fill:#1b2733;font-weight:650}"
    ".c-grid{stroke:#d8dee5;fill:none}.c-axis{stroke:#51606f;fill:none}.c-reference{stroke:#1b2733;stroke-width:1.3;"
    "fill:none}.c-tolerance{fill:#1f5f99;fill-opacity:.12}.c-ci{stroke:#51606f;stroke-width:2;fill:none}"
    ".c-line{fill:none;stroke-width:2;stroke-linejoin:round}.c-line0{stroke:#1f5f99}.c-line1{stroke:#8a4b08;"
    "stroke-dasharray:7 3}.e-bar{fill:#1f5f99;fill-opacity:.55}.e-bar1{fill:#8a4b08;fill-opacity:.5}"
    ".m-good{fill:#1f5f99}.m-edge{fill:#fff;stroke:#8a4b08;stroke-width:2}</style>"
)


def calibration_curve(rows: pd.DataFrame, loc: Localizer) -> Markup:
    """Return how often outcomes lay below each quantile, against how often they should have.

    ``rows`` are RELIABILITY rows of one horizon; the deployed model has its interval as a band.
    """
    return both(lambda narrow: _calibration(rows, loc, narrow))


def pit_histogram(rows: pd.DataFrame, loc: Localizer) -> Markup:
    """Return how often outcomes fell into each tenth of the predictive distribution; a right one is flat at one."""
    return both(lambda narrow: _pit(rows, loc, narrow))


def score_through_time(rows: pd.DataFrame, loc: Localizer) -> Markup:
    """Return the interval score against the random walk's by quarter of the target (PERFORMANCE_SLICES rows)."""
    return both(lambda narrow: _through_time(rows, loc, narrow))


def regime_chart(rows: pd.DataFrame, loc: Localizer) -> Markup:
    """Return width and coverage of the 95% interval by volatility state (PERFORMANCE_SLICES rows)."""
    return both(lambda narrow: _regimes(rows, loc, narrow))


def pictures(table: str, rows: pd.DataFrame) -> dict[str, str]:
    """Return the pictures of a table's rows of one horizon as SVG files that carry their own colours."""
    loc = Localizer("en")
    drawings: dict[str, Callable[[pd.DataFrame, Localizer, bool], Markup]] = (
        {"calibration_curve": _calibration, "pit_histogram": _pit}
        if table == "reliability"
        else {"interval_score_through_time": _through_time, "width_and_coverage_by_regime": _regimes}
    )
    out = {}
    for name, draw in drawings.items():
        picture = str(draw(rows, loc, False))
        if picture:
            out[name] = standalone(picture, WIDE)
    return out


def standalone(picture: str, size: tuple[float, float], style: str = "") -> str:
    """Return a drawing as an SVG file of its own: with its size, white paper, and the colours of its classes."""
    head, _, body = picture.partition(">")
    named = f' xmlns="http://www.w3.org/2000/svg" width="{size[0]:g}" height="{size[1]:g}"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f"{head}{named}>{_STYLE}{style}{paper}{body}"


def _frame(narrow: bool, label: str) -> tuple[Canvas, float, float, float, float]:
    width, height = NARROW if narrow else WIDE
    canvas = Canvas(width, height, label)
    return canvas, 48.0, width - 14.0, 14.0, height - 54.0


def _named(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the deployed model's rows, then the random walk's, unless it is deployed itself."""
    active = rows[rows["is_active"]]
    walk = rows[(rows["model"] == YARDSTICK) & ~rows["is_active"]]
    return [(str(part["model"].iloc[0]), part) for part in (active, walk) if len(part)]


def _name(model: str, loc: Localizer) -> str:
    return loc.text_or(f"model.{model}", model)


def _share_axis(canvas: Canvas, x: Scale, bottom: float, loc: Localizer) -> None:
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "start" if tick == 0 else "end" if tick == 1 else "middle"
        canvas.text(x(tick), bottom + 16, loc.percent(tick, 0), anchor=anchor)


def _legend(canvas: Canvas, left: float, names: list[str], *, bars: bool = False) -> None:
    at, y = left, canvas.height - 8
    room = (canvas.width - left - 46 * len(names)) / (0.56 * 12.5)
    for i, name in enumerate(names):
        kept = max(8, int(room - sum(len(other) for j, other in enumerate(names) if j != i)))
        text = name if len(name) <= kept else name[: kept - 1].rstrip(" ,") + "…"
        if bars:
            canvas.rect(at, y - 9, 14, 9, "e-bar" if i == 0 else "e-bar1")
        else:
            canvas.line(at, y - 4, at + 18, y - 4, f"c-line c-line{i}")
        canvas.text(at + 24, y, text)
        at += 24 + 0.56 * 12.5 * len(text) + 22


def _calibration(rows: pd.DataFrame, loc: Localizer, narrow: bool) -> Markup:
    parts = _named(rows)
    if not parts:
        return Markup("")
    canvas, left, right, top, bottom = _frame(narrow, str(loc.text("chart.calibration.alt")))
    first = parts[0][1].sort_values("level")
    level = first["level"].to_numpy(dtype=float)
    low, high = (first[f"share_below_{end}"].to_numpy(dtype=float) - level for end in ("low", "high"))
    gaps = [(part.sort_values("level")["share_below"].to_numpy(dtype=float) - level) for _, part in parts]
    limit = max(0.04, *(float(np.abs(gap).max()) for gap in gaps)) * 1.15
    x, y = Scale(0.0, 1.0, left, right), Scale(-limit, limit, bottom, top)
    for tick in nice_ticks(-limit, limit, 5):
        canvas.line(left, y(tick), right, y(tick), "c-reference" if abs(tick) < 1e-9 else "c-grid")
        canvas.text(left - 7, y(tick) + 4, loc.number(100 * tick, 0 if limit > 0.05 else 1, sign=True), anchor="end")
    _share_axis(canvas, x, bottom, loc)
    xs = [x(v) for v in level]
    canvas.path(_area(xs, [y(min(v, limit)) for v in high], [y(max(v, -limit)) for v in low]), "c-tolerance")
    for i, gap in enumerate(gaps):
        canvas.path(_line(xs, [y(v) for v in gap]), f"c-line c-line{i}")
    _legend(canvas, left, [_name(model, loc) for model, _ in parts])
    return canvas.svg("narrow" if narrow else "wide")


def pit_densities(rows: pd.DataFrame) -> tuple[np.ndarray, float]:
    """Return the relative frequency of each tenth of the distribution (1: as it should be) and the noise around it.

    The noise is twice the standard error of a right forecast's tenth, at the effective number of forecasts.
    """
    tenth = rows["level"] * 10
    tenths = rows[np.isclose(tenth, tenth.round())].sort_values("level")
    shares = np.diff(np.concatenate([[0.0], tenths["share_below"].to_numpy(dtype=float), [1.0]]))
    effective = max(float(rows["n_effective"].iloc[0]), 1.0)
    return 10.0 * shares, 20.0 * math.sqrt(0.09 / effective)


def _pit(rows: pd.DataFrame, loc: Localizer, narrow: bool) -> Markup:
    parts = _named(rows)
    if not parts:
        return Markup("")
    canvas, left, right, top, bottom = _frame(narrow, str(loc.text("chart.pit.alt")))
    found = [pit_densities(part) for _, part in parts]
    peak = max(2.0, *(float(density.max()) for density, _ in found)) * 1.05
    x, y = Scale(0.0, 1.0, left, right), Scale(0.0, peak, bottom, top)
    for tick in nice_ticks(0.0, peak, 4):
        canvas.line(left, y(tick), right, y(tick), "c-grid")
        canvas.text(left - 7, y(tick) + 4, loc.number(tick, 1), anchor="end")
    noise = found[0][1]
    edge, floor = y(min(1 + noise, peak)), y(max(1 - noise, 0))
    canvas.rect(left, edge, right - left, floor - edge, "c-tolerance")
    width = (right - left) / 10
    for i, (density, _) in enumerate(found):
        inset, share = (0.10, 0.80) if len(found) == 1 else (0.08 + 0.42 * i, 0.40)
        css = "e-bar" if i == 0 else "e-bar1"
        for place, value in enumerate(density):
            canvas.rect(left + width * (place + inset), y(value), width * share, y(0) - y(value), css)
    canvas.line(left, y(1), right, y(1), "c-reference")
    _share_axis(canvas, x, bottom, loc)
    _legend(canvas, left, [_name(model, loc) for model, _ in parts], bars=True)
    return canvas.svg("narrow" if narrow else "wide")


def _through_time(rows: pd.DataFrame, loc: Localizer, narrow: bool) -> Markup:
    quarters = rows[(rows["slice"] == "quarter") & rows["is_active"]].sort_values("value")
    ratio = quarters["interval_score_ratio"].to_numpy(dtype=float)
    known = np.isfinite(ratio) & (ratio > 0)
    if known.sum() < 2 or (quarters["model"] == YARDSTICK).all():
        return Markup("")
    quarters, ratio = quarters[known], ratio[known]
    canvas, left, right, top, bottom = _frame(narrow, str(loc.text("chart.through_time.alt")))
    when = np.array([int(v[:4]) + (int(v[5]) - 0.5) / 4 for v in quarters["value"]])
    # A running year weighs quarters by their forecasts; one quarter holds too few independent ones.
    weight = quarters["n"].to_numpy(dtype=float)
    walk = quarters["interval_score_95"].to_numpy(dtype=float) / ratio
    own = quarters["interval_score_95"].to_numpy(dtype=float)
    running = [(when > at - 0.99) & (when <= at) for at in when]
    year = np.array([(own * weight)[some].sum() / (walk * weight)[some].sum() for some in running])
    limit = max(0.15, float(np.abs(np.log(year)).max()) * 1.1, min(0.5, float(np.abs(np.log(ratio)).max()) * 1.05))
    x = Scale(float(when.min()) - 0.2, float(when.max()) + 0.2, left, right)
    y = Scale(-limit, limit, bottom, top)
    for tick in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0):
        if abs(math.log(tick)) <= limit:
            canvas.line(left, y(math.log(tick)), right, y(math.log(tick)), "c-reference" if tick == 1 else "c-grid")
            canvas.text(left - 7, y(math.log(tick)) + 4, loc.number(tick, 2 if tick == 1.25 else 1), anchor="end")
    for at, value, row in zip(when, ratio, quarters.itertuples(), strict=True):
        inside = min(max(math.log(value), -limit), limit)
        canvas.mark(x(at), y(inside), "edge" if value > 1 else "good", 2.4, f"{row.value}: {loc.number(value, 3)}")
    canvas.path(_line([x(v) for v in when], [y(math.log(v)) for v in year]), "c-line c-line0")
    years = nice_ticks(math.ceil(x.low), math.floor(x.high), 4 if narrow else 7)
    for tick in (value for value in years if float(value).is_integer()):
        canvas.line(x(tick), bottom, x(tick), bottom + 4, "c-axis")
        canvas.text(x(tick), bottom + 17, f"{tick:.0f}", anchor="middle")
    canvas.line(left, bottom, right, bottom, "c-axis")
    legend = canvas.height - 8
    canvas.line(left, legend - 4, left + 18, legend - 4, "c-line c-line0")
    text = str(loc.text("chart.through_time.year"))
    canvas.text(left + 24, legend, text)
    at_dots = left + 24 + 0.56 * 12.5 * len(text) + 26
    canvas.mark(at_dots, legend - 4, "good", 2.4)
    canvas.mark(at_dots + 9, legend - 4, "edge", 2.4)
    canvas.text(at_dots + 18, legend, str(loc.text("chart.through_time.quarter")))
    return canvas.svg("narrow" if narrow else "wide")


def _regimes(rows: pd.DataFrame, loc: Localizer, narrow: bool) -> Markup:
    regimes = rows[rows["slice"] == "regime"]
    parts = _named(regimes)
    shown = [name for name in REGIMES if (regimes["value"] == name).any()]
    if not parts or not shown:
        return Markup("")
    width, height = NARROW if narrow else WIDE
    canvas = Canvas(width, height, str(loc.text("chart.regimes.alt")))
    middle = width * 0.5
    left, right, top, row_height = 92.0 if narrow else 108.0, width - 12.0, 34.0, (height - 34.0 - 52.0) / 3
    peak = max(float(part["width_95_share"].max()) for _, part in parts)
    bars = Scale(0.0, peak, left, middle - (12 if narrow else 26))
    cover = Scale(0.80, 1.0, middle + 22, right)
    canvas.text(left, 16, str(loc.text(f"chart.regimes.width{'_short' if narrow else ''}")), "c-strong")
    canvas.text(middle + 22, 16, str(loc.text("chart.regimes.coverage")), "c-strong")
    bottom = top + row_height * len(shown)
    for tick in (0.8, 0.9, 1.0):
        canvas.line(cover(tick), top - 6, cover(tick), bottom, "c-grid")
        canvas.text(cover(tick), bottom + 16, loc.percent(tick, 0), anchor="middle" if tick < 1 else "end")
    canvas.line(cover(0.95), top - 6, cover(0.95), bottom, "c-reference")
    for place, regime in enumerate(shown):
        centre = top + row_height * (place + 0.5)
        canvas.text(0, centre + 4, loc.text_or(f"regime.{regime}", regime), "c-strong")
        for i, (_, part) in enumerate(parts):
            row: Any = next((r for r in part.itertuples() if r.value == regime), None)
            if row is None:
                continue
            at = centre + (i - (len(parts) - 1) / 2) * min(22.0, row_height / 2)
            canvas.rect(left, at - 7, bars(row.width_95_share) - left, 14, "e-bar" if i == 0 else "e-bar1")
            canvas.text(left + 5, at + 4, loc.percent(row.width_95_share, 1), "c-strong")
            low, high = (min(max(v, 0.8), 1.0) for v in (row.coverage_95_low, row.coverage_95_high))
            canvas.line(cover(low), at, cover(high), at, "c-ci")
            tip = f"{regime}: {loc.percent(row.coverage_95)} (n {row.n})"
            canvas.mark(cover(min(max(row.coverage_95, 0.8), 1.0)), at, "good" if i == 0 else "edge", 4.2, tip)
    _legend(canvas, 0.0, [_name(model, loc) for model, _ in parts], bars=True)
    return canvas.svg("narrow" if narrow else "wide")


def _line(xs: list[float], ys: list[float]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def _area(xs: list[float], upper: list[float], lower: list[float]) -> str:
    return _line([*xs, *reversed(xs)], [*upper, *reversed(lower)]) + "Z"
