"""Pictures of the watching side: what fired when, over the price, with regimes shaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from forex_assets.errors import ValidationError
from forex_assets.monitoring.frames import Frames
from forex_assets.reporting.alarm_texts import rule_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Language = Literal["es", "en"]
TEXT: dict[str, dict[Language, str]] = {
    "high_vol": {"es": "alta volatilidad", "en": "high volatility"},
    "copper_shock": {"es": "choque del cobre", "en": "copper shock"},
    "intervention": {"es": "intervención", "en": "intervention"},
    "alarms": {"es": "Alarmas: acusan al modelo o a los datos", "en": "Alarms: they accuse the model or the data"},
    "events": {"es": "Sucesos del mercado: solo describen", "en": "Market events: they only describe"},
    "none": {"es": "ninguna", "en": "none"},
}
SHADES = {"high_vol": "#f4c7a1", "copper_shock": "#d9a066", "intervention": "#a9c8e8"}
SEVERITY_COLOURS = {"info": "#8a8f98", "low": "#8a8f98", "medium": "#d98c00", "high": "#d6450a", "critical": "#9b0d0d"}
#: Rules drawn as shades over the price, not as lines of their own.
_SHADED = tuple(SHADES)


def replay_figure(frames: Frames, scanned: pd.DataFrame, spells: pd.DataFrame, *, language: Language) -> Figure:
    """Return the picture of a replay: price with regimes shaded, alarms, and market events below it.

    Parameters
    ----------
    frames:
        Gives the price.
    scanned, spells:
        What :func:`forex_assets.monitoring.replay.replay` and ``spells`` returned.
    language:
        Spanish or English.
    """
    from matplotlib.figure import Figure

    first, last = scanned["as_of"].min(), scanned["as_of"].max()
    known = frames.target.at(frames.target.available.max())
    inside = (known.dates >= np.datetime64(first, "D")) & (known.dates <= np.datetime64(last, "D"))
    alarms = spells.loc[~spells["describes"]]
    events = spells.loc[spells["describes"] & ~spells["rule"].isin([*_SHADED, "risk_gauge", "bcch_meeting"])]
    lanes = [_lanes(alarms), _lanes(events)]
    heights = [3.2, *(max(0.6, 0.24 * len(names)) for names in lanes)]
    figure = Figure(figsize=(12, sum(heights) + 1.4), layout="constrained")
    price, *rest = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": heights})
    price.plot(known.dates[inside], known.values[inside], color="#1f2933", linewidth=1.0)
    price.set_ylabel(frames.target.unit)
    price.set_title(f"{frames.pair}: {pd.Timestamp(first):%Y-%m-%d} – {pd.Timestamp(last):%Y-%m-%d}", loc="left")
    _shade(price, spells, language)
    for axis, part, names, title in zip(rest, (alarms, events), lanes, ("alarms", "events"), strict=True):
        _draw_lanes(axis, part, names, TEXT[title][language], language)
    price.set_xlim(first, last)
    for axis in (price, *rest):
        axis.grid(axis="x", color="#e4e7eb", linewidth=0.6)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure


def _lanes(spells: pd.DataFrame) -> list[tuple[str, str]]:
    return sorted({(str(row.rule), str(row.subject)) for row in spells.itertuples()})


def _shade(axis: Any, spells: pd.DataFrame, language: Language) -> None:
    from matplotlib.patches import Patch

    drawn = []
    for rule, colour in SHADES.items():
        part = spells.loc[spells["rule"] == rule]
        for row in part.itertuples():
            axis.axvspan(row.start, row.end, color=colour, alpha=0.55, linewidth=0)
        if len(part):
            drawn.append(Patch(color=colour, alpha=0.55, label=TEXT[rule][language]))
    if drawn:
        axis.legend(handles=drawn, loc="upper left", frameon=False, ncols=len(drawn))


def _draw_lanes(axis: Any, spells: pd.DataFrame, names: list[tuple[str, str]], title: str, language: Language) -> None:
    axis.set_title(title, loc="left", fontsize=10)
    labels = [f"{rule_name(rule, language)} · {subject.replace('_', ' ')}" for rule, subject in names]
    axis.set_yticks(range(len(names)), labels, fontsize=8)
    axis.set_ylim(-0.7, max(0.7, len(names) - 0.3))
    axis.invert_yaxis()
    if not names:
        axis.set_yticks([])
        axis.text(0.01, 0.4, TEXT["none"][language], transform=axis.transAxes, color="#8a8f98")
    for row in spells.itertuples():
        lane = names.index((str(row.rule), str(row.subject)))
        colour = SEVERITY_COLOURS[str(row.severity)]
        axis.plot([row.start, row.end], [lane, lane], color=colour, linewidth=6, solid_capstyle="butt")
        axis.plot([row.start], [lane], marker="|", color=colour, markersize=8)


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, by the path's ending.

    Raises
    ------
    ValidationError
        When the ending is neither.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise ValidationError(f"{path} ends neither in .png nor in .svg.", remedy="name the picture so.")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
