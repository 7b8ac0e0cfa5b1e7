"""What the first screen says, and what folds below it: each section's title with its verdict in a line.

Folding is native ``<details>``: no script, the browser's search opens it, and the printed page shows everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from forex_assets.reporting.monitoring_section import accusing, rule_name
from forex_assets.reporting.view import known_state

if TYPE_CHECKING:
    from forex_assets.reporting.localize import Localizer
    from forex_assets.reporting.report import Page

TEXT: dict[str, tuple[str, str]] = {
    "inside": ("{n} vencidos, dentro del 95%: {list}", "{n} matured, inside 95%: {list}"),
    "status": ("Estado del modelo: {list}", "Status of the model: {list}"),
    "backtest": (
        "Cinco años: dentro del 95% {hit}; puntaje frente al paseo aleatorio {ratio}",
        "Five years: inside 95% {hit}; score over the random walk {ratio}",
    ),
    "evidence": ("Modelo activo: {list}", "Deployed model: {list}"),
    "width": ("Ancho del 95% hoy: {list} del precio", "95% width today: {list} of the price"),
    "monitoring": (
        "{fired} disparan ({accusing} acusan al modelo o a los datos), {clear} en calma, {unknown} no pueden juzgar",
        "{fired} fire ({accusing} accuse model or data), {clear} clear, {unknown} cannot tell",
    ),
    "sources": ("{some} de {all} series con respuesta", "{some} of {all} series answered"),
    "drivers": ("{fresh} al día, {late} atrasados, {absent} sin datos", "{fresh} fresh, {late} late, {absent} absent"),
    "quarantine": ("{n} observaciones apartadas", "{n} observations set aside"),
    "quality": (
        "{found} reparos, {unknown} sin juicio, {clear} en orden",
        "{found} found, {unknown} unknown, {clear} clear",
    ),
    "nothing": ("sin datos todavía", "nothing stored yet"),
    "method": ("Cómo se hace y cómo leerlo", "How it is made, and how to read it"),
    "changes": ("Decisiones del último mes", "Decisions of the last month"),
    "alarm": (
        "Requiere atención: {rule} en {subject} ({rate}). {why}",
        "Needs attention: {rule} on {subject} ({rate}). {why}",
    ),
    "rate": ("falsas alarmas al año: {rate}", "false alarms a year: {rate}"),
    "no_rate": ("tasa de falsas alarmas sin medir", "false-alarm rate not measured"),
    "degraded": (
        "El modelo desplegado está {status} a {horizons}: lea «Vigilancia» y corra «forex check».",
        "The deployed model is {status} at {horizons}: read “Monitoring” and run “forex check”.",
    ),
    "market": ("El mercado: {list}", "The market: {list}"),
    "calm": (
        "Nada requiere atención: ninguna regla acusa al modelo ni a los datos, y el modelo está {status}.",
        "Nothing needs attention: no rule accuses model or data, and the model is {status}.",
    ),
    "unwatched": (
        "Nadie vigiló este día: no hay hallazgos guardados, así que la calma no está probada.",
        "Nobody watched this day: no findings are stored, so calm is not proven.",
    ),
    "EXCELLENT": ("excelente", "excellent"),
    "GOOD": ("bien", "good"),
    "DEGRADED": ("degradado", "degraded"),
    "CRITICAL": ("crítico", "critical"),
    "UNKNOWN": ("sin juicio", "unknown"),
}
#: Sections that stay open: what the reader came for.
OPEN = ("summary", "forecast", "fan")
_BAD = ("DEGRADED", "CRITICAL")


def folded(html: str, lines: Mapping[str, str]) -> str:
    """Return the page with the sections named in ``lines`` folded, each under its title and that line.

    A section is ``<section id="x"…><h2 id="h-x">…</h2>…</section>``; sections do not nest.
    """
    for name, line in lines.items():
        pattern = re.compile(
            rf'(<section id="{re.escape(name)}"[^>]*>)\s*(<h2[^>]*>.*?</h2>)(.*?)(</section>)', flags=re.DOTALL
        )
        said = Markup('<span class="said">{}</span>').format(line)

        def fold(found: re.Match[str], said: Markup = said) -> str:
            head, title, body, end = found.groups()
            return f'{head}<details class="fold"><summary>{title}{said}</summary>{body}</details>{end}'

        html = pattern.sub(fold, html, count=1)
    return html


def verdict_lines(page: Page) -> dict[str, str]:
    """Return the line under each folded section's title."""
    view, loc, which = page.view, page.loc, 0 if page.loc.language == "es" else 1
    text = {name: both[which] for name, both in TEXT.items()}
    known = [h for h in view.horizons if len(h.outcomes)]
    lines = {
        "outcomes": text["inside"].format(
            n=loc.count(sum(len(h.outcomes) for h in known)),
            list=_join((h.name, f"{int(h.outcomes['covered_95'].sum())}/{len(h.outcomes)}") for h in known),
        )
        if known
        else text["nothing"],
        "performance": _said(
            text, "status", _join((name, text.get(status, status)) for name, status in statuses(page).items())
        ),
        "backtest": _backtest(page, text),
        "evidence": _said(text, "evidence", _join(_evidence(page))),
        "width": _said(
            text,
            "width",
            _join((h.name, loc.percent(float(h.widths["width"].iloc[-1]))) for h in view.horizons if len(h.widths)),
        ),
        "monitoring": _monitoring(page, text),
        "changes": text["changes"],
        "sources": text["sources"].format(some=sum(1 for item in view.sources if item.answered), all=len(view.sources)),
        "drivers": _drivers(view.drivers, text),
        "quarantine": text["quarantine"].format(n=loc.count(view.quarantined)),
        "data-quality": _quality(page.inputs.data_quality, text, loc),
        "method": text["method"],
    }
    return {name: line for name, line in lines.items() if name not in OPEN}


def attention(page: Page) -> list[tuple[str, Markup]]:
    """Return what needs attention, for the first screen: kind (bad, warn, info, good) and sentence."""
    which = 0 if page.loc.language == "es" else 1
    text = {name: Markup(both[which]) for name, both in TEXT.items()}  # noqa: S704  # nosec B704  # our own text
    said: list[tuple[str, Markup]] = []
    found = statuses(page)
    for status in _BAD:
        names = [name for name, value in found.items() if value == status]
        if names:
            said.append(("bad", text["degraded"].format(status=text[status], horizons=", ".join(names))))
    findings = page.inputs.monitoring.findings
    if findings.empty:
        return [*said, ("warn", text["unwatched"])]
    rows = findings.loc[(findings["profile"] == "recommended") & (findings["state"] == "fired")]
    blamed = accusing(rows)
    for row in blamed.to_dict("records"):
        rate = row["false_alarms_per_year"]
        said.append(
            (
                "bad" if row["severity"] in ("high", "critical") else "warn",
                text["alarm"].format(
                    rule=rule_name(str(row["rule"]), page.loc.language),
                    subject=row["subject"],
                    rate=text["no_rate"] if pd.isna(rate) else text["rate"].format(rate=page.loc.number(rate, 2)),
                    why=page.evidence_of(row),
                ),
            )
        )
    market = rows.loc[rows["monitor"].isin(("regime", "shock")) & (rows["rule"] != "event_alert")]
    if len(market):
        told = dict.fromkeys(rule_name(str(rule), page.loc.language) for rule in market["rule"])
        said.append(("info", text["market"].format(list=", ".join(told))))
    judged = {value for value in found.values() if value not in _BAD}
    if blamed.empty and not any(kind == "bad" for kind, _ in said) and judged:
        worst = "UNKNOWN" if "UNKNOWN" in judged else "GOOD" if "GOOD" in judged else "EXCELLENT"
        said.append(("warn" if worst == "UNKNOWN" else "good", text["calm"].format(status=text[worst])))
    return said


def statuses(page: Page) -> dict[str, str]:
    """Return the deployed model's status by horizon; those without a report are left out."""
    out = {}
    for horizon in page.view.horizons:
        row = next((window.active for window in horizon.windows if window.active is not None), None)
        if row is not None:
            out[horizon.name] = str(row.status)
    return out


def _said(text: Mapping[str, str], name: str, listed: str) -> str:
    return text[name].format(list=listed) if listed else text["nothing"]


def _join(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in pairs)


def _backtest(page: Page, text: Mapping[str, str]) -> str:
    found = [
        (h.name, w.active)
        for h in page.view.horizons
        for w in h.windows
        if w.window == "backtest_5y" and w.active is not None and w.active.n
    ]
    if not found:
        return text["nothing"]
    return text["backtest"].format(
        hit=_join((name, page.loc.percent(row.coverage_95, 0)) for name, row in found),
        ratio=_join((name, page.loc.number(row.interval_score_ratio, 3)) for name, row in found),
    )


def _evidence(page: Page) -> Iterable[tuple[str, str]]:
    for horizon, rows in page.compared():
        for row in rows:
            if row.is_active:
                yield horizon.name, page.loc.text_or(f"verdict.{row.verdict}", str(row.verdict))


def _monitoring(page: Page, text: Mapping[str, str]) -> str:
    findings = page.inputs.monitoring.findings
    if findings.empty:
        return text["nothing"]
    rows = findings.loc[findings["profile"] == "recommended"]
    counts = {state: int((rows["state"] == state).sum()) for state in ("fired", "clear", "unknown")}
    return text["monitoring"].format(accusing=len(accusing(rows.loc[rows["state"] == "fired"])), **counts)


def _drivers(rows: Iterable[Any], text: Mapping[str, str]) -> str:
    states = [str(row.state) for row in rows]
    fresh, absent = states.count("fresh"), states.count("missing")
    return text["drivers"].format(fresh=fresh, absent=absent, late=len(states) - fresh - absent)


def _quality(quality: Any, text: Mapping[str, str], loc: Localizer) -> str:
    if not quality.coverage:
        return text["nothing"]
    states = [str(item.state) for item in quality.feeds]
    return text["quality"].format(
        found=states.count("found"), unknown=states.count("unknown"), clear=loc.count(quality.clear)
    )


__all__ = ["attention", "folded", "known_state", "statuses", "verdict_lines"]
