"""Numbers, dates and words in the reader's language."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
from markupsafe import Markup

from forex_assets.errors import ValidationError
from forex_assets.reporting.texts import TEXTS

Language = Literal["es", "en"]
LANGUAGES: tuple[Language, ...] = ("es", "en")
DESK_ZONE = ZoneInfo("America/Santiago")

_MONTHS: Mapping[Language, tuple[str, ...]] = {
    "es": (
        *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
        *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
_WEEKDAYS: Mapping[Language, tuple[str, ...]] = {
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_MINUS = "\N{MINUS SIGN}"
_FIXED_SPACE = "\N{NO-BREAK SPACE}"


class Localizer:
    """Formats values and looks up texts in one language.

    Parameters
    ----------
    language:
        ``es`` or ``en``.
    price_decimals:
        Decimals of prices: two for USD/CLP, four for EUR/USD.
    """

    def __init__(self, language: Language, price_decimals: int = 2) -> None:
        if language not in LANGUAGES:
            raise ValidationError(
                f"Language {language!r} has no translation; there are {', '.join(LANGUAGES)}.",
                remedy="ask for one of those.",
            )
        self.language: Language = language
        self.price_decimals = price_decimals

    def text(self, key: str, **values: Any) -> Markup:
        """Return the text ``key``, its placeholders filled with ``values`` (escaped unless already markup).

        Raises
        ------
        KeyError
            When there is no such text: a missing translation must not reach a reader as a raw key.
        """
        text = getattr(TEXTS[key], self.language)
        return Markup(text).format(**values)  # noqa: S704  # nosec B704  # our own text; values are escaped

    def text_or(self, key: str, fallback: str) -> str:
        """Return the text ``key`` where there is one, else ``fallback`` (a name from the data)."""
        return str(self.text(key)) if key in TEXTS else fallback

    @property
    def missing(self) -> str:
        """What stands where there is no value."""
        return str(self.text("value.missing"))

    def number(self, value: float | None, decimals: int = 2, *, sign: bool = False) -> str:
        """Return ``1.234,56`` (es) or ``1,234.56`` (en); a missing or non-finite value reads as such."""
        if value is None or pd.isna(value) or not math.isfinite(value):
            return self.missing
        text = f"{abs(value):,.{decimals}f}"
        zero = not any(digit in "123456789" for digit in text)
        if self.language == "es":
            text = text.translate(str.maketrans(",.", ".,"))
        if value < 0 and not zero:
            return f"{_MINUS}{text}"
        return f"+{text}" if sign and not zero else text

    def price(self, value: float | None, *, sign: bool = False) -> str:
        """Return a price of the pair with the pair's decimals."""
        return self.number(value, self.price_decimals, sign=sign)

    def percent(self, share: float | None, decimals: int = 1, *, sign: bool = False) -> str:
        """Return a share (0.95) as a percentage."""
        if share is None or pd.isna(share) or not math.isfinite(share):
            return self.missing
        return f"{self.number(100 * share, decimals, sign=sign)}%"

    def count(self, value: float | None) -> str:
        """Return a whole number."""
        return self.number(value, 0)

    def date(self, value: Any) -> str:
        """Return ``13 jun 2025`` / ``13 Jun 2025``."""
        day = _as_date(value)
        if day is None:
            return self.missing
        return f"{day.day} {self.month(day)} {day.year}".replace(" ", _FIXED_SPACE)

    def short_date(self, value: Any) -> str:
        """Return ``13 jun`` / ``13 Jun``, for axes."""
        day = _as_date(value)
        return self.missing if day is None else f"{day.day}{_FIXED_SPACE}{self.month(day)}"

    def long_date(self, value: Any) -> str:
        """Return ``viernes 13 de junio de 2025`` / ``Friday 13 June 2025``."""
        day = _as_date(value)
        if day is None:
            return self.missing
        weekday, month = _WEEKDAYS[self.language][day.weekday()], _MONTHS[self.language][day.month - 1]
        glue = " de " if self.language == "es" else " "
        return f"{weekday} {day.day}{glue}{month}{glue}{day.year}"

    def month(self, value: Any) -> str:
        """Return the short name of the date's month."""
        day = _as_date(value)
        return self.missing if day is None else _MONTHS[self.language][day.month - 1][:3]

    def instant(self, value: Any) -> str:
        """Return an instant as date and time in Santiago."""
        if value is None or pd.isna(value):
            return self.missing
        moment = pd.Timestamp(value).tz_convert(DESK_ZONE)
        return f"{self.date(moment)} {moment:%H:%M}"

    def unit(self, unit: str) -> str:
        """Return a unit in the reader's language: ``CLP per USD`` → ``CLP por USD``."""
        known = self.text_or(f"unit.{unit}", "")
        if known:
            return known
        return unit.replace(" per ", " por ") if self.language == "es" else unit

    def horizon(self, days: int) -> str:
        """Return ``7 días`` / ``7 days``."""
        return str(self.text("horizon.days", days=days))


def _as_date(value: Any) -> dt.date | None:
    if value is None or pd.isna(value):
        return None
    day: dt.date = pd.Timestamp(value).date()
    return day
