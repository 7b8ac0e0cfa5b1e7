"""The panel of prices the pooled fits learn from: USD crosses of the ECB's reference rates, and USD/CLP."""

from __future__ import annotations

import datetime as dt

import numpy as np

from forex_assets.clock import calendar_for
from forex_assets.forecasting.carry import POLICY_RATES
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.market.contract import FetchRequest
from forex_assets.market.publication import available_at
from forex_assets.market.sources.ecb import EcbSource
from forex_assets.market.sources.embedded import EmbeddedSource
from forex_assets.settings import PublicationRule, SeriesSpec, load_settings

DEVELOPED = ("EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "SGD")
EMERGING = ("BRL", "MXN", "ZAR", "KRW", "PLN", "HUF", "CZK")
OTHERS = ("INR", "IDR", "THB", "PHP", "ILS")
CURRENCIES = (*DEVELOPED, *EMERGING, *OTHERS)
"""Floating all along: no peg, no target zone, no suspended rate (TRY, RUB, CNY, HKD, MYR, DKK, BGN are left out)."""
EPOCH = dt.datetime(1999, 1, 1, tzinfo=dt.UTC)
FIRST_DAY = np.datetime64("1999-01-06")
"""The first days hold repeated rates."""
LAST_DAY = dt.date(2199, 12, 31)


def pair_id(currency: str) -> str:
    """Return the panel's name of USD against a currency: ``usdzar``."""
    return f"usd{currency.lower()}"


def ecb_series(currency: str) -> SeriesSpec:
    """Return the series USD/currency as the cross of two ECB rates, known at 16:00 in Frankfurt on its date."""
    return SeriesSpec(
        id=f"{pair_id(currency)}_ecb",
        label=f"USD/{currency}, cross of ECB reference rates",
        unit=f"{currency} per USD",
        calendar="TARGET",
        publication=PublicationRule(rule="same_day", time="16:00", zone="Europe/Berlin"),
        range=(1e-6, 1e9),
        max_age_business_days=3,
        basis="fixing",
        addresses={
            "ecb": {"base": "USD", "quote": currency},
            "ecb_live": {"base": "USD", "quote": currency, "together": CURRENCIES},
            "folder": {"file": f"fx_{pair_id(currency)}_ecb_daily.csv"},
        },
    )


def ecb_price_history(currency: str, through: dt.date = LAST_DAY) -> PriceHistory:
    """Return the ECB's USD/currency up to a date.

    Raises
    ------
    SourceError
        When the history is not installed or has no such currency.
    """
    spec = ecb_series(currency)
    frame = EcbSource(EPOCH).fetch(FetchRequest(spec, FIRST_DAY.astype(object), through)).frame
    days = frame["event_date"].to_numpy().astype("datetime64[D]")
    return PriceHistory(
        pair_id(currency), calendar_for(spec.calendar), days, available_at(spec, days), frame["value"].to_numpy(float)
    )


def fixing_history(through: dt.date = LAST_DAY) -> PriceHistory:
    """Return the embedded dólar observado up to a date."""
    spec = load_settings().series["usdclp_fixing"]
    frame = EmbeddedSource(EPOCH).fetch(FetchRequest(spec, FIRST_DAY.astype(object), through)).frame
    days = frame["event_date"].to_numpy().astype("datetime64[D]")
    return PriceHistory(
        "usdclp", calendar_for(spec.calendar), days, available_at(spec, days), frame["value"].to_numpy(float)
    )


def rate_drivers(through: dt.date = LAST_DAY) -> dict[str, DriverHistory]:
    """Return the embedded policy rates by series id (:mod:`forex_assets.forecasting.carry`)."""
    settings = load_settings()
    found = {}
    for name in sorted(set(POLICY_RATES.values())):
        spec = settings.series[name]
        frame = EmbeddedSource(EPOCH).fetch(FetchRequest(spec, FIRST_DAY.astype(object), through)).frame
        days = frame["event_date"].to_numpy().astype("datetime64[D]")
        found[name] = DriverHistory(
            name, calendar_for(spec.calendar), days, available_at(spec, days), frame["value"].to_numpy(float)
        )
    return found


def panel_histories(through: dt.date = LAST_DAY) -> dict[str, PriceHistory]:
    """Return every price history of the panel by pair: the ECB crosses, then USD/CLP."""
    found = {pair_id(currency): ecb_price_history(currency, through) for currency in CURRENCIES}
    found["usdclp"] = fixing_history(through)
    return found
