"""What changed this month, and why: the life cycle's decisions in the desk report, from its ledger.

A self-contained fragment per language, made of plain rows; the report embeds it whole. What follows from a decision's
own figures is said in the reader's language; the sentence on record stands below it as it was written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from markupsafe import Markup

Language = Literal["es", "en"]

TEXT: dict[str, tuple[str, str]] = {
    "title": ("Qué cambió este mes, y por qué", "What changed this month, and why"),
    "span": ("Decisiones sobre datos del {first} al {last}.", "Decisions on data from {first} to {last}."),
    "nothing": (
        "Nada cambió: ninguna configuración fue buscada, desplegada ni retirada.",
        "Nothing changed: no configuration was searched for, deployed or taken back.",
    ),
    "judged": ("Disparadores juzgados: {n}; pidieron una búsqueda: {asked}.",
               "Triggers judged: {n}; asking for a search: {asked}."),
    "counts": (
        "Búsquedas: {search}; aperturas de la puerta: {gate}; despliegues: {promotion}; retiros: {rollback}.",
        "Searches: {search}; gate openings: {gate}; deployments: {promotion}; rollbacks: {rollback}.",
    ),
    "day": ("Datos hasta", "Data up to"),
    "horizon": ("Plazo", "Horizon"),
    "what": ("Qué pasó", "What happened"),
    "why": ("Por qué", "Why"),
    "entry": ("Anotación", "Entry"),
    "recorded": ("Anotado (en inglés)", "On record"),
    "more": (
        "Anotaciones anteriores del mes que no se muestran: {n}.",
        "Earlier entries of the month that are not shown: {n}.",
    ),
    "trigger": ("Se pidió una búsqueda", "A search was asked for"),
    "search.found": ("La búsqueda halló una candidata: {model}", "The search found a candidate: {model}"),
    "search.none": ("La búsqueda no halló nada mejor", "The search found nothing better"),
    "search.failed": ("La búsqueda falló", "The search failed"),
    "gate.yes": ("La puerta aprobó la candidata", "The gate approved the candidate"),
    "gate.no": ("La puerta rechazó la candidata", "The gate refused the candidate"),
    "promotion.promote": ("Desplegada", "Deployed"),
    "promotion.keep": ("Se mantuvo la que estaba en uso", "What was in use was kept"),
    "promotion.refuse": ("Despliegue rechazado", "Deployment refused"),
    "staging": ("Queda a la espera", "Staged"),
    "approval.yes": ("Aprobada por {who}", "Approved by {who}"),
    "approval.no": ("Rechazada por {who}", "Rejected by {who}"),
    "probation.passed": ("Superó la observación", "Passed its probation"),
    "probation.failed": ("No superó la observación", "Failed its probation"),
    "probation": ("En observación", "On probation"),
    "rollback.automation": ("Retirada automáticamente; vuelve {target}", "Taken back automatically; {target} is back"),
    "rollback": ("Retirada por {who}; vuelve {target}", "Taken back by {who}; {target} is back"),
    "rollback.refuse": ("Retiro rechazado", "Rollback refused"),
    "acknowledgement": ("Incidente reconocido por {who}", "Incident acknowledged by {who}"),
    "settings": ("el modelo de los ajustes", "the settings' model"),
    "asking": ("Reglas: {names}.", "Rules: {names}."),
    "unmet": ("No se cumplió: {names}.", "Not met: {names}."),
    "all_met": ("Se cumplieron todos los criterios ({n}).", "Every criterion was met ({n})."),
    "gain": ("CRPS {gain} [{low}, {high}] respecto de la que está en uso.",
             "CRPS {gain} [{low}, {high}] against the one in use."),
    "tried": ("Configuraciones probadas: {n}.", "Configurations tried: {n}."),
    "policy": ("Política: {name}.", "Policy: {name}."),
    "changes": ("Cambia: {text}", "Changes: {text}"),
    "rule.performance": ("desempeño", "performance"),
    "rule.drift": ("deriva", "drift"),
    "rule.time": ("tiempo", "time"),
    "rule.business": ("fuentes o ajustes", "sources or settings"),
    "rule.hand": ("a mano", "by hand"),
    "criterion.improvement": ("mejora", "improvement"),
    "criterion.own_pair": ("par propio", "own pair"),
    "criterion.interval_score": ("puntaje del intervalo", "interval score"),
    "criterion.coverage_80": ("cobertura 80%", "80% coverage"),
    "criterion.coverage_95": ("cobertura 95%", "95% coverage"),
    "criterion.tail_low": ("cola baja", "low tail"),
    "criterion.tail_high": ("cola alta", "high tail"),
    "criterion.stability": ("estabilidad", "stability"),
    "criterion.bias": ("sesgo", "bias"),
    "criterion.latency": ("tiempo de cálculo", "latency"),
    "policy.auto": ("automática", "automatic"),
    "policy.two-person": ("dos personas", "two persons"),
    "policy.shadow-then-auto": ("primero en paralelo", "shadow first"),
}  # fmt: skip
#: Rows shown; a month of a busy loop has fewer.
MAX_ROWS = 40


@dataclass(frozen=True, slots=True)
class Change:
    """One decision of the life cycle: its day, horizon, kind, outcome, reasons, and who made it."""

    day: dt.date
    horizon: str
    kind: str
    outcome: Mapping[str, Any]
    reasons: tuple[str, ...]
    actor: str
    entry: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangesView:
    """The decisions of a span of days, oldest first; judged triggers that asked for nothing are only counted."""

    first: dt.date | None = None
    last: dt.date | None = None
    changes: Sequence[Change] = field(default_factory=tuple)
    triggers: int = 0


def section(view: ChangesView, language: Language) -> Markup:
    """Return the section's HTML."""
    words = {name: both[0 if language == "es" else 1] for name, both in TEXT.items()}
    parts = [
        Markup('<section id="changes" aria-labelledby="h-changes"><h2 id="h-changes">{}</h2>').format(words["title"])
    ]
    if view.first is not None and view.last is not None:
        span = words["span"].format(first=_day(view.first, language), last=_day(view.last, language))
        parts.append(Markup('<p class="lead">{}</p>').format(span))
    kinds = [change.kind for change in view.changes]
    deeds = [change for change in view.changes if change.kind != "trigger"]
    sentences = [] if deeds else [words["nothing"]]
    if view.triggers:
        sentences.append(words["judged"].format(n=view.triggers, asked=kinds.count("trigger")))
    if deeds:
        sentences.append(words["counts"].format(**_counts(deeds)))
    parts.append(Markup("<p>{}</p>").format(" ".join(sentences)))
    if view.changes:
        parts.append(_table(view.changes[-MAX_ROWS:], words, language))
    if len(view.changes) > MAX_ROWS:
        parts.append(Markup("<p>{}</p>").format(words["more"].format(n=len(view.changes) - MAX_ROWS)))
    return Markup("").join([*parts, Markup("</section>")])


def _counts(deeds: Sequence[Change]) -> dict[str, int]:
    def count(kind: str, action: str = "") -> int:
        return sum(item.kind == kind and (not action or item.outcome.get("action") == action) for item in deeds)

    return {
        "search": count("search"),
        "gate": count("gate"),
        "promotion": count("promotion", "promote"),
        "rollback": count("rollback", "rollback"),
    }


def _table(changes: Sequence[Change], words: Mapping[str, str], language: Language) -> Markup:
    columns = ("day", "horizon", "what", "why", "entry")
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(words[name]) for name in columns)
    rows = []
    for change in reversed(changes):
        said, record = why(change, words, language), Markup("<br>").join(change.reasons)
        if said:
            reason = Markup(
                '{}<details style="margin-top:2px"><summary>{}</summary><p class="muted" lang="en">{}</p></details>'
            ).format(said, words["recorded"], record)
        else:
            reason = Markup('<span lang="en">{}</span>').format(record)
        rows.append(
            Markup(
                '<tr><th scope="row">{}</th><td data-label="{}">{}</td>'
                '<td data-label="{}" class="wrap">{}</td>'
                '<td data-label="{}" class="wrap">{}</td>'
                '<td data-label="{}"><code>{}</code></td></tr>'
            ).format(
                _day(change.day, language),
                words["horizon"],
                change.horizon,
                words["what"],
                what(change, words),
                words["why"],
                reason,
                words["entry"],
                change.entry.split("-")[0],
            )
        )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table class="stack"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(words["title"], head, Markup("").join(rows))


def what(change: Change, words: Mapping[str, str]) -> str:
    """Return what happened, in a few words."""
    outcome, kind = change.outcome, change.kind
    target = str(outcome.get("target") or "")
    fill = {
        "who": change.actor,
        "model": outcome.get("model") or "",
        "target": words["settings"] if target == "settings" else target,
    }
    if kind == "search":
        name = (
            "search.failed" if outcome.get("failed") else "search.found" if outcome.get("candidate") else "search.none"
        )
    elif kind == "gate":
        name = "gate.yes" if outcome.get("approved") else "gate.no"
    elif kind == "approval":
        name = "approval.yes" if outcome.get("approve") else "approval.no"
    elif kind == "promotion":
        name = f"promotion.{outcome.get('action')}"
    elif kind == "probation":
        name = f"probation.{outcome.get('state')}"
    elif kind == "rollback" and outcome.get("action") == "refuse":
        name = "rollback.refuse"
    elif kind == "rollback":
        name = "rollback.automation" if change.actor == "automation" else "rollback"
    else:
        name = kind
    return words.get(name, words.get(kind, kind)).format(**fill)


def why(change: Change, words: Mapping[str, str], language: Language) -> str:
    """Return why, as far as the decision's own figures say it."""
    outcome, kind = change.outcome, change.kind
    said: list[str] = []
    if kind == "trigger":
        said.append(words["asking"].format(names=_names("rule", outcome.get("asking", ()), words)))
    if kind == "search":
        said.append(words["asking"].format(names=_names("rule", outcome.get("rules") or ["hand"], words)))
        if outcome.get("trials"):
            said.append(words["tried"].format(n=outcome["trials"]))
    if kind == "gate":
        criteria = outcome.get("criteria", ())
        unmet = [item["name"] for item in criteria if item["state"] != "met"]
        names = _names("criterion", unmet, words)
        said.append(words["unmet"].format(names=names) if unmet else words["all_met"].format(n=len(criteria)))
        said += _gain(outcome.get("metrics") or {}, words, language)
    if kind in ("promotion", "staging") and outcome.get("policy"):
        policy = str(outcome["policy"])
        said.append(words["policy"].format(name=words.get(f"policy.{policy}", policy)))
    if change.differences and kind in ("promotion", "staging"):
        said.append(words["changes"].format(text="; ".join(change.differences)) + ".")
    return " ".join(said)


def _gain(metrics: Mapping[str, Any], words: Mapping[str, str], language: Language) -> list[str]:
    ends = [metrics.get(f"improvement{end}") for end in ("", "_low", "_high")]
    if any(end is None for end in ends):
        return []
    # An improvement is CRPS saved: said as the change of the CRPS itself.
    gain, low, high = (f"{-100.0 * float(end or 0.0):+.1f}%" for end in (ends[0], ends[2], ends[1]))
    if language == "es":
        gain, low, high = (item.replace(".", ",") for item in (gain, low, high))
    return [words["gain"].format(gain=gain, low=low, high=high)]


def _names(kind: str, names: Sequence[str], words: Mapping[str, str]) -> str:
    return ", ".join(words.get(f"{kind}.{name}", name) for name in names)


def _day(day: dt.date, language: Language) -> str:
    return f"{day:%d-%m-%Y}" if language == "es" else f"{day:%Y-%m-%d}"
