"""The watching side in the desk report: each monitor's state, what fires, the timeline, and what an alarm means.

A self-contained fragment per language; the report embeds it whole and knows nothing of what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from forex_assets.reporting.alarm_texts import meaning, rule_name, unit_name, why_blind
from forex_assets.reporting.localize import Language, Localizer
from forex_assets.schemas.monitoring import FINDINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Monitors that describe the market instead of accusing model, data or platform.
DESCRIBING = ("regime", "shock")
#: The finding that only says whether a message goes out; what it is about stands in rows of its own.
SUMMARY_RULE = "event_alert"

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
    "not_measured": ("sin medir", "not measured"),
    "describes": ("describe el mercado", "describes the market"),
    "reason": (
        "{effect}; límite {limit}; n {n}{effective}{window}",
        "{effect}; limit {limit}; n {n}{effective}{window}",
    ),
    "worth": (" (valen {n})", " (worth {n})"),
    "window": ("; evidencia del {start} al {end}", "; evidence {start} to {end}"),
    "no_effect": ("sin medida", "no measure"),
    "blind": ("No se puede juzgar", "Cannot be judged"),
    "blind_lead": ("Qué no se sabe, y por qué:", "What is not known, and why:"),
    "timeline": ("Línea de tiempo", "Timeline"),
    "timeline_alt": (
        "Precio con regímenes sombreados; debajo, cuándo disparó cada regla",
        "Price with regimes shaded; below it, when each rule fired",
    ),
}


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
        fired = rows.loc[(rows["state"] == "fired") & (rows["rule"] != SUMMARY_RULE)]
        parts.append(_fired(fired, text, language))
        parts.append(_blind(rows.loc[rows["state"] == "unknown"], text, language))
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


def accusing(fired: pd.DataFrame) -> pd.DataFrame:
    """Return those fired findings that accuse model, data or platform, the most severe first."""
    rows = fired.loc[~fired["monitor"].isin(DESCRIBING) | fired["rule"].str.endswith("_unknown_persists")]
    rank = rows["severity"].map({"critical": 0, "high": 1, "medium": 2, "low": 3}).fillna(4)
    return rows.iloc[rank.argsort(kind="stable")]


def evidence_words(row: Mapping[Any, Any], language: Language) -> str:
    """Return what a finding rests on, in figures that read the same in both languages: effect, limit, n, window."""
    loc, which = Localizer(language), 0 if language == "es" else 1
    text = {name: both[which] for name, both in TEXT.items()}
    unit = unit_name(str(row["unit"]), language) if row["unit"] else ""

    def measured(value: float) -> str:
        if pd.isna(value):
            return text["no_effect"]
        return (
            loc.percent(value, 1, sign=True) if unit == "share" else f"{loc.number(value, 2, sign=True)} {unit}".strip()
        )

    n, effective = int(row["n"]), float(row["n_effective"])
    worth = text["worth"].format(n=loc.number(effective, 1)) if 0 < effective < 0.95 * n else ""
    window = ""
    if not pd.isna(row["window_start"]) and not pd.isna(row["window_end"]):
        window = text["window"].format(start=loc.date(row["window_start"]), end=loc.date(row["window_end"]))
    return text["reason"].format(
        effect=measured(row["effect"]), limit=measured(row["threshold"]), n=loc.count(n), effective=worth, window=window
    )


def _blind(rows: pd.DataFrame, text: dict[str, str], language: Language) -> Markup:
    """Return what cannot be judged and why, rules with one reason together."""
    if rows.empty:
        return Markup("")
    groups: dict[Markup, list[str]] = {}
    loc = Localizer(language)
    for row in rows.to_dict("records"):
        reason = Markup('<span lang="en">{}</span>').format(str(row["reasons"]).splitlines()[0])
        if language == "es" and not pd.isna(row["cannot_tell"]):
            why = why_blind(row["cannot_tell"], loc)
            reason = Markup("{}.").format(why[:1].upper() + why[1:])
        groups.setdefault(reason, []).append(f"{rule_name(str(row['rule']), language)} ({row['subject']})")
    items = Markup("").join(
        Markup('<li>{} <span class="quiet">{}</span></li>').format(reason, ", ".join(names))
        for reason, names in groups.items()
    )
    return Markup('<h3>{}</h3><p class="note">{}</p><ul class="plain">{}</ul>').format(
        text["blind"], text["blind_lead"], items
    )


def _fired(rows: pd.DataFrame, text: dict[str, str], language: Language) -> Markup:
    if rows.empty:
        return Markup("")
    columns = ("rule", "subject", "why", "rate", "meaning")
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(text[name]) for name in columns)
    lines = []
    loc = Localizer(language)
    for row in rows.to_dict("records"):
        measured = row["false_alarms_per_year"]
        rate = text["not_measured"] if pd.isna(measured) else loc.number(measured, 2)
        if row["monitor"] in DESCRIBING and pd.isna(measured):
            rate = text["describes"]
        english = Markup('<span lang="en">{}</span>').format(str(row["reasons"]).splitlines()[0])
        why = english if language == "en" else evidence_words(row, language)
        lines.append(
            Markup(
                '<tr><th scope="row">{}<span class="under"><code>{}</code></span></th><td data-label="{}">{}</td>'
                '<td class="wrap" data-label="{}">{}</td><td class="num" data-label="{}">{}</td>'
                '<td class="wrap" data-label="{}">{}</td></tr>'
            ).format(
                rule_name(str(row["rule"]), language),
                f"{row['monitor']}/{row['rule']}",
                text["subject"],
                row["subject"],
                text["why"],
                why,
                text["rate"],
                rate,
                text["meaning"],
                meaning(str(row["monitor"]), str(row["rule"]), language),
            )
        )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table class="stack"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(text["fired"], head, Markup("").join(lines))


def picture(figure: Figure) -> str:
    """Return a figure as base64 of its PNG."""
    import base64

    buffer = BytesIO()
    figure.savefig(buffer, dpi=80, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


__all__ = ["MonitoringView", "accusing", "evidence_words", "picture", "rule_name", "section"]
