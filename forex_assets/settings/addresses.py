"""Addresses: where a series stands at each source. One model per source, checked when the configuration is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from forex_assets.settings.fields import Zone

_Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class DateCheck(BaseModel):
    """The series whose sessions are known, and by how many sessions its own dates run late."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    series: str
    shift_business_days: int = 0


class TableAddress(BaseModel):
    """Where a series stands inside a file.

    Parameters
    ----------
    file:
        Path inside the folder; ``.csv``, ``.csv.gz``, ``.parquet`` or ``.xlsx``.
    column:
        Column of the value.
    date_column, date_format:
        Column of the date and its ``strptime`` format; without a format, ISO dates are expected.
    decimal, thousands, separator:
        How numbers and columns are written in a CSV. With a decimal other than the point, points group thousands.
    scale:
        The value is multiplied by this, for example 0.01 for cents.
    ohlc:
        Whether ``open``, ``high`` and ``low`` are columns too.
    drop_where:
        Column → texts; rows that hold one of them are not this series.
    sessions_only:
        The file repeats the last value on closed days; those rows are no observations.
    sheet:
        Sheet of an Excel file; default: the first.
    skip_rows:
        Lines above the header.
    encoding:
        How a CSV's text is written.
    zone:
        The dates are instants; each belongs to the date this zone shows then.
    shift_sessions:
        A value dated *t* belongs to the session this many after *t* (-1: to the one before).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    column: str = "value"
    date_column: str = "date"
    date_format: str | None = None
    decimal: Annotated[str, Field(min_length=1, max_length=1)] = "."
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    scale: float = 1.0
    ohlc: bool = False
    drop_where: dict[str, list[str | int | float]] = {}
    sessions_only: bool = False
    sheet: str | None = None
    skip_rows: Annotated[int, Field(ge=0, le=200)] = 0
    encoding: Literal["utf-8", "latin-1", "cp1252", "utf-16"] = "utf-8"
    zone: Zone | None = None
    shift_sessions: Annotated[int, Field(ge=-10, le=10)] = 0

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or not path.parts or "\x00" in value:
            raise ValueError(f"{value!r} must be a path inside the data folder")
        return value


class EcbAddress(BaseModel):
    """A cross: ``quote`` currency per unit of ``base``; ``together`` are currencies others want at the same time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: _Currency
    quote: _Currency
    together: tuple[_Currency, ...] = ()


class MindicadorAddress(BaseModel):
    """An indicator's slug, and its unit where the provider's differs from the name's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slug: Annotated[str, StringConstraints(pattern=r"^[a-z_]{2,40}$")]
    scale: float = 1.0
    measure: Literal["level", "monthly_change"] = "level"

    @model_validator(mode="after")
    def _ipc_is_a_change(self) -> Self:
        if self.slug == "ipc" and self.measure != "monthly_change":
            raise ValueError(
                "'ipc' is the monthly change in percent, not an index and not 12-month: declare measure: monthly_change"
            )
        return self


class SieteAddress(BaseModel):
    """A series code, and a factor where the catalogue's unit differs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9._]{4,60}$")]
    scale: float = 1.0


class FredAddress(BaseModel):
    """A series id.

    Parameters
    ----------
    id:
        FRED's name, for example ``DGS10``.
    sessions_only:
        The series repeats the last value on closed days; leave those rows out.
    vintages:
        Ask, where there is a key, when each value was first published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_]{2,30}$")]
    sessions_only: bool = False
    vintages: bool = False


class BisAddress(BaseModel):
    """A key of WS_XRU: frequency, country, currency, collection; and what its dates are checked against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, StringConstraints(pattern=r"^D\.[A-Z0-9]{2}\.[A-Z]{3}\.A$")]
    check: DateCheck | None = None


class YahooAddress(BaseModel):
    """A symbol, and what the answer must say about it.

    Parameters
    ----------
    symbol:
        Yahoo's name, for example ``CLP=X``.
    currency:
        The currency the answer must declare (``USX`` would be cents).
    ohlc:
        Whether open, high and low are taken too.
    check:
        What the dates are checked against, where that is not the series' declared reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9^=.\-]{1,20}$")]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")] | None = None
    ohlc: bool = False
    check: DateCheck | None = None


class StooqAddress(BaseModel):
    """A symbol, for example ``usdclp``; with ``ohlc``, open, high and low are taken too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Annotated[str, StringConstraints(pattern=r"^[a-z0-9^._\-]{1,20}$")]
    ohlc: bool = False
    check: DateCheck | None = None


class AlphaVantageAddress(BaseModel):
    """A function and its arguments: two currencies, a share's symbol, or a yield's maturity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    function: Literal["FX_DAILY", "TIME_SERIES_DAILY", "TREASURY_YIELD"]
    from_symbol: _Currency | None = None
    to_symbol: _Currency | None = None
    symbol: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9.\-]{1,12}$")] | None = None
    maturity: Literal["3month", "2year", "5year", "7year", "10year", "30year"] | None = None
    check: DateCheck | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {name for name in ("from_symbol", "to_symbol", "symbol", "maturity") if getattr(self, name) is not None}
        wanted = {
            "FX_DAILY": {"from_symbol", "to_symbol"},
            "TIME_SERIES_DAILY": {"symbol"},
            "TREASURY_YIELD": {"maturity"},
        }[self.function]
        if given != wanted:
            raise ValueError(
                f"{self.function} takes {', '.join(sorted(wanted))}, got {', '.join(sorted(given)) or 'nothing'}"
            )
        return self

    @property
    def arguments(self) -> dict[str, str]:
        """The public query parameters."""
        body = self.model_dump(exclude={"check"}, exclude_none=True)
        return body | ({"interval": "daily"} if self.function == "TREASURY_YIELD" else {})


class XeAddress(BaseModel):
    """A currency in units of another: ``{from: USD, to: CLP}``."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    base: _Currency = Field(alias="from")
    quote: _Currency = Field(alias="to")
    check: DateCheck | None = None


ADDRESSES: dict[str, type[BaseModel]] = {
    "embedded": TableAddress,
    "folder": TableAddress,
    "added": TableAddress,
    "ecb": EcbAddress,
    "ecb_live": EcbAddress,
    "mindicador": MindicadorAddress,
    "findic": MindicadorAddress,
    "siete": SieteAddress,
    "fred": FredAddress,
    "bis": BisAddress,
    "yahoo": YahooAddress,
    "stooq": StooqAddress,
    "alphavantage": AlphaVantageAddress,
    "xe": XeAddress,
}
"""Source → the model of its addresses; a source of somebody's own is not here and checks its addresses itself."""


def check_addresses(addresses: Mapping[str, Any]) -> None:
    """Raise ValueError naming the first address that is none: source, key, rule and value."""
    for source, body in addresses.items():
        model = ADDRESSES.get(source)
        if model is None:
            continue
        try:
            model.model_validate(body)
        except ValidationError as error:
            lines = "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'address'}: {item['msg']} (got {item.get('input')!r:.60})"
                for item in error.errors()
            )
            raise ValueError(f"addresses.{source}: {lines}") from None
