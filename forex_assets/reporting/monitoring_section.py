"""The watching side in the desk report: each monitor's state, what fires, the timeline, and what an alarm means.

A self-contained fragment per language; the report embeds it whole and knows nothing of what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import pandas as pd
from markupsafe import Markup

from forex_assets.schemas.monitoring import FINDINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Language = Literal["es", "en"]

TEXT: dict[str, tuple[str, str]] = {
    "title": ("Vigilancia", "Monitoring"),
    "none": (
        "Todavía no hay hallazgos guardados para este día.",
        "No findings are stored for this day yet.",
    ),
    "lead": (
        "{fired} reglas disparan, {clear} están en calma, {unknown} no pueden juzgar. «No puede juzgar» nunca "
        "significa que todo esté bien.",
        "{fired} rules fire, {clear} are clear, {unknown} cannot tell. “Cannot tell” never means that all is well.",
    ),
    "monitor": ("Monitor", "Monitor"),
    "monitor.performance": ("Desempeño", "Performance"),
    "monitor.drift": ("Deriva", "Drift"),
    "monitor.regime": ("Régimen", "Regime"),
    "monitor.shock": ("Sacudidas de mercado", "Market shocks"),
    "monitor.data_quality": ("Calidad de los datos", "Data quality"),
    "fired": ("Dispara", "Fires"),
    "clear": ("En calma", "Clear"),
    "unknown": ("No puede juzgar", "Cannot tell"),
    "rule": ("Regla", "Rule"),
    "subject": ("Sobre", "On"),
    "why": ("Por qué", "Why"),
    "rate": ("Falsas alarmas al año", "False alarms a year"),
    "meaning": ("Qué significa y qué hacer", "What it means, and what to do"),
    "timeline": ("Línea de tiempo", "Timeline"),
    "timeline_alt": (
        "Precio con regímenes sombreados; debajo, cuándo disparó cada regla",
        "Price with regimes shaded; below it, when each rule fired",
    ),
}

#: What each alarm means in plain words: Spanish, English.
MEANING: dict[str, tuple[str, str]] = {
    "skill": (
        "El modelo pronostica peor que suponer que el precio no se mueve. Compare con el modelo base y reentrene.",
        "The model forecasts worse than assuming the price stays put. Compare with the baseline model and retrain.",
    ),
    "evidence": (
        "La evidencia acumulada de que el modelo es peor que el paseo aleatorio es fuerte, se mire cuando se mire.",
        "The evidence gathered so far says the model is worse than the random walk, however often one looks.",
    ),
    "calibration": (
        "Los intervalos son demasiado angostos o anchos, más de lo que explica el mercado. Vuelva a calibrar el ancho.",
        "Intervals are too narrow or too wide, more than the market explains. Calibrate their width again.",
    ),
    "bias": (
        "Los resultados caen siempre hacia el mismo lado del pronóstico. Revise los determinantes y el centro.",
        "Outcomes keep falling on one side of the forecast. Review the drivers and the centre.",
    ),
    "volatility": (
        "El mercado se mueve más de lo que explica su propia agitación. Use los intervalos con cautela unos días.",
        "The market moves more than its own clustering explains. Use the intervals with care for some days.",
    ),
    "location": ("El promedio de la serie cambió.", "The average of the series has changed."),
    "scale": ("El tamaño de los movimientos cambió.", "The size of the moves has changed."),
    "distribution": ("La distribución cambió de forma.", "The distribution has changed."),
    "persistence": (
        "Los días seguidos se parecen más (o menos) que antes.",
        "Days resemble their neighbours more (or less).",
    ),
    "link": ("El vínculo entre el cobre y el dólar cambió.", "The link between copper and the dollar has changed."),
    "high_vol": ("Mercado en alta volatilidad.", "The market is in high volatility."),
    "copper_shock": ("Un movimiento del cobre que el peso siente.", "A copper move that the peso feels."),
    "bcch_meeting": ("Reunión de política monetaria cerca.", "A monetary policy meeting is near."),
    "intervention": ("El Banco Central interviene.", "The central bank is intervening."),
    "completeness": ("Faltan datos en la serie.", "Values of the series are missing."),
}
OTHER = ("Vea la explicación en la columna anterior.", "See the explanation in the column before.")


@dataclass(frozen=True, slots=True)
class MonitoringView:
    """What the section is made from: the day's findings, and the picture by language, if there is one."""

    findings: pd.DataFrame = field(default_factory=FINDINGS.empty)
    pictures: Mapping[Language, str] = field(default_factory=dict)


def section(view: MonitoringView, language: Language) -> Markup:
    """Return the section's HTML."""
    which = 0 if language == "es" else 1
    text = {name: both[which] for name, both in TEXT.items()}
    rows = view.findings
    rows = rows.loc[rows["profile"] == "recommended"] if len(rows) else rows
    parts = [
        Markup('<section id="monitoring" aria-labelledby="h-monitoring"><h2 id="h-monitoring">{}</h2>').format(
            text["title"]
        )
    ]
    if rows.empty:
        parts.append(Markup("<p>{}</p>").format(text["none"]))
    else:
        counts = rows["state"].value_counts()
        numbers = {state: int(counts.get(state, 0)) for state in ("fired", "clear", "unknown")}
        parts.append(Markup("<p>{}</p>").format(text["lead"].format(**numbers)))
        parts.append(_states(rows, text))
        parts.append(_fired(rows.loc[rows["state"] == "fired"], text, which))
    if language in view.pictures:
        parts.append(
            Markup(
                '<h3>{}</h3><figure><img alt="{}" style="max-width:100%" src="data:image/png;base64,{}"></figure>'
            ).format(text["timeline"], text["timeline_alt"], view.pictures[language])
        )
    return Markup("").join([*parts, Markup("</section>")])


def _states(rows: pd.DataFrame, text: dict[str, str]) -> Markup:
    table = rows.groupby(["monitor", "state"], sort=False).size().unstack(fill_value=0)
    states = ("fired", "clear", "unknown")
    head = Markup("").join(Markup('<th scope="col" class="num">{}</th>').format(text[state]) for state in states)
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            text.get(f"monitor.{monitor}", str(monitor)),
            Markup("").join(Markup('<td class="num">{}</td>').format(int(row.get(state, 0))) for state in states),
        )
        for monitor, row in table.iterrows()
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><thead><tr><th scope="col">{}</th>'
        "{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(text["title"], text["monitor"], head, body)


def _fired(rows: pd.DataFrame, text: dict[str, str], which: int) -> Markup:
    if rows.empty:
        return Markup("")
    columns = ("rule", "subject", "why", "rate", "meaning")
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(text[name]) for name in columns)
    lines = []
    for row in rows.itertuples():
        rate = "–" if pd.isna(row.false_alarms_per_year) else f"{float(str(row.false_alarms_per_year)):.2f}"
        lines.append(
            Markup(
                '<tr><th scope="row">{}</th><td>{}</td><td lang="en">{}</td><td class="num">{}</td><td>{}</td></tr>'
            ).format(
                f"{row.monitor!s}/{row.rule!s}",
                row.subject,
                str(row.reasons).splitlines()[0],
                rate.replace(".", "," if which == 0 else "."),
                MEANING.get(str(row.rule), OTHER)[which],
            )
        )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(text["fired"], head, Markup("").join(lines))


def picture(figure: Figure) -> str:
    """Return a figure as base64 of its PNG."""
    import base64

    buffer = BytesIO()
    figure.savefig(buffer, dpi=80, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


__all__ = ["MEANING", "MonitoringView", "picture", "section"]
