"""Pairs of a folder that no configuration knows: named by their files, in quote per base, with their own calendar."""

from __future__ import annotations

from pathlib import Path

import pytest

from forex_assets.errors import DataError, ValidationError
from forex_assets.market.folder_pairs import folder_pairs, with_folder_pairs
from forex_assets.settings import Settings, load_settings

ROWS = "2020-01-02,{0}\n2020-01-03,{1}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fx_usdbrl_ecb_daily.csv").write_text("date,value\n" + ROWS.format(4.02, 4.06))
    (tmp_path / "usdmxn_close_long_daily.csv").write_text(
        "date,open,close\n2020-01-02,18.8,18.9\n2020-01-03,18.9,18.8\n"
    )
    for name in ("copper_hg_daily.csv", "vix_daily.csv", "eurusd_15min.csv", "usdusd_daily.csv", "notes.txt"):
        (tmp_path / name).write_text("date,value\n2020-01-02,1\n")
    return tmp_path


def settings_of(folder: Path) -> Settings:
    return load_settings(environ={"FOREX_DATA_DIR": str(folder), "FOREX_OFFLINE": "1"})


def test_a_daily_file_that_starts_with_two_currencies_is_a_pair(folder: Path) -> None:
    assert sorted(folder_pairs(folder)) == ["usdbrl", "usdmxn_close"]


def test_a_pair_takes_unit_kind_calendar_and_publication_from_its_file(folder: Path) -> None:
    known, names = with_folder_pairs(settings_of(folder), ["usdbrl", "usdmxn_close", "usdclp"])
    assert names == ["usdbrl", "usdmxn_close", "usdclp"]
    fixing, close = known.pair("usdbrl"), known.pair("usdmxn_close")
    assert (fixing.unit, fixing.target.kind, fixing.calendars) == ("BRL per USD", "fixing", ["TARGET"])
    assert (close.unit, close.target.kind, close.calendars) == ("MXN per USD", "close", ["FX"])
    assert known.series[fixing.target.series].publication.zone == "Europe/Berlin"
    assert known.series[close.target.series].publication.zone == "America/New_York"
    assert known.series[close.target.series].addresses["folder"]["column"] == "close"
    low, high = known.series[fixing.target.series].range
    assert low < 4.0 < 4.0 * 100 < high < 4.0 * 1000


def test_all_pairs_are_the_configured_ones_and_the_plain_ones_of_the_folder(folder: Path) -> None:
    settings = settings_of(folder)
    known, names = with_folder_pairs(settings, None)
    assert names == [*settings.pairs, "usdbrl"]
    assert set(known.pairs) == {*settings.pairs, "usdbrl"}
    assert with_folder_pairs(load_settings(environ={}), None)[1] == list(settings.pairs)


def test_a_pair_that_is_nowhere_is_refused_with_what_there_is(folder: Path) -> None:
    with pytest.raises(ValidationError, match=r"'usdpln' is neither configured nor in .* usdbrl, "):
        with_folder_pairs(settings_of(folder), ["usdpln"])


def test_two_files_of_one_pair_are_refused_by_name(folder: Path) -> None:
    (folder / "usdbrl_daily.csv").write_text("date,value\n" + ROWS.format(4.02, 4.06))
    with pytest.raises(ValidationError, match=r"claimed by 2 files: fx_usdbrl_ecb_daily\.csv, usdbrl_daily\.csv"):
        with_folder_pairs(settings_of(folder), ["usdbrl"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when,price\n2020-01-02,4\n", "neither a column 'value' nor 'close'; it has when, price"),
        ("date,value\n2020-01-02,-4\n2020-01-03,0\n", "holds no positive number"),
        ("date,value\n2020-01-02,x\n", "holds no positive number"),
        ("", "cannot be read as a table"),
    ],
)
def test_a_file_without_prices_is_refused_with_value_and_rule(folder: Path, text: str, message: str) -> None:
    (folder / "fx_usdpln_ecb_daily.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        with_folder_pairs(settings_of(folder), ["usdpln"])
