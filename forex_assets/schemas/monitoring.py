"""Tables of the watching side."""

from __future__ import annotations

from forex_assets.schemas.columns import AS_OF, PAIR, declare
from forex_assets.schemas.table import Column

FINDINGS = declare(
    "findings",
    "Every monitor's judgement of the pair at the end of as_of: fired, clear or unknown, with its evidence.",
    ["as_of", "monitor", "rule", "profile", "subject"],
    [
        PAIR,
        AS_OF,
        Column("monitor", "str", "Monitor that judged: performance, drift, regime, shock, quality, operations"),
        Column("rule", "str", "Rule of that monitor"),
        Column("profile", "str", "recommended or classic"),
        Column("subject", "str", "What was judged: a horizon, a series, or all"),
        Column("state", "str", "fired, clear or unknown"),
        Column("severity", "str", "info, low, medium, high or critical"),
        Column("effect", "float", "Effect size", "unit", nullable=True),
        Column("effect_low", "float", "Lower end of its 95% interval", "unit", nullable=True),
        Column("effect_high", "float", "Upper end of its 95% interval", "unit", nullable=True),
        Column("unit", "str", "Unit of the effect size"),
        Column("threshold", "float", "What the effect was held against", "unit", nullable=True),
        Column("n", "int", "Observations used", "observations"),
        Column("n_effective", "float", "The same, counting overlap once", "observations"),
        Column("window_start", "date", "First date of the evidence (maturity date for forecasts)", nullable=True),
        Column("window_end", "date", "Last date of the evidence", nullable=True),
        Column("reasons", "str", "Why, in sentences, most important first, one a line"),
        Column("false_alarms_per_year", "float", "Measured false alarms a year of daily watching", nullable=True),
        Column("input_hashes", "str", "JSON object: input name to hash of its content"),
    ],
)
DRIFT_REPORT = declare(
    "drift_report",
    "What changed and since when, by subject, with the drift score, its trend and advice; the classic rule beside.",
    ["as_of", "profile", "subject"],
    [
        PAIR,
        AS_OF,
        Column("profile", "str", "recommended or classic"),
        Column("subject", "str", "Series judged: returns, volatility, a driver, residual_7d, …, or price level"),
        Column("state", "str", "fired, clear or unknown"),
        Column("severity", "str", "NONE, LOW, MEDIUM or HIGH; UNKNOWN where it cannot be judged"),
        Column("drift_detected", "bool", "Whether a test fires"),
        Column("drift_score", "float", "0 to 100, more is worse (SPEC 2.2)", "points", nullable=True),
        Column("p_value", "float", "Smallest p-value of the tests", nullable=True),
        Column("ks_statistic", "float", "Kolmogorov-Smirnov distance", nullable=True),
        Column("baseline_mean", "float", "Mean of the baseline window", "unit", nullable=True),
        Column("baseline_std", "float", "Standard deviation of the baseline window", "unit", nullable=True),
        Column("recent_mean", "float", "Mean of the recent window", "unit", nullable=True),
        Column("recent_std", "float", "Standard deviation of the recent window", "unit", nullable=True),
        Column("shape_fired", "bool", "Distribution: KS on the level (classic), shape of moves (recommended)"),
        Column("mean_fired", "bool", "Mean: Welch t (classic), location (recommended)"),
        Column("variance_fired", "bool", "Size: Levene or ratio of deviations (classic), scale (recommended)"),
        Column("autocorrelation_fired", "bool", "Dependence: Ljung-Box (classic), lag-1 or link (recommended)"),
        Column("began_on", "date", "When the change began; empty where nothing fires", nullable=True),
        Column("trend", "str", "STABLE, WORSENING, IMPROVING or UNKNOWN, from the stored history"),
        Column("slope_per_day", "float", "Slope of the score over the stored history", "points a day", nullable=True),
        Column("slope_low", "float", "Lower end of its 95% interval", "points a day", nullable=True),
        Column("slope_high", "float", "Upper end of its 95% interval", "points a day", nullable=True),
        Column("action_needed", "bool", "Worsening, three HIGH in a row, or a score of 75"),
        Column("advice", "str", "What to do, and whether the next days can be predicted"),
        Column("n_baseline", "int", "Observations of the baseline window", "observations"),
        Column("n_recent", "int", "Observations of the recent window", "observations"),
        Column("reason", "str", "Why, in a sentence"),
    ],
)
