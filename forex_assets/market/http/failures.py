"""The ways in which asking a provider fails.

Every one is a :class:`~forex_assets.errors.SourceError` that says what happened and never holds a URL's query, so
credentials cannot reach an error, a log or a cache key.
"""

from __future__ import annotations

from forex_assets.errors import SourceError

LATER = "try again later; what is stored stays in use."


class UnreachableError(SourceError):
    """The host could not be reached at all; asking it again in this ingestion is pointless."""


class TransientError(SourceError):
    """A failure that another attempt may cure."""


class StalledError(TransientError):
    """The host took the connection and then did not answer in time."""


class BusyError(TransientError):
    """The host said that it is asked too much, and perhaps how long to wait."""

    def __init__(self, message: str, *, remedy: str, wait_s: float | None = None, too_many: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.wait_s = wait_s
        self.too_many = too_many


def unreachable(what: str) -> UnreachableError:
    """Return the failure of a host that cannot be reached."""
    return UnreachableError(what, remedy="check the network, or set FOREX_OFFLINE=1 to ask no live provider.")


def stalled(label: str, seconds: float) -> StalledError:
    """Return the failure of a host that took the connection and then did not answer in time."""
    return StalledError(f"{label}: no whole answer within {seconds:g} s.", remedy=LATER)
