"""The version in use beside the one before it on the panel's pairs, on days after its promotion."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from forex_assets.errors import ForexError
from forex_assets.forecasting.registry import ModelChoice, get_model
from forex_assets.lifecycle.comparison import panel_rows
from forex_assets.lifecycle.search.objective import Evaluator
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.pipeline import Pipeline
from forex_assets.pooled import stored as pooled_stored
from forex_assets.schemas.panel import PANEL_BARS


def is_pooled(pipeline: Pipeline, subject: Subject) -> bool:
    """Tell whether the panel judges the version on probation: where the gate that let it in was judged on the panel."""
    from_days = pipeline.settings.optimization.gate.pool_from_horizon_days
    first = pipeline.lifecycle.of(subject).previous in (None, SETTINGS)
    return first or pipeline.settings.horizons[subject.horizon] >= from_days


def choice_of(pipeline: Pipeline, subject: Subject, name: str) -> ModelChoice:
    """Return the model behind a version's hash, or behind ``settings``.

    Raises
    ------
    StoreError
        When the version cannot be read.
    """
    if name == SETTINGS:
        model = pipeline.settings.active_model(subject.pair)
        return ModelChoice(model, pipeline.settings.platform.forecast.parameters.get(model, {}))
    version = pipeline.lifecycle.versions.get(name)
    return ModelChoice(version.model, version.parameter_values)


def panel_losses(
    pipeline: Pipeline, subject: Subject, new: ModelChoice, old: ModelChoice, *, since: dt.date, through: dt.date
) -> tuple[list[list[Any]], int]:
    """Return the rows of the panel from an as_of day on, and how many consecutive targets overlap.

    Empty without stored prices of the panel, and for models that cannot pass many origins at once: one pair judges.
    """
    frame = pooled_stored.read(pipeline, PANEL_BARS, ())
    if frame is None or frame.empty or not all(get_model(item.model).capabilities.bulk for item in (new, old)):
        return [], 1
    first, end = np.datetime64(since, "D"), np.datetime64(through, "D")
    parts, steps = [], 1
    for name, history in pooled_stored.histories(frame).items():
        if name == subject.pair:
            continue
        try:
            evaluator = Evaluator(
                history,
                horizon_days=pipeline.settings.horizons[subject.horizon],
                days=history.calendar.sessions(first, end),
                as_of=end,
                max_age=pipeline.settings.platform.forecast.max_last_value_age_business_days,
                seed=pipeline.settings.optimization.search.seed,
            )
            both = evaluator.losses(new), evaluator.losses(old)
        except ForexError:  # says nothing for either side; too few pairs left are no panel
            continue
        parts.append(both)
        steps = max(steps, both[0].steps)
    return panel_rows(parts), steps
