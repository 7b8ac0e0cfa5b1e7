"""What the desk report says, and what it must never say."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets import schemas
from forex_assets.reporting import (
    LANGUAGES,
    Language,
    ReportInputs,
    build_report,
    fan_chart_png,
    report_filename,
    summary_markdown,
)
from forex_assets.reporting.localize import Localizer
from forex_assets.reporting.texts import TEXTS
from forex_assets.reporting.view import build_view, judge
from forex_assets.schemas import TABLES
from forex_assets_tests.reporting.factory import AS_OF, HASHES, HORIZONS, make_inputs, with_bad

SECTIONS = ("summary", "forecast", "fan", "outcomes", "performance", "backtest", "width", "sources", "drivers")
SECTIONS += ("quarantine", "method")
FRAMES = {
    "bars": schemas.BARS,
    "forecast": schemas.FORECAST,
    "evaluation": schemas.EVALUATION,
    "performance": schemas.PERFORMANCE_REPORT,
    "drivers": schemas.DRIVERS,
    "source_status": schemas.SOURCE_STATUS,
    "quarantine": schemas.QUARANTINE,
    "calibration": schemas.INTERVAL_CALIBRATION,
}


@dataclass(frozen=True)
class Stored:
    """A verdict as the store keeps it."""

    state: str
    reasons: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return make_inputs()


@pytest.fixture(scope="module")
def pages() -> dict[Language, str]:
    return full_pages()


@lru_cache(maxsize=1)
def full_pages() -> dict[Language, str]:
    return build_report(make_inputs())


def empty_inputs(inputs: ReportInputs) -> ReportInputs:
    return ReportInputs(
        pair=inputs.pair,
        as_of=AS_OF,
        horizons=HORIZONS,
        generated_at=inputs.generated_at,
        series=inputs.series,
        **HASHES,
    )


def visible(html: str) -> str:
    """The words of a page: no style sheet, no tags; fixed spaces as spaces."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body).replace("\xa0", " "))


def section(html: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', html, flags=re.S)
    assert found is not None, name
    return found.group(0)


# -------------------------------------------------------------------------------------------------- a full page


def test_the_factory_makes_frames_of_the_declared_tables(inputs: ReportInputs) -> None:
    for name, table in FRAMES.items():
        frame = getattr(inputs, name)
        pd.testing.assert_frame_equal(table.conform(frame), frame)
        assert table is TABLES[table.name]


@pytest.mark.capability("B14")
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_every_section_with_content(pages: dict[Language, str], language: Language) -> None:
    html = pages[language]
    assert f'<html lang="{language}">' in html
    assert [name for name in SECTIONS if len(visible(section(html, name))) < 60] == []
    assert len(html.encode()) < 400_000


@pytest.mark.capability("B14")
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("es", ("Dólar observado (BCCh)", "fixing oficial", "serie oficial incluida", "13 jun 2025", "CLP por USD")),
        ("en", ("Dólar observado (BCCh fixing)", "official fixing", "bundled official series", "13 Jun 2025")),
    ],
)
def test_the_header_names_pair_date_value_target_and_source(
    pages: dict[Language, str], inputs: ReportInputs, language: Language, words: tuple[str, ...]
) -> None:
    html = pages[language]
    header = visible(html[: html.index("<main>")])
    value = Localizer(language).price(float(inputs.bars["value"].iloc[-1]))
    assert [word for word in ("USD/CLP", value, *words) if word not in header] == []


def test_the_forecast_table_gives_centre_and_both_ranges_in_price_and_percent(
    pages: dict[Language, str], inputs: ReportInputs
) -> None:
    rows = inputs.forecast
    rows = rows[(rows["as_of"] == pd.Timestamp(AS_OF)) & rows["is_target"] & rows["is_active"]]
    for language, html in pages.items():
        loc = Localizer(language)
        table = visible(section(html, "forecast"))
        for row in rows.itertuples():
            for value in (row.q025, row.q100, row.q500, row.q900, row.q975):
                assert loc.price(float(value)) in table
            assert loc.percent(row.q975 / row.last_value - 1, sign=True) in table
            assert loc.date(row.target_date).replace("\xa0", " ") in table
        assert str(loc.text("forecast.calibrated", date=loc.date("2025-01-02"))).replace("\xa0", " ") in table


def test_a_forecast_without_calibration_says_so(inputs: ReportInputs) -> None:
    bare = replace(inputs, forecast=inputs.forecast.assign(calibrated_from=pd.NaT))
    assert "Sin calibrar" in section(build_report(bare)["es"], "forecast")


def test_a_reconstructed_forecast_says_it_is_a_what_if(inputs: ReportInputs) -> None:
    html = build_report(replace(inputs, forecast=inputs.forecast.assign(reconstructed=True)))["en"]
    assert "what-if" in visible(html)
    assert "Reconstructed" in section(html, "forecast")


def test_the_random_walk_stands_beside_every_forecast_and_score(pages: dict[Language, str]) -> None:
    assert section(pages["en"], "forecast").count("Yardstick: random walk") == len(HORIZONS)
    assert section(pages["en"], "performance").count("Yardstick: random walk") == len(HORIZONS)


def test_scores_come_with_n_effective_n_and_confidence_intervals(
    pages: dict[Language, str], inputs: ReportInputs
) -> None:
    text = visible(section(pages["en"], "performance"))
    rows = inputs.performance
    for row in rows[(rows["window"] == "live_60") & rows["is_active"]].itertuples():
        low, high = 100 * row.coverage_95_low, 100 * row.coverage_95_high
        assert f"{100 * row.coverage_95:.1f}% [{low:.1f}–{high:.1f}]" in text
        assert f"({row.n_effective:.1f})" in text


def test_recent_outcomes_differ_in_shape_not_only_in_colour(pages: dict[Language, str], inputs: ReportInputs) -> None:
    html = section(pages["en"], "outcomes")
    drawn = re.findall(r'<svg class="wide".*?</svg>', html, flags=re.S)
    assert len(drawn) == len(HORIZONS)
    rows = inputs.evaluation
    assert sum(svg.count('<circle class="m-hit"') for svg in drawn) == int(rows["covered_80"].sum())
    assert sum(svg.count('<circle class="m-edge"') for svg in drawn) == int(
        (rows["covered_95"] & ~rows["covered_80"]).sum()
    )
    assert sum(svg.count('<path class="m-miss"') for svg in drawn) == int((~rows["covered_95"]).sum()) > 0


def test_sources_say_who_answered_and_why_others_did_not(pages: dict[Language, str]) -> None:
    text = visible(section(pages["es"], "sources"))
    assert "6.343" in text
    assert "connection refused after 3 attempts" in text
    assert "FOREX_DATA_DIR no está definida" in text
    assert "ninguna respondió" in text


def test_drivers_show_age_and_staleness_and_name_what_is_missing(pages: dict[Language, str]) -> None:
    text = visible(section(pages["en"], "drivers"))
    assert re.search(r"WTI oil, spot \(EIA\) 66\.41 USD per barrel 30 May 2025 14 d .* Stale", text)
    assert "No usable value: US dollar index (DXY), VIX." in text


def test_quarantine_shows_count_rule_and_reason(pages: dict[Language, str]) -> None:
    text = visible(section(pages["es"], "quarantine"))
    assert text.count("44.12 is outside 0.5 to 12") == 1
    assert "2 observaciones apartadas" in text
    assert "unidad equivocada" in text


def test_the_footer_carries_the_provenance(pages: dict[Language, str]) -> None:
    for html in pages.values():
        footer = html[html.index("<footer class=") :]
        assert [value for value in HASHES.values() if value not in footer] == []


def test_the_two_languages_link_to_each_other_by_relative_name(pages: dict[Language, str]) -> None:
    assert f'href="{report_filename("en")}" hreflang="en"' in pages["es"]
    assert f'href="{report_filename("es")}" hreflang="es"' in pages["en"]


def test_the_same_inputs_give_the_same_bytes(pages: dict[Language, str], inputs: ReportInputs) -> None:
    assert build_report(inputs) == pages


# ------------------------------------------------------------------------------------- what no page may contain


def variants() -> dict[str, ReportInputs]:
    inputs = make_inputs()
    return {
        "full": inputs,
        "withheld": with_bad(with_bad(inputs, 90), 7, "bias"),
        "empty": empty_inputs(inputs),
        **{f"without {name}": replace(inputs, **{name: table.empty()}) for name, table in FRAMES.items()},
    }


VARIANTS = variants()


@pytest.mark.parametrize("name", list(VARIANTS))
def test_no_page_shows_nan_none_a_raw_key_or_an_empty_table(name: str) -> None:
    for html in build_report(VARIANTS[name]).values():
        text = visible(html)
        assert (
            re.findall(r"\b(nan|NaN|None|NaT|inf|undefined)\b", re.sub(r"<style>.*?</style>", "", html, flags=re.S))
            == []
        )
        assert [key for key in TEXTS if re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", text)] == []
        assert re.findall(r"[{}]", text) == []
        assert re.findall(r"<tbody>\s*</tbody>", html) == []


@pytest.mark.parametrize("name", ["full", "withheld", "empty"])
def test_no_page_loads_anything_from_elsewhere(name: str) -> None:
    for html in build_report(VARIANTS[name]).values():
        assert re.findall(r"https?:", html) == []
        assert re.findall(r"<(script|iframe|object|embed|img|video|audio|base)\b", html) == []
        assert re.findall(r"@import|@font-face|url\((?!#)", html) == []
        links = re.findall(r'(?:href|src)="([^"]*)"', html)
        assert {link for link in links if not link.startswith("#")} <= {*map(report_filename, LANGUAGES), "data:,"}


def test_strings_from_data_are_escaped() -> None:
    evil = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&"
    inputs = make_inputs()
    dirty = replace(
        inputs,
        pair=inputs.pair.model_copy(update={"label": evil}),
        series={},
        config_hash=evil,
        data_hash=evil,
        code_version=evil,
        verdicts={7: Stored("bad", (evil,))},
        forecast=inputs.forecast.assign(model=inputs.forecast["model"] + evil),
        bars=inputs.bars.assign(source=evil),
        drivers=inputs.drivers.assign(note=evil, unit=evil, source=evil, series=inputs.drivers["series"] + evil),
        source_status=inputs.source_status.assign(
            reason=evil, source=evil, series=inputs.source_status["series"] + evil
        ),
        quarantine=inputs.quarantine.assign(reason=evil, rule=evil, source=evil, series=evil),
        performance=inputs.performance.assign(window=inputs.performance["window"] + evil),
    )
    for html in build_report(dirty).values():
        assert "&lt;script&gt;" in html
        assert re.findall(r"<(script|img)\b", html) == []
        assert not re.search(r"onerror=alert\(1\)>", html)


def test_headers_charts_and_sections_are_labelled(pages: dict[Language, str]) -> None:
    for html in pages.values():
        assert re.findall(r"<th(?![^>]*\bscope=)[^>]*>", html.replace("<thead", "<x")) == []
        charts = re.findall(r"<svg[^>]*>", html)
        assert [
            tag for tag in charts if "aria-hidden" not in tag and not re.search(r'role="img" aria-label="[^"]+"', tag)
        ] == []
        ids = set(re.findall(r'\bid="([^"]+)"', html))
        assert set(re.findall(r'aria-labelledby="([^"]+)"', html)) <= ids
        assert html.count("<h1>") == 1


# ----------------------------------------------------------------------------------------------- missing pieces


@pytest.mark.parametrize(
    ("name", "where", "sentence"),
    [
        ("forecast", "forecast", "There are no forecasts for this date."),
        ("evaluation", "outcomes", "No evaluated forecast has matured yet"),
        ("performance", "performance", "There is no evaluation of live forecasts"),
        ("performance", "backtest", "There are no backtest results"),
        ("calibration", "width", "No calibration is in force"),
        ("source_status", "sources", "There is no record of the sources having been asked."),
        ("drivers", "drivers", "There are no drivers for this date."),
        ("quarantine", "quarantine", "No observation in quarantine"),
    ],
)
def test_a_missing_piece_is_said_in_a_sentence(inputs: ReportInputs, name: str, where: str, sentence: str) -> None:
    html = build_report(replace(inputs, **{name: FRAMES[name].empty()}))["en"]
    assert sentence in visible(section(html, where))


def test_without_prices_the_page_says_so_and_still_stands(inputs: ReportInputs) -> None:
    html = build_report(empty_inputs(inputs))["es"]
    assert "No hay precios utilizables" in visible(html)
    assert "No hay historia ni pronósticos que dibujar" in section(html, "fan")


def test_one_missing_horizon_is_named_in_its_place(inputs: ReportInputs) -> None:
    html = build_report(replace(inputs, forecast=inputs.forecast[inputs.forecast["horizon"] != 30]))["en"]
    assert section(html, "forecast").count("There is no forecast of this tenor for this date.") == 1


def test_an_old_last_value_is_announced(inputs: ReportInputs) -> None:
    old = replace(inputs, bars=inputs.bars[inputs.bars["event_date"] <= "2025-06-03"])
    html = build_report(old)["en"]
    assert "8 business days before" in visible(html)
    assert "8 business days before" not in visible(build_report(inputs)["en"])


def test_a_report_on_a_past_date_says_when_it_was_made(inputs: ReportInputs) -> None:
    later = replace(inputs, generated_at=dt.datetime(2025, 7, 13, 15, tzinfo=dt.UTC))
    assert "made 30 days later" in visible(build_report(later)["en"])


def test_an_instant_without_a_zone_is_refused(inputs: ReportInputs) -> None:
    with pytest.raises(ValueError, match="time zone"):
        replace(inputs, generated_at=dt.datetime(2025, 6, 13))


# ----------------------------------------------------------------------------------------------------- verdicts


def row(window: str, coverage: str, bias: str) -> Any:
    return pd.DataFrame(
        {
            "window": [window], "coverage_state": [coverage], "bias_state": [bias], "coverage_95": [0.8],
            "coverage_95_low": [0.7], "coverage_95_high": [0.85], "bias_sigma": [0.5], "bias_sigma_low": [0.3],
            "bias_sigma_high": [0.7],
        }
    ).itertuples().__next__()  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "stored", "state", "basis"),
    [
        ([], None, "unknown", ()),
        ([row("live_60", "good", "good")], None, "good", ("live_60",)),
        ([row("live_60", "unknown", "unknown"), row("backtest_1y", "good", "good")], None, "good", ("backtest_1y",)),
        ([row("live_60", "good", "unknown")], None, "unknown", ()),
        ([row("live_60", "good", "good"), row("backtest_5y", "bad", "good")], None, "bad", ()),
        ([row("live_60", "good", "bad")], None, "bad", ()),
        ([row("live_60", "good", "good")], Stored("unknown"), "unknown", ()),
        ([row("live_60", "good", "good")], Stored("bad", ("crossing quantiles",)), "bad", ()),
        ([row("live_60", "fine", "fine")], None, "unknown", ()),
    ],
)
def test_a_horizon_is_judged_by_its_worst_window_and_never_good_without_evidence(
    rows: list[Any], stored: Stored | None, state: str, basis: tuple[str, ...]
) -> None:
    judgement = judge(rows, stored)
    assert (judgement.state, judgement.basis) == (state, basis)


def shown_numbers(inputs: ReportInputs, days: int, language: Language) -> set[str]:
    """Every price of the horizon's forecast that is no other horizon's and not the last value."""
    loc = Localizer(language)
    today = inputs.forecast[inputs.forecast["as_of"] == pd.Timestamp(AS_OF)]
    columns = [name for name in today.columns if re.fullmatch(r"q\d{3}", name)]
    mine = today[(today["horizon"] == days) & today["is_target"]][columns].to_numpy().ravel()
    others = today[today["horizon"] != days][columns].to_numpy().ravel()
    return {loc.price(v) for v in mine} - {loc.price(v) for v in others} - {loc.price(today["last_value"].iloc[0])}


@pytest.mark.capability("B14")
@pytest.mark.parametrize("part", ["coverage", "bias"])
@pytest.mark.parametrize("days", [7, 90])
def test_a_forecast_with_a_bad_verdict_is_withheld_and_its_place_says_why(
    inputs: ReportInputs, pages: dict[Language, str], days: int, part: str
) -> None:
    for language, html in build_report(with_bad(inputs, days, part)).items():
        numbers, text, shown = shown_numbers(inputs, days, language), visible(html), visible(pages[language])
        assert [number for number in numbers if number in text] == []
        assert [number for number in numbers if number in shown]
        reason = {"coverage": ("82,0%", "82.0%"), "bias": ("+0,62", "+0.62")}[part][LANGUAGES.index(language)]
        assert reason in visible(section(html, "forecast"))
        assert str(getattr(TEXTS["summary.withheld"], language)) in html


def test_a_bad_stored_verdict_withholds_too_and_its_words_are_shown(inputs: ReportInputs) -> None:
    html = build_report(replace(inputs, verdicts={15: Stored("bad", ("quantiles cross in 3 rows",))}))["es"]
    assert '<span lang="en">quantiles cross in 3 rows</span>' in section(html, "forecast")
    text = visible(html)
    assert [number for number in shown_numbers(inputs, 15, "es") if number in text] == []


def test_what_is_withheld_is_drawn_nowhere(inputs: ReportInputs) -> None:
    bad = with_bad(inputs, 90)
    html = section(build_report(bad)["en"], "fan")
    assert "30-day path" in html
    assert ">90d<" not in html
    widths = build_view(bad).horizons[-1].widths
    assert pd.Timestamp(AS_OF) not in set(widths["as_of"])
    assert "withheld" in summary_markdown(bad, "en")


def test_all_withheld_leaves_history_and_reasons(inputs: ReportInputs) -> None:
    bad = inputs
    for days in HORIZONS.values():
        bad = with_bad(bad, days)
    html = build_report(bad)["en"]
    assert "History only" in section(html, "fan")
    assert section(html, "forecast").count("Withheld, not shown") == len(HORIZONS)


def test_unknown_is_announced_and_never_shown_as_good(inputs: ReportInputs) -> None:
    unknown = replace(inputs, performance=inputs.performance.assign(coverage_state="unknown", bias_state="unknown"))
    html = build_report(unknown)["en"]
    assert "Not enough evidence for a verdict: 7d, 15d, 30d, 90d." in visible(html)
    assert 'class="badge good"' not in section(html, "summary") + section(html, "forecast") + section(html, "backtest")
    without = build_report(replace(inputs, performance=schemas.PERFORMANCE_REPORT.empty()))["en"]
    assert 'class="badge good"' not in section(without, "summary") + section(without, "forecast")


def test_live_forecasts_that_nobody_can_judge_are_marked_beside_a_good_backtest(pages: dict[Language, str]) -> None:
    assert section(pages["en"], "summary").count("Live: unknown") == len(HORIZONS)


def test_a_window_without_matured_forecasts_gives_no_row_of_blanks(inputs: ReportInputs) -> None:
    rows = inputs.performance.copy()
    live = rows["window"] == "live_60"
    numbers = [name for name in rows.columns if rows[name].dtype == float]
    rows.loc[live, numbers] = np.nan
    rows.loc[live, ["n", "n_effective"]] = [0, 0.0]
    rows.loc[live, ["coverage_state", "bias_state"]] = "unknown"
    html = build_report(replace(inputs, performance=rows))["en"]
    assert "There is no evaluation of live forecasts" in section(html, "performance")
    assert section(html, "summary").count("has matured yet") == len(HORIZONS)


# ------------------------------------------------------------------------------------------ only what was known


AFTER = pd.Timestamp("2025-06-16")


def shifted(frame: pd.DataFrame, scale: float, **columns: Any) -> pd.DataFrame:
    """Copies of the newest rows, moved after as_of and with other numbers."""
    extra = frame.tail(40).assign(**columns)
    numbers = [name for name in extra.columns if extra[name].dtype == float]
    extra[numbers] = extra[numbers] * scale
    return pd.concat([frame, extra], ignore_index=True)


@settings(deadline=None, max_examples=12)
@given(st.sampled_from(sorted(FRAMES)), st.floats(0.5, 1.5))
def test_rows_known_only_later_change_nothing(name: str, scale: float) -> None:
    inputs = make_inputs()
    later = AFTER.tz_localize("America/Santiago").tz_convert("UTC")
    moved: dict[str, Any] | None = {
        "bars": {"event_date": AFTER, "available_at": later},
        "forecast": {"as_of": AFTER},
        "evaluation": {"matured_on": AFTER},
        "performance": {"as_of": AFTER},
        "drivers": {"as_of": AFTER},
        "quarantine": {"withdrawn_at": later},
        "calibration": {"valid_from": AFTER},
        "source_status": None,
    }[name]
    if moved is not None:  # which source answered is a fact about the run, not about the market at as_of
        changed = replace(inputs, **{name: shifted(getattr(inputs, name), scale, **moved)})
        assert build_report(changed) == full_pages()


def test_a_price_withdrawn_by_then_is_not_the_last_value(inputs: ReportInputs) -> None:
    bars = inputs.bars.copy()
    bars["withdrawn_at"] = bars["withdrawn_at"].where(
        bars.index < len(bars) - 1, pd.Timestamp("2025-06-13 12:00", tz="UTC")
    )
    view = build_view(replace(inputs, bars=bars))
    assert view.last is not None
    assert view.last.event_date == pd.Timestamp("2025-06-12")


def test_the_newest_version_of_a_price_counts(inputs: ReportInputs) -> None:
    revised = inputs.bars.tail(1).assign(value=999.0, available_at=pd.Timestamp("2025-06-13 15:00", tz="UTC"))
    view = build_view(replace(inputs, bars=pd.concat([inputs.bars, revised], ignore_index=True)))
    assert view.last is not None
    assert view.last.value == 999.0


# ------------------------------------------------------------------------------ for the Dagster UI, other pairs


def test_the_markdown_summary_has_a_row_per_horizon_in_both_languages(inputs: ReportInputs) -> None:
    for language in LANGUAGES:
        lines = summary_markdown(inputs, language).splitlines()
        assert [line.split(" | ")[0] for line in lines[4:]] == ["| 7d", "| 15d", "| 30d", "| 90d"]
        assert len({line.count("|") for line in lines[2:]}) == 1


def test_the_fan_chart_is_a_png_whatever_is_missing(inputs: ReportInputs) -> None:
    for given_inputs in (inputs, with_bad(inputs, 90), empty_inputs(inputs)):
        picture = fan_chart_png(given_inputs)
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 200_000


def test_prices_below_a_hundred_get_four_decimals(inputs: ReportInputs) -> None:
    prices = ["last_value", "mean", *(name for name in inputs.forecast.columns if re.fullmatch(r"q\d{3}", name))]
    small = inputs.forecast.copy()
    small[prices] /= 870
    bars = inputs.bars.assign(value=inputs.bars["value"] / 870)
    text = visible(section(build_report(replace(inputs, bars=bars, forecast=small))["en"], "forecast"))
    assert re.search(r"\b1\.\d{4} to 1\.\d{4}\b", text)
