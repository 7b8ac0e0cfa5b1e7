"""One change of a subject's current version, as sinks are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from forex_assets.lifecycle.pointers import Span
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import ConfigVersion

_DESK = ZoneInfo("America/Santiago")


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of history that began.

    Parameters
    ----------
    version:
        The version that became current; None for the settings' model (or one whose file is lost).
    span:
        When, why and by which ledger entry.
    before:
        Hash of the version before it, or ``settings``.
    """

    subject: Subject
    version: ConfigVersion | None
    span: Span
    before: str

    @property
    def generation(self) -> int:
        """Number of the move."""
        return self.span.generation

    @property
    def classic_name(self) -> str:
        """Name of the classic file: ``chronos_7d.json`` (A28)."""
        return f"chronos_{self.subject.part}.json"

    @property
    def timestamp(self) -> str:
        """When, in the desk's zone and without naming it, as the classic files write it (A27)."""
        return self.span.recorded_at.astimezone(_DESK).strftime("%Y-%m-%dT%H:%M:%S")

    def classic(self) -> dict[str, Any] | None:
        """Return the ten keys of a classic file (A27); None when the settings' model is current.

        What a version has no value for is None: a model that is no Chronos has no ``num_samples``.
        """
        if self.version is None:
            return None
        parameters = self.version.parameter_values
        metrics = {name: item.value for name, item in self.version.metrics.items()}
        return {
            "horizon": self.subject.part,
            **{name: parameters.get(name) for name in ("context_length", "num_samples", "temperature")},
            **{name: metrics.get(name) for name in ("validation_rmse", "validation_mape", "validation_mae")},
            "search_iterations": self.version.search.get("iterations"),
            "optimization_time_seconds": self.version.search.get("seconds"),
            "timestamp": self.timestamp,
        }
