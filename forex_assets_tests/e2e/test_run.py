"""`forex run` on a bare machine: what it shows, where it writes, what a second run changes."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.store.slices import SliceStore
from forex_assets_tests.e2e.conftest import DAYS, FOREX, PAIRS, Host, Made, copy_of, strict_json

TENORS = ("7d", "15d", "30d", "90d")
Slices = dict[tuple[str, str, tuple[str, ...]], pd.DataFrame]


def _keys(host: Host) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return every stored slice by pair, table and key."""
    store = SliceStore(str(host.home / "store"))
    return {
        (pair, table.name, key)
        for pair in store.pairs()
        for table in schemas.TABLES.values()
        for key in store.keys(table, pair)
    }


def _slices(host: Host) -> Slices:
    """Return the stored slices but the reports and the log of the sources, which say when they were made.

    Every snapshot of bars repeats the whole history: of those the newest stands for all.
    """
    store = SliceStore(str(host.home / "store"))
    found = _keys(host)
    newest = {
        pair: max((key for name, table, key in found if (name, table) == (pair, "bars")), default=())
        for pair in store.pairs()
    }
    return {
        (pair, name, key): store.read(schemas.TABLES[name], pair, [key], allow_bad=True)
        for pair, name, key in found
        if name not in ("desk_report", "source_status") and (name != "bars" or key == newest[pair])
    }


@pytest.mark.capability("A01")
def test_the_run_shows_every_tenor_with_intervals_coverage_and_score(made: Made) -> None:
    text = made.stdout
    assert "USD/CLP (dólar observado), as of 2025-06-13" in text
    for tenor in TENORS:
        assert len(re.findall(rf"^{tenor} +\d{{4}}-\d\d-\d\d +[\d.,]+ +[\d.,]+ – [\d.,]+ ", text, re.MULTILINE)) == 2
        assert len(re.findall(rf"^{tenor} +\d+% \[[^\]]+\] \(\d+\) ", text, re.MULTILINE)) == 2
    assert "IS / RW" in text
    assert re.search(r"\d+ partitions materialised in \d+ Dagster runs", text)


@pytest.mark.capability("A01", "E09")
def test_without_a_network_usdclp_comes_from_the_embedded_fixing(made: Made) -> None:
    text = " ".join(made.stdout.split())
    assert "Last official fixing 930.25 CLP per USD, dated 2025-06-13, from source embedded" in text
    assert "ZAR per USD" in text
    assert "from source ecb" in text
    assert re.search(r"\(others: siete, mindicador[^:]*: offline; folder: FOREX_DATA_DIR is not set\)", text)
    assert re.search(r"Missing: [^:]*copper_comex[^:]*: no source answered \([^)]*FOREX_DATA_DIR is not set", text)


def test_the_run_keeps_its_promises(made: Made) -> None:
    reports = re.findall(r"^Report \((es|en)\): (.+)$", made.stdout, re.MULTILINE)
    assert [language for language, _ in reports] == ["es", "en", "es", "en"]
    for _, path in reports:
        assert Path(path).read_text(encoding="utf-8").startswith("<!doctype html>")
    warehouse = re.search(r"^SQL: (.+)$", made.stdout, re.MULTILINE)
    assert warehouse
    assert Path(warehouse[1]).is_file()
    assert "`make ui` or `forex ui`, then http://127.0.0.1:3000" in made.stdout


def test_the_run_fits_80_columns_and_its_progress_goes_to_stderr(made: Made) -> None:
    long = [line for line in made.stdout.splitlines() if len(line) > 80]
    assert all(line.startswith(("Report (", "SQL: ")) for line in long)
    assert "…" not in made.stdout
    for step in ("market data", "snapshots", "backtest", "forecasts 90d", "evaluations 7d", "scores", "desk report"):
        assert f"usdclp: {step}" in made.stderr
    assert "all: warehouse" in made.stderr


@pytest.mark.capability("L05")
def test_nothing_is_written_outside_the_home(made: Made) -> None:
    assert made.elsewhere == []


@pytest.fixture(scope="module")
def again(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Host, str]:
    """A copy of the host on which the run of one pair was made a second time, and its JSON."""
    host = copy_of(made, tmp_path_factory.mktemp("again") / "host")
    return host, host.forex("run", "--pair", "usdclp", "--days", str(DAYS), "--force", "--json").stdout


@pytest.mark.capability("L05")
def test_a_run_on_unchanged_inputs_reuses_what_is_there(copied: Host) -> None:
    written = {path: path.stat().st_mtime_ns for path in copied.home.glob("store/*/[bfed]*/**/*.parquet")}
    shown = copied.json("run", "--pair", PAIRS, "--days", str(DAYS))
    assert [pair["runs"] for pair in shown["pairs"]] == [1, 1]
    assert all("up to date" in pair["notes"][-1] for pair in shown["pairs"])
    assert len(written) > 300
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.capability("L05", "K14")
def test_making_everything_again_changes_no_row_and_no_hash(made: Made, again: tuple[Host, str]) -> None:
    assert _keys(made.host) == _keys(again[0])
    before, after = _slices(made.host), _slices(again[0])
    assert set(before) == set(after)
    assert {key[1] for key in before} >= {"observations", "bars", "forecast", "backtest", "evaluation"}
    # When a value was fetched and by which build belong to the run, not to the row.
    of_the_run = ["retrieved_at", "code_version"]
    for key, frame in before.items():
        kept, made_anew = (rows.drop(columns=of_the_run, errors="ignore") for rows in (frame, after[key]))
        pd.testing.assert_frame_equal(kept, made_anew, obj=str(key))


@pytest.mark.capability("E09", "L04")
def test_the_json_of_a_run_says_what_the_table_says_and_where_each_number_comes_from(again: tuple[Host, str]) -> None:
    shown = strict_json(again[1])
    assert [pair["pair"] for pair in shown["pairs"]] == ["usdclp"]
    for pair in shown["pairs"]:
        assert pair["runs"] > 10
        assert pair["partitions"] > 4 * DAYS
        assert [row["horizon"] for row in pair["horizons"]] == list(TENORS)
        for row in pair["horizons"]:
            forecast = row["forecast"]
            low, high = forecast["interval_95"]
            assert low < forecast["interval_80"][0] < forecast["median"] < forecast["interval_80"][1] < high
            assert all(re.fullmatch(r"[0-9a-f]{16}", forecast[name]) for name in ("config_hash", "data_hash"))
            assert forecast["code_version"]
            live = row["scores"]["live_60"]
            assert live["n"] == DAYS
            assert live["n_effective"] <= live["n"]
            assert live["coverage_state"] in ("good", "bad", "unknown")


@pytest.mark.capability("E09")
def test_every_stored_row_names_its_config_data_and_code(made: Made) -> None:
    for key, frame in _slices(made.host).items():
        for column in ("config_hash", "data_hash", "code_version"):
            assert frame[column].astype(bool).all(), f"{key} {column}"


@pytest.mark.parametrize(
    ("as_of", "code", "message"),
    [
        ("2015-01-05", 2, "before the history start 2015-01-02"),
        ("2026-01-05", 1, "is more than 10 business days after the newest value of usdclp, of 2025-06-13"),
    ],
)
def test_a_day_that_cannot_be_forecast_is_refused_before_anything_is_made(
    copied: Host, as_of: str, code: int, message: str
) -> None:
    kept = _keys(copied)
    done = copied.forex("run", "--pair", "usdclp", "--as-of", as_of, check=code)
    assert message in " ".join(done.stdout.split())
    assert "Remedy: choose" in done.stdout
    assert "SQL:" not in done.stdout
    assert _keys(copied) == kept


@pytest.mark.capability("E09", "B26")
def test_a_folder_of_market_data_serves_the_market_close_and_says_so(host: Host, market_data_dir: Path) -> None:
    done = host.forex(
        "run", "--pair", "usdclp_close", "--as-of", "2025-06-13", "--days", "5", FOREX_DATA_DIR=str(market_data_dir)
    )
    text = " ".join(done.stdout.split())
    assert "USD/CLP (market close), as of 2025-06-13" in text
    assert re.search(r"Last market close [\d.]+ CLP per USD, dated 2025-06-13, from source folder", text)
    assert host.left_elsewhere() == []


@pytest.mark.capability("B26", "L18")
@pytest.mark.parametrize("arguments", [("--pair", "usdclp_close"), ()], ids=["named", "nothing else to run"])
def test_a_pair_without_any_source_fails_the_run(host: Host, arguments: tuple[str, ...]) -> None:
    done = host.forex("run", *arguments, check=1, FOREX_PAIRS="usdclp_close")
    assert "usdclp_close: not run. No source has the target series usdclp_close" in " ".join(done.stdout.split())
    assert "Remedy: set FOREX_DATA_DIR to a folder that has it" in " ".join(done.stdout.split())
    assert "SQL:" not in done.stdout


def test_the_command_is_installed_beside_the_interpreter() -> None:
    assert FOREX.is_file()
