"""The doctor tells each shortfall with its remedy, never a secret, and never takes unknown for fine."""

from __future__ import annotations

import datetime as dt
import http.server
import io
import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from forex_assets.errors import ValidationError
from forex_assets.home import prepare_home
from forex_assets.ops.alerts import Alert, Outbox
from forex_assets.ops.doctor import program as doctor_program
from forex_assets.ops.doctor import sources as doctor_sources
from forex_assets.ops.doctor.diagnosis import diagnose
from forex_assets.ops.doctor.findings import Finding, as_json, exit_code, render
from forex_assets.schemas import BARS, OBSERVATIONS
from forex_assets.settings import Settings, load_settings
from forex_assets.store.slice_file import Verdict
from forex_assets.store.slices import SliceStore

NOW = dt.datetime(2025, 6, 13, 23, 0, tzinfo=dt.UTC)  # a Friday, 19:00 in Santiago


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings()


def _look(settings: Settings, *, probe: bool = False, **environ: str) -> dict[tuple[str, str], Finding]:
    findings = diagnose(settings, now=NOW, probe_network=probe, environ=environ)
    return {(finding.area, finding.name): finding for finding in findings}


def _observations(settings: Settings, newest: str, *, pair: str = "usdclp", drivers: bool = True) -> pd.DataFrame:
    """Two good values per series up to ``newest``, and a withdrawn one after it."""
    days = pd.to_datetime([newest, "2025-06-02", "2025-06-13"], utc=True)
    spec = settings.pair(pair)
    names = spec.all_series if drivers else [spec.target.series]
    frames = [
        pd.DataFrame(
            {
                "pair": pair,
                "series": name,
                "event_time": days,
                "available_at": days + pd.Timedelta(hours=1),
                "value": 933.0,
                "open": None,
                "high": None,
                "low": None,
                "unit": settings.series[name].unit,
                "source": ["embedded", "embedded", "folder"],
                "retrieved_at": pd.Timestamp(NOW),
                "payload_hash": "p",
                "withdrawn_at": [pd.NaT, pd.NaT, pd.Timestamp(NOW)],
                "rule": [None, None, "range"],
                "reason": [None, None, "9330 outside 200 to 3000"],
                "config_hash": "c",
                "data_hash": "d",
                "code_version": "v",
            }
        )
        for name in names
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.capability("B26")
def test_a_fresh_home_is_fine_and_says_what_to_run(settings: Settings) -> None:
    found = _look(settings)
    assert exit_code(list(found.values())) == 0
    assert found["store", "slices"].state == "warn"
    assert "forex run" in found["store", "slices"].remedy
    assert found["store", "warehouse"].state == "warn"
    assert found["home", "folder"].state == "ok"
    assert found["program", "python"].state == "ok"
    assert settings.config_hash("usdclp") in found["configuration", "usdclp"].detail
    assert "18 * * 1-5" in found["configuration", "schedules"].detail
    assert not any(area == "network" for area, _ in found)
    assert list(settings.home.iterdir()) == [], "looking leaves nothing behind"


@pytest.mark.capability("B26")
def test_every_shortfall_has_a_remedy(settings: Settings) -> None:
    for finding in _look(settings, probe=True).values():
        assert finding.state == "ok" or finding.remedy, finding


@pytest.mark.capability("B26")
def test_sources_are_told_with_why_others_are_not_asked(settings: Settings, tmp_path: Path) -> None:
    found = _look(settings)
    assert found["sources", "live providers"].state == "warn"
    usdclp = found["sources", "usdclp"].detail
    assert "usdclp_fixing from embedded" in usdclp
    assert "siete: offline" in usdclp
    assert "drivers have no source: copper_comex" in usdclp
    close = found["sources", "usdclp_close"]
    assert (close.state, "no source for its target" in close.detail) == ("warn", True)
    only_close = settings.model_copy(update={"pairs": {"usdclp_close": settings.pair("usdclp_close")}})
    assert _look(only_close)["sources", "all pairs"].state == "fail"


@pytest.mark.capability("L19", "B26")
def test_credentials_are_reported_by_place_and_never_by_value(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "pass"
    path.write_text("s3cr3t-file-value")
    path.chmod(0o600)
    online = settings.model_copy(update={"offline": False})
    environ = {"BCCH_USER": "desk@secret.example", "BCCH_PASS_FILE": str(path)}
    found = _look(online, **environ)
    assert found["credentials", "BCCH_USER"] == Finding("credentials", "BCCH_USER", "ok", "set (environment)")
    assert found["credentials", "BCCH_PASS"].detail == "set (private file)"
    assert "usdclp_fixing from siete, mindicador, findic, embedded, bis" in found["sources", "usdclp"].detail
    text = json.dumps(as_json(list(found.values())))
    assert "s3cr3t-file-value" not in text
    assert "desk@secret.example" not in text
    path.chmod(0o644)
    found = _look(online, **environ)
    assert found["credentials", "BCCH_PASS"].state == "fail"
    assert "mode 644" in found["credentials", "BCCH_PASS"].detail
    assert found["credentials", "BCCH_PASS"].remedy == f"chmod 600 {path}"
    assert "siete: BCCH_USER and BCCH_PASS are not set" in found["sources", "usdclp"].detail


@pytest.mark.capability("L19")
def test_an_open_env_file_of_scheduled_runs_fails(settings: Settings) -> None:
    env_file = settings.home / "forex.env"
    env_file.write_text("FOREX_OFFLINE=1\n")
    env_file.chmod(0o600)
    assert _look(settings)["credentials", "forex.env"].state == "ok"
    env_file.chmod(0o640)
    finding = _look(settings)["credentials", "forex.env"]
    assert (finding.state, finding.remedy) == ("fail", f"chmod 600 {env_file}")


@pytest.mark.capability("B26")
@pytest.mark.parametrize(
    ("newest", "state", "age"),
    [("2025-06-12", "ok", "1 business days old"), ("2025-06-06", "warn", "5 business days old (limit 3)")],
)
def test_freshness_counts_business_days_of_usable_values(settings: Settings, newest: str, state: str, age: str) -> None:
    SliceStore(settings.store_root).write(OBSERVATIONS, "usdclp", (), _observations(settings, newest))
    finding = _look(settings)["data", "usdclp"]
    assert f"through {newest} from embedded" in finding.detail, "the withdrawn value of the 13th does not count"
    assert age in finding.detail
    assert finding.state == state
    assert _look(settings)["data", "eurusd"].detail == "no observations stored yet"


def test_missing_drivers_and_a_missing_target_are_named(settings: Settings) -> None:
    store = SliceStore(settings.store_root)
    store.write(OBSERVATIONS, "usdclp", (), _observations(settings, "2025-06-12", drivers=False))
    finding = _look(settings)["data", "usdclp"]
    assert finding.state == "warn"
    assert f"0 of {len(settings.pair('usdclp').drivers)} drivers fresh (not: tpm" in finding.detail
    none_left = _observations(settings, "2025-06-12", drivers=False).assign(withdrawn_at=pd.Timestamp(NOW))
    store.write(OBSERVATIONS, "usdclp", (), none_left)
    assert "no usable value of usdclp_fixing" in _look(settings)["data", "usdclp"].detail


@pytest.mark.capability("L18")
def test_data_whose_age_cannot_be_told_are_unknown_and_unknown_is_not_fine(settings: Settings) -> None:
    SliceStore(settings.store_root).write(OBSERVATIONS, "usdclp", (), _observations(settings, "2025-06-12"))
    path = Path(settings.store_root) / "usdclp" / "observations" / "all.parquet"
    path.write_bytes(b"")
    found = _look(settings)
    assert found["data", "usdclp"].state == "unknown"
    assert found["store", "slices"].state == "fail"
    assert exit_code([found["data", "usdclp"]]) == 1


@pytest.mark.capability("B02", "B26")
def test_damaged_foreign_and_bad_slices_are_listed(settings: Settings) -> None:
    store = SliceStore(settings.store_root)
    for day in ("2025-06-10", "2025-06-11"):
        store.write(BARS, "usdclp", (day,), BARS.empty())
    store.write(BARS, "usdclp", ("2025-06-12",), BARS.empty(), verdict=Verdict("bad", ("schema: no rows",)))
    store.write(BARS, "usdclp", ("2025-06-13",), BARS.empty(), verdict=Verdict("unknown", ("n is 3",)))
    folder = Path(settings.store_root) / "usdclp" / "bars"
    (folder / "2025-06-10.parquet").write_bytes(b"")
    pd.DataFrame({"a": [1]}).to_parquet(folder / "2025-06-09.parquet")
    found = _look(settings)
    damaged = found["store", "slices"]
    assert damaged.state == "fail"
    assert "2 of 5 slices cannot be read" in damaged.detail
    assert "2025-06-10.parquet" in damaged.detail
    assert "2025-06-09.parquet was not written by this store" in damaged.detail
    assert "usdclp/bars/2025-06-12 (schema: no rows)" in found["store", "verdict bad"].detail
    assert "usdclp/bars/2025-06-13" in found["store", "verdict unknown"].detail


def test_a_warehouse_older_than_the_slices_is_behind(settings: Settings) -> None:
    SliceStore(settings.store_root, clock=lambda: NOW).write(BARS, "usdclp", ("2025-06-12",), BARS.empty())
    path = settings.home / "warehouse.duckdb"
    path.touch()
    for hours, state in ((1, "warn"), (-1, "ok")):
        made = (NOW - dt.timedelta(hours=hours)).timestamp()
        os.utime(path, (made, made))
        assert _look(settings)["store", "warehouse"].state == state


@pytest.mark.parametrize("root", ["nosuchprotocol://store", "file-in-the-way"])
def test_a_store_that_cannot_be_opened_fails(settings: Settings, tmp_path: Path, root: str) -> None:
    (tmp_path / "file-in-the-way").write_text("x")
    address = root if "://" in root else str(tmp_path / root)
    finding = _look(settings.model_copy(update={"store_root": address}))["store", "slices"]
    assert finding.state == "fail"


def test_a_home_that_cannot_be_written_fails(settings: Settings, tmp_path: Path) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("needs a folder that nobody can write, such as /proc")
    finding = _look(settings.model_copy(update={"home": Path("/proc/self/home")}))["home", "folder"]
    assert finding.state == "fail"
    assert "FOREX_HOME" in finding.remedy


@pytest.mark.parametrize(("free", "state"), [(10 << 30, "ok"), (900 << 20, "warn"), (100 << 20, "fail")])
def test_little_disk_space_warns_and_hardly_any_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    usage = shutil.disk_usage(settings.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    assert _look(settings)["home", "disk"].state == state


def test_dagsters_home_and_settings_are_compared_with_the_shipped_ones(settings: Settings, tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    folder = prepare_home(settings, environ)
    found = _look(settings, **environ)
    assert (found["dagster", "DAGSTER_HOME"].state, found["dagster", "dagster.yaml"].state) == ("ok", "ok")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    finding = _look(settings, **environ)["dagster", "dagster.yaml"]
    assert finding.state == "warn"
    assert "telemetry" in finding.detail
    for content in (b"- a list", b"a: {", b"\xff\xfe"):
        (folder / "dagster.yaml").write_bytes(content)
        assert _look(settings, **environ)["dagster", "dagster.yaml"].state == "fail"
    (folder / "dagster.yaml").unlink()
    assert "missing" in _look(settings, **environ)["dagster", "dagster.yaml"].detail
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "outside the home" in _look(settings, DAGSTER_HOME=str(elsewhere))["dagster", "DAGSTER_HOME"].detail


def test_missing_and_outdated_packages_fail_by_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["httpx>=99", "no-such-package==1.0", "rich>=1", "pytest>=99; extra == 'dev'", "x; sys_platform == 'none'"]
    monkeypatch.setattr(metadata, "requires", lambda _: needs)
    found = _look(settings)
    assert found["program", "httpx"].state == found["program", "no-such-package"].state == "fail"
    assert "needed: httpx>=99" in found["program", "httpx"].detail
    assert "not installed" in found["program", "no-such-package"].detail
    assert not {("program", "rich"), ("program", "pytest"), ("program", "x")} & set(found)

    def absent(_: str) -> list[str]:
        raise metadata.PackageNotFoundError("forex_assets")

    monkeypatch.setattr(metadata, "requires", absent)
    assert _look(settings)["program", "packages"].state == "unknown"


def test_a_python_outside_the_range_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_program.platform, "python_version", lambda: "3.9.1")
    assert _look(settings)["program", "python"].state == "fail"


@pytest.mark.capability("L06")
def test_a_schedule_with_the_day_trap_fails(settings: Settings) -> None:
    trapped = settings.platform.schedules.model_copy(update={"dashboard": "0 7 1,15 * 4"})
    broken = settings.model_copy(update={"platform": settings.platform.model_copy(update={"schedules": trapped})})
    assert _look(broken)["configuration", "schedules"].state == "fail"


def test_a_calendar_that_ends_soon_fails(settings: Settings) -> None:
    late = dt.datetime(2032, 6, 1, tzinfo=dt.UTC)
    findings = diagnose(settings, now=late, probe_network=False, environ={})
    [finding] = [item for item in findings if (item.area, item.name) == ("configuration", "usdclp")]
    assert finding.state == "fail"


def test_serious_alerts_and_corrupt_lines_of_the_outbox_are_told(settings: Settings) -> None:
    outbox = Outbox.from_settings(settings)
    assert _look(settings)["alerts", "outbox"].state == "ok"
    old = NOW - dt.timedelta(days=30)
    outbox.append(Alert("run_failure", "critical", "usdclp", "old trouble", "", "a", old))
    assert _look(settings)["alerts", "outbox"].state == "ok"
    outbox.append(Alert("run_failure", "high", "usdclp", "daily run failed", "", "b", NOW))
    outbox.append(Alert("stale", "low", "usdclp", "a little late", "", "c", NOW))
    finding = _look(settings)["alerts", "outbox"]
    assert finding.state == "warn"
    assert "3 alerts, 2 in the last 7 days (1 high, 1 low); newest of those: daily run failed" in finding.detail
    with outbox.path.open("ab") as handle:
        handle.write(b"garbage\n")
    finding = _look(settings)["alerts", "outbox"]
    assert (finding.state, "not alerts: 4" in finding.detail) == ("fail", True)
    outbox.path.unlink()
    outbox.path.mkdir()
    assert _look(settings)["alerts", "outbox"].state == "unknown"


@pytest.fixture
def providers() -> Iterator[dict[str, str]]:
    """A loopback provider that answers 500, one that never answers, and a port that refuses."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    silent = socket.create_server(("127.0.0.1", 0))
    refused = socket.create_server(("127.0.0.1", 0))
    port = refused.getsockname()[1]
    refused.close()
    yield {
        "answers": f"http://127.0.0.1:{server.server_address[1]}/api",
        "silent": f"http://127.0.0.1:{silent.getsockname()[1]}/api",
        "refuses": f"http://127.0.0.1:{port}/api",
    }
    server.shutdown()
    server.server_close()
    silent.close()
    thread.join()


@pytest.mark.capability("B26")
@pytest.mark.parametrize(("kind", "state"), [("answers", "ok"), ("silent", "warn"), ("refuses", "warn")])
def test_reachability_is_asked_only_when_wanted_and_no_network_is_no_failure(
    settings: Settings, providers: dict[str, str], monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    monkeypatch.setattr(doctor_sources, "_ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    platform = settings.platform
    pointed = platform.providers.model_copy(
        update={
            name: getattr(platform.providers, name).model_copy(
                update={"base_url": providers[kind if name == "mindicador" else "answers"]}
            )
            for name in platform.providers.addresses()
        }
    )
    online = settings.model_copy(
        update={"offline": False, "platform": platform.model_copy(update={"providers": pointed})}
    )
    found = _look(online, probe=True)
    assert found["network", "mindicador"].state == state
    assert "answered 500" in found["network", "siete"].detail, "an answer of any kind is reachability"
    assert exit_code(list(found.values())) == 0
    assert _look(settings, probe=True)["network", "live providers"].detail == "not asked: FOREX_OFFLINE=1"


def test_exit_code_and_json_agree_with_the_states() -> None:
    def finding(state: Any) -> Finding:
        return Finding("area", "name", state, "detail", "remedy")

    assert exit_code([finding("ok"), finding("warn")]) == 0
    assert exit_code([finding("ok"), finding("fail")]) == 1
    assert exit_code([finding("ok"), finding("unknown")]) == 1
    body = as_json([finding("ok"), finding("unknown"), finding("unknown")])
    assert body["counts"] == {"ok": 1, "warn": 0, "fail": 0, "unknown": 2}
    assert body["exit_code"] == 1
    assert json.loads(json.dumps(body)) == body


@pytest.mark.parametrize("width", [60, 140])
def test_rendering_shows_every_finding_and_the_remedies_that_are_needed(width: int) -> None:
    findings = [
        Finding("home", "disk", "ok", "71.6 GiB free", "never shown"),
        Finding("home", "folder", "fail", "[bold]not markup[/] cannot be written", "set FOREX_HOME"),
        Finding("network", "siete", "unknown", "no answer"),
    ]
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render(findings, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold]not markup[/]" in text
    assert "→ set FOREX_HOME" in text
    assert "never shown" not in text
    assert "1 ok, 1 FAIL, 1 unknown" in text


def test_a_time_without_a_zone_is_refused(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="no zone"):
        diagnose(settings, now=dt.datetime(2025, 6, 13), probe_network=False)


def test_looking_imports_no_model_or_plotting_library(settings: Settings) -> None:
    import subprocess

    code = (
        "import sys, datetime as dt; from forex_assets.settings import load_settings;"
        "from forex_assets.ops.doctor.diagnosis import diagnose;"
        "diagnose(load_settings(), now=dt.datetime.now(dt.UTC), probe_network=False);"
        "print([m for m in ('torch', 'chronos', 'matplotlib', 'statsmodels', 'arch', 'dagster') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
