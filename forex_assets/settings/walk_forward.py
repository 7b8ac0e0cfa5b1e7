"""Rules of the walk-forward validation: how folds are laid and what is acceptable (spec 2.4)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from forex_assets.settings.fields import Positive, PositiveInt, Strict


class WalkForwardRules(Strict):
    """Folds in calendar days, and limits on their means; the classic numbers unless a profile says otherwise.

    Attributes
    ----------
    initial_train_days:
        History a fold needs before its test; in a rolling validation, all that it sees.
    test_days, step_days:
        Length of a fold's test, and distance of the tests of neighbouring folds.
    folds:
        Folds unless asked otherwise, counted back from the newest forecast that has matured.
    max_mean_rmse_quote_units, max_mean_mape_percent, min_mean_coverage_share:
        Limits on the means over folds.
    """

    initial_train_days: PositiveInt = 365
    test_days: PositiveInt = 30
    step_days: PositiveInt = 30
    folds: PositiveInt = 5
    max_mean_rmse_quote_units: Positive = 50.0
    max_mean_mape_percent: Positive = 5.0
    min_mean_coverage_share: Annotated[float, Field(gt=0, lt=1)] = 0.85
