"""Tables of regimes, readiness, market calibration and the weekly validation."""

from __future__ import annotations

from forex_assets.schemas.columns import AS_OF, PAIR, declare, with_interval
from forex_assets.schemas.table import Column

_STATE = "fired, clear, unknown or not_applicable"
REGIME_REPORT = declare(
    "regime_report",
    "Which regime the market was in at the end of as_of, by profile, with probability and evidence of every part.",
    ["as_of", "profile"],
    [
        PAIR,
        AS_OF,
        Column("profile", "str", "recommended or classic"),
        Column("regime", "str", "NORMAL, HIGH_VOL, COPPER_SHOCK, BCCH_MEETING, INTERVENTION or UNKNOWN; classic names"),
        Column("probability", "float", "Probability of the label (classic: its confidence)", "share", nullable=True),
        Column("multiplier", "float", "Width multiplier of the classic table; empty where learned", nullable=True),
        Column("high_vol", "str", f"State of high volatility: {_STATE}"),
        Column("high_vol_probability", "float", "Filtered probability of the loud state", "share", nullable=True),
        Column("high_vol_since", "date", "First day of the present stretch", nullable=True),
        Column("long_run_sigma", "float", "Long-run volatility a day, known before it", "log", nullable=True),
        Column("copper_shock", "str", f"State of the copper shock: {_STATE}"),
        Column(
            "copper_shock_probability",
            "float",
            "Probability of a shock through a negative link",
            "share",
            nullable=True,
        ),
        Column("copper_change", "float", "Copper's move over 5 sessions", "share", nullable=True),
        Column("copper_z", "float", "The same in its own sigmas (classic: empty)", "sigma", nullable=True),
        *with_interval("copper_link", "Correlation of daily returns with copper's", "correlation"),
        Column("bcch_meeting", "str", f"State of the policy meeting: {_STATE}"),
        Column("meeting_date", "date", "Meeting that counts, or the next one known", nullable=True),
        Column("days_to_meeting", "float", "Calendar days to it", "days", nullable=True),
        Column("intervention", "str", f"State of dollar sales by the central bank: {_STATE}"),
        Column("programme_date", "date", "When the running programme was announced", nullable=True),
        Column("risk", "str", "risk_on, neutral, risk_off or unknown"),
        Column("risk_score", "float", "Mean move of the risk series (classic: sum of signs)", "sigma", nullable=True),
        Column("reasons", "str", "What the parts say, one sentence a line"),
    ],
)
READINESS = declare(
    "readiness",
    "Whether each horizon may be relied on at the end of as_of: every check with its evidence, and the level.",
    ["as_of", "profile", "horizon", "check"],
    [
        PAIR,
        AS_OF,
        Column("profile", "str", "recommended or classic"),
        Column("horizon", "str", "Horizon, or all for the classic profile"),
        Column("level", "str", "NOT_READY, CAUTIOUS, READY or OPTIMAL: that of the horizon"),
        Column("score", "float", "Mean of the checks' scores", "points"),
        Column("check", "str", "Name of the check"),
        Column("critical", "bool", "Whether failing it, or not being able to tell, means NOT_READY"),
        Column("state", "str", "pass, warn, fail or unknown"),
        Column("check_score", "float", "Score of the check, 0 to 100", "points"),
        Column("value", "float", "What was seen", "unit", nullable=True),
        Column("threshold", "float", "What was asked for", "unit", nullable=True),
        Column("unit", "str", "Unit of both"),
        Column("n", "int", "Observations it rests on", "observations"),
        Column("message", "str", "Why, in a sentence"),
    ],
)
CALIBRATION = declare(
    "calibration",
    "What the pair's own history says about ordinary and extraordinary sizes, and width factors by regime.",
    ["horizon", "section", "name"],
    [
        PAIR,
        Column("horizon", "str", "Horizon; pair-wide numbers repeat in each"),
        Column("calibrated_on", "date", "Day at whose end everything used was known"),
        Column("section", "str", "volatility, copper_correlation, regime_detection, …, regime_factor"),
        Column("name", "str", "Name of the number"),
        Column("value", "float", "The number", "unit", nullable=True),
        Column("low", "float", "Lower end of its 95% interval", "unit", nullable=True),
        Column("high", "float", "Upper end of its 95% interval", "unit", nullable=True),
        Column("unit", "str", "Unit of the number"),
        Column("n", "int", "Observations; 0: carried over from a profile, not measured", "observations"),
        Column("n_effective", "float", "The same, counting overlap once", "observations"),
        Column("note", "str", "What else to know"),
    ],
)
WEEKLY_VALIDATION = declare(
    "weekly_validation",
    "One row per weekly report written: where it is, and its verdict.",
    ["as_of", "language"],
    [
        PAIR,
        AS_OF,
        Column("language", "str", "es or en"),
        Column("verdict", "str", "good, attention or bad"),
        Column("checks", "int", "Checks reported", "checks"),
        Column("not_good", "int", "Checks that are not good", "checks"),
        Column("path", "str", "File, relative to the home folder"),
        Column("size_bytes", "int", "Size of the file", "bytes"),
        Column("sha256", "str", "Hash of the file"),
    ],
)
