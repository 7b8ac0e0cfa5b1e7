"""What a reader is told of sources that did not serve."""

from __future__ import annotations

from forex_assets.summary import unreachable_hosts, why_not

ENTRY = {
    "series": "vix",
    "answered_by": [],
    "others": {
        "folder": "not_configured: FOREX_DATA_DIR is not set",
        "yahoo": "failed: query1.example.com cannot be reached: no route. "
        "query2.example.com cannot be reached: no route.",
        "fred": "failed: answered HTML instead of CSV",
    },
}


def test_reasons_are_short_and_other_failures_keep_their_words() -> None:
    assert why_not(ENTRY) == (
        "folder: FOREX_DATA_DIR is not set; yahoo: unreachable; fred: failed: answered HTML instead of CSV"
    )


def test_each_unreachable_host_is_named_once() -> None:
    assert unreachable_hosts({"sources": [ENTRY, ENTRY]}) == ["query1.example.com", "query2.example.com"]
