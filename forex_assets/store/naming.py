"""Names, paths and limits that come from outside, checked before anything is opened.

Every function returns the checked value or raises :class:`~forex_assets.errors.ValidationError`; none repairs a bad
value.
"""

from __future__ import annotations

import functools
import operator
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from forex_assets.errors import ValidationError

HORIZONS = ("7d", "15d", "30d", "90d")
SEVERITIES = ("low", "medium", "high", "critical")
DAYS_LIMITS = (1, 365)
LIMIT_LIMITS = (1, 100)

_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", re.ASCII)
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))]
)


def validate_horizon(value: str, allowed: Sequence[str] = HORIZONS, param_name: str = "horizon") -> str:
    """Return a horizon name that is one of 7d, 15d, 30d, 90d, or of those configured.

    Raises
    ------
    ValidationError
        For anything else.
    """
    return _one_of(value, allowed, param_name)


def validate_severity(value: str, allowed: Sequence[str] = SEVERITIES, param_name: str = "severity") -> str:
    """Return a severity that is one of low, medium, high, critical, or of the scale given.

    Raises
    ------
    ValidationError
        For anything else.
    """
    return _one_of(value, allowed, param_name)


def sanitize_filename(name: str) -> str:
    """Return a plain file name: ASCII letters, digits, ``_``, ``.`` and ``-``, and nothing else.

    Refused are separators, ``..``, shell metacharacters, blanks, control characters and NUL, every non-ASCII character
    (look-alikes and direction marks hide among them), a leading ``.`` or ``-``, a trailing ``.``, the device names of
    Windows, and more than 255 characters.

    Raises
    ------
    ValidationError
        When the name breaks that rule.
    """
    if not isinstance(name, str):
        _refuse("File name", name, "it must be text", "give a plain name such as report.html.")
    if is_plain_name(name):
        return name
    if not _FILENAME.fullmatch(name):
        _refuse(
            "File name",
            name,
            "it may hold 1 to 255 ASCII letters, digits, '_', '.' and '-', and starts with a letter, a digit or '_'",
            "rename the file, for example to report-2025-06-13.html.",
        )
    if ".." in name or name.endswith("."):
        _refuse("File name", name, "it may not hold '..' nor end in '.'", "rename the file.")
    _refuse("File name", name, "it is a device name on Windows", "rename the file.")


def is_plain_name(name: object) -> bool:
    """Tell whether :func:`sanitize_filename` accepts a name."""
    return isinstance(name, str) and _is_plain(name)


@functools.lru_cache(maxsize=16_384)  # a store asks of the same days and horizons again and again
def _is_plain(name: str) -> bool:
    return (
        _FILENAME.fullmatch(name) is not None
        and ".." not in name
        and not name.endswith(".")
        and name.split(".", 1)[0].lower() not in _RESERVED
    )


def sanitize_path(path: str | os.PathLike[str], base_dir: str | os.PathLike[str]) -> Path:
    """Return the absolute path of ``path`` inside ``base_dir``, links followed.

    ``path`` is relative to ``base_dir`` (not to the working directory) and uses ``/``; each of its parts obeys
    :func:`sanitize_filename`. Symbolic links are followed before the check, so one that points outside is refused.

    Raises
    ------
    ValidationError
        When the path is absolute, holds a forbidden part, or leads out of ``base_dir``.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    remedy = f"give a path inside {os.fspath(base_dir)!r}, such as reports/report.html."
    if not isinstance(text, str) or not text:
        _refuse("Path", path, "it must be text and not empty", remedy)
    if text.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", text):
        _refuse("Path", text, "it must be relative to its base folder", remedy)
    if "\0" in text:  # before PurePosixPath, so that every Python version refuses it the same way
        _refuse("Path", text, "it holds a NUL character", remedy)
    parts = PurePosixPath(text).parts
    if not parts:
        _refuse("Path", text, "it names no file", remedy)
    for part in parts:
        if part == "..":
            _refuse("Path", text, "it leads upwards", remedy)
        sanitize_filename(part)
    try:
        base = Path(base_dir).resolve()
        inside = base.joinpath(*parts).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name the disk refuses, NUL in the base
        raise ValidationError(f"Path {text!r} cannot be resolved: {error}.", remedy=remedy) from error
    if not inside.is_relative_to(base):
        _refuse("Path", text, f"it leads to {inside}, outside {base}", remedy)
    return inside


def validate_positive_integer(value: Any, min: int = 1, max: int | None = None, param_name: str = "value") -> int:
    """Return a whole number from ``min`` to ``max``, both included.

    A truth value is not a number here, nor are a text or a float, whatever they look like.

    Raises
    ------
    ValidationError
        When the value is not an integer or out of range; names the parameter, the value and the range.
    """
    allowed = f"a whole number of at least {min}" if max is None else f"a whole number from {min} to {max}"
    remedy = f"give {param_name} {allowed}."
    if min < 1 or (max is not None and max < min):
        _refuse(f"Limits of {param_name}", (min, max), "they must satisfy 1 <= min <= max", "correct the program.")
    if isinstance(value, bool):
        _refuse(param_name, value, f"it must be {allowed}, not a truth value", remedy)
    try:
        number = operator.index(value)
    except TypeError:
        kind = "text" if isinstance(value, str) else type(value).__name__
        _refuse(param_name, value, f"it must be {allowed}, not {kind}", remedy)
    if number < min or (max is not None and number > max):
        _refuse(param_name, value, f"it must be {allowed}", remedy)
    return number


def validate_days(value: Any, param_name: str = "days") -> int:
    """Return a number of days from 1 to 365.

    Raises
    ------
    ValidationError
        For anything else.
    """
    return validate_positive_integer(value, *DAYS_LIMITS, param_name=param_name)


def validate_limit(value: Any, param_name: str = "limit") -> int:
    """Return a number of rows to show, from 1 to 100.

    Raises
    ------
    ValidationError
        For anything else.
    """
    return validate_positive_integer(value, *LIMIT_LIMITS, param_name=param_name)


def _one_of(value: str, allowed: Sequence[str], what: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(allowed)
        raise ValidationError(f"{what} {_shown(value)} is not one of {choices}.", remedy=f"choose one of {choices}.")
    return value


def _refuse(what: str, value: object, rule: str, remedy: str) -> NoReturn:
    raise ValidationError(f"{what} {_shown(value)}: {rule}.", remedy=remedy)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"
