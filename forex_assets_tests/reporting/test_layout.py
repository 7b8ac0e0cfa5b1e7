"""The page in a real browser: nothing wider than the window, no text over another, at phone and desk widths."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from forex_assets.reporting import LANGUAGES, ReportInputs, build_report
from forex_assets_tests.reporting.evidence_rows import evidence
from forex_assets_tests.reporting.factory import AS_OF, HASHES, HORIZONS, make_inputs, with_bad

WIDTHS = (360, 400, 768, 1400)
#: A4 between the margins of the printed page, in the pixels of a style sheet.
PAPER = 703
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --window-size=1500,900 --virtual-time-budget=8000"
)
# Runs in the wrapper, which shares its origin with the pages because they are given as srcdoc.
MEASURE = """
function overlaps(a, b) {
  const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  return wide > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
}
function measure(frame) {
  const doc = frame.contentDocument, width = frame.clientWidth;
  const found = {width, scroll: doc.documentElement.scrollWidth};
  doc.querySelectorAll("details").forEach(item => item.open = true);
  found.scroll_open = doc.documentElement.scrollWidth;
  found.outside = [...doc.querySelectorAll("body *")].filter(item => {
    if (item.closest(".scroll, .defs, .skip, thead")) return false;
    const box = item.getBoundingClientRect();
    return box.width > 0 && box.right > width + 0.5;
  }).map(item => item.tagName + ": " + item.textContent.slice(0, 40));
  found.collisions = [];
  found.escaped = [];
  found.charts = 0;
  for (const svg of doc.querySelectorAll("svg[role=img]")) {
    const frame_box = svg.getBoundingClientRect();
    if (!frame_box.width) continue;
    found.charts += 1;
    const labels = [...svg.querySelectorAll("text")];
    const texts = labels.map(item => [item.textContent, item.getBoundingClientRect()]);
    texts.forEach(([text, box], i) => {
      if (box.left < frame_box.left - 2 || box.right > frame_box.right + 2) found.escaped.push(text);
      const hit = texts.slice(i + 1).filter(([, other]) => overlaps(box, other));
      found.collisions.push(...hit.map(([other]) => text + " / " + other));
    });
  }
  return found;
}
window.onload = () => {
  const out = [...document.querySelectorAll("iframe")].map(measure);
  const result = document.createElement("pre");
  result.textContent = JSON.stringify(out);
  document.body.replaceChildren(result);
};
"""


def measure(page: str, folder: Path) -> list[dict[str, Any]]:
    """Open the page at every width in the browser, and as it is printed, and return what was measured."""
    assert BROWSER is not None
    assert page.count("@media print") == 1
    printed = page.replace("@media print", "@media all")
    frames = "".join(
        f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{html.escape(shown)}"></iframe>'
        for width, shown in [*((width, page) for width in WIDTHS), (PAPER, printed)]
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><script>{MEASURE}</script><body>{frames}</body>")
    done = subprocess.run(
        [BROWSER, *FLAGS.split(), f"--user-data-dir={folder / 'profile'}", "--dump-dom", wrapper.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r"<body><pre>(.*?)</pre>", done.stdout, flags=re.S)
    assert found is not None, done.stderr[-2000:]
    measured: list[dict[str, Any]] = json.loads(html.unescape(found.group(1)))
    return measured


def cases() -> dict[str, ReportInputs]:
    inputs = make_inputs()
    bare = ReportInputs(
        pair=inputs.pair,
        as_of=AS_OF,
        horizons=HORIZONS,
        generated_at=inputs.generated_at,
        series=inputs.series,
        **HASHES,
    )
    return {
        "evidence": make_inputs(**evidence()),
        "full": inputs,
        "withheld": with_bad(with_bad(inputs, 90), 7, "bias"),
        "empty": bare,
    }


@pytest.mark.e2e
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine to lay the page out")
@pytest.mark.capability("B14")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["evidence", "full", "withheld", "empty"])
def test_the_page_fits_its_window_and_its_paper_and_no_chart_text_collides(
    name: str, language: str, tmp_path: Path
) -> None:
    page = {str(key): value for key, value in build_report(cases()[name]).items()}[language]
    measured = measure(page, tmp_path)
    assert [item["width"] for item in measured] == [*WIDTHS, PAPER]
    for item in measured:
        assert item["scroll"] <= item["width"]
        assert item["scroll_open"] <= item["width"]
        assert item["outside"] == []
        assert item["collisions"] == []
        assert item["escaped"] == []
        charts = {"full": 4 + 1 + 4 + 2 + 1, "withheld": 2 + 1 + 4 + 2 + 1, "empty": 0}
        assert item["charts"] == (charts | {"evidence": charts["full"] + 4 * 4})[name]
