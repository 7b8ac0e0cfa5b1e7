"""A bad address of a provider, or of a series at one, is refused when the configuration is loaded, not at night."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forex_assets.errors import ConfigError
from forex_assets.settings import load_settings, packaged_config_dir
from forex_assets.settings.providers import LiveProvider
from forex_assets_tests.defs.world import edit_yaml

pytestmark = pytest.mark.capability("J14", "L19")
Refused = Callable[[str, Callable[[dict[str, Any]], None]], ConfigError]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Change a file of the packaged configuration, load it, and return the refusal."""

    def load(file: str, change: Callable[[dict[str, Any]], None]) -> ConfigError:
        folder = shutil.copytree(packaged_config_dir(), tmp_path / "configs")
        edit_yaml(folder / file, change)
        with pytest.raises(ConfigError) as caught:
            load_settings(folder, {"FOREX_HOME": str(tmp_path / "home")})
        return caught.value

    return load


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("mindicador.cl/api", "a web address is https://host/path"),
        ("ftp://mindicador.cl/api", "a web address is https://host/path"),
        ("https:///api", "a web address is https://host/path"),
        ("https://mindicador.cl:0/api", "a web address is https://host/path"),
        ("https://mindicador.cl:http/api", "it is no web address"),
        ("https://[::1/api", "it is no web address"),
        ("https://mindicador.cl/ api", "no spaces and no control characters"),
        ("https://mindicador.cl/api\x00", "no spaces and no control characters"),
        ("http://mindicador.cl/api", "http carries credentials in the clear"),
        ("https://mindicador.cl/api?pass=hunter2", "an address has no ? and no #"),
        ("https://mindicador.cl/api#x", "an address has no ? and no #"),
        ("https://desk:hunter2@mindicador.cl/api", "credentials never stand in an address"),
        (17, "valid string"),
        (None, "valid string"),
    ],
)
@pytest.mark.parametrize("provider", ["mindicador", "xe"])
def test_a_bad_address_of_a_provider_is_refused_with_value_rule_and_remedy(
    refused: Refused, provider: str, address: Any, rule: str
) -> None:
    error = refused("platform.yaml", lambda body: body["providers"][provider].update(base_url=address))
    assert f"providers.{provider}.base_url" in error.message
    assert rule in error.message
    assert "got " in error.message
    assert error.remedy
    assert "hunter2" not in error.message


@pytest.mark.parametrize(
    ("provider", "key", "value"),
    [
        ("fred", "api_url", "api.stlouisfed.org"),
        ("ecb_live", "archive_url", "file:///etc/passwd"),
        ("yahoo", "other_urls", ["https://query2.finance.yahoo.com", "query3"]),
    ],
)
def test_so_is_every_other_address_a_provider_has(refused: Refused, provider: str, key: str, value: Any) -> None:
    error = refused("platform.yaml", lambda body: body["providers"][provider].update({key: value}))
    assert f"providers.{provider}.{key}" in error.message


@pytest.mark.parametrize(
    ("source", "address", "told"),
    [
        ("siete", {"code": "no code"}, "addresses.siete: code"),
        ("mindicador", {"slug": "../../etc"}, "addresses.mindicador: slug"),
        ("findic", {}, "addresses.findic: slug: Field required"),
        ("bis", {"key": "CLP"}, "addresses.bis: key"),
        (
            "bis",
            {"key": "D.CL.CLP.A", "check": {"series": "no_such_series"}},
            "'no_such_series', which is not declared",
        ),
        ("folder", {"file": "../secret.csv"}, "must be a path inside the data folder"),
        ("embedded", {"file": "a.csv", "colunm": "value"}, "addresses.embedded: colunm"),
    ],
)
def test_a_bad_address_of_a_series_is_refused(refused: Refused, source: str, address: Any, told: str) -> None:
    def change(body: dict[str, Any]) -> None:
        body["series"]["usdclp_fixing"]["addresses"][source] = address

    error = refused("series.yaml", change)
    assert told in error.message
    assert "usdclp_fixing" in error.message
    assert error.remedy


def test_a_reference_that_is_not_declared_is_refused(refused: Refused) -> None:
    def change(body: dict[str, Any]) -> None:
        body["series"]["usdclp_close"]["reference"]["series"] = "usdclp_fixng"

    error = refused("series.yaml", change)
    assert "reference names the series 'usdclp_fixng', which is not declared" in error.message


@given(st.text(max_size=40))
def test_whatever_text_stands_there_is_an_address_or_a_refusal(text: str) -> None:
    try:
        kept = LiveProvider(base_url=text, max_requests_per_s=1.0)
    except ValidationError:
        return
    assert kept.base_url == text
    assert text.startswith(("https://", "http://", "HTTPS://", "HTTP://")) or text.lower().startswith("http")


@pytest.mark.parametrize("address", ["https://mindicador.cl/api", "http://127.0.0.1:8080/x", "http://[::1]:9/x"])
def test_what_the_platform_and_a_loopback_test_use_is_an_address(address: str) -> None:
    assert LiveProvider(base_url=address, max_requests_per_s=1.0).base_url == address
