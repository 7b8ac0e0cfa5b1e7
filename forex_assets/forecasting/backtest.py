"""Walk-forward backtest: one vectorised pass per horizon over every origin and model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Day, Floats, as_day
from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.calibration import apply, factors_frame, learn_factors
from forex_assets.forecasting.origins import Origins, make_origins
from forex_assets.forecasting.prediction import Predictor, min_history
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, choices, get_model
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import BACKTEST

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Backtest:
    """Rows of a backtest with what was left out and the factors it learned.

    Attributes
    ----------
    rows:
        ``backtest`` table without provenance, by as_of and model in the order asked for.
    calibration:
        ``interval_calibration`` rows of every calibrated model, as used in ``rows``.
    dropped:
        Reason → origins left out.
    """

    rows: pd.DataFrame
    calibration: pd.DataFrame
    dropped: Mapping[str, int]


def run_backtest(
    history: PriceHistory,
    *,
    horizon_days: int,
    models: Iterable[str | ModelChoice],
    start: Day | None = None,
    end: Day | None = None,
    every: int = 1,
    as_of: Day,
    max_age: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the rows of :func:`backtest`; ``attrs["dropped"]`` counts the origins left out by reason."""
    done = backtest(
        history,
        horizon_days=horizon_days,
        models=models,
        start=start,
        end=end,
        every=every,
        as_of=as_of,
        max_age=max_age,
        seed=seed,
    )
    done.rows.attrs["dropped"] = dict(done.dropped)
    return done.rows


def backtest(
    history: PriceHistory,
    *,
    horizon_days: int,
    models: Iterable[str | ModelChoice],
    start: Day | None = None,
    end: Day | None = None,
    every: int = 1,
    as_of: Day,
    max_age: int = 10,
    seed: int = 0,
) -> Backtest:
    """Forecast from every origin with every model and attach the outcomes known at ``as_of``.

    Parameters
    ----------
    history:
        What was known when.
    horizon_days:
        Tenor in calendar days.
    models:
        Names, or choices with parameters and labels. All get the same origins: those with enough history for each.
    start, end:
        First and last forecast day; default: the first and ``as_of``.
    every:
        Take every n-th session from ``start`` on.
    as_of:
        Day at whose end the backtest is made: later origins and outcomes do not exist.
    max_age:
        Largest number of business days from the last value to an origin.
    seed:
        Platform seed of sampling models.

    Raises
    ------
    ValidationError
        When a model, parameter, horizon or spacing breaks its rule.
    DataError
        When no origin is usable.
    """
    chosen = choices(models)
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValidationError(
            f"every={every!r} must be a whole number of business days of at least 1.", remedy="use 1 for every day."
        )
    now = as_day(as_of)
    last = now if end is None else min(as_day(end), now)
    days = _origin_days(history, start, last, every)
    origins = make_origins(history, days, horizon_days, max_age, min_values=min_history(chosen), unusable="drop")
    if not len(origins):
        raise DataError(
            f"No usable origin for {history.pair}, {horizon_days}d, among {len(days)} days to {last}: "
            f"{dict(origins.dropped) or 'there are none'}.",
            remedy="start later, or use a source with a longer history.",
        )
    actual, matured = history.outcomes(origins.target_date, now)
    predictor = Predictor(history, origins, origins.steps[:, None], seed)
    calibrations = []
    quantiles: list[Floats] = []
    means: list[Floats] = []
    for choice in chosen:
        paths = predictor.paths(choice)
        q = paths.quantiles[:, 0]
        if get_model(choice.model).capabilities.calibrated:
            factors = learn_factors(origins.horizon_days, origins.target_date, matured, actual, q, origins.as_of[-1])
            lower, upper, _ = factors.at(origins.as_of)
            q = apply(q, lower, upper)
            calibrations.append(factors_frame(factors, history.pair, origins.horizon_days, choice.name))
        quantiles.append(q)
        means.append(paths.mean[:, 0])
    return Backtest(
        rows=_frame(origins, [choice.name for choice in chosen], means, quantiles, actual, matured),
        calibration=_concat_calibration(calibrations),
        dropped=origins.dropped,
    )


def _origin_days(history: PriceHistory, start: Day | None, last: np.datetime64, every: int) -> Dates:
    if not len(history):
        raise DataError(f"The price history of {history.pair} is empty.", remedy="materialise its bars first.")
    first = as_day(start) if start is not None else history.event_date[0]
    if first > last:
        raise ValidationError(
            f"The backtest starts on {first}, after its last possible origin {last}.",
            remedy="choose an earlier start, or a later end or as_of.",
        )
    return history.calendar.sessions(first, last)[::every]


def _frame(
    origins: Origins,
    names: Sequence[str],
    means: Sequence[Floats],
    quantiles: Sequence[Floats],
    actual: Floats,
    matured: Dates,
) -> pd.DataFrame:
    import pandas as pd

    m, count = len(origins), len(names)

    def each(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.repeat(values, count)

    q = np.stack(quantiles, axis=1).reshape(m * count, -1)
    columns = {
        "pair": np.full(m * count, origins.pair, dtype=object),
        "horizon": np.full(m * count, origins.horizon_days, dtype=np.int64),
        "as_of": each(origins.as_of.astype("datetime64[ns]")),
        "target_date": each(origins.target_date.astype("datetime64[ns]")),
        "model": np.tile(np.array(names, dtype=object), m),
        "steps": np.repeat(origins.steps, count),
        "last_value": each(origins.last_value),
        "last_event_date": each(origins.last_event_date.astype("datetime64[ns]")),
        "mean": np.stack(means, axis=1).ravel(),
        **{name: q[:, i] for i, name in enumerate(QUANTILE_COLUMNS)},
        "actual": each(actual),
        "matured_on": each(matured.astype("datetime64[ns]")),
    }
    frame = pd.DataFrame(columns, copy=False)
    return frame[[name for name in BACKTEST.column_names if name in frame.columns]]


def _concat_calibration(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    if frames:
        return pd.concat(frames, ignore_index=True)
    from forex_assets.schemas import INTERVAL_CALIBRATION

    return INTERVAL_CALIBRATION.empty().drop(columns=["config_hash", "data_hash", "code_version"])
