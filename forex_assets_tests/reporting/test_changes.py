"""What changed this month and why: every decision of the ledger in both languages, and a quiet month said as such."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle_view import changes_of
from forex_assets.pipeline import Pipeline
from forex_assets.reporting.changes_section import TEXT, Change, ChangesView, section
from forex_assets.reporting.report import build_report
from forex_assets.settings import load_settings
from forex_assets_tests.lifecycle.factory import AS_OF, CLEAR, NOW, OTHER, SUBJECT, deployer, promote, proposal, version
from forex_assets_tests.reporting.factory import make_inputs

GATE: dict[str, Any] = {
    "approved": True,
    "criteria": [{"name": "improvement", "state": "met"}, {"name": "tail_low", "state": "met"}],
    "metrics": {"improvement": 0.042, "improvement_low": 0.011, "improvement_high": 0.073},
}


def busy_month(home: Path) -> ChangesView:
    """Go through a whole loop in a real home: a search that is promoted and taken back, another that is refused."""
    ledger = LifecycleStore(home).ledger

    def record(kind: str, outcome: dict[str, Any], reason: str, day: int = 0, **options: Any) -> None:
        options = {"as_of": AS_OF - dt.timedelta(days=20 - day), "subject": SUBJECT, **options}
        ledger.append(Decision(kind=kind, outcome=outcome, reasons=[reason], **options), now=NOW)

    record("trigger", {"should_optimize": False, "asking": []}, "no rule fired", -30)  # the month before
    record("trigger", {"should_optimize": False, "asking": []}, "no rule fired")
    record("trigger", {"should_optimize": True, "asking": ["time", "drift"]}, "the last search was 91 days ago", 5)
    record("search", {"rules": ["time", "drift"], "candidate": "x", "model": "loghar", "trials": 100}, "best of 5", 5)
    record("gate", GATE, "all 2 criteria are met (judged on: panel)", 5)
    failed = GATE | {"approved": False, "criteria": [{"name": "coverage_95", "state": "failed"}]}
    record("gate", failed, "coverage_95: expected 95%; found 91%", 6, subject=OTHER)
    promote(home, 1, days=-10)
    deployer(home).rollback(SUBJECT, why=["three checks in a row failed"], as_of=AS_OF, now=NOW + dt.timedelta(days=1))
    deployer(home).acknowledge(SUBJECT, by="Ana", why="a bad disk", now=NOW + dt.timedelta(days=1))
    staged = proposal(version(3, OTHER, model="chronos_t5"))
    deployer(home).propose([staged], CLEAR, as_of=AS_OF, now=NOW + dt.timedelta(days=1))
    return changes_of(Pipeline(load_settings()), "usdclp", AS_OF + dt.timedelta(days=3))


@pytest.mark.capability("E24")
def test_every_decision_of_the_month_stands_in_the_report_with_its_reason_in_both_languages(home: Path) -> None:
    view = busy_month(home)
    assert view.triggers == 2  # the one of the month before is left out
    kinds = ["trigger", "search", "gate", "gate", "promotion", "rollback", "acknowledgement", "staging"]
    assert [item.kind for item in view.changes] == kinds
    pages = build_report(make_inputs(changes=view))
    said = {
        "en": (
            "What changed this month, and why",
            "Triggers judged: 2; asking for a search: 1. Searches: 1; gate openings: 2; deployments: 1; rollbacks: 1.",
            "Rules: time, drift.",
            "The search found a candidate: loghar",
            "Every criterion was met (2). CRPS -4.2% [-7.3%, -1.1%] against the one in use.",
            "Not met: 95% coverage.",
            "Policy: automatic. Changes: model: settings → &#39;rw_blend&#39; (window=31).",
            "Taken back automatically; the settings&#39; model is back",
            "Incident acknowledged by Ana",
            "Policy: two persons.",
        ),
        "es": (
            "Qué cambió este mes, y por qué",
            "Disparadores juzgados: 2; pidieron una búsqueda: 1.",
            "Reglas: tiempo, deriva.",
            "Se cumplieron todos los criterios (2). CRPS -4,2% [-7,3%, -1,1%] respecto de la que está en uso.",
            "No se cumplió: cobertura 95%.",
            "Retirada automáticamente; vuelve el modelo de los ajustes",
            "Incidente reconocido por Ana",
        ),
    }
    for language, sentences in said.items():
        page = pages[language]  # type: ignore[index]
        part = page[page.index('<section id="changes"') :]
        for sentence in sentences:
            assert sentence in part, sentence
        assert "three checks in a row failed" in part


def test_a_month_without_decisions_says_that_nothing_changed(home: Path) -> None:
    assert home
    view = changes_of(Pipeline(load_settings()), "usdclp", AS_OF)
    assert view.changes == ()
    assert "Nothing changed" in section(view, "en")
    assert "Nada cambió" in section(view, "es")


def test_what_is_on_record_is_escaped_and_a_long_month_says_what_is_left_out() -> None:
    bad = Change(AS_OF, "7d", "rollback", {"action": "refuse"}, ("<script>alert(1)</script>",), "Ana", "000001-aa")
    page = section(ChangesView(AS_OF, AS_OF, (bad,) * 45, 0), "en")
    assert "<script>" not in page
    assert "Earlier entries of the month that are not shown: 5." in page
    assert page.count("Rollback refused") == 40


def test_both_languages_fill_the_same_places() -> None:
    for name, both in TEXT.items():
        places = [set(re.findall(r"{(\w+)}", text)) for text in both]
        assert places[0] == places[1], name
