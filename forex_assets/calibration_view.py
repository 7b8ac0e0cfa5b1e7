"""From the store to the market calibration of a pair, and from the calibration to the settings the monitors read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.pipeline import Pipeline
from forex_assets.provenance import combine_hashes
from forex_assets.schemas.watching import CALIBRATION
from forex_assets.watching import frames_from

if TYPE_CHECKING:
    from forex_assets.monitoring.calibration.files import Stored
    from forex_assets.monitoring.regimes.factors import RegimeFactor
    from forex_assets.settings import Settings
    from forex_assets.settings.calibration import Calibration


def watch_settings(pipeline: Pipeline, pair_id: str, as_of: dt.date | None = None) -> tuple[Settings, Stored | None]:
    """Return the settings with the thresholds calibrated for a pair on data up to ``as_of``, and that calibration."""
    from forex_assets.monitoring.calibration.files import current
    from forex_assets.settings.calibration import calibrated

    stored = current(pipeline.settings.home, pair_id, as_of, signing_key())
    return calibrated(pipeline.settings, stored.calibration if stored else None), stored


def signing_key() -> str | None:
    """Return the key that signs calibrations, or None where there is none."""
    from forex_assets.monitoring.calibration.files import KEY_NAME
    from forex_assets.ops.secrets import secret

    return secret(KEY_NAME)


def analyse_pair(pipeline: Pipeline, pair_id: str, as_of: dt.date | None = None, *, fresh: bool = False) -> Calibration:
    """Return the market calibration of a pair from its observations: the stored ones, or asked for anew.

    Raises
    ------
    DataError
        When the history is synthetic, untraceable, too short or flat.
    """
    from forex_assets.monitoring.calibration.analysis import analyse, require_real
    from forex_assets.pipeline import utc_now

    settings = pipeline.settings
    pair, policy = settings.pair(pair_id), settings.platform.watching.calibration
    now = utc_now()
    observations = (
        pipeline.data.ingest(pair_id, now=now, merge=False)["observations"] if fresh else pipeline.observations(pair_id)
    )
    sources = require_real(observations, pair, pair.target.series, policy)
    day = as_of or pipeline.default_as_of(pair_id, now=now, observations=observations)
    frames = frames_from(pipeline, pair_id, observations, schemas.EVALUATION.empty())
    copper = None
    for name in settings.recommended.regimes.copper.series:
        if name in frames.drivers and name in pair.drivers:
            known = frames.drivers[name].at(day_end(day))
            if len(known) >= policy.min_copper_observations:
                require_real(observations, pair, name, policy)
                copper = known
                break
    return analyse(
        frames.target.at(day_end(day)),
        copper,
        settings=settings,
        pair=pair,
        policy=policy,
        as_of=day,
        sources=sources,
        code_version=pipeline.code_version,
    )


def calibration_frame(
    pipeline: Pipeline, calibration: Calibration, horizon: str, factors: Sequence[RegimeFactor]
) -> pd.DataFrame:
    """Return table ``calibration`` of one horizon: the pair's numbers and its width factors by regime."""
    day = pd.Timestamp(calibration.metadata.calibration_date)
    rows = [
        {"section": section, "name": name, **values}
        for section, name, values in quantities(calibration.model_dump(mode="python"))
    ]
    rows += [
        {
            "section": "regime_factor",
            "name": item.regime,
            "value": item.factor,
            "low": item.low,
            "high": item.high,
            "unit": "ratio",
            "n": item.n,
            "n_effective": item.n_effective,
            "note": f"raw {item.raw:.2f}, shrunk {item.shrunk:.2f}: {item.reason}",
        }
        for item in factors
        if item.horizon == horizon
    ]
    frame = pd.DataFrame(rows).assign(pair=calibration.metadata.pair, horizon=horizon, calibrated_on=day)
    made = pipeline.stamp(
        frame,
        config_hash=pipeline.settings.config_hash(calibration.metadata.pair),
        data_hash=combine_hashes({"market": calibration.metadata.input_hash, "horizon": horizon}),
    )
    return made[list(CALIBRATION.column_names)]


def quantities(body: dict[str, Any]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Yield section, name and values of every number of a calibration."""
    for section, content in body.items():
        if not isinstance(content, dict):
            continue
        for name, value in content.items():
            if isinstance(value, dict) and "unit" in value:
                note = "" if value["n"] else "carried over from the classic profile, not measured"
                yield (
                    section,
                    name,
                    {
                        "value": value["value"],
                        "low": np.nan if value["low"] is None else value["low"],
                        "high": np.nan if value["high"] is None else value["high"],
                        "unit": value["unit"],
                        "n": value["n"],
                        "n_effective": value["n_effective"],
                        "note": note,
                    },
                )
        for test in content.get("month_tests", []):
            yield (
                section,
                f"month_{test['month']:02d}",
                {
                    "value": test["log_ratio"],
                    "low": np.nan,
                    "high": np.nan,
                    "unit": "log",
                    "n": test["years"],
                    "n_effective": float(test["years"]),
                    "note": f"p {test['p_value']:.3f}, corrected for twelve months {test['p_corrected']:.3f}",
                },
            )


def day_end(day: dt.date) -> np.datetime64:
    """Return the instant a day ends in Santiago."""
    from forex_assets.clock import as_of_instants

    instant: np.datetime64 = as_of_instants(np.array([day], dtype="datetime64[D]"))[0]
    return instant
