"""Typed errors: every one names the offending value, the rule it breaks and the remedy."""

from __future__ import annotations

from typing import Any


class ForexError(Exception):
    """Base of every error this platform raises on purpose.

    Parameters
    ----------
    message:
        What is wrong, naming the value and the rule.
    remedy:
        What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} Remedy: {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole: by default the remedy would be lost and the error with it."""
        return (_rebuilt, (type(self), self.message, self.remedy))


def _rebuilt(kind: type[ForexError], message: str, remedy: str) -> ForexError:
    return kind(message, remedy=remedy)


class ValidationError(ForexError):
    """An argument, path, name or option breaks its rule (wrong use: exit code 2)."""

    exit_code = 2


class ConfigError(ForexError):
    """A configuration file is missing, malformed or contradictory (exit code 2)."""

    exit_code = 2


class SourceError(ForexError):
    """A market-data source refused, failed or answered something unusable."""


class DataError(ForexError):
    """The data needed for a result are absent, too few, or unusable."""


class StoreError(ForexError):
    """The store cannot be read or written; what was stored before is untouched."""


class UnusableSliceError(StoreError):
    """A slice exists but its verdict is bad, so nothing downstream may use it."""
