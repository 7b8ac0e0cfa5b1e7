"""Kinds of values every settings model uses: strict numbers, zones, and the strict base model."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

#: Calendars of :mod:`forex_assets.clock` (a test holds the two equal).
CALENDARS = ("CL", "US", "TARGET", "FX", "ALL")
PAIR_ID = re.compile(r"^[a-z][a-z0-9_]{2,31}$")
# Strict: neither True nor "3" is a number.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
PositiveInt = Annotated[int, Field(gt=0, strict=True)]


def known_zone(name: str) -> str:
    """Return ``name`` when it is an IANA time zone; raise ValueError otherwise."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"time zone {name!r} is not an IANA name such as America/Santiago") from error
    return name


Zone = Annotated[str, AfterValidator(known_zone)]


class Strict(BaseModel):
    """A frozen model in which a key nobody declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
