"""Pictures of the loop show every configuration that was tried, and every version over its accuracy."""

from __future__ import annotations

import datetime as dt
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from forex_assets.lifecycle.pointers import Span
from forex_assets.reporting.loop_charts import ROLLING, search_chart, versions_chart

NOW = dt.datetime(2025, 6, 16, tzinfo=dt.UTC)


def trial(model: str, objective: float | None, **parameters: float) -> dict[str, object]:
    return {"model": model, "parameters": parameters, "objective": objective}


def whole(picture: str) -> str:
    """Return the texts of a picture that is whole XML with its own size."""
    root = ElementTree.fromstring(picture)
    assert float(root.attrib["width"]) > 500
    assert "nan" not in picture
    return " ".join(item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.capability("A08", "A12")
def test_the_search_plot_has_a_mark_for_every_configuration_and_names_what_failed() -> None:
    table = [trial("loghar", 1.01), trial("rw_ewma", 0.99, decay=0.9), trial("rw_ewma", None), trial("blend", 1.4)]
    picture = search_chart(table, in_use=1.002, candidate=table[1])
    texts = whole(picture)
    assert all(name in texts for name in ("loghar", "rw_ewma", "blend", "in use (1.0020)", "candidate", "failed"))
    assert len(re.findall(r'<rect class="p\d" [^>]*width="6.8"', picture)) == 3
    assert len(re.findall(r'<path class="x"', picture)) == 2  # the configuration, and the legend
    assert len(re.findall(r'<rect class="won"', picture)) == 2


def test_a_search_without_result_or_comparison_is_drawn_too() -> None:
    assert search_chart([]) == ""
    texts = whole(search_chart([trial("loghar", None), trial("loghar", None)]))
    assert "failed" in texts
    assert "in use" not in texts


def evaluated(days: int, ratio: float) -> pd.DataFrame:
    as_of = pd.bdate_range("2025-01-06", periods=days)
    walk = pd.DataFrame({"as_of": as_of, "model": "random_walk", "is_active": False, "crps": np.linspace(4, 6, days)})
    return pd.concat([walk, walk.assign(model="ets@12345678", is_active=True, crps=ratio * walk["crps"])])


@pytest.mark.capability("A25", "E13")
def test_versions_stand_over_the_accuracy_of_the_forecasts_made_with_them() -> None:
    spans = [
        Span("ab" * 8, dt.date(2025, 2, 3), NOW, 1, "promotion", "000004"),
        Span("settings", dt.date(2025, 2, 20), NOW, 2, "automatic rollback", "000009"),
    ]
    texts = whole(versions_chart(evaluated(60, 0.9), spans, first_in_use="settings (champion_zero)"))
    for name in ("settings (champion_zero)", "abababab (promotion)", "settings (automatic rollback)", "60 matured"):
        assert name in texts
    assert str(ROLLING) in texts
    # A version promoted after the last evaluated day is there as well.
    later = [Span("cd" * 8, dt.date(2025, 6, 2), NOW, 1, "promotion", "000004")]
    assert "cdcdcdcd" in whole(versions_chart(evaluated(5, 1.1), later, first_in_use="settings"))
    assert versions_chart(evaluated(5, 1.0).iloc[:0], [], first_in_use="settings") == ""


def test_the_line_of_accuracy_lies_at_the_planted_ratio() -> None:
    below, above = (versions_chart(evaluated(40, ratio), [], first_in_use="settings") for ratio in (0.92, 1.08))

    def heights(picture: str) -> tuple[float, float]:
        line = re.search(r'<path class="acc" d="M([^"]+)"', picture)
        one = re.search(r'<path class="c-reference" d="M[\d.]+ ([\d.]+)L', picture)
        assert line is not None
        assert one is not None
        points = [float(point.split()[1]) for point in line.group(1).split("L")]
        assert max(points) - min(points) < 0.11  # a constant ratio is a flat line
        return points[0], float(one.group(1))

    under, over = heights(below), heights(above)
    assert under[0] > under[1]  # lower on the page than 1
    assert over[0] < over[1]
