"""Numbers, dates and words in Spanish and English."""

from __future__ import annotations

import datetime as dt
import re
import string
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forex_assets.reporting
from forex_assets.errors import ValidationError
from forex_assets.market.quality import RULES
from forex_assets.reporting.localize import LANGUAGES, Language, Localizer
from forex_assets.reporting.texts import TEXTS
from forex_assets.settings import load_settings

ES, EN = Localizer("es"), Localizer("en")
# Families looked up with a key made from data; the rest of the keys must be written out in a source or template.
FAMILIES = (
    "cannot_look.",
    "model.",
    "window.",
    "window_short.",
    "kind.",
    "state.",
    "state_short.",
    "driver_state.",
    "source_state.",
)
FAMILIES += (
    "source.",
    "series.",
    "unit.",
    "why.",
    "rule.",
    "feed.",
    "feed_unit.",
    "revision.",
    "ratio.",
    "verdict.",
    "outcomes.",
    "method.target_",
)
FAMILIES += ("evidence.", "regime.", "direction.", "chart.regimes.width")
ROOM = Path(forex_assets.reporting.__file__).parent


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_numbers_follow_each_language() -> None:
    assert ES.number(1234.56) == "1.234,56"
    assert EN.number(1234.56) == "1,234.56"
    assert EN.number(-0.5, 1) == "−0.5"
    assert ES.number(0.5, 1, sign=True) == "+0,5"
    assert ES.percent(0.9512) == "95,1%"
    assert Localizer("en", 4).price(1.08341) == "1.0834"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), pd.NA, pd.NaT])
def test_a_missing_value_reads_as_missing(value: float | None) -> None:
    assert ES.number(value) == ES.percent(value) == "s/d"
    assert EN.number(value) == EN.percent(value) == "n/a"


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert EN.percent(-0.00001, sign=True) == "0.0%"
    assert EN.percent(0.00001, sign=True) == "0.0%"


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_a_number_reads_back_as_itself_in_both_languages(value: float, decimals: int) -> None:
    for loc, thousands, point in ((ES, ".", ","), (EN, ",", ".")):
        text = loc.number(value, decimals)
        back = float(text.replace(thousands, "").replace(point, ".").replace("−", "-"))
        # Half a unit of the last place shown, and what a float of this size cannot hold.
        assert abs(back - value) <= 0.5001 * 10**-decimals + 4 * abs(value) * 2.0**-52


def test_dates_and_instants_follow_each_language_and_the_desk_zone() -> None:
    day = dt.date(2025, 1, 13)
    assert ES.date(day).replace("\xa0", " ") == "13 ene 2025"
    assert EN.date(day).replace("\xa0", " ") == "13 Jan 2025"
    assert ES.long_date(day) == "lunes 13 de enero de 2025"
    assert EN.long_date(day) == "Monday 13 January 2025"
    instant = pd.Timestamp("2025-06-13 22:45", tz="UTC")
    assert ES.instant(instant).replace("\xa0", " ") == "13 jun 2025 18:45"
    assert EN.date(None) == EN.instant(pd.NaT) == "n/a"


def test_units_are_translated_by_name_or_by_their_preposition() -> None:
    assert ES.unit("CLP per USD") == "CLP por USD"
    assert ES.unit("percent per year") == "% anual"
    assert EN.unit("CLP per USD") == "CLP per USD"


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="'fr'"):
        Localizer("fr")  # type: ignore[arg-type]


def test_a_missing_text_is_an_error_not_a_raw_key() -> None:
    with pytest.raises(KeyError):
        EN.text("no.such.text")


def test_values_put_into_a_text_are_escaped() -> None:
    assert "<b>" not in EN.text("forecast.withheld", reasons="<b>x</b>")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_exists_in_the_language(language: Language) -> None:
    assert [key for key, text in TEXTS.items() if not getattr(text, language).strip()] == []


def test_both_languages_use_the_same_placeholders() -> None:
    assert [key for key, text in TEXTS.items() if fields(text.es) != fields(text.en)] == []


def test_texts_carry_no_markup_beyond_emphasis() -> None:
    tags = {tag for text in TEXTS.values() for tag in re.findall(r"<[^>]*>", text.es + text.en)}
    assert tags <= {"<strong>", "</strong>"}


def test_every_text_is_used() -> None:
    sources = "".join(
        path.read_text() for path in [*ROOM.glob("*.py"), *ROOM.glob("templates/*")] if path.stem != "texts"
    )
    unused = [
        key for key in TEXTS if not key.startswith(FAMILIES) and f'"{key}"' not in sources and f"'{key}'" not in sources
    ]
    assert unused == []


def test_every_configured_series_source_model_and_quality_rule_has_a_name_in_both_languages() -> None:
    settings = load_settings(environ={})
    sources = {source for pair in settings.pairs.values() for chain in pair.chains.values() for source in chain}
    wanted = [f"series.{name}" for name in settings.series]
    wanted += [f"source.{name}" for name in sources]
    wanted += [f"model.{name}" for name in settings.platform.forecast.models]
    wanted += [f"rule.{name}" for name in RULES]
    assert [key for key in wanted if key not in TEXTS] == []
