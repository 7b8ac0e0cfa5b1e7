"""The weekly validation as a page, Spanish and English: verdict, what changed, tail risks, every check (B13)."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forex_assets.reporting.localize import LANGUAGES, Language
from forex_assets.reporting.texts import TEXTS
from forex_assets.reporting.weekly_texts import MEANINGS, WORDS

VERDICTS = ("good", "attention", "bad")
STATES = ("good", "warn", "bad", "unknown", "info")


@dataclass(frozen=True, slots=True)
class Line:
    """One check of the week: area, name, subject, state (of :data:`STATES`), value and limit with their unit, count."""

    area: str
    name: str
    subject: str
    state: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    limit: float = math.nan
    unit: str = ""
    n: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not what it was a week before: key of its sentence, and the sentence's values."""

    key: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Tail:
    """What lies in the tails: per horizon the deployed 95% interval, and how its ends have held."""

    horizon: str
    target_date: dt.date | None
    low: float
    high: float
    low_share: float
    high_share: float
    below: float
    above: float
    n: int


@dataclass(frozen=True, slots=True)
class WeeklySummary:
    """Everything the page shows, already judged."""

    pair: str
    label: str
    unit: str
    week: dt.date
    as_of: dt.date
    generated_at: str
    verdict: str
    regime: str
    regime_probability: float
    largest_move: float
    largest_move_sigma: float
    largest_move_on: dt.date | None
    checks: tuple[Line, ...]
    changes: tuple[Change, ...]
    tails: tuple[Tail, ...]
    levels: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    hashes: tuple[str, str] = field(default=("", ""))

    def not_good(self) -> tuple[Line, ...]:
        """Return the checks that are bad, doubtful or unknown, worst first."""
        order = {"bad": 0, "warn": 1, "unknown": 2}
        return tuple(sorted((c for c in self.checks if c.state in order), key=lambda c: order[c.state]))

    def markdown(self) -> str:
        """Return verdict and what is not good as Markdown."""
        lines = [f"{self.verdict}: {len(self.checks)} checks, {len(self.not_good())} not good"]
        lines += [f"- {c.state}: {c.area} / {c.name} {c.subject}" for c in self.not_good()[:20]]
        return "\n".join(lines)


def verdict_of(checks: Sequence[Line]) -> str:
    """Return bad when any check is, attention when any is doubtful or unknown, else good."""
    states = {check.state for check in checks}
    if "bad" in states:
        return "bad"
    return "attention" if states & {"warn", "unknown"} or not checks else "good"


def build_weekly(summary: WeeklySummary) -> dict[Language, str]:
    """Return one self-contained HTML page per language."""
    return {language: _render(summary, language) for language in LANGUAGES}


def _render(summary: WeeklySummary, language: Language) -> str:
    words = WORDS[language]
    page: str = _template().render(
        s=summary,
        w=words,
        lang=language,
        other=next(item for item in LANGUAGES if item != language),
        areas=_areas(summary.checks),
        name=lambda key: words.get(f"name.{key}", key.replace("_", " ")),
        subject=functools.partial(_subject, language),
        word=lambda key: words.get(f"value.{key}", key),
        meaning=lambda key: MEANINGS[language].get(key, ""),
        number=functools.partial(_number, language),
        share=functools.partial(_share, language),
        change=lambda item: words[f"change.{item.key}"].format(
            **{name: words.get(f"value.{value}", value) for name, value in item.values}
        ),
        value=functools.partial(_value, language),
    )
    return page


def _subject(language: Language, key: str) -> str:
    """Return what a check is of, in words: a known subject, or a tenor with its window of outcomes, or a series."""
    known = WORDS[language].get(f"subject.{key}")
    if known is not None:
        return known
    windows = {part: TEXTS[f"window.{part}"] for part in key.split(" ") if f"window.{part}" in TEXTS}
    shown = [getattr(windows[part], language) if part in windows else part for part in key.split(" ")]
    return " · ".join(shown) if windows else key


def _areas(checks: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    out: dict[str, list[Line]] = {}
    for check in checks:
        out.setdefault(check.area, []).append(check)
    order = {state: rank for rank, state in enumerate(("bad", "warn", "unknown", "good", "info"))}
    return [(area, sorted(rows, key=lambda row: order[row.state])) for area, rows in out.items()]


def _number(language: Language, value: float, digits: int = 2) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}"
    return text.translate(str.maketrans(",.", ".,")) if language == "es" else text


def _share(language: Language, value: float, digits: int = 1) -> str:
    text = _number(language, value * 100 if math.isfinite(value) else value, digits)
    return text if text == "–" else f"{text}\N{NO-BREAK SPACE}%" if language == "es" else f"{text}%"


def _value(language: Language, value: float, unit: str) -> str:
    if unit in ("share", "probability"):
        return _share(language, value)
    digits = 0 if unit in ("forecasts", "business days", "observations", "MB") else 2
    text = _number(language, value, digits)
    name = WORDS[language].get(f"unit.{unit}", unit)
    return text if text == "–" or not name else f"{text} {name}"


@functools.lru_cache(maxsize=1)
def _template() -> Any:
    import jinja2

    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("weekly.html.j2")
