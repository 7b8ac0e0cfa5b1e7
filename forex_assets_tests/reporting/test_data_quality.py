"""The section on data quality: coverage by month, feeds under suspicion, revisions; in both languages, as of a day."""

from __future__ import annotations

import datetime as dt
import math
import re
import string
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forex_assets.clock import calendar_for
from forex_assets.market.quality import FEED_RULES, FeedFinding
from forex_assets.market.quality.feed import CANNOT_LOOK
from forex_assets.reporting import build_report
from forex_assets.reporting.data_quality import MONTHS, Cell, DataQuality, data_quality
from forex_assets.reporting.texts import TEXTS
from forex_assets.settings import Settings, load_settings
from forex_assets_tests.market.observed import observations
from forex_assets_tests.reporting.factory import make_inputs

pytestmark = pytest.mark.capability("J13", "E11")
AS_OF = dt.date(2025, 6, 13)
CL = calendar_for("CL")
DAYS = CL.sessions("2022-01-03", "2025-06-13")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(environ={})


def held(settings: Settings, drop: list[str] | None = None) -> pd.DataFrame:
    """The fixing of three years, one value revised late, some sessions lost."""
    spec = settings.series["usdclp_fixing"]
    values = 900 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.005, len(DAYS))))
    days = DAYS[~np.isin(DAYS, np.array(drop or [], dtype="datetime64[D]"))]
    frame = observations(spec, days, values[: len(days)])
    frame = frame.assign(withdrawn_at=pd.Series(pd.NaT, index=frame.index, dtype="datetime64[ns, UTC]"))
    frame = frame.assign(rule=None, reason=None)
    late = pd.Timestamp("2025-06-11T12:00", tz="UTC")
    new = frame.iloc[[-30]].assign(value=lambda rows: rows["value"] * 1.001, available_at=late)
    frame.loc[frame.index[-30], "withdrawn_at"] = late
    frame.loc[frame.index[-30], ["rule", "reason"]] = ["revision", "folder says otherwise now"]
    return pd.concat([frame, new], ignore_index=True)


def made(settings: Settings, frame: pd.DataFrame, as_of: dt.date = AS_OF) -> DataQuality:
    pair = settings.pair("usdclp")
    platform = settings.platform
    return data_quality(frame, pair, settings.series, platform.feeds, platform.quality, as_of=as_of)


def test_coverage_counts_sessions_with_a_usable_value_by_month(settings: Settings) -> None:
    lost = ["2024-09-02", "2024-09-03", "2025-02-03"]
    out = made(settings, held(settings, lost))
    row = next(row for row in out.coverage if row.series == "usdclp_fixing")
    assert len(row.cells) == MONTHS
    assert row.cells[-1].month == dt.date(2025, 6, 1)
    short = {cell.month: cell.expected - cell.present for cell in row.cells if cell.shade != "full"}
    assert short == {dt.date(2024, 9, 1): 2, dt.date(2025, 2, 1): 1}
    assert row.expected - row.present == 3
    others = [row for row in out.coverage if row.series != "usdclp_fixing"]
    assert others
    assert {cell.shade for row in others for cell in row.cells} == {"outside"}


def test_a_feed_that_stopped_is_empty_from_its_allowance_on(settings: Settings) -> None:
    frame = held(settings)
    out = made(settings, frame[frame["event_time"] < pd.Timestamp("2025-05-01", tz="UTC")])
    row = next(row for row in out.coverage if row.series == "usdclp_fixing")
    assert [cell.shade for cell in row.cells[-3:]] == ["full", "none", "none"]
    assert "stale_feed" in {item.rule for item in out.feeds if item.state == "found"}


def test_revisions_are_those_known_by_the_day(settings: Settings) -> None:
    frame = held(settings)
    assert made(settings, frame).revised == 1
    assert made(settings, frame, dt.date(2025, 6, 10)).revised == 0


def test_nothing_of_the_section_depends_on_what_came_later(settings: Settings) -> None:
    frame, day = held(settings), dt.date(2025, 3, 14)
    later = frame["available_at"] > pd.Timestamp("2025-03-15T03:00", tz="UTC")
    changed = frame.assign(value=frame["value"].where(~later, 5.0))
    first, second = made(settings, frame, day), made(settings, changed, day)
    assert (first.coverage, str(first.feeds), first.revised) == (second.coverage, str(second.feeds), second.revised)


@pytest.mark.parametrize(
    ("expected", "present", "shade"),
    [(0, 0, "outside"), (20, 20, "full"), (20, 18, "most"), (20, 5, "part"), (20, 0, "none")],
)
def test_the_shade_of_a_month(expected: int, present: int, shade: str) -> None:
    assert Cell(dt.date(2025, 1, 1), expected, present, 0).shade == shade


def finding(rule: str, unit: str, effect: float, against: str | None = None, state: str = "found") -> FeedFinding:
    return FeedFinding(
        rule,
        "usdclp_fixing",
        against,
        state,
        AS_OF,
        effect,
        1.0,
        unit,
        60,
        "<b>why</b>",  # type: ignore[arg-type]
        "no_level" if state == "unknown" else "",
    )


def section(page: str) -> str:
    start = page.index('<section id="data-quality"')
    return page[start : page.index("</section>", start)]


def test_both_languages_show_map_findings_and_revisions(settings: Settings) -> None:
    base = made(settings, held(settings, ["2024-09-02"]))
    feeds = (
        finding("date_shift", "log-likelihood ratio", 25.3, "usdclp_close"),
        finding("premium_break", "log", math.log(1.059), "copper_lme"),
        finding("disagreement", "share", 0.4, "usdclp_close"),
        finding("stale_feed", "business days", 17.0),
        finding("level_break", "", math.nan, state="unknown"),
    )
    shown = DataQuality(base.coverage, feeds, 12, base.revisions, base.revised)
    pages = build_report(make_inputs(data_quality=shown))
    for language, words in (
        (
            "es",
            ("Calidad de los datos", "fechas corridas un día", "+5,9%", "17 días hábiles", "corregido por su fuente"),
        ),
        ("en", ("Data quality", "dates off by a session", "+5.9%", "17 business days", "revised by its source")),
    ):
        part = section(pages[language])  # type: ignore[index]
        assert [word for word in words if word not in part] == []
        assert "&lt;b&gt;why&lt;/b&gt;" in part
        assert part.count('class="h-') >= MONTHS * len(base.coverage)
        assert "nan" not in re.sub(r"<[^>]*>", " ", part).lower().split()


def test_without_observations_the_section_says_so() -> None:
    pages = build_report(make_inputs())
    assert "No observations are stored to judge." in section(pages["en"])
    assert "No hay observaciones guardadas que juzgar." in section(pages["es"])


@pytest.mark.capability("J13", "L18")
def test_what_no_rule_could_look_at_is_said_in_both_languages_series_with_one_reason_together(
    settings: Settings,
) -> None:
    base = made(settings, held(settings))
    silent = [
        replace(finding("date_shift", "", math.nan, state="unknown"), series=name, cannot_look="nothing_alike")
        for name in ("sp500", "vix")
    ]
    alone = replace(
        finding("disagreement", "", math.nan, "sp500", "unknown"),
        cannot_look="no_reference",
        facts=(("series", "sp500"),),
    )
    pages = build_report(make_inputs(data_quality=DataQuality(base.coverage, (*silent, alone), 0)))
    spanish, english = section(pages["es"]), section(pages["en"])
    assert "ninguna otra serie se mueve con ella lo bastante para decirlo." in spanish
    assert '<span class="quiet">S&amp;P 500 · VIX</span>' in spanish
    assert "no hay valor de S&amp;P 500 con que comparar" in spanish
    assert "no other series moves with it closely enough to tell." in english
    assert [text for text in CANNOT_LOOK.values() if text in spanish] == []


def test_every_reason_not_to_look_has_words_in_both_languages_with_the_same_facts() -> None:
    def facts(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for code, said in CANNOT_LOOK.items():
        words = TEXTS[f"cannot_look.{code}"]
        assert facts(words.es) == facts(words.en) == facts(said)


def test_every_feed_rule_and_kind_of_revision_has_words_in_both_languages() -> None:
    names = [f"feed.{rule}" for rule in FEED_RULES]
    names += [f"revision.{kind}" for kind in ("revised", "replaced", "withdrawn", "released")]
    assert [name for name in names if name not in TEXTS] == []
