"""Tables of forecasts, backtests and calibration."""

from __future__ import annotations

from forex_assets.schemas.columns import (
    AS_OF,
    HORIZON,
    MODEL,
    PAIR,
    QUANTILES,
    TARGET,
    declare,
)
from forex_assets.schemas.table import Column

FORECAST = declare(
    "forecast",
    "The path of each model from the last known value to the target date, as quantiles; the last step is the tenor.",
    ["as_of", "horizon", "model", "step"],
    [
        PAIR,
        HORIZON,
        AS_OF,
        MODEL,
        Column("step", "int", "Values after the last known one", "business days"),
        Column("step_date", "date", "Date of the value this step describes"),
        TARGET,
        Column("is_target", "bool", "True on the last step, the one that is scored"),
        Column("last_value", "float", "Last value known at as_of", "quote per base"),
        Column("last_event_date", "date", "Date of the last value known at as_of"),
        Column("mean", "float", "Mean of the predictive distribution", "quote per base"),
        *QUANTILES,
        Column("is_active", "bool", "True for the model the active configuration deploys"),
        Column("calibrated_from", "date", "Start of the calibration row used; empty: uncalibrated", nullable=True),
        Column("regime", "str", "Regime at as_of where the intervals are conditioned on it", nullable=True),
        Column("regime_lower", "float", "Factor of that regime below the median; 1: no change"),
        Column("regime_upper", "float", "Factor of that regime above the median; 1: no change"),
        Column("reconstructed", "bool", "True for a what-if made with a later configuration"),
        Column(
            "carried_by", "str", "Of a model made of others: member → share in the target's forecast, JSON", None, True
        ),
        Column("left_out", "str", "Of a model made of others: model or driver → why it is not in it, JSON", None, True),
        Column("degraded", "bool", "True where a member that should carry weight failed and the others took its share"),
    ],
    version=2,
)
BACKTEST = declare(
    "backtest",
    "Walk-forward rows of every model: what it would have said at each origin, and what then happened.",
    ["horizon", "as_of", "model"],
    [
        PAIR,
        HORIZON,
        AS_OF,
        TARGET,
        MODEL,
        Column("steps", "int", "Values from the last known one to the target", "business days"),
        Column("last_value", "float", "Last value known at as_of", "quote per base"),
        Column("last_event_date", "date", "Date of the last value known at as_of"),
        Column("mean", "float", "Mean of the predictive distribution", "quote per base"),
        *QUANTILES,
        Column("actual", "float", "Value dated the target date; empty until it is known", "quote per base", True),
        Column("matured_on", "date", "Day (Santiago) the actual became known; empty until then", nullable=True),
    ],
)
INTERVAL_CALIBRATION = declare(
    "interval_calibration",
    "Width factors by start of validity, learned only from errors matured before it; the ensemble's over all pairs.",
    ["horizon", "model", "condition", "valid_from"],
    [
        PAIR,
        HORIZON,
        MODEL,
        Column("scope", "str", "pair: learned from the pair's own errors; panel: from those of all pairs"),
        Column("condition", "str", "all, or the regime or event the factors hold in"),
        Column("used", "bool", "True where forecasts are made with them"),
        Column("reason", "str", "Why they are used or not"),
        Column("valid_from", "date", "First as_of the factors apply to"),
        Column("learned_through", "date", "Newest maturity used"),
        Column("n", "int", "Matured errors used", "forecasts"),
        Column("n_effective", "float", "The same, counting overlapping tenors once", "forecasts"),
        Column("factor_lower", "float", "Multiplier of the distance from median to lower quantiles"),
        Column("factor_upper", "float", "Multiplier of the distance from median to upper quantiles"),
        Column("coverage_80_before", "float", "Past coverage of the uncalibrated 80% interval", "share"),
        Column("coverage_80_after", "float", "Past coverage with the factors", "share"),
        Column("coverage_95_before", "float", "Past coverage of the uncalibrated 95% interval", "share"),
        Column("coverage_95_after", "float", "Past coverage with the factors", "share"),
        Column("tail_low_before", "float", "Share below the uncalibrated 95% interval", "share"),
        Column("tail_low_after", "float", "The same with the factors", "share"),
        Column("tail_high_before", "float", "Share above the uncalibrated 95% interval", "share"),
        Column("tail_high_after", "float", "The same with the factors", "share"),
    ],
)
