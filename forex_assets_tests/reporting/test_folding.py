"""Folding and the first screen: what needs attention is said there, the rest folds under its verdict."""

from __future__ import annotations

import datetime as dt
import re
from string import Formatter

import numpy as np
import pandas as pd
import pytest

from forex_assets.monitoring.cannot_tell import SENTENCES, CannotTell
from forex_assets.reporting import LANGUAGES, build_report
from forex_assets.reporting.alarm_texts import CANNOT_TELL_ES, MEANING, NAMES, meaning, rule_name
from forex_assets.reporting.folding import TEXT, folded
from forex_assets.reporting.monitoring_section import MonitoringView, accusing, evidence_words, section
from forex_assets.schemas.monitoring import FINDINGS
from forex_assets_tests.reporting.factory import AS_OF, HASHES, make_inputs


def finding(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "pair": "usdclp", "as_of": pd.Timestamp(AS_OF), "monitor": "performance", "rule": "bias",
        "profile": "recommended", "subject": "7d", "state": "fired", "severity": "medium", "effect": 0.61,
        "effect_low": np.nan, "effect_high": np.nan, "unit": "sigma", "threshold": 0.5, "n": 60, "n_effective": 8.6,
        "window_start": pd.Timestamp("2025-03-10"), "window_end": pd.Timestamp("2025-06-12"),
        "reasons": "Outcomes lie above the forecasts.", "false_alarms_per_year": 0.09, "input_hashes": "{}",
        "cannot_tell": None,
    }  # fmt: skip
    return {**row, **changes}


def view(*rows: dict[str, object]) -> MonitoringView:
    return MonitoringView(FINDINGS.conform(pd.DataFrame(rows).assign(**HASHES)))


@pytest.mark.capability("B14", "B24")
def test_every_section_but_the_forecast_folds_under_a_line_and_all_of_it_is_still_there() -> None:
    for language, page in build_report(make_inputs(monitoring=view(finding()))).items():
        which = LANGUAGES.index(language)
        names = re.findall(r'<section id="([a-z-]+)"', page)
        folds = dict(re.findall(r'<section id="([a-z-]+)"[^>]*><details class="fold"><summary>(.*?)</summary>', page))
        assert set(names) - set(folds) == {"summary", "forecast", "fan"}
        assert page.count("<details") == page.count("</details>")
        assert page.count("<section") == page.count("</section>")
        for said in folds.values():
            assert re.search(r'<span class="said">[^<]+</span>', said)
        assert TEXT["method"][which] in folds["method"]
        assert "<details open" not in page
        assert "::details-content" in page, "what is printed is not folded"


@pytest.mark.capability("B14", "B24", "K28")
def test_the_first_screen_names_what_accuses_with_its_false_alarm_rate() -> None:
    loud = view(finding(), finding(rule="scale", monitor="drift", severity="high", false_alarms_per_year=np.nan))
    pages = build_report(make_inputs(monitoring=loud))
    for language, said in (("es", "falsas alarmas al año: 0,09"), ("en", "false alarms a year: 0.09")):
        top = pages[language].split('<section id="summary"')[0]
        assert said in top
        assert rule_name("bias", language) in top
        assert ("sin medir", "not measured")[language == "en"] in top


@pytest.mark.capability("L18")
def test_calm_is_said_only_where_somebody_watched() -> None:
    calm = finding(state="clear", severity="info", effect=0.1)
    for language in LANGUAGES:
        which = LANGUAGES.index(language)
        unwatched, watched = (
            build_report(make_inputs(monitoring=given))[language].split('<section id="summary"')[0]
            for given in (MonitoringView(), view(calm))
        )
        assert TEXT["unwatched"][which] in unwatched
        assert TEXT["unwatched"][which] not in watched
        assert TEXT["calm"][which].split(":")[0] in watched


@pytest.mark.capability("B11")
def test_a_degraded_model_is_the_first_thing_said() -> None:
    inputs = make_inputs(monitoring=view(finding(state="clear", severity="info")))
    worse = inputs.performance.copy()
    worse.loc[(worse["horizon"] == 30) & worse["is_active"], "status"] = "CRITICAL"
    page = build_report(make_inputs(monitoring=inputs.monitoring, performance=worse))["es"]
    top = page.split('<section id="summary"')[0]
    assert "crítico a 30d" in top
    assert TEXT["calm"][0].split(":")[0] not in top


@pytest.mark.capability("B24")
def test_alarms_are_told_in_both_languages_with_the_figures_they_rest_on() -> None:
    row = finding()
    assert evidence_words(row, "es").replace("\u00a0", " ") == (
        "+0,61 sigmas; límite +0,50 sigmas; n 60 (valen 8,6); evidencia del 10 mar 2025 al 12 jun 2025"
    )
    assert evidence_words(row, "en").startswith("+0.61 sigma; limit +0.50 sigma; n 60 (worth 8.6)")
    blind = finding(state="unknown", rule="skill", reasons="7 of the 60 matured forecasts it needs", severity="low")
    spanish, english = (str(section(view(row, blind), language)) for language in ("es", "en"))
    assert "sesgo" in spanish
    assert MEANING["bias"][0] in spanish.replace("&#39;", "'")
    assert "Outcomes lie above the forecasts." in english
    assert "7 of the 60 matured forecasts it needs" in english
    assert "peor que el paseo aleatorio (7d)" in spanish


@pytest.mark.capability("B24", "L18")
def test_why_a_rule_cannot_judge_is_told_in_both_languages() -> None:
    def blind(rule: str, why: CannotTell, **changes: object) -> dict[str, object]:
        said = {"reasons": f"Cannot tell: {why}.", "cannot_tell": why.stored()}
        return finding(state="unknown", rule=rule, severity="low", **said, **changes)

    rows = view(
        blind("skill", CannotTell("few_matured", have=7, need=1060)),
        blind("evidence", CannotTell("few_matured", have=7, need=1060)),
        blind("bias", CannotTell("maturing_stopped", days=12, newest=dt.date(2025, 5, 28))),
        blind("calibration", CannotTell("scores_missing", share=0.25)),
        blind("vix_level", CannotTell("series_old", series="copper_lme", days=9), monitor="shock"),
    )
    spanish, english = (str(section(rows, language)).replace("\u00a0", " ") for language in ("es", "en"))
    for said in (
        "Hay 7 de los 1.060 pronósticos vencidos que necesita.",
        "Ningún pronóstico vence desde hace 12 días hábiles; el último venció el 28 may 2025.",
        "25% de los pronósticos de la ventana no tiene una nota utilizable.",
        "Cobre, BML: el valor más reciente tiene 9 días hábiles.",
    ):
        assert said in spanish
    assert "Cannot tell" not in spanish
    assert 'lang="en"' not in spanish
    assert spanish.count("pronósticos vencidos que necesita") == 1, "rules with one reason stand together"
    assert "Cannot tell: 7 of the 1060 matured forecasts it needs." in english


def test_every_reason_has_a_spanish_text_with_the_same_facts() -> None:
    def facts(text: str) -> set[str]:
        return {name.split(":")[0] for _, name, _, _ in Formatter().parse(text) if name}

    assert set(CANNOT_TELL_ES) == set(SENTENCES)
    assert {code: facts(text) for code, text in CANNOT_TELL_ES.items()} == {
        code: facts(text) for code, text in SENTENCES.items()
    }


@pytest.mark.capability("B24")
def test_every_rule_of_the_profiles_has_a_name_and_a_meaning_in_both_languages() -> None:
    from forex_assets.settings import load_settings

    settings = load_settings(environ={})
    rules = {*settings.recommended.shocks.rules, *settings.classic.shocks.rules}
    assert rules <= set(NAMES)
    for language in LANGUAGES:
        assert meaning("shock", "price_day", language) == MEANING["shock"][LANGUAGES.index(language)]
        assert "juzgar" in meaning("drift", "scale_unknown_persists", "es")
        assert meaning("drift", "scale", language) != meaning("drift", "never heard of", language)


def test_describing_monitors_accuse_nobody_until_they_fall_silent() -> None:
    rows = pd.DataFrame(
        [
            finding(monitor="regime", rule="high_vol"),
            finding(monitor="regime", rule="high_vol_unknown_persists", severity="high"),
            finding(rule="skill", severity="critical"),
        ]
    )
    assert accusing(rows)["rule"].tolist() == ["skill", "high_vol_unknown_persists"]


def test_a_section_that_is_not_there_changes_nothing() -> None:
    assert folded("<p>x</p>", {"absent": "line"}) == "<p>x</p>"
