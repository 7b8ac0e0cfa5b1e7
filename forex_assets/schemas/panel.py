"""Tables of the panel: prices of many pairs, and what was learned from them together."""

from __future__ import annotations

from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas.columns import PAIR, declare
from forex_assets.schemas.table import Column, Table

VALIDITY = (
    Column("valid_from", "date", "First day of forecasts the row may serve"),
    Column("learned_through", "date", "Latest maturity among the rows learned from; before valid_from"),
    Column("variant", "str", "plain, or vix where the VIX and the panel's volatility are among the features"),
    Column("steps", "int", "Observations in the tenor", "observations"),
)
COEFFICIENT_COLUMNS = (
    *VALIDITY,
    Column("feature", "str", "Feature, intercept, or pair:<id> for a pair's own level"),
    Column("coefficient", "float", "Slope on the feature as it is (not standardised)"),
    Column("n", "int", "Rows learned from", "rows"),
    Column("pairs", "int", "Pairs among them", "pairs"),
)
FACTOR_COLUMNS = (
    *VALIDITY,
    PAIR,
    Column("factor", "float", "Multiplies the forecast sigma"),
    Column("n", "int", "Errors learned from", "rows"),
    Column("n_effective", "float", "Non-overlapping tenors among them", "tenors"),
)
SHAPE_COLUMNS = (
    *VALIDITY,
    Column("n", "int", "Errors learned from", "rows"),
    Column("years", "float", "Sum of the weights of the origin years", "years"),
    *(Column(name, "float", "Standardised error, median removed", "forecast sigma") for name in QUANTILE_COLUMNS),
)
WEIGHT_COLUMNS = (
    *VALIDITY,
    Column("member", "str", "Model"),
    Column("weight", "float", "Share in the mean of quantiles; 0 outside it", "share"),
    Column("gate", "str", "open or shut"),
    Column("reason", "str", "Why the gate is so"),
    Column("crps_ratio", "float", "CRPS over the random walk's, matured, out of sample, pooled", "ratio"),
    Column("crps_z", "float", "Its excess in standard errors (dates as blocks)", "standard errors"),
    Column("theils_u", "float", "Root mean squared error over the random walk's", "ratio"),
    Column("u_z", "float", "Excess squared error in standard errors", "standard errors"),
    Column("n", "int", "Matured forecasts behind it", "forecasts"),
    Column("n_effective", "float", "Non-overlapping tenors among them", "tenors"),
)
CORRECTION_COLUMNS = (
    *VALIDITY,
    Column("condition", "str", "all, or the regime or event the row holds in"),
    Column("factor_lower", "float", "Multiplier of the distance from median to lower quantiles"),
    Column("factor_upper", "float", "Multiplier of the distance from median to upper quantiles"),
    Column("used", "bool", "True where it has lowered the interval score beyond noise, walked forward"),
    Column("reason", "str", "The evidence"),
    Column("score_ratio", "float", "Interval score with over without it, walked forward", "ratio"),
    Column("score_z", "float", "Its excess over 1 in standard errors", "standard errors"),
    Column("n", "int", "Matured forecasts learned from", "forecasts"),
    Column("n_effective", "float", "Non-overlapping tenors among them", "tenors"),
    *(
        Column(f"{name}_{suffix}", "float", f"{doc} {suffix} the factors, on the rows learned from", "share")
        for name, doc in (
            ("coverage_80", "Coverage of the 80% interval"),
            ("coverage_95", "Coverage of the 95% interval"),
            ("tail_low", "Share below the 95% interval"),
            ("tail_high", "Share above the 95% interval"),
        )
        for suffix in ("before", "after")
    ),
)
KEYS: dict[str, tuple[str, ...]] = {
    "panel_coefficients": ("valid_from", "variant", "steps", "feature"),
    "panel_factors": ("valid_from", "variant", "steps", "pair"),
    "panel_shapes": ("valid_from", "variant", "steps"),
    "panel_weights": ("valid_from", "variant", "steps", "member"),
    "panel_corrections": ("valid_from", "variant", "steps", "condition"),
}
DOCS: dict[str, str] = {
    "panel_coefficients": "Pooled ridge regression of log realised variance over the GJR forecast; each January",
    "panel_factors": "Width of a pair's errors over the panel's, shrunk to 1 by non-overlapping tenors; each January",
    "panel_shapes": "Quantiles of standardised matured errors within each origin year, averaged over years; monthly",
    "panel_weights": "Weights of the ensemble and state of each model's gate, from the panel's matured losses; monthly",
    "panel_corrections": "Pooled width corrections of the ensemble by condition, used only on evidence; each January",
}
_COLUMNS = {
    "panel_coefficients": COEFFICIENT_COLUMNS,
    "panel_factors": FACTOR_COLUMNS,
    "panel_shapes": SHAPE_COLUMNS,
    "panel_weights": WEIGHT_COLUMNS,
    "panel_corrections": CORRECTION_COLUMNS,
}

PANEL_BARS = declare(
    "panel_bars",
    "Prices the pooled fits learn from, USD against every floating currency of the ECB and USD/CLP, and the VIX where "
    "there is one; every value with when it was known.",
    ["series", "event_date", "available_at"],
    [
        Column("series", "str", "Pair id of the panel (usdzar), or vix"),
        Column("event_date", "date", "Date the value belongs to"),
        Column("available_at", "instant", "When it could first be known"),
        Column("value", "float", "Value", "quote per base; VIX in points"),
        Column("source", "str", "Which source served it"),
    ],
)
PANEL_INDEX = declare(
    "panel_index",
    "The panel's own volatility by day: how far recent moves of all pairs stand above what GJR expected of each.",
    ["series", "event_date", "available_at"],
    [
        Column("series", "str", "Feature of the volatility regression"),
        Column("event_date", "date", "Day the prices behind it were known"),
        Column("available_at", "instant", "When it could first be known"),
        Column("value", "float", "Mean over pairs of the log of mean square return over forecast variance"),
    ],
)
PANEL_COEFFICIENTS, PANEL_FACTORS, PANEL_SHAPES, PANEL_WEIGHTS, PANEL_CORRECTIONS = (
    declare(name, f"{DOCS[name]}. Each slice holds every row valid by its month.", KEYS[name], _COLUMNS[name])
    for name in KEYS
)
PANEL_FITS: tuple[Table, ...] = (
    PANEL_COEFFICIENTS,
    PANEL_FACTORS,
    PANEL_SHAPES,
    PANEL_WEIGHTS,
    PANEL_CORRECTIONS,
)
PANEL_TABLES: tuple[Table, ...] = (PANEL_BARS, PANEL_INDEX, *PANEL_FITS)


def bare(name: str) -> Table:
    """Return a pooled fit's table without provenance, as the library makes it."""
    return Table(name, DOCS[name], _COLUMNS[name], KEYS[name])
