"""Kinds of values every settings model uses: strict numbers, zones, and the strict base model."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit
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


def web_address(value: str) -> str:
    """Return ``value`` when a provider can be asked there; raise ValueError naming the rule it breaks otherwise."""
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("an address holds no spaces and no control characters")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"it is no web address: {error}") from error
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise ValueError("a web address is https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials never stand in an address: set the variables named in docs/providers.md")
    if parts.query or parts.fragment:
        raise ValueError("what is asked for is added by the adapter: an address has no ? and no #")
    if parts.scheme == "http" and host not in _THIS_MACHINE:
        raise ValueError("http carries credentials in the clear: use https (http only to this machine)")
    return value


_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
Zone = Annotated[str, AfterValidator(known_zone)]
WebAddress = Annotated[str, AfterValidator(web_address)]


class Strict(BaseModel):
    """A frozen model in which a key nobody declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
