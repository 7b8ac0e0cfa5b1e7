"""Schedules as cron and systemd files: the right command, at the right time, without a secret, and removable."""

from __future__ import annotations

import configparser
import datetime as dt
import os
import shutil
import subprocess
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.errors import StoreError, ValidationError
from forex_assets.ops.schedule_export import (
    BEGIN_MARK,
    END_MARK,
    SCHEDULED_COMMANDS,
    CronExpression,
    ScheduleExport,
    export,
    schedules,
    validate_schedule,
    write,
)
from forex_assets.settings import Settings, load_settings

ZONE = "America/Santiago"
WEIRD = "home with space %h $USER 'quoted'"


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings()


@pytest.fixture
def fake_forex(tmp_path: Path) -> Path:
    """A command that says how it was called."""
    folder = tmp_path / "bin with space"
    folder.mkdir()
    path = folder / "forex"
    path.write_text(
        '#!/bin/sh\nprintf "%s|" "$@"; echo; echo "home=$FOREX_HOME pairs=${FOREX_PAIRS-}"\nexit "${EXIT-0}"\n'
    )
    path.chmod(0o755)
    return path


def _units(plan: ScheduleExport, suffix: str) -> dict[str, configparser.ConfigParser]:
    units = {}
    for path, text in plan.files.items():
        if path.suffix == suffix:
            parser = configparser.ConfigParser(interpolation=None, strict=True)
            parser.optionxform = str  # type: ignore[method-assign,assignment]
            parser.read_string(text)
            units[path.stem] = parser
    return units


@pytest.mark.capability("B13", "B14", "B15")
def test_the_classic_times_are_kept_in_the_desks_zone(settings: Settings) -> None:
    times = {}
    for name, cron in schedules(settings).items():
        moments = list(cron.fire_times(dt.date(2025, 6, 9), dt.date(2025, 6, 15), ZONE))
        times[name] = (len(moments), {moment.strftime("%H:%M") for moment in moments}, moments[0].strftime("%a"))
    assert times == {
        "daily_run": (5, {"18:30"}, "Mon"),
        "dashboard": (7, {"08:00"}, "Mon"),
        "weekly_validation": (1, {"09:00"}, "Mon"),
        "weekly_report": (1, {"08:40"}, "Mon"),
        "daily_check": (7, {"10:00"}, "Mon"),
    }


@pytest.mark.capability("B13", "B14", "B15")
def test_local_times_hold_across_both_clock_changes(settings: Settings) -> None:
    # Chile left summer time on 5 April 2025 at midnight and returned to it on 6 September 2025.
    for start, end in ((dt.date(2025, 4, 3), dt.date(2025, 4, 8)), (dt.date(2025, 9, 4), dt.date(2025, 9, 9))):
        for cron in schedules(settings).values():
            moments = list(cron.fire_times(start, end, ZONE))
            assert {moment.time() for moment in moments} == {dt.time(min(cron.hours), min(cron.minutes))}
            offsets = {moment.utcoffset() for moment in moments}
            assert offsets <= {dt.timedelta(hours=-4), dt.timedelta(hours=-3)}
            if cron.every_day:
                assert len(offsets) == 2
                assert len(moments) == (end - start).days + 1
                round_trip = [moment.astimezone(dt.UTC).astimezone(ZoneInfo(ZONE)) for moment in moments]
                assert round_trip == moments


@pytest.mark.capability("L06")
@pytest.mark.parametrize("trap", ["0 7 1,15 * 4", "0 7 1-7 * 2", "0 7 */2 * MON"])
def test_day_of_month_or_day_of_week_is_refused(trap: str) -> None:
    with pytest.raises(ValidationError, match="EITHER"):
        CronExpression.parse(trap)


@pytest.mark.capability("L06")
def test_the_trap_in_a_configured_schedule_is_refused_on_export(settings: Settings) -> None:
    trapped = settings.platform.schedules.model_copy(update={"dashboard": "0 7 1-7 * 2"})
    broken = settings.model_copy(update={"platform": settings.platform.model_copy(update={"schedules": trapped})})
    with pytest.raises(ValidationError, match="EITHER"):
        export(broken, "cron", forex_path=Path("/opt/forex"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 8 * *", "four|4 fields"),
        ("60 8 * * *", "minute '60'"),
        ("0 24 * * *", "hour '24'"),
        ("0 8 0 * *", "day of month '0'"),
        ("0 8 * 13 *", "month '13'"),
        ("0 8 * * 8", "weekday '8'"),
        ("0 8 * * MOM", "weekday 'MOM'"),
        ("0 18-8 * * *", "backwards"),
        ("*/0 8 * * *", "minute '0'"),
        ("0 ８ * * *", "hour"),
        ("0 8 31 2 *", "never fires"),
        ("@daily", "1 fields"),
    ],
)
def test_a_malformed_expression_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CronExpression.parse(text)


@pytest.mark.parametrize(
    ("text", "on_calendar"),
    [
        ("30 18 * * 1-5", "Mon..Fri *-*-* 18:30:00"),
        ("0 8 * * *", "*-*-* 08:00:00"),
        ("0 9 * * mon", "Mon *-*-* 09:00:00"),
        ("0 9 * * 0,3,7", "Wed,Sun *-*-* 09:00:00"),
        ("*/20 9-11 1,15 jan,7 *", "*-01,07-01,15 09,10,11:00,20,40:00"),
        ("5/15 6 * * 6-7", "Sat,Sun *-*-* 06:05,20,35,50:00"),
    ],
)
def test_an_expression_means_the_same_to_systemd(text: str, on_calendar: str) -> None:
    written = CronExpression.parse(text).on_calendar(ZONE)
    assert written == f"{on_calendar} {ZONE}"
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(["systemd-analyze", "calendar", written], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.capability("L06")
@pytest.mark.parametrize("text", ["30 0 * * *", "15 23 * * 6", "0 * * * *"])
def test_a_time_that_a_clock_change_skips_or_repeats_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="skips or repeats"):
        validate_schedule(text, ZONE)
    assert validate_schedule(text, "UTC").text == text


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="Atlantis"):
        validate_schedule("0 8 * * *", "America/Atlantis")


@given(
    minute=st.integers(0, 59),
    hour=st.integers(2, 22),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
)
def test_firings_are_exactly_the_days_and_time_written(minute: int, hour: int, weekdays: set[int]) -> None:
    cron = validate_schedule(f"{minute} {hour} * * {','.join(map(str, sorted(weekdays)))}", ZONE)
    moments = list(cron.fire_times(dt.date(2025, 3, 30), dt.date(2025, 4, 12), ZONE))
    assert len(moments) == 2 * len(weekdays)
    assert all((m.hour, m.minute) == (hour, minute) and m.isoweekday() % 7 in weekdays for m in moments)
    assert moments == sorted(moments)


@pytest.mark.capability("B16")
def test_the_crontab_block_names_zone_times_and_wrapper(settings: Settings, tmp_path: Path) -> None:
    plan = export(settings, "cron", forex_path=Path("/opt/forex env/bin/forex"), home=tmp_path / WEIRD)
    [block] = [text for path, text in plan.files.items() if path.suffix == ".crontab"]
    lines = block.splitlines()
    assert (lines[0], lines[1], lines[-1]) == (BEGIN_MARK, f"CRON_TZ={ZONE}", END_MARK)
    entries = [line for line in lines[2:-1] if not line.startswith("#")]
    assert len(entries) == len(SCHEDULED_COMMANDS)
    for entry, name in zip(entries, SCHEDULED_COMMANDS, strict=True):
        fields = entry.split(None, 5)
        CronExpression.parse(" ".join(fields[:5]))
        assert fields[5].endswith(f" {name}")
        # An unescaped percent sign ends the command in a crontab.
        assert "%" not in fields[5].replace(r"\%", "")


@pytest.mark.capability("B16", "J07")
@pytest.mark.parametrize("name", list(SCHEDULED_COMMANDS))
def test_a_cron_line_runs_its_command_from_any_folder_and_logs_it(
    settings: Settings, tmp_path: Path, fake_forex: Path, name: str
) -> None:
    home = tmp_path / WEIRD
    plan = export(settings, "cron", forex_path=fake_forex, home=home)
    write(plan)
    [block] = [text for path, text in plan.files.items() if path.suffix == ".crontab"]
    [entry] = [line for line in block.splitlines() if line.endswith(f" {name}") and not line.startswith("#")]
    command = entry.split(None, 5)[5].replace(r"\%", "%")
    done = subprocess.run(["/bin/sh", "-c", command], cwd="/", env={"PATH": os.environ["PATH"]}, check=False)
    assert done.returncode == 0
    [log] = (home / "logs").iterdir()
    text = log.read_text()
    assert "|".join(SCHEDULED_COMMANDS[name].arguments) in text
    assert f"home={home}" in text
    assert "ends with status 0" in text
    assert log.name.startswith(f"{name}-")
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.capability("B16", "L19")
def test_the_wrapper_reads_a_private_env_file_and_refuses_one_others_can_read(
    settings: Settings, tmp_path: Path, fake_forex: Path
) -> None:
    plan = export(settings, "cron", forex_path=fake_forex, home=tmp_path / "h")
    write(plan)
    wrapper = next(path for path in plan.files if path.suffix == ".sh")
    env_file = tmp_path / "h" / "forex.env"
    env_file.write_text("FOREX_PAIRS=usdclp\nEXIT=3\n")
    env_file.chmod(0o600)

    def run() -> tuple[int, str]:
        done = subprocess.run(["/bin/sh", str(wrapper), "dashboard"], env={"PATH": os.environ["PATH"]}, check=False)
        return done.returncode, "".join(path.read_text() for path in (tmp_path / "h" / "logs").iterdir())

    status, log = run()
    assert status == 3, "the exit status of the command is the wrapper's (nothing is hidden behind a pipe)"
    assert "pairs=usdclp" in log
    env_file.chmod(0o644)
    status, log = run()
    assert status == 1
    assert "must be a file of mode 600" in log
    unknown = subprocess.run(["/bin/sh", str(wrapper), "nonsense"], capture_output=True, check=False)
    assert unknown.returncode == 2


@pytest.mark.capability("B13", "B16")
def test_logs_older_than_their_retention_are_removed_and_others_kept(
    settings: Settings, tmp_path: Path, fake_forex: Path
) -> None:
    plan = export(settings, "cron", forex_path=fake_forex, home=tmp_path / "h")
    write(plan)
    wrapper = next(path for path in plan.files if path.suffix == ".sh")
    logs = tmp_path / "h" / "logs"
    logs.mkdir()
    today = dt.datetime.now(dt.UTC).timestamp()
    ages = {"dashboard-2001-01.log": 45, "dashboard-2001-02.log": 10, "weekly_validation-2001-01.log": 45}
    for file_name, age_days in ages.items():
        (logs / file_name).write_text("old\n")
        os.utime(logs / file_name, (today - age_days * 86400,) * 2)
    for name in ("dashboard", "weekly_validation"):
        subprocess.run(["/bin/sh", str(wrapper), name], env={"PATH": os.environ["PATH"]}, check=True)
    kept = {path.name for path in logs.iterdir()}
    assert "dashboard-2001-01.log" not in kept
    assert {"dashboard-2001-02.log", "weekly_validation-2001-01.log"} <= kept


@pytest.mark.capability("B16")
def test_installing_twice_and_uninstalling_leaves_a_foreign_crontab_as_it_was(
    settings: Settings, tmp_path: Path, fake_forex: Path
) -> None:
    table = tmp_path / "table"
    table.write_text("MAILTO=desk\n5 4 * * * backup # keep me\n")
    crontab = fake_forex.parent / "crontab"
    crontab.write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then cat "{table}"; else cat >"{table}.new"; mv "{table}.new" "{table}"; fi\n'
    )
    crontab.chmod(0o755)
    env = {"PATH": f"{fake_forex.parent}:{os.environ['PATH']}"}
    before = table.read_text()

    def apply(plan: ScheduleExport) -> str:
        write(plan)
        for command in plan.commands:
            subprocess.run(["/bin/sh", "-c", command], env=env, check=True)
        return table.read_text()

    home = tmp_path / WEIRD
    plan = export(settings, "cron", forex_path=fake_forex, home=home)
    once = apply(plan)
    assert once.startswith(before)
    assert once.count(BEGIN_MARK) == 1
    assert apply(plan) == once
    assert apply(export(settings, "cron", forex_path=fake_forex, home=home, uninstall=True)) == before
    assert list((home / "schedules").iterdir()) == []
    # A block whose end mark someone deleted is not taken to reach to the end of the table.
    table.write_text(f"{BEGIN_MARK}\n5 4 * * * backup\n")
    assert "backup" in apply(export(settings, "cron", forex_path=fake_forex, home=home, uninstall=True))


@pytest.mark.capability("B16")
def test_systemd_units_pair_a_service_with_a_timer_in_the_desks_zone(settings: Settings, tmp_path: Path) -> None:
    plan = export(settings, "systemd", forex_path=Path("/opt/forex"), home=tmp_path / WEIRD)
    services, timers = _units(plan, ".service"), _units(plan, ".timer")
    assert set(services) == set(timers) == {"forex-" + name.replace("_", "-") for name in SCHEDULED_COMMANDS}
    for name, cron in schedules(settings).items():
        unit = "forex-" + name.replace("_", "-")
        assert timers[unit]["Timer"]["OnCalendar"] == cron.on_calendar(ZONE)
        assert timers[unit]["Timer"]["Persistent"] == "true"
        assert timers[unit]["Install"]["WantedBy"] == "timers.target"
        assert services[unit]["Service"]["Type"] == "oneshot"
        assert services[unit]["Service"]["ExecStart"].endswith(f" {name}")
        assert "%%h $$USER" in services[unit]["Service"]["ExecStart"]
    assert any("enable --now" in command for command in plan.commands)
    undo = export(settings, "systemd", forex_path=Path("/opt/forex"), home=tmp_path / WEIRD, uninstall=True)
    assert undo.files == {}
    assert "disable --now" in undo.commands[0]


@pytest.mark.capability("B16")
def test_systemd_accepts_the_units(settings: Settings, tmp_path: Path, fake_forex: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed; the parser test above stands alone")
    plan = export(settings, "systemd", forex_path=fake_forex, home=tmp_path / WEIRD)
    units = [str(path) for path in write(plan) if path.suffix in (".service", ".timer")]
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", *units],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if "forex-" in line]
    assert about_ours == []
    assert done.returncode == 0 or "forex-" not in done.stderr, done.stderr


@pytest.mark.capability("L19", "B16")
@pytest.mark.parametrize("kind", ["cron", "systemd"])
def test_no_exported_text_holds_a_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("BCCH_PASS", "very-secret-value")
    plan = export(settings, kind, forex_path=Path("/opt/forex"))  # type: ignore[arg-type]
    everything = "".join([*plan.files.values(), *plan.commands, *plan.notes])
    assert "very-secret-value" not in everything
    assert "BCCH" not in everything
    assert "forex.env" in everything


def test_wrong_kinds_and_paths_are_refused(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="'launchd'"):
        export(settings, "launchd", forex_path=Path("/opt/forex"))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="absolute"):
        export(settings, "cron", forex_path=Path("bin/forex"))
    with pytest.raises(ValidationError, match="control characters"):
        export(settings, "cron", forex_path=Path("/opt/forex\n* * * * * evil"))


def test_a_home_that_cannot_be_written_is_a_clear_error(settings: Settings, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(StoreError, match="Cannot write"):
        write(export(settings, "cron", forex_path=Path("/opt/forex"), home=blocker))
