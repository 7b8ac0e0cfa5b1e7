"""Robustness by subgroup (E07, L15): whether coverage and skill hold in every regime, weekday, session and horizon.

For a price model fairness means this and nothing else. Every group is compared with all other forecasts of the same
horizon; the many comparisons are corrected by their false discovery rate (Benjamini and Hochberg, 1995), and a
difference must also be large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats
from forex_assets.clock import calendar_for
from forex_assets.settings.watching import SubgroupSettings

if TYPE_CHECKING:
    import pandas as pd

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
US_OPEN, US_CLOSED = "United States open", "United States closed"


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One group of one horizon against the rest.

    ``coverage_gap`` is its coverage of the 95% interval minus the rest's; ``crps_ratio_gap`` its CRPS ratio to the
    random walk over the rest's, minus one. ``state`` is fired where either is both large and beyond chance after
    correction, unknown where the group is too small.
    """

    horizon: str
    dimension: str
    group: str
    state: str
    n: int
    n_effective: float
    coverage: float
    coverage_gap: float
    coverage_p: float
    crps_ratio: float
    crps_ratio_gap: float
    crps_p: float
    reason: str


def groups_of(
    rows: pd.DataFrame, regimes: Mapping[np.datetime64, str] | None = None
) -> dict[str, npt.NDArray[np.object_]]:
    """Return the group of each row by dimension: weekday of the origin, session of the target date, regime.

    Parameters
    ----------
    rows:
        Columns ``as_of`` and ``target_date``.
    regimes:
        Origin → regime as known then; without it that dimension is left out.
    """
    origin = rows["as_of"].to_numpy("datetime64[D]")
    target = rows["target_date"].to_numpy("datetime64[D]")
    weekday = np.array(WEEKDAYS, dtype=object)[np.minimum((origin.astype(np.int64) + 3) % 7, 4)]
    out = {
        "weekday": weekday,
        "session": np.where(calendar_for("US").is_open(target), US_OPEN, US_CLOSED).astype(object),
    }
    if regimes is not None:
        out["regime"] = np.array([regimes.get(day, "UNKNOWN") for day in origin], dtype=object)
    return out


def subgroup_table(
    rows: pd.DataFrame,
    horizons: Mapping[str, int],
    policy: SubgroupSettings,
    regimes: Mapping[np.datetime64, str] | None = None,
) -> list[Subgroup]:
    """Return every group of every horizon against the rest.

    Parameters
    ----------
    rows:
        Matured forecasts of the deployed model: ``horizon`` (days), ``as_of``, ``target_date``, ``covered_95``,
        ``crps`` and ``crps_benchmark`` (the random walk's on the same target).
    horizons:
        Horizon name → calendar days.
    policy:
        Limits.
    regimes:
        Origin → regime.
    """
    from forex_assets.evaluation.overlap import effective_n

    raw: list[tuple[Subgroup, bool]] = []
    for name, days in horizons.items():
        part = rows.loc[rows["horizon"] == days].sort_values("as_of", kind="stable")
        if part.empty:
            continue
        steps = max(1.0, days * 5 / 7)
        hit = part["covered_95"].to_numpy(np.float64)
        model, beside = part["crps"].to_numpy(np.float64), part["crps_benchmark"].to_numpy(np.float64)
        share = effective_n(len(part), steps) / len(part)
        for dimension, labels in groups_of(part, regimes).items():
            for group in sorted(set(labels)):
                inside = labels == group
                raw.append(_compare(name, dimension, str(group), inside, hit, model, beside, share, policy))
        raw.append(_whole(name, len(part), share, hit, model, beside, policy))
    tested = [item for item, usable in raw if usable]
    limit = _discoveries([p for item in tested for p in (item.coverage_p, item.crps_p)], policy.false_discovery_share)
    return [_decided(item, usable, limit, policy) for item, usable in raw]


def _compare(
    horizon: str,
    dimension: str,
    group: str,
    inside: npt.NDArray[np.bool_],
    hit: Floats,
    model: Floats,
    beside: Floats,
    share: float,
    policy: SubgroupSettings,
) -> tuple[Subgroup, bool]:
    n, rest = int(inside.sum()), int((~inside).sum())
    # Overlapping errors of one group are worth no more than those of all; scattered ones are treated alike.
    effective, other = n * share, rest * share
    usable = effective >= policy.min_effective_n and other >= policy.min_effective_n
    coverage = float(hit[inside].mean()) if n else math.nan
    gap = coverage - float(hit[~inside].mean()) if rest else math.nan
    ratio = float(model[inside].sum() / beside[inside].sum()) if n and beside[inside].sum() > 0 else math.nan
    outside = float(model[~inside].sum() / beside[~inside].sum()) if rest and beside[~inside].sum() > 0 else math.nan
    return (
        Subgroup(horizon, dimension, group, "unknown", n, effective, coverage, gap,
                 _share_p(hit[inside], hit[~inside], effective, other) if usable else math.nan,
                 ratio, ratio / outside - 1.0,
                 _ratio_p(model, beside, inside, effective, other) if usable else math.nan, ""),
        usable,
    )  # fmt: skip


def _whole(
    horizon: str, n: int, share: float, hit: Floats, model: Floats, beside: Floats, policy: SubgroupSettings
) -> tuple[Subgroup, bool]:
    """Return the horizon itself, against nominal coverage and the random walk."""
    effective = n * share
    coverage, ratio = float(hit.mean()), float(model.sum() / beside.sum())
    usable = effective >= policy.min_effective_n
    z = (coverage - 0.95) / math.sqrt(0.95 * 0.05 / max(effective, 1.0))
    excess = model - beside
    error = float(excess.std(ddof=1)) / math.sqrt(max(effective, 1.0)) if n > 2 else math.nan
    worse = float(excess.mean()) / error if error and error > 0 else 0.0
    p, q = (_two_sided(z), _two_sided(worse)) if usable else (math.nan, math.nan)
    return (
        Subgroup(horizon, "horizon", horizon, "unknown", n, effective, coverage, coverage - 0.95, p, ratio, ratio - 1.0,
                 q, ""),
        usable,
    )  # fmt: skip


def _share_p(inside: Floats, outside: Floats, n: float, m: float) -> float:
    """Return the p-value of equal shares at effective counts, with the plus-four of Agresti and Caffo (2000)."""
    a, b = (inside.mean() * n + 1) / (n + 2), (outside.mean() * m + 1) / (m + 2)
    error = math.sqrt(a * (1 - a) / (n + 2) + b * (1 - b) / (m + 2))
    return _two_sided(float(a - b) / error)


def _ratio_p(model: Floats, beside: Floats, inside: npt.NDArray[np.bool_], n: float, m: float) -> float:
    """Return the p-value of equal CRPS ratios: linearised, each side with its own spread."""
    values = []
    for part, size in ((inside, n), (~inside, m)):
        ratio = model[part].sum() / beside[part].sum()
        influence = (model[part] - ratio * beside[part]) / beside[part].mean()
        values.append((float(ratio), float(influence.std(ddof=1)) / math.sqrt(size)))
    (a, sa), (b, sb) = values
    error = math.hypot(sa, sb)
    return _two_sided((a - b) / error) if error > 0 else 1.0


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))


def _discoveries(p_values: Sequence[float], share: float) -> float:
    """Return the largest p-value that counts under Benjamini and Hochberg's rule; 0 where none does."""
    ordered = sorted(p for p in p_values if math.isfinite(p))
    best = 0.0
    for rank, p in enumerate(ordered, start=1):
        if p <= share * rank / len(ordered):
            best = p
    return best


def _decided(item: Subgroup, usable: bool, limit: float, policy: SubgroupSettings) -> Subgroup:
    import dataclasses

    if not usable:
        need = policy.min_effective_n
        return dataclasses.replace(
            item, reason=f"{item.group}: worth {item.n_effective:.1f} independent forecasts, {need:g} are needed."
        )
    worse = []
    if item.coverage_p <= limit and abs(item.coverage_gap) >= policy.min_coverage_gap:
        worse.append(f"coverage {item.coverage:.1%}, {item.coverage_gap:+.1%} against the rest")
    if item.crps_p <= limit and item.crps_ratio_gap >= policy.min_crps_excess:
        worse.append(f"CRPS {item.crps_ratio:.2f} times the random walk's, {item.crps_ratio_gap:+.0%} against the rest")
    state = "fired" if worse else "clear"
    text = "; ".join(worse) if worse else f"coverage {item.coverage:.1%}, CRPS ratio {item.crps_ratio:.2f}: as the rest"
    return dataclasses.replace(item, state=state, reason=f"{item.group} ({item.horizon}): {text}.")
