"""Live providers: addresses, rates, time-outs and retries."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from forex_assets.settings.fields import Positive, PositiveInt, Strict, WebAddress


class HttpSettings(Strict):
    """Time-outs, retries and cache of every HTTP provider."""

    connect_timeout_s: Positive
    read_timeout_s: Positive
    attempts: PositiveInt
    backoff_initial_s: Positive
    backoff_max_s: Positive
    cache_hours_open_year: Positive
    max_response_mb: Positive = 16
    retry_after_max_s: Positive = 5.0
    circuit_open_s: Positive = 60.0
    circuit_open_max_s: Positive = 3600.0

    @model_validator(mode="after")
    def _ordered_circuit(self) -> Self:
        if not self.circuit_open_s <= self.circuit_open_max_s:
            raise ValueError(
                f"providers.http.circuit_open_s ({self.circuit_open_s}) must not be above circuit_open_max_s "
                f"({self.circuit_open_max_s})"
            )
        return self


class LiveProvider(Strict):
    """A live provider: whether it is asked, its address, how often, and a shorter time-out where it has one."""

    enabled: bool = True
    base_url: WebAddress
    max_requests_per_s: Positive
    read_timeout_s: Positive | None = None


class SieteSettings(Strict):
    """BCCh SIETE; credentials come from ``BCCH_USER`` and ``BCCH_PASS`` only."""

    base_url: WebAddress
    max_requests_per_s: Positive


class FredSettings(LiveProvider):
    """FRED: ``base_url`` is the graph's CSV; the API needs ``FRED_API_KEY``."""

    api_url: WebAddress


class EcbLiveSettings(LiveProvider):
    """ECB: ``base_url`` is the SDMX service, ``archive_url`` the zip of the whole history."""

    archive_url: WebAddress


class YahooSettings(LiveProvider):
    """Yahoo's chart service and its second host; it refuses clients that do not look like a browser."""

    other_urls: list[WebAddress] = []
    user_agent: str


class ProviderSettings(Strict):
    """Live providers."""

    http: HttpSettings
    mindicador: LiveProvider
    findic: LiveProvider
    siete: SieteSettings
    fred: FredSettings
    ecb_live: EcbLiveSettings
    bis: LiveProvider
    yahoo: YahooSettings
    stooq: LiveProvider
    alphavantage: LiveProvider
    xe: LiveProvider

    def addresses(self) -> dict[str, str]:
        """Return the address of every live provider by its name in the chains."""
        return {name: getattr(self, name).base_url for name in type(self).model_fields if name != "http"}
