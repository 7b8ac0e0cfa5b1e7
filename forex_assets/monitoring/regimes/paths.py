"""Everything the regime detector computes forward in time, each on the timeline of its own series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.errors import DataError
from forex_assets.monitoring.observed import Known
from forex_assets.monitoring.regimes.link import Link, probability_negative, rolling_link
from forex_assets.monitoring.statespace import (
    Held,
    filtered_probability,
    hold,
    log_t_density,
    long_sigma,
)
from forex_assets.settings.regimes import CopperPolicy, RegimePolicy, RiskGaugePolicy, VolatilityStatePolicy

#: Weekdays between neighbouring values up to which they count as one session apart (a long weekend).
_ONE_SESSION = 3
_FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class VolatilityPath:
    """After each value: long-run sigma before its return, probability of the loud state, and the label held."""

    sigma: Floats
    probability: Floats
    held: Held


@dataclass(frozen=True, eq=False)
class CopperPath:
    """After each copper value: its move, in shares and in its own sigmas, what it implies, and the label held.

    ``common`` are the dates that price and copper share, on which ``link`` stands (its first value is that of the
    second common date); ``place`` is, for each copper value, how many of them lie before its date.
    """

    change: Floats
    z: Floats
    probability: Floats
    implied_sigma: Floats
    held: Held
    link: Link
    negative: Floats
    common: Dates
    place: Ints


@dataclass(frozen=True, eq=False)
class Paths:
    """All of them, for what was known at one instant."""

    price: Known
    volatility: VolatilityPath
    copper: Mapping[str, tuple[Known, CopperPath]]
    gauges: Mapping[str, tuple[Known, Floats]]


def session_returns(known: Known) -> Floats:
    """Return log returns per session, shape (n - 1,): a move over a gap counts as several days' worth.

    Raises
    ------
    DataError
        When a value is not positive.
    """
    if (known.values <= 0).any():
        bad = known.dates[known.values <= 0][0]
        raise DataError(
            f"{known.name} of {bad} is {known.values[known.values <= 0][0]:g}; log returns need positive values.",
            remedy="withdraw it by a quality rule (docs/data-quality.md), or correct the source.",
        )
    gap = np.busday_count(known.dates[:-1], known.dates[1:])
    gap = np.where(gap <= _ONE_SESSION, 1, gap)
    return np.asarray(np.diff(np.log(known.values)) / np.sqrt(gap), dtype=np.float64)


def volatility_path(returns: Floats, policy: VolatilityStatePolicy) -> VolatilityPath:
    """Return the volatility state after each return, (n,) or (n, m) for m paths side by side."""
    sigma = long_sigma(returns, half_life=policy.half_life_obs, warmup=policy.warmup_obs, clip=policy.clip_sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sigma > _FLAT, returns / sigma, np.nan)
    probability = filtered_probability(
        z,
        calm_scale=policy.calm_scale,
        loud_scale=policy.loud_scale,
        freedom=policy.freedom,
        enter=policy.enter_per_day,
        leave=policy.leave_per_day,
    )
    held = hold(
        probability,
        on_at=policy.on_probability,
        off_at=policy.off_probability,
        dwell=policy.dwell_obs,
        rest=policy.dwell_obs,
    )
    return VolatilityPath(sigma, probability, held)


def copper_path(price: Known, copper: Known, policy: CopperPolicy) -> CopperPath:
    """Return the copper signals after each copper value.

    The sigma a move is held against is the one known before the move began, so the move does not hide itself. The link
    used at a copper date stands on common dates before it: the price of that date may not be known yet.
    """
    n, lag = len(copper), policy.move_obs
    returns = session_returns(copper)
    sigma = long_sigma(returns, half_life=policy.half_life_obs, warmup=policy.warmup_obs, clip=policy.clip_sigma)
    logs = np.log(copper.values)
    change, z = np.full(n, np.nan), np.full(n, np.nan)
    if n > lag:
        change[lag:] = logs[lag:] - logs[:-lag]
        before = sigma[: n - lag]
        with np.errstate(divide="ignore", invalid="ignore"):
            z[lag:] = np.where(before > _FLAT, change[lag:] / (before * np.sqrt(lag)), np.nan)
    common, here, there = np.intersect1d(price.dates, copper.dates, assume_unique=True, return_indices=True)
    x = np.diff(np.log(price.values[here])) if len(common) > 1 else np.empty(0)
    y = np.diff(logs[there]) if len(common) > 1 else np.empty(0)
    link = rolling_link(x, y, policy.link_obs, policy.link_lags)
    spread = _rolling_std(x, policy.link_obs)
    negative = probability_negative(link)
    place = np.searchsorted(common, copper.dates, side="left").astype(np.int64)
    at = place - 2  # the return that ends on the last common date before this one
    with np.errstate(divide="ignore", invalid="ignore"):
        implied = np.abs(_take(link.slope, at) * change) / (_take(spread, at) * np.sqrt(lag))
    shock = _shock_probability(z, policy)
    proven = _take(negative, at) >= 1.0 - policy.link_p_value
    size = np.where(proven & (implied >= policy.min_implied_sigma), np.abs(z), np.minimum(np.abs(z), policy.off_sigma))
    held = hold(np.where(np.isfinite(z), size, np.nan), on_at=policy.on_sigma, off_at=policy.off_sigma,
                dwell=policy.dwell_obs)  # fmt: skip
    return CopperPath(change, z, shock * _take(negative, at), implied, held, link, negative, common, place)


def gauge_path(known: Known, policy: RiskGaugePolicy) -> Floats:
    """Return, after each value, its move over ``move_obs`` values in standard deviations of earlier such moves."""
    n, lag, window = len(known), policy.move_obs, policy.scale_obs
    out = np.full(n, np.nan)
    if n <= lag + window:
        return out
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(known.values)
    move = logs[lag:] - logs[:-lag]
    spread = _rolling_std(move, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The moves before this one that do not overlap it set the scale.
        earlier = np.full(len(move), np.nan)
        earlier[lag:] = spread[:-lag]
        out[lag:] = np.where(earlier > _FLAT, move / earlier, np.nan)
    return out


def build_paths(price: Known, copper: Mapping[str, Known], gauges: Mapping[str, Known], policy: RegimePolicy) -> Paths:
    """Return everything computed from what was known at one instant."""
    return Paths(
        price=price,
        volatility=volatility_path(session_returns(price), policy.volatility),
        copper={name: (known, copper_path(price, known, policy.copper)) for name, known in copper.items()},
        gauges={name: (known, gauge_path(known, policy.risk)) for name, known in gauges.items()},
    )


def _shock_probability(z: Floats, policy: CopperPolicy) -> Floats:
    """Return the probability that a standardised move came from the loud part of a two-part mixture."""
    odds = np.exp(
        log_t_density(z, policy.loud_scale, policy.freedom) - log_t_density(z, policy.calm_scale, policy.freedom)
    )
    share = policy.shock_share
    return np.asarray(share * odds / (share * odds + 1.0 - share), dtype=np.float64)


def _rolling_std(x: Floats, window: int) -> Floats:
    """Return the root mean square around the window's mean, by end of window; the same whatever follows."""
    out = np.full(len(x), np.nan)
    if len(x) >= window:
        view = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(x, window))
        out[window - 1 :] = np.sqrt(((view - view.mean(axis=1, keepdims=True)) ** 2).mean(axis=1))
    return out


def _take(values: Floats, at: Ints) -> Floats:
    """Return ``values[at]``, NaN where ``at`` is negative."""
    if not len(values):
        return np.full(len(at), np.nan)
    return np.where(at >= 0, values[np.maximum(at, 0)], np.nan)
