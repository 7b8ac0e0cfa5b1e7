"""Carry: where the difference of two policy rates puts the centre, as a forward does. No model is fitted."""

from __future__ import annotations

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.clock import as_of_instants
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory

POLICY_RATES = {"clp": "tpm", "usd": "fed_funds"}
"""Currency → series id of its policy rate in percent a year. A currency that is not here has no carry."""
MAX_RATE_AGE_DAYS = 45
DAYS_A_YEAR = 365.0


def rate_series(pair: str) -> tuple[str, str] | None:
    """Return the rate series of quote and base currency of a pair id (``usdclp``, ``usdclp_close``), or None."""
    base, quote = pair[:3], pair[3:6]
    if base in POLICY_RATES and quote in POLICY_RATES and base != quote:
        return POLICY_RATES[quote], POLICY_RATES[base]
    return None


def log_carry(history: PriceHistory, origins: Origins, steps: Ints) -> Floats:
    """Return the log distance of the carry centre from the last value, shape (m, k).

    Quote rate less base rate, as known at the end of each origin's day, over the calendar days to each step. It is 0
    where the pair has no two rates, where the history does not bring them along, or where one is older than 45 days.
    """
    out = np.zeros(steps.shape)
    names = rate_series(history.pair)
    if names is None or not set(names) <= set(history.drivers) or not len(origins):
        return out
    instants = as_of_instants(origins.as_of)
    quote, base = (history.drivers[name].newest_at(instants, MAX_RATE_AGE_DAYS) for name in names)
    difference = np.nan_to_num((quote - base) / 100.0)
    start = np.repeat(origins.last_event_date, steps.shape[1])
    days = (history.calendar.add(start, steps.ravel()) - start).astype(np.int64).reshape(steps.shape)
    return np.asarray(difference[:, None] * days / DAYS_A_YEAR)
