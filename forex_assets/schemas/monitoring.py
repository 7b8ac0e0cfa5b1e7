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
