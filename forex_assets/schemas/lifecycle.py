"""Tables of the life cycle: one slice per horizon holds the newest report; the ledger holds all of them."""

from __future__ import annotations

from forex_assets.schemas.columns import AS_OF, PROVENANCE_COLUMNS, declare
from forex_assets.schemas.monitoring import FINDINGS
from forex_assets.schemas.table import Column

SUBJECT = Column("subject", "str", "What it is about, for example forecast/usdclp/7d")
PROFILE = Column("profile", "str", "recommended or classic")
REASONS = Column("reasons", "str", "Why, in sentences, most important first, one a line")
ENTRY = Column("entry", "str", "Id of the ledger entry")

TRIGGER_REPORT = declare(
    "trigger_report",
    "Whether to optimise, with the state of every rule.",
    ["subject", "as_of", "profile", "rule"],
    [
        SUBJECT,
        AS_OF,
        PROFILE,
        Column("rule", "str", "Rule of the trigger: performance, drift, time, business"),
        Column("state", "str", "fired, clear or unknown"),
        Column("reason", "str", "Why the rule is in this state"),
        Column("should_optimize", "bool", "Whether the subject is to be optimised"),
        REASONS,
        ENTRY,
    ],
)

CANDIDATE_CONFIG = declare(
    "candidate_config",
    "The configuration a search found, or none and why.",
    ["subject", "as_of", "engine"],
    [
        SUBJECT,
        AS_OF,
        Column("engine", "str", "Search engine and space"),
        Column("candidate", "str", "Hash of the candidate version; empty when there is none"),
        Column("model", "str", "Model of the candidate"),
        Column("parameters", "str", "JSON object: the candidate's parameters"),
        Column("version", "str", "JSON object: the whole candidate version"),
        Column("trials", "int", "Configurations evaluated", "configurations"),
        Column("failed_trials", "int", "Configurations that failed", "configurations"),
        Column("objective", "float", "Mean loss of the candidate on the search period", "loss", nullable=True),
        Column("incumbent_objective", "float", "The same of the version in use", "loss", nullable=True),
        Column("seconds", "float", "Time of the search", "s", nullable=True),
        Column("peak_memory_mib", "float", "Largest memory of the search", "MiB", nullable=True),
        Column("timed_out", "bool", "Whether the time limit stopped it"),
        Column("fallback", "str", "What it fell back to; empty when it did not"),
        Column("trial_table", "str", "JSON list: every configuration with its losses"),
        REASONS,
        ENTRY,
    ],
)

VALIDATION_REPORT = declare(
    "validation_report",
    "The gate's judgement of a candidate, one row per criterion, expected beside actual.",
    ["subject", "as_of", "profile", "candidate", "criterion"],
    [
        SUBJECT,
        AS_OF,
        PROFILE,
        Column("candidate", "str", "Hash of the candidate version"),
        Column("incumbent", "str", "Hash of the version in use, or settings"),
        Column("approved", "bool", "Whether the candidate may be promoted"),
        Column("criterion", "str", "Name of the criterion"),
        Column("state", "str", "met, failed or unknown"),
        Column("expected", "str", "What the criterion asks for"),
        Column("actual", "str", "What was found"),
        Column("value", "float", "The figure found", "unit", nullable=True),
        Column("low", "float", "Lower end of its interval", "unit", nullable=True),
        Column("high", "float", "Upper end of its interval", "unit", nullable=True),
        Column("threshold", "float", "What it was held against", "unit", nullable=True),
        Column("unit", "str", "Unit of the figure"),
        Column("n", "int", "Targets used", "targets"),
        Column("n_effective", "float", "The same, counting overlap once", "targets"),
        Column("reason", "str", "What this means"),
        Column("opening", "int", "How often the gate's period had been opened for this subject, this time included"),
        Column("first_of_subject", "bool", "Whether no version was deployed before"),
        Column("forced", "bool", "Whether a rule was overridden by hand"),
        Column("metrics", "str", "JSON object: figures of candidate and incumbent"),
        Column("details", "str", "JSON object: what else a reader may want"),
        REASONS,
        ENTRY,
    ],
)

DEPLOYED_CONFIG = declare(
    "deployed_config",
    "What is deployed for a horizon after the last deployment run, and what that run did.",
    ["subject"],
    [
        SUBJECT,
        AS_OF,
        Column("version", "str", "Hash of the version in use, or settings"),
        Column("previous", "str", "Hash of the version before it; empty when there is none"),
        Column("last_known_good", "str", "Hash of the newest version that passed its probation, or settings"),
        Column("staged", "str", "Hash of the version waiting for approval; empty when there is none"),
        Column("generation", "int", "Number of the pointers' generation"),
        Column("valid_from", "date", "First as_of day whose forecasts use the version", nullable=True),
        Column("action", "str", "promoted, staged, kept or refused"),
        Column("policy", "str", "Policy that decided: auto, two-person or shadow-then-auto"),
        Column("risk_class", "str", "low, medium or high"),
        Column("changes", "str", "What changed against the version before, one a line"),
        Column("sinks", "str", "JSON object: sink to what became of it"),
        REASONS,
        ENTRY,
    ],
)

POST_DEPLOYMENT_HEALTH = declare(
    "post_deployment_health",
    "How the deployed version fares: technical checks, then its losses beside the old version's on the same targets.",
    ["subject"],
    [
        SUBJECT,
        AS_OF,
        Column("version", "str", "Hash of the version in use, or settings"),
        Column("shadow", "str", "Hash of the version it is compared with; empty when there is none"),
        Column("phase", "str", "none, technical, statistical, passed, or rolled_back"),
        Column("verdict", "str", "healthy, unhealthy, or undecided"),
        Column("checks", "int", "Technical checks made", "checks"),
        Column("failed_in_a_row", "int", "Technical checks failed in a row", "checks"),
        Column("n", "int", "Matured targets both versions forecast", "targets"),
        Column("n_effective", "float", "The same, counting overlap once", "targets"),
        Column("loss_ratio", "float", "Mean CRPS of the version over that of its shadow", "ratio", nullable=True),
        Column("loss_ratio_low", "float", "Lower end of its anytime-valid 95% interval", "ratio", nullable=True),
        Column("loss_ratio_high", "float", "Upper end of its anytime-valid 95% interval", "ratio", nullable=True),
        Column("evidence_worse", "float", "E-value against 'not worse than the shadow'", "1", nullable=True),
        Column("evidence_not_worse", "float", "E-value against 'worse by the tolerated share'", "1", nullable=True),
        Column("decidable_in_days", "float", "Days until a verdict can be expected", "days", nullable=True),
        Column("incident", "str", "Id of the ledger entry of an open incident; empty when there is none"),
        REASONS,
        ENTRY,
    ],
)

LIFECYCLE_TABLES = (TRIGGER_REPORT, CANDIDATE_CONFIG, VALIDATION_REPORT, DEPLOYED_CONFIG, POST_DEPLOYMENT_HEALTH)

LOOP_FINDINGS = declare(
    "loop_findings",
    "How the retraining loop itself fares: its metrics and alert conditions, each fired, clear or unknown.",
    ["as_of", "rule", "profile", "subject"],
    [
        *FINDINGS.columns[: -len(PROVENANCE_COLUMNS)],
        Column("metric", "str", "Name of the figure for a metrics scraper"),
    ],
    version=2,
)
