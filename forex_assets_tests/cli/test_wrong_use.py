"""Wrong use and broken surroundings: one message with value, rule and remedy, the right exit code, no traceback."""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from forex_assets.cli import as_forex_error
from forex_assets.cli.common import each_pair, print_json
from forex_assets.errors import DataError, StoreError
from forex_assets_tests.cli.conftest import Forex

WRONG = {
    "unknown pair": (("run", "--pair", "nope"), "Pair 'nope' is not configured"),
    "empty pair list": (("forecast", "--pair", ","), "names no pair"),
    "path as pair": (("forecast", "--pair", "../../etc"), "Pair '../../etc' is no"),
    "no days": (("run", "--days", "0"), "--days 0: it must be a whole number from 1 to 365"),
    "too many days": (("run", "--days", "366"), "--days 366: it must be a whole number from 1 to 365"),
    "no date": (("run", "--as-of", "yesterday"), "--as-of 'yesterday' is not a day"),
    "no such month": (("forecast", "--as-of", "2025-13-01"), "--as-of '2025-13-01' is not a day"),
    "a day to come": (("run", "--as-of", "2999-01-01"), "--as-of 2999-01-01 has not begun"),
    "a report of a day to come": (("report", "--as-of", "2999-01-01"), "has not begun"),
    "unknown horizon": (("forecast", "--horizon", "8d"), "--horizon '8d' is not one of 7d, 15d, 30d, 90d"),
    "swapped dates": (("backtest", "--start", "2020-01-02", "--end", "2020-01-01"), "is after --end"),
    "no folder for rows": (("backtest", "--out", "/nowhere/rows.parquet"), "the folder /nowhere does not exist"),
    "rows not parquet": (("backtest", "--out", "rows.csv"), "must end in .parquet"),
    "no data folder": (("backtest", "--data-dir", "/nowhere"), "--data-dir '/nowhere' is not an existing folder"),
    "no kind of schedule": (("schedule", "export"), "Choose one of --cron and --systemd"),
    "rows outside": (("backtest", "--out", "../rows.parquet"), "Path '../rows.parquet'"),
    "rows with a shell in the name": (("backtest", "--out", "/tmp/$(id).parquet"), "File name '$(id).parquet'"),
    "rows with a NUL": (("backtest", "--out", "a\0b.parquet"), "it holds a NUL character"),
    "unknown option": (("status", "--nope"), "forex status has no option '--nope'"),
    "unknown command": (("forcast",), "forex has no command 'forcast'"),
    "unknown command of a group": (("schedule", "import"), "forex schedule has no command 'import'"),
    "an argument too many": (("status", "usdclp"), "forex status: Got unexpected extra argument"),
    "an option without its value": (("status", "--pair"), "Option '--pair' requires an argument"),
    "not a number": (("run", "--days", "ten"), "--days 'ten': it must be a whole number from 1 to 365"),
    "a fraction": (("run", "--days", "5.0"), "--days '5.0': it must be a whole number from 1 to 365"),
    "other digits": (("run", "--days", "٧"), "--days '٧': it must be a whole number"),
    "out of range": (("backtest", "--every", "0"), "--every 0: it must be a whole number from 1 to 260"),
    "too many rows": (("data", "revisions", "--limit", "101"), "--limit 101: it must be a whole number from 1 to 100"),
    "no stored days": (("drift", "show", "--days", "0"), "--days 0: it must be a whole number from 1 to 365"),
    "no port": (("ui", "--port", "70000"), "--port 70000: it must be a whole number from 1 to 65535"),
}


@pytest.mark.capability("B03", "B05", "B26")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_exits_2_and_names_value_and_rule(forex: Forex, case: str) -> None:
    arguments, message = WRONG[case]
    said = forex(*arguments)
    assert said.code == 2
    assert message in " ".join(said.err.split())
    assert said.out == ""
    assert "Traceback" not in said.err


@pytest.mark.capability("B26")
@pytest.mark.parametrize("case", WRONG)
def test_every_message_has_a_remedy(forex: Forex, case: str) -> None:
    assert "Remedy: " in forex(*WRONG[case][0]).err


@pytest.mark.capability("B26")
def test_a_slip_of_the_pen_is_shown_the_nearest_name(forex: Forex) -> None:
    assert "did you mean forecast?" in forex("forcast").err
    assert "did you mean --json?" in forex("status", "--jsn").err


def test_a_group_without_a_command_shows_its_help_and_exits_2(forex: Forex) -> None:
    for arguments in ((), ("schedule",)):
        said = forex(*arguments)
        assert said.code == 2
        assert "Usage: forex" in said.out + said.err
        assert "Error" not in said.err


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help")])
def test_help_exits_0_and_shows_the_kind_of_every_value(forex: Forex, arguments: tuple[str, ...]) -> None:
    said = forex(*arguments)
    assert said.code == 0
    assert "Usage: forex" in said.out


@pytest.mark.capability("B04")
def test_a_link_that_leads_out_of_its_folder_is_no_place_for_rows(forex: Forex, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside.parquet").write_bytes(b"mine")
    (tmp_path / "inside" / "rows.parquet").symlink_to(tmp_path / "outside.parquet")
    said = forex("backtest", "--out", str(tmp_path / "inside" / "rows.parquet"))
    assert said.code == 2
    assert "outside" in said.err
    assert (tmp_path / "outside.parquet").read_bytes() == b"mine"


@pytest.mark.capability("L19")
def test_the_working_folder_is_no_secret(forex: Forex, monkeypatch: pytest.MonkeyPatch) -> None:
    # Shells export PWD, which is named like a password.
    repository = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PWD", str(repository))
    monkeypatch.setenv("DB_PWD", "correct horse")
    said = forex("run", "--pair", "nope")
    assert f"{repository}" in said.err
    assert "correct horse" not in forex("run", "--pair", "correct horse").err


@pytest.mark.parametrize("command", [("status",), ("run",), ("forecast",), ("doctor",)])
def test_a_data_folder_that_is_not_there_is_an_error_of_its_own(
    forex: Forex, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FOREX_DATA_DIR", "/nowhere")
    said = forex(*command)
    assert said.code == 2
    assert "FOREX_DATA_DIR points to /nowhere, which is not a folder" in said.err


def test_a_port_in_use_is_refused_before_anything_starts(forex: Forex, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = forex("ui", "--port", str(port))
    assert said.code == 2
    assert f"--port {port} cannot be used on 127.0.0.1: Address already in use" in said.err
    assert list(home.iterdir()) == []


@pytest.mark.capability("B26")
def test_a_home_that_cannot_be_made_is_an_error_of_its_own(
    forex: Forex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FOREX_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.delenv("DAGSTER_HOME")
    said = forex("run", "--json")
    assert said.code == 1
    assert "Cannot prepare the home folder" in said.err
    assert said.out == ""


@pytest.mark.capability("B26", "L18")
@pytest.mark.parametrize("blocks", [2, 40, 200])
def test_a_full_disk_is_a_readable_error(home: Path, blocks: int) -> None:
    # No file may grow beyond so many KiB: the first write, Dagster's databases, or the event log hit the limit.
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f {blocks}; exec {sys.executable} -m forex_assets.cli run --pair usdclp --days 1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=_environment(),
    )
    assert done.returncode == 1, done.stderr
    assert "Error: " in done.stderr
    assert "has space" in done.stderr or "space there" in done.stderr
    assert "Traceback" not in done.stderr


def _environment() -> dict[str, str]:
    """This environment without coverage, whose own files the limit would hit too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback_wherever_it_stands(forex: Forex, place: str) -> None:
    arguments = ("run", "--pair", "nope")
    with pytest.raises(Exception, match="Pair 'nope' is not configured"):
        forex(*(("--debug", *arguments) if place == "before" else (*arguments, "--debug")))


def test_errors_of_the_system_become_readable() -> None:
    full = as_forex_error(OSError(28, "No space left on device", "/srv/forex/store/x"))
    assert isinstance(full, StoreError)
    assert "/srv/forex/store/x: No space left on device" in full.message
    wrapped = OperationalError("INSERT", {}, sqlite3.OperationalError("attempt to write a readonly database"))
    assert "readonly database" in as_forex_error(wrapped).message
    caused = RuntimeError("step failed")
    caused.__cause__ = wrapped
    assert "readonly database" in as_forex_error(caused).message
    unknown = as_forex_error(KeyError("q975"))
    assert "Unexpected KeyError" in unknown.message
    assert "--debug" in unknown.remedy


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": math.nan, "b": [np.float64("inf"), 1.5], "n": np.int64(3), "x": {"y": (np.float32(0.5), None)}})
    assert "".join(capsys.readouterr().out.split()) == '{"a":null,"b":[null,1.5],"n":3,"x":{"y":[0.5,null]}}'


def test_all_pairs_means_every_pair_that_has_data(capsys: pytest.CaptureFixture[str]) -> None:
    def make(name: str) -> str:
        if name == "b":
            raise DataError("Nothing of b is known.", remedy="fetch it.")
        return name.upper()

    assert each_pair(["a", "b"], make, may_skip=True) == (
        ["A"],
        [{"pair": "b", "message": "Nothing of b is known.", "remedy": "fetch it."}],
    )
    assert "b: skipped. Nothing of b is known." in capsys.readouterr().err
    with pytest.raises(DataError, match="Nothing of b"):
        each_pair(["a", "b"], make, may_skip=False)
    with pytest.raises(DataError, match="No pair has the data"):
        each_pair(["b"], make, may_skip=True)
