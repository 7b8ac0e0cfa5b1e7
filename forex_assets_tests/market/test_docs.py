"""The pages about data say what the catalogue says, and their examples work as printed."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from forex_assets.errors import SourceError
from forex_assets.market.asof import bars_as_of
from forex_assets.market.contract import FetchRequest
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.ingest import ingest
from forex_assets.ops.secrets import KNOWN_SECRETS
from forex_assets.settings import SeriesSpec, Settings, load_settings
from forex_assets.settings.addresses import TableAddress
from forex_assets_tests.market.provider_server import PATIENT, Provider, Reply

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOW = dt.datetime(2025, 6, 20, 12, tzinfo=dt.UTC)


def example(name: str) -> str:
    text = (DOCS / "add-a-source.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found, f"docs/add-a-source.md has no example '{name}'"
    return found.group(1)


def test_every_series_is_on_the_page_with_its_unit_and_its_sources(configured: Settings) -> None:
    text = (DOCS / "data-sources.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    printed = {
        "siete": "SIETE",
        "mindicador": "mindicador",
        "findic": "findic",
        "folder": "folder",
        "ecb": "ECB history",
        "ecb_live": "ECB live",
        "bis": "BIS",
        "fred": "FRED",
        "yahoo": "Yahoo",
        "stooq": "Stooq",
        "alphavantage": "Alpha Vantage",
        "xe": "XE",
    }
    for name, spec in configured.series.items():
        cells = [cell.strip() for cell in rows[name].strip("|").split("|")]
        assert cells[2] == spec.unit
        assert f"{spec.publication.time}" in cells[4]
        assert (cells[5] == "yes") == ("embedded" in spec.addresses), name
        for source in spec.addresses:
            assert source == "embedded" or printed[source] in cells[6], (name, source)


def test_every_source_variable_and_file_is_on_the_page(configured: Settings) -> None:
    text = (DOCS / "data-sources.md").read_text(encoding="utf-8")
    for spec in configured.series.values():
        for source, address in spec.addresses.items():
            assert f"| `{source}` |" in text
            if source == "folder":
                assert f"`{address['file']}`" in text
    for name in (name for name in KNOWN_SECRETS if not name.startswith("FOREX_")):
        assert f"`{name}`" in text
    for variable in ("FOREX_DATA_DIR", "FOREX_OFFLINE", "BCCH_USER", "BCCH_PASS", "BCCH_PASS_FILE", "FOREX_HOME"):
        assert f"`{variable}`" in text


def test_every_key_of_a_file_address_is_explained() -> None:
    text = (DOCS / "add-a-source.md").read_text(encoding="utf-8")
    for key in TableAddress.model_fields:
        assert f"| `{key}` |" in text


@pytest.mark.capability("A01")
def test_the_file_example_works_as_printed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(load_settings(environ={}).config_dir, configs)
    (configs / "pairs" / "usdclp_desk.yaml").write_text(example("pair"), encoding="utf-8")
    data = tmp_path / "data"
    (data / "tesoreria").mkdir(parents=True)
    (data / "tesoreria" / "dolar.csv").write_text(example("file"), encoding="utf-8")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(configs))
    monkeypatch.setenv("FOREX_DATA_DIR", str(data))
    settings = load_settings()
    result = ingest(settings, "usdclp_desk", now=NOW)
    bars = bars_as_of(result.observations, settings.pair("usdclp_desk"), "2025-06-13")
    assert bars["value"].tolist() == [1930.10, 1937.60]
    assert bars["event_date"].dt.strftime("%Y-%m-%d").tolist() == ["2025-06-12", "2025-06-13"]


def test_the_adapter_example_works_as_printed(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(example("adapter"), "docs/add-a-source.md", "exec", dont_inherit=True), namespace)
    spec = series["usdclp_close"].model_copy(update={"addresses": {"desk": {"symbol": "USDCLP"}}})
    request = FetchRequest(spec, dt.date(2025, 6, 1), dt.date(2025, 6, 13))
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway:
        source = namespace["DeskSource"](provider.base_url, gateway)
        provider.always(Reply({"rows": [{"day": "2025-06-13", "close": 937.6}, {"day": "2025-06-12", "close": 930.1}]}))
        assert source.fetch(request).frame["value"].tolist() == [930.1, 937.6]
        assert provider.requests[0].query == {"from": "2025-06-01", "to": "2025-06-13"}
        provider.always(Reply({"rows": []}))
        assert len(source.fetch(request).frame) == 0
        provider.always(Reply({"error": "no such symbol"}))
        with pytest.raises(SourceError, match="another shape"):
            source.fetch(request)
