"""Secrets: read from the environment or from files only their owner can read, and masked in every text that leaves.

A secret ``NAME`` is the environment variable ``NAME``, or the content of the file named by ``NAME_FILE``. No secret is
ever an argument, a setting or a line of a schedule (L19). :func:`redact` masks every value read here, every
environment variable whose name says that it is a secret, and credentials inside URLs, headers and JSON, whatever their
value; :func:`install_redaction` applies it to every log record of the process.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from forex_assets.errors import ConfigError

MASK = "***"
KNOWN_SECRETS: dict[str, str] = {
    "BCCH_USER": "account of the central bank's SIETE service",
    "BCCH_PASS": "password of the central bank's SIETE service",  # nosec B105
    "FRED_API_KEY": "key of FRED's API: vintages, and a way round its web pages",
    "ALPHAVANTAGE_API_KEY": "key of Alpha Vantage",
    "XE_ACCOUNT_ID": "account of XE's currency data",
    "XE_API_KEY": "key of XE's currency data",
    "FOREX_CALIBRATION_KEY": "key that signs market calibrations",
}
FILE_SUFFIX = "_FILE"
# A value this short occurs in ordinary words and numbers; it is masked where it stands as a credential, not everywhere.
_SHORTEST_MASKED_ANYWHERE = 4
_SECRET_NAME = re.compile(
    # PWD alone is the shell's working folder, which error messages have to name.
    r"(?:^|_)(?:PASS|PASSWD|PASSWORD|(?<=_)PWD|TOKEN|SECRET|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?)(?:_|$)"
)
_FIELD = (
    r"(?:[a-z0-9]+[_-]){0,4}(?:user(?:name|_?id)?|login|pass(?:word|wd|phrase)?|pwd|token|secret|credentials?"
    r"|api[_-]?key|access[_-]?key|private[_-]?key|signature)"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"(?i)(?<![a-z0-9])({_FIELD}\s*=\s*)(?:\"[^\"]*\"|'[^']*'|[^\s&#\"'<>,;)\]}}]+)"), rf"\1{MASK}"),
    (re.compile(r"(?i)([?&](?:key|auth|sig|code)=)[^\s&#\"'<>]+"), rf"\1{MASK}"),
    (re.compile(rf"(?i)([\"']{_FIELD}[\"']\s*:\s*)(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[0-9.]+)"), rf'\1"{MASK}"'),
    (re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token)\s+)[^\s\"',;]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@:]+(?::[^\s/@]*)?@"), rf"\1{MASK}@"),
)

_lock = threading.Lock()
_read_values: set[str] = set()


def secret(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the secret ``name``, or None where it is not configured.

    Parameters
    ----------
    name:
        Name of the environment variable, for example ``BCCH_PASS``; ``<name>_FILE`` may name a file instead.
    environ:
        Environment to read; default: the process's own.

    Raises
    ------
    ConfigError
        When both forms are set, or the file is missing, unreadable, empty, or readable by others than its owner. The
        message never holds the value.
    """
    env = os.environ if environ is None else environ
    direct = env.get(name, "").strip()
    file_name = env.get(name + FILE_SUFFIX, "").strip()
    if direct and file_name:
        raise ConfigError(
            f"Both {name} and {name}{FILE_SUFFIX} are set; a secret has one place.",
            remedy=f"unset one of them (prefer {name}{FILE_SUFFIX}, a file of mode 600).",
        )
    value = _read_file(name, Path(file_name).expanduser()) if file_name else direct
    if not value:
        return None
    with _lock:
        _read_values.add(value)
    return value


def is_configured(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether ``name`` or ``<name>_FILE`` is set, without reading the secret."""
    env = os.environ if environ is None else environ
    return bool(env.get(name, "").strip() or env.get(name + FILE_SUFFIX, "").strip())


def check_private_file(path: Path, label: str) -> None:
    """Raise unless ``path`` is a regular file that nobody but its owner can touch.

    Raises
    ------
    ConfigError
        Naming the file, its mode and the remedy.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, label, error) from error
    _check_mode(path, label, status)


def redact(text: str) -> str:
    """Return ``text`` with every known secret value and every credential in URLs, headers and JSON masked."""
    if not text:
        return text
    for value in _known_values():
        for form in {value, quote(value, safe=""), quote(value), quote_plus(value)}:
            text = text.replace(form, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFilter(logging.Filter):
    """A logging filter that masks secrets in message, arguments and traceback of every record it sees."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact ``record`` in place and let it pass."""
        redact_record(record)
        return True


def redact_record(record: logging.LogRecord) -> logging.LogRecord:
    """Mask secrets in a log record in place; a record without any keeps its message and arguments as they were."""
    if isinstance(record.args, tuple):
        # Formatters such as uvicorn's read the arguments one by one, so their number and order stay.
        record.args = tuple(_redact_argument(argument) for argument in record.args)
    elif isinstance(record.args, Mapping):
        record.args = {key: _redact_argument(value) for key, value in record.args.items()}
    message = record.getMessage()
    clean = redact(message)
    if clean != message:
        record.msg, record.args = clean, ()
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    if record.exc_text:
        record.exc_text = redact(record.exc_text)
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    return record


def install_redaction() -> None:
    """Redact every log record this process makes from now on, whichever logger or handler it goes through.

    A filter on one logger misses its children and a filter on one handler misses the others, so the record factory is
    wrapped; calling this twice changes nothing.
    """
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _RedactingFactory):
        logging.setLogRecordFactory(_RedactingFactory(factory))


class _RedactingFactory:
    def __init__(self, inner: Callable[..., logging.LogRecord]) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        return redact_record(self.inner(*args, **kwargs))


def _redact_argument(argument: Any) -> Any:
    if argument is None or isinstance(argument, (bool, int, float)):
        return argument
    text = str(argument)
    clean = redact(text)
    return argument if clean == text else clean


def _known_values() -> list[str]:
    values = {
        value.strip()
        for name, value in os.environ.items()
        if (name in KNOWN_SECRETS or _SECRET_NAME.search(name.upper())) and not name.endswith(FILE_SUFFIX)
    }
    with _lock:
        values |= _read_values
    return sorted((value for value in values if len(value) >= _SHORTEST_MASKED_ANYWHERE), key=len, reverse=True)


def _read_file(name: str, path: Path) -> str:
    label = f"{name}{FILE_SUFFIX}"
    try:
        with path.open(encoding="utf-8") as handle:
            # The mode of what was opened, not of what the name points to a moment later.
            _check_mode(path, label, os.fstat(handle.fileno()))
            value = handle.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, label, error) from error
    if not value:
        raise ConfigError(
            f"{label} points to {path}, which is empty.", remedy="write the secret into it, or unset the variable."
        )
    return value


def _check_mode(path: Path, label: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(
            f"{label} points to {path}, which is not a regular file.", remedy="point it to a file of mode 600."
        )
    mode = stat.S_IMODE(status.st_mode)
    if os.name == "posix" and mode & 0o177:
        raise ConfigError(
            f"{label} points to {path} of mode {mode:03o}; a secret's file must be mode 600 (or 400), so that only its "
            "owner can read it.",
            remedy=f"chmod 600 {path}",
        )


def _unreadable(path: Path, label: str, error: OSError | UnicodeDecodeError) -> ConfigError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text in UTF-8"
    return ConfigError(
        f"{label} points to {path}, which cannot be read: {why}.",
        remedy=f"create it as you, with mode 600, or unset {label}.",
    )
