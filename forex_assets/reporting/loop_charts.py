"""Pictures of the retraining loop for the Dagster UI: what a search tried, and versions in use over their accuracy.

Each is an SVG that carries its own colours, in English as the rest of the UI.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets.reporting.drawing import Canvas, Scale, label_rows, nice_ticks
from forex_assets.reporting.evidence_charts import standalone
from forex_assets.reporting.view import YARDSTICK

if TYPE_CHECKING:
    from forex_assets.lifecycle.pointers import Span

SIZE = (900.0, 330.0)
#: Matured forecasts that the accuracy of a day is the mean of.
ROLLING = 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 18.0, 16.0, 56.0
_STYLE = (
    "<style>.p0{fill:#1f5f99}.p1{fill:#8a4b08}.p2{fill:#2f7d4f}.p3{fill:#7a3d8a}.p4{fill:#51606f}"
    ".p0,.p1,.p2,.p3,.p4{fill-opacity:.75}.best{fill:none;stroke:#1b2733;stroke-width:1.6}"
    ".use{stroke:#b3261e;stroke-width:1.6;stroke-dasharray:6 4;fill:none}.won{fill:none;stroke:#1b2733;stroke-width:2}"
    ".x{stroke:#b3261e;stroke-width:1.8;fill:none}.acc{fill:none;stroke:#1f5f99;stroke-width:2;stroke-linejoin:round}"
    ".one{fill:#1f5f99;fill-opacity:.35}.b0{fill:#1f5f99;fill-opacity:.08}.b1{fill:#8a4b08;fill-opacity:.1}"
    ".mark{stroke:#51606f;fill:none}</style>"
)


def search_chart(
    table: Sequence[Mapping[str, Any]], *, in_use: float = math.nan, candidate: Mapping[str, Any] | None = None
) -> str:
    """Return what a search tried, in its order: the objective of each configuration, the best so far, the one in use.

    Parameters
    ----------
    table:
        Trials as :meth:`~forex_assets.lifecycle.search.engines.Trial.row` gives them; empty gives an empty string.
    in_use:
        Objective of the configuration in use.
    candidate:
        Model and parameters of what the search proposes, to be ringed.
    """
    found = [row["objective"] for row in table if row["objective"] is not None]
    if not table:
        return ""
    canvas, left, right, top, bottom = _frame("Objective of every configuration that a search tried")
    known = [*found, *([in_use] if math.isfinite(in_use) else [])] or [1.0]
    # The bad half is as long as it likes; what is above the axis is drawn on its upper edge.
    low, high = min(known), max(float(np.quantile(known, 0.9)), in_use if math.isfinite(in_use) else -math.inf)
    pad = 0.08 * (high - low) or 0.01
    x, y = Scale(0.5, len(table) + 0.5, left, right), Scale(low - pad, high + pad, bottom, top)
    _value_axis(canvas, y, left, right)
    for tick in nice_ticks(1, len(table), 10):
        if tick == int(tick):
            canvas.text(x(tick), bottom + 16, f"{tick:.0f}", anchor="middle")
    models = [name for name, _ in Counter(row["model"] for row in table).most_common()]
    best, steps = math.inf, []
    for number, row in enumerate(table, start=1):
        value = row["objective"]
        if value is None:
            canvas.path(_cross(x(number), top + 5), "x")
            continue
        if value < best:
            steps.append((x(number), *(max(y(v), top) for v in (best if math.isfinite(best) else value, value))))
            best = value
        canvas.rect(*_dot(x(number), max(y(value), top)), f"p{min(models.index(row['model']), 4)}")
        mine = candidate is not None and (row["model"], row["parameters"]) == (
            candidate["model"],
            candidate["parameters"],
        )
        if mine:
            canvas.rect(x(number) - 8, y(value) - 8, 16, 16, "won")
    if steps:
        path = "L".join(f"{a:.1f} {b:.1f}L{a:.1f} {c:.1f}" for a, b, c in steps)
        canvas.path(f"M{path}L{right:.1f} {steps[-1][2]:.1f}", "best")
    if math.isfinite(in_use):
        canvas.line(left, y(in_use), right, y(in_use), "use")
    entries = [(f"p{min(i, 4)}", name) for i, name in enumerate(models)]
    entries += [("best", "best so far")]
    entries += [("use", f"in use ({in_use:.4f})")] if math.isfinite(in_use) else []
    entries += [("won", "candidate, by the selection period")] if candidate is not None else []
    entries += [("x", "failed")] if len(found) < len(table) else []
    _legend(canvas, left, entries)
    canvas.text(left, bottom + 33, "configuration, in the order tried; lower is better")
    return standalone(str(canvas.svg("wide")), SIZE, _STYLE)


def versions_chart(evaluation: pd.DataFrame, spans: Sequence[Span], *, first_in_use: str) -> str:
    """Return the versions in use over the accuracy of the forecasts that were made with them.

    Parameters
    ----------
    evaluation:
        EVALUATION rows of one horizon. Accuracy is the CRPS of the forecast in use over the random walk's, both as
        means of the last ``ROLLING`` matured forecasts; empty rows give an empty string.
    spans:
        The subject's history, oldest first.
    first_in_use:
        Name of what was in use before the first span.
    """
    both = _ratios(evaluation)
    if both.empty:
        return ""
    days = [int(day) for day in both["as_of"].to_numpy(dtype="datetime64[D]").astype(np.int64)]
    starts = [int(np.datetime64(span.valid_from, "D").astype(np.int64)) for span in spans]
    low_day = min(days)
    high_day = max([*days, *starts]) + 1
    canvas, left, right, top, bottom = _frame("Versions in use over the accuracy of their forecasts")
    shown = both["ratio"].to_numpy()
    one = np.clip(both["single"].to_numpy(), 0.0, float(np.quantile(both["single"], 0.97)))
    low, high = min(float(shown.min()), 0.9), max(float(shown.max()), 1.1, float(np.quantile(one, 0.9)))
    x, y = Scale(low_day, high_day, left, right), Scale(low - 0.05, high + 0.05, bottom, top + 34)
    _bands(canvas, x, top, bottom, [first_in_use, *(_name(span) for span in spans)], [low_day, *starts], high_day)
    _value_axis(canvas, y, left, right, strong=1.0)
    for day in _ticks(low_day, high_day):
        canvas.text(x(day), bottom + 16, str(np.datetime64(day, "D")), anchor="middle")
    for day, value in zip(days, one, strict=True):
        canvas.rect(*_dot(x(day), y(max(min(value, high), low)), 2.2), "one")
    canvas.path("M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in zip(days, shown, strict=True)), "acc")
    accuracy = f"CRPS over the random walk's, last {ROLLING} matured"
    _legend(canvas, left, [("acc", accuracy), ("one", "single forecasts"), ("mark", "change of version")])
    canvas.text(left, bottom + 33, f"day of the forecast; {len(both)} matured; below 1 is better than the random walk")
    return standalone(str(canvas.svg("wide")), SIZE, _STYLE)


def _ratios(evaluation: pd.DataFrame) -> pd.DataFrame:
    names = ["as_of", "crps"]
    active = evaluation.loc[evaluation["is_active"], names].drop_duplicates("as_of")
    walk = evaluation.loc[evaluation["model"] == YARDSTICK, names].drop_duplicates("as_of")
    both = active.merge(walk, on="as_of", suffixes=("", "_walk")).sort_values("as_of").reset_index(drop=True)
    rolling = both[["crps", "crps_walk"]].rolling(ROLLING, min_periods=1).mean()
    typical = both["crps_walk"].mean() if len(both) else 1.0
    # A single forecast over the walk's own score would jump wherever the walk happened to be right.
    single = 1.0 + (both["crps"] - both["crps_walk"]) / typical
    return both.assign(ratio=rolling["crps"] / rolling["crps_walk"], single=single)


def _name(span: Span) -> str:
    return f"{span.version[:8]} ({span.cause})"


def _bands(
    canvas: Canvas, x: Scale, top: float, bottom: float, names: Sequence[str], starts: Sequence[int], end: int
) -> None:
    ends = [*starts[1:], end]
    centres, widths = [], []
    for i, (name, start, stop) in enumerate(zip(names, starts, ends, strict=True)):
        if stop > start:
            canvas.rect(x(start), top, x(stop) - x(start), bottom - top, f"b{i % 2}")
        if i:
            canvas.line(x(start), top, x(start), bottom, "mark")
        width = 0.6 * 12.5 * len(name)  # bold
        low, high = x(starts[0]) + width / 2, x(end) - width / 2
        centres.append(min(max(x(start) + width / 2 + 6, low), high))
        widths.append(width)
    for name, centre, row in zip(names, centres, label_rows(centres, widths), strict=True):
        canvas.text(centre, top + 13 + 15 * min(row, 1), name, css="c-strong", anchor="middle")


def _frame(label: str) -> tuple[Canvas, float, float, float, float]:
    width, height = SIZE
    return Canvas(width, height, label), _LEFT, width - _RIGHT, _TOP, height - _BOTTOM


def _value_axis(canvas: Canvas, y: Scale, left: float, right: float, *, strong: float = math.nan) -> None:
    ticks = nice_ticks(y.low, y.high, 5)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = min(6, max(0, math.ceil(-math.log10(step) + 1e-9) + (1 if step < 1 and f"{step:e}"[0] == "2" else 0)))
    for tick in ticks:
        canvas.line(left, y(tick), right, y(tick), "c-reference" if abs(tick - strong) < 1e-9 else "c-grid")
        canvas.text(left - 7, y(tick) + 4, f"{tick:.{decimals}f}", anchor="end")


def _ticks(first: int, last: int, count: int = 6) -> range:
    step = max(1, math.ceil((last - first) / count))
    return range(first + step // 2, last + 1, step)


def _dot(x: float, y: float, size: float = 3.4) -> tuple[float, float, float, float]:
    return x - size, y - size, 2 * size, 2 * size


def _cross(x: float, y: float, size: float = 4.0) -> str:
    a, b, c, d = (f"{value:.1f}" for value in (x - size, y - size, x + size, y + size))
    return f"M{a} {b}L{c} {d}M{a} {d}L{c} {b}"


def _legend(canvas: Canvas, left: float, entries: Sequence[tuple[str, str]]) -> None:
    at, y = left, canvas.height - 6
    for css, text in entries:
        if css in ("best", "use", "acc", "mark"):
            canvas.line(at, y - 4, at + 18, y - 4, css)
        elif css == "x":
            canvas.path(_cross(at + 9, y - 4), css)
        else:
            canvas.rect(at + 4, y - 9, 10, 10, css)
        canvas.text(at + 23, y, text)
        at += 23 + 0.56 * 12.5 * len(text) + 20
