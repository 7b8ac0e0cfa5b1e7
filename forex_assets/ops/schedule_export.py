"""The platform's schedules as cron or systemd files, for hosts that do not run the Dagster daemon (B13-B16).

:func:`export` is a pure function of the settings: it returns texts, where they belong, and the commands that put them
into force or take them out again. :func:`write` is the only effect. The files hold no secret: one wrapper script reads
``<home>/forex.env``, refuses it unless its mode is 600, and sends the output to ``<home>/logs`` (L19).

An expression that restricts both the day of the month and the day of the week is refused, because cron joins the two
with OR: ``0 7 1-7 * 2`` runs on the first seven days *and* on every Tuesday (L06). So is a time of day that the zone
skips or repeats when its clocks change, since every scheduler treats those differently.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forex_assets.errors import StoreError, ValidationError
from forex_assets.settings import Settings

Kind = Literal["cron", "systemd"]


@dataclass(frozen=True, slots=True)
class ScheduledCommand:
    """What a schedule of ``platform.yaml`` runs: arguments of ``forex``, what for, and how long its logs are kept."""

    arguments: tuple[str, ...]
    purpose: str
    keep_logs_days: int


SCHEDULED_COMMANDS: dict[str, ScheduledCommand] = {
    "daily_run": ScheduledCommand(
        ("run", "--days", "5", "--quiet"), "new data, forecasts and evaluations after the fixing is published", 30
    ),
    "dashboard": ScheduledCommand(
        ("report", "--pair", "all", "--no-materialize"), "desk report and dashboard from what is stored", 30
    ),
    "weekly_report": ScheduledCommand(
        ("weekly", "--pair", "all"), "market calibration anew, then the weekly validation report by Monday 09:00", 90
    ),
    "weekly_validation": ScheduledCommand(
        ("validate", "--pair", "all"), "coverage, bias and interval score of the matured forecasts", 90
    ),
    "daily_check": ScheduledCommand(("status", "--check"), "freshness and performance of every pair and tenor", 30),
}

BEGIN_MARK = "# BEGIN forex_assets (written by `forex schedule export`; edit configs/platform.yaml instead)"
END_MARK = "# END forex_assets"
WRAPPER_NAME = "run-scheduled.sh"
# Prints a crontab without the block between the markers; a block whose end mark is lost is kept rather than guessed at.
_STRIP_BLOCK = (
    'awk \'/^# BEGIN forex_assets/{b=1;h=""} b{h=h $0 ORS; if(/^# END forex_assets/)b=0; next} {print} '
    'END{if(b)printf "%s",h}\''
)
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK_CHANGE_YEARS = range(2020, 2036)


@dataclass(frozen=True, slots=True)
class CronExpression:
    """A five-field cron expression as the values each field allows (weekday 0 is Sunday)."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> CronExpression:
        """Return the expression in ``text``.

        Raises
        ------
        ValidationError
            When it is not five fields of numbers, names, lists, ranges and steps within their bounds, can never fire,
            or restricts both day of month and day of week.
        """
        fields = text.split()
        if len(fields) != 5:
            raise ValidationError(
                f"Cron expression {text!r} has {len(fields)} fields; it needs five: minute hour day month weekday.",
                remedy="write it as, for example, '30 18 * * 1-5'.",
            )
        weekday_names = {name.lower(): number for number, name in enumerate(_WEEKDAYS)}
        month_names = {name: number for number, name in enumerate(_MONTHS, start=1)}
        weekdays = _field(text, "weekday", fields[4], 0, 7, weekday_names)
        expression = cls(
            text=" ".join(fields),
            minutes=_field(text, "minute", fields[0], 0, 59),
            hours=_field(text, "hour", fields[1], 0, 23),
            days=_field(text, "day of month", fields[2], 1, 31),
            months=_field(text, "month", fields[3], 1, 12, month_names),
            weekdays=frozenset(day % 7 for day in weekdays),
        )
        expression._refuse_day_trap()
        return expression

    @property
    def every_day(self) -> bool:
        """True when neither day field restricts anything."""
        return self._all_days and self._all_weekdays

    @property
    def _all_days(self) -> bool:
        return len(self.days) == 31

    @property
    def _all_weekdays(self) -> bool:
        return len(self.weekdays) == 7

    def _refuse_day_trap(self) -> None:
        if not self._all_days and not self._all_weekdays:
            raise ValidationError(
                f"Cron expression {self.text!r} restricts both the day of the month and the day of the week; cron "
                "runs it when EITHER matches, which is hardly ever meant.",
                remedy="restrict one of the two, and check the other inside the command.",
            )
        longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
        if not any(min(self.days) <= longest.get(month, 31) for month in self.months):
            raise ValidationError(
                f"Cron expression {self.text!r} names a day its months do not have, so it never fires.",
                remedy="correct the day of the month or the month.",
            )

    def matches_day(self, day: dt.date) -> bool:
        """Return whether the expression fires on ``day`` at all."""
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def fire_times(self, start: dt.date, end: dt.date, zone: str) -> Iterator[dt.datetime]:
        """Yield every firing from ``start`` through ``end`` (dates in ``zone``), zone-aware and in order."""
        tz = _zone(zone)
        for offset in range((end - start).days + 1):
            day = start + dt.timedelta(days=offset)
            if self.matches_day(day):
                for hour, minute in itertools.product(sorted(self.hours), sorted(self.minutes)):
                    yield dt.datetime.combine(day, dt.time(hour, minute), tzinfo=tz)

    def on_calendar(self, zone: str) -> str:
        """Return the systemd ``OnCalendar=`` value of this expression in ``zone``."""
        weekdays = "" if self._all_weekdays else _weekday_list(self.weekdays) + " "
        date = f"*-{_list(self.months, 12)}-{_list(self.days, 31)}"
        return f"{weekdays}{date} {_list(self.hours, 24)}:{_list(self.minutes, 60)}:00 {zone}"


@dataclass(frozen=True, slots=True)
class ScheduleExport:
    """Files to write and the commands that put them into force; on ``uninstall`` only the commands that undo both."""

    kind: Kind
    uninstall: bool
    files: Mapping[Path, str]
    commands: tuple[str, ...]
    notes: tuple[str, ...]


def validate_schedule(expression: str, zone: str) -> CronExpression:
    """Return the parsed expression after checking it against the zone's clock changes.

    Raises
    ------
    ValidationError
        When the expression is malformed, falls into the day trap (L06), names an unknown zone, or fires at a time of
        day that the zone skips or repeats on some date it fires on.
    """
    cron = CronExpression.parse(expression)
    tz = _zone(zone)
    for day in _clock_change_days(zone):
        if not cron.matches_day(day):
            continue
        for hour, minute in itertools.product(sorted(cron.hours), sorted(cron.minutes)):
            moment = dt.datetime.combine(day, dt.time(hour, minute), tzinfo=tz)
            if moment.utcoffset() != moment.replace(fold=1).utcoffset():
                raise ValidationError(
                    f"Schedule {expression!r} fires at {hour:02d}:{minute:02d} {zone}, a time the clock change of "
                    f"{day.isoformat()} skips or repeats.",
                    remedy="choose a time of day that every day has exactly once.",
                )
    return cron


def schedules(settings: Settings) -> dict[str, CronExpression]:
    """Return the platform's schedules by name, each checked by :func:`validate_schedule`."""
    configured = settings.platform.schedules
    return {name: validate_schedule(getattr(configured, name), configured.timezone) for name in SCHEDULED_COMMANDS}


def export(
    settings: Settings, kind: Kind, *, forex_path: Path, home: Path | None = None, uninstall: bool = False
) -> ScheduleExport:
    """Return the schedules as cron or systemd files, or what removes them.

    Parameters
    ----------
    kind:
        ``cron`` (one crontab block between markers) or ``systemd`` (user units, one service and one timer each).
    forex_path:
        Absolute path of the ``forex`` command to run.
    home:
        The platform's home; default ``settings.home``.

    Raises
    ------
    ValidationError
        When a path is relative or holds a line break, or a schedule breaks a rule of :func:`validate_schedule`.
    """
    if kind not in ("cron", "systemd"):
        raise ValidationError(f"Schedule kind {kind!r} is not known.", remedy="use 'cron' or 'systemd'.")
    root = _absolute(settings.home if home is None else home, "home")
    forex = _absolute(forex_path, "path of forex")
    expressions = schedules(settings)
    zone = settings.platform.schedules.timezone
    folder = root / "schedules"
    wrapper = folder / WRAPPER_NAME
    files = {wrapper: _wrapper(forex, root)}
    if kind == "cron":
        block = folder / "forex.crontab"
        files[block] = _crontab(expressions, zone, wrapper, block)
        strip = f"crontab -l 2>/dev/null | {_STRIP_BLOCK}"
        install: tuple[str, ...] = (f"({strip}; cat {shlex.quote(str(block))}) | crontab -",)
        remove: tuple[str, ...] = (f"{strip} | crontab -",)
        notes: tuple[str, ...] = (
            f"times are {zone}: the block sets CRON_TZ, which cronie and most current crons honour. Debian's classic "
            "cron ignores it; there, set the host's zone to it, or use --systemd",
            "the block stands last in the crontab because CRON_TZ holds for every line after it",
            "cron does not catch up on missed runs; the next daily run makes the last 5 business days",
        )
    else:
        timers = []
        for name, cron in expressions.items():
            unit = _unit_name(name)
            timers.append(f"{unit}.timer")
            files[folder / f"{unit}.service"] = _service(name, wrapper)
            files[folder / f"{unit}.timer"] = _timer(name, cron, zone)
        units = [path for path in files if path != wrapper]
        linked = " ".join(shlex.quote(str(path)) for path in units)
        names = " ".join(path.name for path in units)
        install = (
            f"systemctl --user link {linked}",
            f"systemctl --user enable --now {' '.join(timers)}",
            "systemctl --user list-timers 'forex-*'",
        )
        remove = (f"systemctl --user disable --now {names}", "systemctl --user daemon-reload")
        notes = (
            "user units run only while you are logged in, unless `loginctl enable-linger` was run once",
            "Persistent=true runs a missed schedule once when the host is back",
        )
    notes = (*notes, f"settings and secrets of scheduled runs: {root / 'forex.env'}, mode 600, lines NAME=value")
    if uninstall:
        # systemctl finds the units through these files, so they go last.
        tidy = "rm -f -- " + " ".join(shlex.quote(str(path)) for path in files)
        return ScheduleExport(kind, True, {}, (*remove, tidy), ())
    return ScheduleExport(kind, False, files, install, notes)


def write(plan: ScheduleExport) -> list[Path]:
    """Write the files of ``plan``, each at once or not at all, and return their paths.

    Raises
    ------
    StoreError
        When a file cannot be written; one already there is left as it was.
    """
    written: list[Path] = []
    try:
        for path, text in plan.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as handle:
                    handle.write(text)
                    handle.flush()
                    os.fsync(handle.fileno())
                Path(temporary).chmod(0o700 if path.suffix == ".sh" else 0o644)
                Path(temporary).replace(path)
            finally:
                Path(temporary).unlink(missing_ok=True)
            written.append(path)
    except OSError as error:
        raise StoreError(
            f"Cannot write {error.filename}: {error.strerror or error}.", remedy="make the home folder writable."
        ) from error
    return written


def _crontab(expressions: Mapping[str, CronExpression], zone: str, wrapper: Path, block: Path) -> str:
    lines = [BEGIN_MARK, f"CRON_TZ={zone}"]
    command = "/bin/sh " + shlex.quote(str(wrapper)).replace("%", r"\%")
    for name, cron in expressions.items():
        lines.append(f"# {name}: forex {' '.join(SCHEDULED_COMMANDS[name].arguments)}")
        lines.append(f"{cron.text} {command} {name}")
    return "\n".join([*lines, END_MARK, ""])


def _service(name: str, wrapper: Path) -> str:
    command = SCHEDULED_COMMANDS[name]
    return "\n".join(
        [
            "[Unit]",
            f"Description=forex {' '.join(command.arguments)} ({command.purpose})",
            "",
            "[Service]",
            "Type=oneshot",
            f"ExecStart=/bin/sh {_systemd_quote(str(wrapper))} {name}",
            "UMask=0077",
            "NoNewPrivileges=true",
            "TimeoutStartSec=2h",
            "Nice=5",
            "",
        ]
    )


def _timer(name: str, cron: CronExpression, zone: str) -> str:
    return "\n".join(
        [
            "[Unit]",
            f"Description=Schedule of forex {' '.join(SCHEDULED_COMMANDS[name].arguments)}",
            "",
            "[Timer]",
            f"OnCalendar={cron.on_calendar(zone)}",
            "Persistent=true",
            "AccuracySec=1min",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _wrapper(forex: Path, home: Path) -> str:
    cases = "".join(
        f"  {name}) keep_days={command.keep_logs_days}; set -- {shlex.join(command.arguments)} ;;\n"
        for name, command in SCHEDULED_COMMANDS.items()
    )
    return f"""#!/bin/sh
# Runs one schedule of forex_assets: run-scheduled.sh NAME. Written by `forex schedule export`.
# Output goes to logs/NAME-YYYY-MM.log under the home folder; the exit status is that of the command.
set -eu
umask 077
name="${{1:?usage: $0 NAME}}"
home={shlex.quote(str(home))}
forex={shlex.quote(str(forex))}

case "$name" in
{cases}  *) echo "unknown schedule: $name" >&2; exit 2 ;;
esac

mkdir -p "$home/logs"
log="$home/logs/$name-$(date +%Y-%m).log"
exec >>"$log" 2>&1
find "$home/logs" -name "$name-*.log" -type f -mtime "+$keep_days" -exec rm -f {{}} +

env_file="$home/forex.env"
if [ -e "$env_file" ]; then
  if [ -z "$(find "$env_file" -prune -type f -perm 600)" ]; then
    echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $name refused: $env_file must be a file of mode 600 (chmod 600 it)"
    exit 1
  fi
  set -a
  . "$env_file"
  set +a
fi
FOREX_HOME="$home"
export FOREX_HOME

echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $name starts: forex $*"
status=0
"$forex" "$@" || status=$?
echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $name ends with status $status"
exit "$status"
"""


def _unit_name(name: str) -> str:
    return "forex-" + name.replace("_", "-")


def _systemd_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _absolute(path: Path, what: str) -> Path:
    if not path.is_absolute() or any(ord(character) < 32 for character in str(path)):
        raise ValidationError(
            f"The {what} {str(path)!r} must be an absolute path without control characters.",
            remedy="pass an absolute path; schedulers start in another folder.",
        )
    return path


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValidationError(
            f"Time zone {name!r} is not known.", remedy="use an IANA name such as America/Santiago."
        ) from error


def _clock_change_days(zone: str) -> Iterator[dt.date]:
    """Yield the dates between which the zone's offset changes (in Chile that is at midnight, so both count)."""
    tz = _zone(zone)
    day = dt.date(_CLOCK_CHANGE_YEARS.start, 1, 1)
    last = dt.date(_CLOCK_CHANGE_YEARS.stop, 1, 1)
    while day < last:
        noon = dt.datetime.combine(day, dt.time(12), tzinfo=tz)
        if noon.utcoffset() != (noon + dt.timedelta(days=1)).utcoffset():
            yield day
            yield day + dt.timedelta(days=1)
        day += dt.timedelta(days=1)


def _field(
    text: str, what: str, value: str, low: int, high: int, names: Mapping[str, int] | None = None
) -> frozenset[int]:
    allowed: set[int] = set()
    for part in value.split(","):
        span, _, step_text = part.partition("/")
        step = _number(text, what, step_text, 1, high) if "/" in part else 1
        first_text, dash, last_text = span.partition("-")
        if span == "*":
            # 7 is a second name of Sunday, so a star ends at 6 there.
            first, last = low, 6 if what == "weekday" else high
        elif dash:
            first = _number(text, what, first_text, low, high, names)
            last = _number(text, what, last_text, low, high, names)
        else:
            first = _number(text, what, span, low, high, names)
            last = high if "/" in part else first
        if first > last:
            raise ValidationError(
                f"Cron expression {text!r}: {what} range {part!r} runs backwards.",
                remedy="write the smaller end first.",
            )
        allowed.update(range(first, last + 1, step))
    return frozenset(allowed)


def _number(text: str, what: str, value: str, low: int, high: int, names: Mapping[str, int] | None = None) -> int:
    number = (names or {}).get(value.lower())
    if number is None and value.isascii() and value.isdigit():
        number = int(value)
    if number is None or not low <= number <= high:
        raise ValidationError(
            f"Cron expression {text!r}: {what} {value!r} is not a number from {low} to {high}.",
            remedy="correct that field.",
        )
    return number


def _list(values: frozenset[int], size: int) -> str:
    return "*" if len(values) == size else ",".join(f"{value:02d}" for value in sorted(values))


def _weekday_list(weekdays: frozenset[int]) -> str:
    # Monday first, as systemd orders them, so that a run such as Monday to Friday is one range.
    ordered = sorted((day + 6) % 7 for day in weekdays)
    names = [_WEEKDAYS[(day + 1) % 7] for day in ordered]
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{names[0]}..{names[-1]}"
    return ",".join(names)
