"""Which models are in the mean, which are watched, and what counts as the failure of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.errors import ForexError
from forex_assets.forecasting.contract import QuantilePaths
from forex_assets.forecasting.panel.artefacts import PLAIN, VIX
from forex_assets.forecasting.registry import get_model

MEMBERS = ("champion_zero", "gjr_t", "loghar")
"""In the mean where their gates are open: three ways to a width, three to a shape (chosen on data to 2017)."""
POOLED = frozenset({"loghar"})
"""Models fitted to many pairs together; every other is fitted to a pair alone."""
WATCHED = ("rw_drift", "rw_ewma", "garch_t", "egarch_t")
"""Not in the mean, which scored no better with them on data to 2017; their gates are kept and shown."""
VARIANT_PARAMETERS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {PLAIN: {"loghar": {"vix": "never"}}, VIX: {}}
)
"""Variant → member → parameters with which its losses are learned from."""
MEMBER_FAILURES = (
    ForexError,
    ArithmeticError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TimeoutError,
    TypeError,
    ValueError,
    np.linalg.LinAlgError,
)
"""What a member may raise without taking the ensemble down: it is left out, and the rows say so."""


def prior_shares(members: Sequence[str]) -> Floats:
    """Return the shares weights are shrunk to, (k,): half for pooled models, half for the others, equal within each.

    On data to 2017 this beat equal shares of all members (two of the three are fitted to a pair alone).
    """
    pooled = np.array([name in POOLED for name in members])
    families = len(set(pooled.tolist()))
    size = np.where(pooled, pooled.sum(), (~pooled).sum())
    return np.asarray(1.0 / (families * size))


def told(error: BaseException) -> str:
    """Return what an error says, on one line of at most 200 characters."""
    text = error.message if isinstance(error, ForexError) else str(error)
    line = " ".join(f"{type(error).__name__}: {text}".split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def on_carry(paths: QuantilePaths, model: str, carry: Floats) -> QuantilePaths:
    """Return a member's paths with those that are centred on the last value moved to the carry, (m, k) in logs."""
    if get_model(model).capabilities.centre != "last" or not carry.any():
        return paths
    shift = np.exp(carry)
    return QuantilePaths(paths.mean * shift, paths.quantiles * shift[:, :, None])
