"""Tables of evidence from the backtest: models compared, quantile by quantile, and slice by slice."""

from __future__ import annotations

from forex_assets.schemas.columns import AS_OF, HORIZON, MODEL, PAIR, declare, with_interval
from forex_assets.schemas.table import Column

_ACTIVE = Column("is_active", "bool", "True for the model the active configuration deploys")
_N = Column("n", "int", "Matured forecasts", "forecasts")
_N_EFFECTIVE = Column("n_effective", "float", "The same, counting overlapping tenors once", "forecasts")


def _number(name: str, doc: str, unit: str | None = None) -> Column:
    return Column(name, "float", doc, unit, nullable=True)


MODEL_COMPARISON = declare(
    "model_comparison",
    "Every model of the backtest beside the random walk: losses, directional view, and whether they are told apart.",
    ["horizon", "model"],
    [
        PAIR,
        HORIZON,
        AS_OF,
        MODEL,
        _ACTIVE,
        _N,
        _N_EFFECTIVE,
        Column(
            "trials",
            "int",
            "Configurations ever scored on these origins beside the random walk, searches included; adjusted p-values "
            "allow for them",
            "configurations",
        ),
        Column("first_origin", "date", "First origin compared"),
        Column("last_origin", "date", "Last origin compared"),
        _number("crps", "Mean CRPS over the stored levels", "quote per base"),
        _number("crps_ratio", "crps over the random walk's at the same origins"),
        _number("interval_score_80", "Mean Winkler score of the 80% interval", "quote per base"),
        _number("interval_score_80_ratio", "interval_score_80 over the random walk's at the same origins"),
        _number("interval_score_95", "Mean Winkler score of the 95% interval", "quote per base"),
        _number("interval_score_95_ratio", "interval_score_95 over the random walk's at the same origins"),
        _number("coverage_error", "Mean of |coverage - nominal| of the 80% and 95% intervals", "share"),
        _number("theil_u", "Root mean squared error over the random walk's at the same origins"),
        _number("mase", "Mean absolute error over that of no change, as known at each origin"),
        *with_interval("direction_hit", "Share in which the likeliest of down, flat, up came true", "share"),
        _number("brier", "Mean Brier score of the probabilities of down, flat, up"),
        _number("brier_ratio", "brier over the random walk's at the same origins"),
        _number("dm_crps", "Diebold-Mariano statistic of the CRPS (HAC); negative: better than the random walk"),
        _number("dm_crps_p", "Its two-sided p-value, for this comparison alone"),
        _number("dm_crps_p_adjusted", "The same, corrected for all trials (Holm)"),
        _number("dm_interval_score", "Diebold-Mariano statistic of the 95% interval score (HAC)"),
        _number("dm_interval_score_p", "Its two-sided p-value, for this comparison alone"),
        _number("dm_interval_score_p_adjusted", "The same, corrected for all trials (Holm)"),
        _number("mcs_crps_p", "p-value with which the model belongs to the best by CRPS (model confidence set)"),
        _number("mcs_interval_score_p", "The same by the 95% interval score"),
        _number("spa_crps_p", "p-value of: no model beats the random walk's CRPS (Hansen's SPA), in every row"),
        _number("crps_change", "Mean CRPS minus the random walk's, over the random walk's", "share"),
        _number("crps_change_low", "Lower end of its 95% confidence sequence: valid however often one looks", "share"),
        _number("crps_change_high", "Upper end of its 95% confidence sequence", "share"),
        _number("e_better", "Anytime-valid evidence that the CRPS is better on average; 20 is as rare as p = 0.05"),
        _number("e_worse", "Anytime-valid evidence that the CRPS is worse on average"),
        Column("verdict", "str", "better, worse or undecided: the confidence sequence of crps_change against zero"),
    ],
)
RELIABILITY = declare(
    "reliability",
    "Quantile by quantile: how often outcomes lay below it, and its pinball loss. Also the PIT histogram.",
    ["horizon", "model", "level"],
    [
        PAIR,
        HORIZON,
        AS_OF,
        MODEL,
        _ACTIVE,
        Column("level", "float", "Nominal level of the quantile", "share"),
        _N,
        _N_EFFECTIVE,
        *with_interval("share_below", "Share of outcomes at or below the quantile", "share"),
        _number("pinball", "Mean pinball loss", "quote per base"),
        _number("pinball_ratio", "pinball over the random walk's at the same origins"),
    ],
)
PERFORMANCE_SLICES = declare(
    "performance_slices",
    "Scores by state of the market, policy meeting, copper shock, weekday, year and quarter.",
    ["horizon", "slice", "value", "model"],
    [
        PAIR,
        HORIZON,
        AS_OF,
        Column("slice", "str", "regime, meeting, shock, weekday, year or quarter"),
        Column("value", "str", "Which part: for example turbulent, in_life, up, Mon, 2024, 2024Q3"),
        MODEL,
        _ACTIVE,
        _N,
        _N_EFFECTIVE,
        *with_interval("coverage_95", "Share of outcomes inside the 95% interval", "share"),
        _number("coverage_80", "Share of outcomes inside the 80% interval", "share"),
        _number("tail_low_95", "Share of outcomes below the 95% interval", "share"),
        _number("tail_high_95", "Share of outcomes above the 95% interval", "share"),
        _number("width_95", "Mean width of the 95% interval", "quote per base"),
        _number("width_95_share", "The same over the last value at the origin", "share"),
        _number("interval_score_95", "Mean Winkler score of the 95% interval", "quote per base"),
        _number("interval_score_ratio", "interval_score_95 over the random walk's at the same origins"),
        _number("crps_ratio", "crps over the random walk's at the same origins"),
        _number("theil_u", "Root mean squared error over the random walk's at the same origins"),
    ],
)
