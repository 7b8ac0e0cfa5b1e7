"""Real prices for the tests of panel models: USD crosses of the installed ECB history."""

from __future__ import annotations

import functools

import pytest

from forex_assets.errors import SourceError
from forex_assets.forecasting.price_history import PriceHistory


@functools.cache
def _history(currency: str) -> PriceHistory:
    from forex_assets.forecasting.panel.prices import ecb_price_history

    return ecb_price_history(currency)


def ecb_history(currency: str) -> PriceHistory:
    """USD against a currency; skips where the ECB history is not installed."""
    try:
        return _history(currency)
    except SourceError as error:
        pytest.skip(f"no ECB history: {error}")
