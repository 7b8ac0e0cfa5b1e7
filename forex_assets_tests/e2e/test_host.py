"""The platform on a host: scheduled commands run, reading commands read, tools find the home, secrets stay."""

from __future__ import annotations

import datetime as dt
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from forex_assets.ops.schedule_export import SCHEDULED_COMMANDS
from forex_assets.ops.secrets import KNOWN_SECRETS
from forex_assets.settings import packaged_config_dir
from forex_assets_tests.e2e.conftest import FOREX, Host, Made, copy_of, strict_json

# ---- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.capability("B12", "B13", "B15")
@pytest.mark.parametrize(
    "command", ["forecast", "status", "validate", "backtest --every 60 --start 2015-01-02", "doctor"]
)
def test_a_reading_command_fits_80_columns_and_leaves_no_trace(made: Made, command: str) -> None:
    done = made.host.forex(*command.split(), check=None)
    assert done.returncode in (0, 1), done.stderr
    assert "…" not in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > 80 and not line.startswith("Report (")] == []
    assert made.host.left_elsewhere() == []


@pytest.mark.parametrize(
    "command", ["forecast --pair all", "status", "validate", "backtest --every 60 --horizon 7d", "doctor"]
)
def test_json_is_all_that_stands_on_stdout(made: Made, command: str) -> None:
    done = made.host.forex(*command.split(), "--json", check=None)
    assert strict_json(done.stdout)


@pytest.mark.capability("A01", "K14")
def test_the_stored_forecast_is_the_one_shown_and_the_same_as_computed_anew(made: Made, host: Host) -> None:
    arguments = ("forecast", "--as-of", "2025-06-12")
    stored, fresh = made.host.json(*arguments)["pairs"][0], host.json(*arguments)["pairs"][0]
    assert all(row["stored"] for row in stored["horizons"])
    assert not any(row["stored"] for row in fresh["horizons"])
    for kept, computed in zip(stored["horizons"], fresh["horizons"], strict=True):
        assert kept["quantiles"] == computed["quantiles"]
        assert kept["active"]["data_hash"] == computed["active"]["data_hash"]


def test_a_reader_that_goes_away_is_no_error(made: Made) -> None:
    done = made.host.command("bash", "-c", f"set -o pipefail; '{FOREX}' status --json | head -c 10")
    assert done.stdout == '{\n  "pairs'


# ---- reports -------------------------------------------------------------------------------------------------------


@pytest.mark.capability("B14")
def test_the_report_is_written_through_dagster_and_opened(copied: Host, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{opened}"\n')
    browser.chmod(0o755)
    for page in copied.home.glob("reports/usdclp/*/*.html"):
        page.unlink()
    shown = copied.json("report", "--open", BROWSER=f"{browser} %s")
    (es, en) = (Path(shown["reports"]["usdclp"][language]) for language in ("es", "en"))
    assert "<html" in es.read_text(encoding="utf-8")
    assert "<html" in en.read_text(encoding="utf-8")
    assert opened.read_text() == es.as_uri()


@pytest.mark.capability("B14")
def test_all_reports_are_those_of_pairs_with_something_stored(copied: Host) -> None:
    shown = copied.json("report", "--pair", "all", "--no-materialize")
    assert list(shown["reports"]) == ["usdclp", "usdzar"]
    assert shown["skipped"] == ["eurusd", "usdclp_close"]


# ---- schedules -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scheduled(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A copy of the host with the exported schedules, in the order a week would run them."""
    host = copy_of(made, tmp_path_factory.mktemp("scheduled") / "host")
    host.forex("schedule", "export", "--cron")
    return host


EXIT_CODES = {
    "daily_run": (0,),
    "dashboard": (0,),
    "weekly_validation": (0, 1),
    "weekly_report": (0,),
    "daily_check": (0, 1),
}


@pytest.mark.capability("J07", "B13", "B14", "B15", "B16")
@pytest.mark.parametrize("name", list(SCHEDULED_COMMANDS))
def test_every_scheduled_command_really_runs(scheduled: Host, name: str) -> None:
    wrapper = scheduled.home / "schedules" / "run-scheduled.sh"
    # A schedule starts with nothing but what its wrapper sets; FOREX_PAIRS keeps the test short.
    done = scheduled.command("/bin/sh", str(wrapper), name, check=None, FOREX_PAIRS="usdclp")
    (log,) = scheduled.home.glob(f"logs/{name}-*.log")
    text = log.read_text(encoding="utf-8")
    assert done.returncode in EXIT_CODES[name], text
    assert "Traceback" not in text
    expected = {
        "daily_run": "partitions materialised",
        "dashboard": "usdclp (es): ",
        "weekly_validation": "Matured forecasts of the deployed model",
        "weekly_report": "usdclp, week of ",
        "daily_check": "Problems: ",
    }
    assert expected[name] in text
    if name == "weekly_validation":
        assert (done.returncode == 1) == ("Bad: " in text)
    if name == "daily_check":
        assert (done.returncode == 0) == ("Problems: none found." in text)
    assert scheduled.left_elsewhere() == []


@pytest.mark.capability("B16", "L06")
@pytest.mark.parametrize("kind", ["cron", "systemd"])
def test_schedules_are_exported_and_taken_back(host: Host, kind: str) -> None:
    done = host.forex("schedule", "export", f"--{kind}")
    folder = host.home / "schedules"
    written = sorted(path.name for path in folder.iterdir())
    assert "run-scheduled.sh" in written
    assert len(written) == (2 if kind == "cron" else 11)
    for name in written:
        assert f"# {folder / name} (written)" in done.stdout
    syntax = host.command("/bin/sh", "-n", str(folder / "run-scheduled.sh"))
    assert syntax.stderr == ""
    undo = host.forex("schedule", "export", f"--{kind}", "--uninstall").stdout
    assert "crontab -" in undo if kind == "cron" else "systemctl --user disable --now" in undo
    host.command("bash", "-c", undo.splitlines()[-1])
    assert list(folder.iterdir()) == []
    assert host.left_elsewhere() == []


def test_a_dry_run_writes_nothing(host: Host) -> None:
    assert "CRON_TZ=America/Santiago" in host.forex("schedule", "export", "--cron", "--dry-run").stdout
    assert list(host.home.rglob("*")) == []


# ---- tools that find the home ---------------------------------------------------------------------------------------


@pytest.mark.capability("B26")
def test_the_doctor_finds_the_home_in_order(made: Made) -> None:
    found = made.host.json("doctor")
    assert (found["exit_code"], found["counts"]["fail"], found["counts"]["unknown"]) == (0, 0, 0)


def test_plain_dagster_commands_use_the_home_after_forex_env(copied: Host) -> None:
    before = sorted((copied.home / "store" / "usdclp" / "bars").iterdir())
    dagster = Path(sys.executable).with_name("dagster")
    materialize = f'"{dagster}" asset materialize --select usdclp/bars --partition 2024-06-03'
    copied.command("bash", "-c", f'eval "$("{FOREX}" env)" && {materialize}')
    after = sorted((copied.home / "store" / "usdclp" / "bars").iterdir())
    assert [path.name for path in after if path not in before] == ["2024-06-03.parquet"]
    assert copied.left_elsewhere() == []


@pytest.mark.capability("L05")
def test_the_warehouse_is_readable_by_plain_duckdb_while_a_run_writes(
    copied: Host, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    warehouse = str(copied.home / "warehouse.duckdb")
    said = tmp_path / "run.txt"
    # A Sunday, so that one run shows two things.
    arguments = (str(FOREX), "run", "--pair", "usdclp", "--days", "3", "--as-of", "2025-06-15")
    run = start(*arguments, cwd=copied.work, env=copied.environment(), output=said)
    counts: list[int] = []
    while run.poll() is None:
        with duckdb.connect(warehouse, read_only=True) as connection:
            (row,) = connection.execute("SELECT count(*) FROM forecast WHERE pair = 'usdclp' AND is_target").fetchall()
        counts.append(row[0])
        try:
            run.wait(timeout=0.4)
        except subprocess.TimeoutExpired:
            continue
    assert run.returncode == 0, said.read_text()
    assert len(counts) > 10
    assert min(counts) > 0
    text = " ".join(said.read_text().split())
    assert "2025-06-15 is no business day of usdclp; 2025-06-13, the last one, is used." in text
    assert "USD/CLP (dólar observado), as of 2025-06-13" in text


@pytest.mark.capability("E09")
def test_the_warehouse_explains_its_tables(made: Made) -> None:
    with duckdb.connect(str(made.host.home / "warehouse.duckdb"), read_only=True) as connection:
        tables = dict(connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
        (row,) = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE table_name = 'forecast' AND column_name = 'q975'"
        ).fetchall()
    assert {"bars", "forecast", "backtest", "evaluation", "performance_report"} <= set(tables)
    assert all(tables.values())
    assert "97.5%" in row[0]


# ---- secrets -------------------------------------------------------------------------------------------------------

MARKER = "m4rk3r"


class _Echo(http.server.BaseHTTPRequestHandler):
    """A provider that fails and repeats the whole request, credentials included, in its answer."""

    def do_GET(self) -> None:
        body = f"cannot serve {self.path}".encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/provider"
        server.shutdown()
        thread.join()


def _configured(folder: Path, provider: str) -> Path:
    """Copy the configuration with every live provider at a loopback address, and little to compute."""
    shutil.copytree(packaged_config_dir(), folder)
    path = folder / "platform.yaml"
    body = yaml.safe_load(re.sub(r'https://[^"]+', provider, path.read_text(encoding="utf-8")))
    body["backtest"]["start"] = dt.date(2024, 1, 2)
    body["horizons"] = {"7d": 7}
    body["forecast"].update(active_model="random_walk", models=["random_walk"])
    body["providers"]["http"] |= {"attempts": 1, "connect_timeout_s": 1.0, "read_timeout_s": 2.0}
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return folder


@pytest.mark.capability("L19", "B26")
def test_credentials_appear_nowhere_in_what_a_run_leaves(host: Host, tmp_path: Path, echo: str) -> None:
    extra = {
        "FOREX_CONFIG_DIR": str(_configured(tmp_path / "configs", echo)),
        "FOREX_OFFLINE": "0",
        **{name: f"{MARKER}-{name}/p&ss wörd@example.org" for name in KNOWN_SECRETS},
    }
    assert {"BCCH_USER", "BCCH_PASS"} <= set(extra)
    # No pair is named, so the one that nobody can serve is explained and fails nothing.
    done = host.forex("run", "--days", "1", FOREX_PAIRS="usdclp,usdclp_close", **extra)
    assert "usdclp_close: not run. No source has the target series usdclp_close" in " ".join(done.stdout.split())
    # The providers were asked, failed, said everything they knew, and the run went on with the next source.
    text = " ".join(done.stdout.split())
    assert re.search(r"siete[^:;]*: failed: [^;]*500", text), text
    assert "from source embedded" in text
    doctor = host.forex("doctor", check=None, **extra)
    status = host.forex("status", "--json", check=None, **extra)
    shown = "".join(said.stdout + said.stderr for said in (done, doctor, status)).encode()
    assert MARKER.encode() not in shown
    left = [path for path in host.home.rglob("*") if path.is_file()]
    assert len(left) > 50
    for path in left:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            # Compressed: look at the values and the footer.
            table = pq.read_table(path)
            content += table.to_pandas().to_csv().encode() + str(table.schema.metadata).encode()
        assert MARKER.encode() not in content, path


@pytest.mark.capability("E09", "L18")
def test_what_every_source_answered_is_stored(made: Made) -> None:
    rows = pd.read_parquet(made.host.home / "store" / "usdclp" / "source_status" / "all.parquet")
    fixing = rows.loc[rows["series"] == "usdclp_fixing"].set_index("source")["state"].to_dict()
    assert fixing["embedded"] == "answered"
    assert fixing["siete"] == fixing["mindicador"] == fixing["folder"] == "not_configured"
