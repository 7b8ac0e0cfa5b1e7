"""What a life cycle is about: a forecast (pair × horizon) or a strategy (strategy × session)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from forex_assets.errors import ValidationError

Kind = Literal["forecast", "strategy"]
KINDS: tuple[Kind, ...] = ("forecast", "strategy")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """One thing that has a configuration of its own.

    Parameters
    ----------
    kind:
        ``forecast`` or ``strategy``.
    owner:
        Pair id of a forecast, name of a strategy.
    part:
        Horizon of a forecast, session of a strategy.

    Raises
    ------
    ValidationError
        When the kind is unknown or a name holds anything but ASCII letters, digits, ``_`` and ``-``.
    """

    kind: Kind
    owner: str
    part: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValidationError(
                f"Subject kind {self.kind!r} is not one of {', '.join(KINDS)}.", remedy="use one of those."
            )
        for name in (self.owner, self.part):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValidationError(
                    f"Subject name {name!r} must be 1 to 48 ASCII letters, digits, '_' and '-'.",
                    remedy="use the pair id and horizon (usdclp, 7d), or strategy and session (orb, rth).",
                )

    @classmethod
    def forecast(cls, pair: str, horizon: str) -> Subject:
        """Return the subject of a pair's horizon."""
        return cls("forecast", pair, horizon)

    @classmethod
    def strategy(cls, strategy: str, session: str) -> Subject:
        """Return the subject of a strategy's session."""
        return cls("strategy", strategy, session)

    @classmethod
    def parse(cls, key: str) -> Subject:
        """Return the subject of a key such as ``forecast/usdclp/7d``.

        Raises
        ------
        ValidationError
            When the key is not three names.
        """
        parts = str(key).split("/")
        if len(parts) != 3:
            raise ValidationError(f"Subject key {key!r} is not kind/owner/part.", remedy="write forecast/usdclp/7d.")
        kind, owner, part = parts
        return cls(kind, owner, part)  # type: ignore[arg-type]

    @property
    def key(self) -> str:
        """Text that names it everywhere: ``forecast/usdclp/7d``."""
        return f"{self.kind}/{self.owner}/{self.part}"

    @property
    def scope(self) -> str:
        """Name of the set that can be promoted together: one pair's horizons, or all strategies and sessions (L03)."""
        return f"forecast-{self.owner}" if self.kind == "forecast" else "strategies"

    @property
    def pair(self) -> str:
        """Pair id of a forecast."""
        return self._only("forecast", self.owner)

    @property
    def horizon(self) -> str:
        """Horizon of a forecast."""
        return self._only("forecast", self.part)

    @property
    def strategy_name(self) -> str:
        """Name of a strategy."""
        return self._only("strategy", self.owner)

    @property
    def session(self) -> str:
        """Session of a strategy."""
        return self._only("strategy", self.part)

    def _only(self, kind: Kind, value: str) -> str:
        if self.kind != kind:
            raise ValidationError(f"{self.key} is no {kind}.", remedy=f"ask a {kind} subject for this.")
        return value

    def __str__(self) -> str:
        return f"{self.owner} {self.part}"
