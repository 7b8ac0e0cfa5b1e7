"""The story of one loop as a page a person can follow, Spanish and English, with every ledger entry and its reason."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forex_assets.reporting.localize import LANGUAGES, Language

KEYS = ("start", "trigger", "search", "gate", "deployed", "watched", "harm", "rolled_back", "books")


@dataclass(frozen=True, slots=True)
class Chapter:
    """One step of the loop: which (of :data:`KEYS`), its facts, its ledger entries as rows, seconds since the start."""

    key: str
    facts: Mapping[str, Any]
    entries: tuple[Mapping[str, Any], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that happened, in order."""

    pair: str
    horizon: str
    as_of: str
    chapters: tuple[Chapter, ...]
    seconds: float
    by_daemon: bool = False

    def row(self) -> dict[str, Any]:
        """Return the story as plain values."""
        return {
            "pair": self.pair,
            "horizon": self.horizon,
            "as_of": self.as_of,
            "seconds": round(self.seconds, 1),
            "by_daemon": self.by_daemon,
            "chapters": [
                {
                    "key": item.key,
                    "seconds": round(item.seconds, 1),
                    "facts": dict(item.facts),
                    "entries": [dict(entry) for entry in item.entries],
                }
                for item in self.chapters
            ],
        }


def render_story(story: Story, language: Language) -> str:
    """Return the page in one language."""
    other = next(name for name in LANGUAGES if name != language)
    return str(_template().render(story=story, w=WORDS[language], lang=language, other=other, number=number))


def write_story(story: Story, folder: Path) -> list[Path]:
    """Write ``loop_es.html`` and ``loop_en.html``, which link to each other; return their paths."""
    from forex_assets.store.files import write_file

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for language in LANGUAGES:
        path = folder / f"loop_{language}.html"
        write_file(path, render_story(story, language).encode())
        paths.append(path)
    return paths


def number(value: Any, digits: int = 3) -> str:
    """Return a number with some digits; a dash for one that is missing."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"


@functools.cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("loop_story.html.j2")


WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "The loop, once through",
        "other": "Español",
        "lead": "Real USD/CLP, a home of its own. Planted are degradation and, later, a damaged disk; everything "
        "else the platform did by itself, through its own sensors and jobs.",
        "took": "seconds in all",
        "day": "Data up to",
        "ledger": "In the ledger",
        "id": "Entry",
        "kind": "Kind",
        "who": "By",
        "why": "Why (as recorded)",
        "start": "The configuration in use degrades",
        "start.text": "Planted: the settings halve the width of the forecast's intervals, so that they hold far less "
        "than they say. Beside it, in the same backtest, the calibrated random walk.",
        "trigger": "The trigger asks for a search",
        "trigger.text": "The sensor saw stored findings: the monitors found the degradation. Four rules were judged; "
        "unknown never reads as fine.",
        "search": "A search proposes a candidate",
        "search.text": "Configurations were ranked on the search period; the finalists compared on a later one.",
        "gate": "The gate is opened once",
        "gate.text": "Candidate and configuration in use on a period nobody had looked at. All criteria must hold.",
        "deployed": "The candidate is deployed, and the next forecast carries it",
        "deployed.text": "The pointer moved. Days already forecast keep what they had; the next business day's "
        "forecast carries the new hash.",
        "watched": "The new version is watched",
        "watched.text": "A trial forecast is made and judged. In service every minute for an hour; here more often.",
        "harm": "Harm is planted",
        "harm.text": "As a bad disk would: the version's file and its copy were overwritten. Files:",
        "rolled_back": "It is taken back, with nobody awake",
        "rolled_back.text": "Three checks in a row failed. The pointer went back to the last known good "
        "configuration; the next forecast carries its hash again. An incident stays open until it is acknowledged:",
        "books": "The books are in order",
        "books.text": "Every line of the ledger was checked against its hash, and every decision recomputed from its "
        "recorded inputs with the same result.",
        "rule": "Rule",
        "state": "State",
        "reason": "Reason",
        "model": "Model",
        "parameters": "Parameters",
        "objective": "Objective",
        "crps_ratio": "CRPS / random walk",
        "coverage_95": "95% coverage",
        "targets": "Targets",
        "criterion": "Criterion",
        "expected": "Expected",
        "actual": "Found",
        "forecast_of": "Forecast of",
        "hash": "Configuration hash",
        "interval": "Mean and 95% interval",
        "lines": "lines",
        "replayed": "decisions recomputed",
        "tried": "configurations tried; the best",
        "candidate": "Candidate",
        "fired": "fired",
        "clear": "clear",
        "unknown": "unknown",
        "met": "met",
        "failed": "failed",
        "note": "Reasons are shown as they stand in the ledger, in English.",
        "note.demo": "The sensors were evaluated by the demonstration, not by the daemon, which asks every minute.",
        "note.daemon": "The real Dagster daemon asked the sensors and launched every run.",
    },
    "es": {
        "title": "El ciclo completo, una vez",
        "other": "English",
        "lead": "USD/CLP real, en una carpeta propia. Se plantaron una degradación y, más tarde, un disco dañado; "
        "todo lo demás lo hizo la plataforma sola, con sus propios sensores y trabajos.",
        "took": "segundos en total",
        "day": "Datos hasta",
        "ledger": "En el registro",
        "id": "Anotación",
        "kind": "Tipo",
        "who": "Por",
        "why": "Por qué (como quedó anotado)",
        "start": "La configuración en uso se degrada",
        "start.text": "Plantado: los ajustes dejan los intervalos del pronóstico en la mitad de su ancho, y contienen "
        "mucho menos de lo que dicen. Al lado, en el mismo backtest, el paseo aleatorio calibrado.",
        "trigger": "El disparador pide una búsqueda",
        "trigger.text": "El sensor vio hallazgos guardados: los monitores encontraron la degradación. Se juzgaron "
        "cuatro reglas; lo desconocido nunca se lee como bueno.",
        "search": "La búsqueda propone una candidata",
        "search.text": "Las configuraciones se ordenaron en el período de búsqueda; las finalistas se compararon en "
        "uno posterior.",
        "gate": "La puerta se abre una vez",
        "gate.text": "Candidata y configuración en uso en un período que nadie había mirado. Deben cumplirse todos "
        "los criterios.",
        "deployed": "Se despliega la candidata, y el próximo pronóstico la lleva",
        "deployed.text": "El puntero se movió. Los días ya pronosticados conservan lo que tenían; el pronóstico del "
        "próximo día hábil lleva el nuevo hash.",
        "watched": "La nueva versión queda en observación",
        "watched.text": "Se hace y se juzga un pronóstico de prueba. En servicio, cada minuto durante una hora; aquí, "
        "más a menudo.",
        "harm": "Se planta un daño",
        "harm.text": "Como lo haría un disco malo: se sobrescribieron el archivo de la versión y su copia. Archivos:",
        "rolled_back": "Se retira, sin nadie despierto",
        "rolled_back.text": "Fallaron tres controles seguidos. El puntero volvió a la última configuración buena "
        "conocida; el próximo pronóstico lleva otra vez su hash. Queda un incidente abierto hasta que alguien lo "
        "reconozca:",
        "books": "Los libros cuadran",
        "books.text": "Cada línea del registro se comprobó contra su hash, y cada decisión se recalculó desde sus "
        "datos anotados con el mismo resultado.",
        "rule": "Regla",
        "state": "Estado",
        "reason": "Razón",
        "model": "Modelo",
        "parameters": "Parámetros",
        "objective": "Objetivo",
        "crps_ratio": "CRPS / paseo aleatorio",
        "coverage_95": "Cobertura 95%",
        "targets": "Objetivos",
        "criterion": "Criterio",
        "expected": "Esperado",
        "actual": "Hallado",
        "forecast_of": "Pronóstico del",
        "hash": "Hash de configuración",
        "interval": "Media e intervalo del 95%",
        "lines": "líneas",
        "replayed": "decisiones recalculadas",
        "tried": "configuraciones probadas; las mejores",
        "candidate": "Candidata",
        "fired": "disparada",
        "clear": "tranquila",
        "unknown": "desconocida",
        "met": "cumplido",
        "failed": "no cumplido",
        "note": "Las razones se muestran como están en el registro, en inglés.",
        "note.demo": "Los sensores los evaluó la demostración, en lugar del demonio que los consulta cada minuto.",
        "note.daemon": "El demonio real de Dagster consultó los sensores y lanzó cada ejecución.",
    },
}
