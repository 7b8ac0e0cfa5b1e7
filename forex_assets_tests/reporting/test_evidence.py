"""The evidence a reader sees: every model compared, and four kinds of charts per horizon, in both languages."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from forex_assets.reporting import ReportInputs, build_report
from forex_assets.reporting.evidence_charts import (
    calibration_curve,
    pictures,
    pit_densities,
    pit_histogram,
    regime_chart,
    score_through_time,
)
from forex_assets.reporting.localize import Localizer
from forex_assets_tests.reporting.evidence_rows import evidence
from forex_assets_tests.reporting.factory import make_inputs

EN = Localizer("en")
CHARTS = {
    "calibration": (calibration_curve, "reliability"),
    "pit": (pit_histogram, "reliability"),
    "through_time": (score_through_time, "slices"),
    "regimes": (regime_chart, "slices"),
}


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return make_inputs(**evidence())


def rows(table: str, days: int = 7) -> pd.DataFrame:
    frame = evidence()[table]
    return frame[frame["horizon"] == days]


def test_both_languages_show_every_model_and_every_chart_of_every_horizon(inputs: ReportInputs) -> None:
    pages = build_report(inputs)
    for language, words in (("en", ("Evidence on the models", "undecided", "yardstick")),
                            ("es", ("Evidencia de los modelos", "sin decidir", "vara de medir"))):  # fmt: skip
        page = pages[language]  # type: ignore[index]
        section = page[page.index('<section id="evidence"') :]
        section = section[: section.index("</section>")]
        assert all(word in section for word in words)
        assert section.count("<figure") == 4 * len(CHARTS)
        assert section.count('<svg class="wide"') == section.count('<svg class="narrow"') == 4 * len(CHARTS)
        assert "nan" not in section.lower()


def test_without_evidence_the_page_says_so_in_a_sentence() -> None:
    page = build_report(make_inputs())["en"]
    assert "No evidence is stored: the backtest has not run." in page


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_needs_its_rows_and_draws_nothing_without(name: str) -> None:
    draw, table = CHARTS[name]
    assert "<svg" in draw(rows(table), EN)
    assert draw(rows(table).head(0), EN) == ""
    assert draw(rows(table)[rows(table)["model"] == "rw_empirical"], EN) == ""  # neither deployed nor the yardstick


def test_the_deployed_random_walk_is_drawn_once() -> None:
    frame = rows("reliability")
    frame = frame.assign(is_active=frame["model"] == "random_walk")
    assert calibration_curve(frame, EN).count("c-line0") == 4  # curve and legend, wide and narrow
    assert "c-line1" not in calibration_curve(frame, EN)
    slices = rows("slices")
    assert score_through_time(slices.assign(is_active=slices["model"] == "random_walk"), EN) == ""


def test_pit_densities_are_those_of_the_tenths() -> None:
    frame = rows("reliability")
    part = frame[frame["model"] == "random_walk"]
    density, noise = pit_densities(part)
    assert len(density) == 10
    assert density.mean() == pytest.approx(1.0)
    below = part.set_index(part["level"].round(3))["share_below"]
    assert density[0] == pytest.approx(10 * below[0.1])
    assert density[4] == pytest.approx(10 * (below[0.5] - below[0.4]))
    assert 0.05 < noise < 0.6
    assert (np.abs(density[1:-1] - 1) < 3 * noise).all()


@pytest.mark.parametrize("table", ["reliability", "slices"])
def test_pictures_for_the_ui_are_small_complete_svg_files(table: str) -> None:
    found = pictures(table if table == "reliability" else "performance_slices", rows(table))
    assert len(found) == 2
    for text in found.values():
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(root.attrib["width"]) > 0
        assert "<style>" in text
        assert len(text) < 40_000
    assert pictures("reliability", rows("reliability").head(0)) == {}


def test_the_direction_of_each_tenor_adds_up_to_one(inputs: ReportInputs) -> None:
    page = build_report(inputs)["en"]
    block = page[page.index("<h3>Direction</h3>") :]
    block = block[: block.index("</table>")]
    cells = [int(part.split("%")[0]) for part in block.split('<td class="num">')[1:]]
    assert len(cells) == 12
    for i in range(0, 12, 3):
        assert sum(cells[i : i + 3]) == pytest.approx(100, abs=1)
