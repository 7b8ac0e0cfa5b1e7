"""Intervals before and after regime conditioning, over the stored past (B07): learned factors beside the classic table.

Every origin of the stored backtest is conditioned with the factor that was valid on its day, so that nothing here knows
what came later. ``used`` is what forecasts are made with; ``learned`` shows also what the rule of evidence refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets import schemas
from forex_assets.arrays import Floats
from forex_assets.errors import StoreError
from forex_assets.evaluation.scores import score_rows
from forex_assets.forecasting.calibration import apply
from forex_assets.forecasting.regime_factors import PREFIX, RegimeFactors
from forex_assets.forecasting.widths import widened
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.regime_handover import regime_labels

if TYPE_CHECKING:
    from forex_assets.pipeline import Pipeline

#: How an interval was made: as forecast, as deployed, with every learned factor, with the classic table.
VARIANTS = ("before", "used", "learned", "classic")
_NO_FACTOR = {True: "no factor: what the others are measured against", False: "no factor has been learned"}
_LOW, _MIDDLE, _HIGH = QUANTILE_COLUMNS.index("q025"), QUANTILE_COLUMNS.index("q500"), QUANTILE_COLUMNS.index("q975")


def conditioning(pipeline: Pipeline, pair_id: str, horizons: Iterable[str]) -> dict[str, Any]:
    """Return coverage and interval score by regime and horizon for each variant, and an example of each regime.

    Raises
    ------
    StoreError
        When no backtest with its width factors is stored.
    """
    summary: list[dict[str, Any]] = []
    examples: list[dict[str, Any]] = []
    for name in horizons:
        for needed in (schemas.BACKTEST, schemas.INTERVAL_CALIBRATION):
            if not pipeline.store.exists(needed, pair_id, (name,)):
                raise StoreError(
                    f"No {needed.name} of {pair_id} {name} is stored.",
                    remedy=f"run `forex run --pair {pair_id}` first.",
                )
        model = pipeline.active(pair_id, name).model
        rows = pipeline.store.read(schemas.BACKTEST, pair_id, [(name,)])
        rows = rows.loc[(rows["model"] == model) & rows["actual"].notna()].sort_values("as_of", ignore_index=True)
        if rows.empty:
            continue
        regimes, variants, classic, table = _conditioned(pipeline, pair_id, name, model, rows)
        summary += _summary(name, rows, regimes, variants, table)
        examples += _examples(name, rows, regimes, variants, classic)
    return {"pair": pair_id, "summary": summary, "examples": examples}


def _conditioned(
    pipeline: Pipeline, pair_id: str, horizon: str, model: str, rows: pd.DataFrame
) -> tuple[npt.NDArray[np.object_], dict[str, Floats], npt.NDArray[np.object_], pd.DataFrame]:
    """Return the regime of each origin, the quantiles of each variant, the classic regime, and the factors' rows."""
    days = rows["as_of"].to_numpy("datetime64[D]")
    labels = regime_labels(pipeline, pair_id, days)
    regimes = np.array([labels.get(day, "UNKNOWN") for day in days], dtype=object)
    table = pipeline.store.read(schemas.INTERVAL_CALIBRATION, pair_id, [(horizon,)])
    table = table.loc[(table["model"] == model) & table["condition"].str.startswith(PREFIX)]
    before = rows[list(QUANTILE_COLUMNS)].to_numpy(float)
    tenor = int(rows["horizon"].iloc[0])
    out = {"before": before}
    for name, given in (("used", table), ("learned", table.assign(used=True))):
        found = RegimeFactors(labels, given).on(model, tenor, days)
        out[name] = apply(before, found.lower, found.upper)
    classic = _classic(pipeline, pair_id, days)
    names = classic["regime"].to_numpy(object)
    out["classic"] = widened(before, before[:, _MIDDLE], classic["multiplier"].to_numpy(float))
    return regimes, out, names, table


def _classic(pipeline: Pipeline, pair_id: str, days: npt.NDArray[np.datetime64]) -> pd.DataFrame:
    from forex_assets.monitoring import regime
    from forex_assets.watching import frames_from

    frames = frames_from(pipeline, pair_id, pipeline.observations(pair_id), schemas.EVALUATION.empty())
    unique, place = np.unique(days, return_inverse=True)
    return regime.regimes(frames, unique, pipeline.settings, "classic").iloc[place].reset_index(drop=True)


def _summary(
    horizon: str,
    rows: pd.DataFrame,
    regimes: npt.NDArray[np.object_],
    variants: dict[str, Floats],
    table: pd.DataFrame,
) -> list[dict[str, Any]]:
    actual, mean = rows["actual"].to_numpy(float), rows["mean"].to_numpy(float)
    scores = {name: score_rows(mean, quantiles, actual) for name, quantiles in variants.items()}
    out = []
    for regime in [*sorted(set(regimes) - {"NORMAL", "UNKNOWN"}), "NORMAL"]:
        at = regimes == regime
        if not at.any():
            continue
        own = table.loc[table["condition"] == PREFIX + regime].sort_values("valid_from")
        newest = own.iloc[-1] if len(own) else None
        base = float(scores["before"]["interval_score_95"][at].mean())
        row: dict[str, Any] = {
            "horizon": horizon,
            "regime": regime,
            "n": int(at.sum()),
            "used_now": bool(newest["used"]) if newest is not None else False,
            "factor_lower": float(newest["factor_lower"]) if newest is not None else 1.0,
            "factor_upper": float(newest["factor_upper"]) if newest is not None else 1.0,
            "n_effective": float(newest["n_effective"]) if newest is not None else 0.0,
            "reason": str(newest["reason"]) if newest is not None else _NO_FACTOR[regime == "NORMAL"],
        }
        for name in variants:
            row[f"coverage_95_{name}"] = float(scores[name]["covered_95"][at].mean())
            row[f"score_ratio_{name}"] = float(scores[name]["interval_score_95"][at].mean()) / base
        out.append(row)
    return out


def _examples(
    horizon: str,
    rows: pd.DataFrame,
    regimes: npt.NDArray[np.object_],
    variants: dict[str, Floats],
    classic: npt.NDArray[np.object_],
) -> list[dict[str, Any]]:
    """Return the newest origin of each regime: its 95% interval in every variant, and what then happened."""
    out = []
    for regime in sorted(set(regimes) - {"UNKNOWN"}):
        i = int(np.flatnonzero(regimes == regime)[-1])
        row: dict[str, Any] = {
            "horizon": horizon,
            "regime": regime,
            "classic_regime": str(classic[i]),
            "as_of": rows["as_of"].iloc[i].date(),
            "target_date": rows["target_date"].iloc[i].date(),
            "centre": float(variants["before"][i, _MIDDLE]),
            "actual": float(rows["actual"].iloc[i]),
        }
        row |= {name: (float(made[i, _LOW]), float(made[i, _HIGH])) for name, made in variants.items()}
        out.append(row)
    return out
