"""findic.cl: a second keyless mirror of BCCh indicators, with mindicador's addresses and shapes but plain dates."""

from __future__ import annotations

from dataclasses import dataclass

from forex_assets.market.sources.mindicador import MindicadorSource


@dataclass(frozen=True)
class FindicSource(MindicadorSource):
    """Year pages of one indicator: ``/dolar/2025``, newest first, ``"fecha": "2025-11-04"``."""

    name: str = "findic"
