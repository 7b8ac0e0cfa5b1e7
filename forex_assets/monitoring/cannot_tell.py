"""Why a rule could not judge: a code with its facts, which reads as an English sentence.

The code and the facts are stored beside the finding, so that whoever shows it can say it in another language.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Fact: TypeAlias = str | int | float | dt.date

#: Code → what it says of its facts.
SENTENCES: Mapping[str, str] = {
    # forecasts
    "no_limits": "the profile has no limits for the horizon {horizon}",
    "none_matured": "no {horizon} forecast has matured",
    "few_matured": "{have} of the {need} matured forecasts it needs",
    "maturing_stopped": "no forecast has matured for {days} business days; the newest did on {newest}",
    "scores_missing": "{share:.0%} of the window's forecasts have no usable score",
    "error_not_finite": "an error is not a finite number",
    "no_forecast": "no {horizon} forecast of {day} is stored",
    "no_forecast_before": "there is no forecast of the day before to compare with",
    # the price
    "no_price": "no price is known",
    "price_old": "the newest price is {days} business days old",
    "price_stopped": "the price stopped",
    "price_still": "the price does not move",
    "prices_few_or_still": "{have} prices are too few, or do not move",
    # a series
    "none_of_series": "none of {names} has any value",
    "no_value": "no value is known",
    "not_known_yet": "the series was not known yet",
    "series_young": "the series is too young",
    "series_stopped": "the series stopped",
    "series_short_or_stopped": "{series} is too short or stopped",
    "series_old": "the newest value of {series} is {days} business days old",
    "series_still": "a series does not move",
    "value_not_finite": "its newest value is not a number",
    "few_values": "too few values",
    "values_few_or_still": "too few values, or none move",
    "no_statistic": "the statistic does not exist",
    "few_observations": "{have} of the {need} observations it needs",
    "observation_old": "its newest observation is {days} business days old",
    "observations_missing": "too many observations are missing, or none differs from another",
    # series together
    "few_common_returns": "fewer than {need} common returns",
    "few_common_days": "too few common days for the link",
    "few_series": "fewer than two series with {need} returns up to now",
    "few_fresh_series": "only {have} of its series are fresh",
    "no_copper": "no copper series has values",
    # dates and runs
    "no_meeting": "no policy meeting to come is known: the calendar table (configs/calendars/bcch_meetings.csv) is too "
    "old",
    "no_good_run": "no run has ever ended well",
    "no_memory": "no run recorded its memory",
    "few_runs": "{have} runs in {days} days are too few to judge ({need} needed, and before)",
    "monitor_failed": "the monitor could not judge: {error}",
}


class CannotTell(str):
    """A reason, as a text: the sentence of its code, without capital and full stop.

    Parameters
    ----------
    code:
        One of :data:`SENTENCES`.
    facts:
        What the sentence names.
    """

    code: str
    facts: dict[str, Fact]

    def __new__(cls, code: str, **facts: Fact) -> CannotTell:
        """Return the reason of a code."""
        made = super().__new__(cls, SENTENCES[code].format(**facts))
        made.code, made.facts = code, facts
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        """Return what makes it again in another process."""
        return (self.code,), self.facts

    @property
    def sentence(self) -> str:
        """The reason as a sentence of its own."""
        return f"{self[0].upper()}{self[1:]}."

    def stored(self) -> str:
        """Return code and facts as JSON: numbers and texts as they are, dates as ISO 8601."""
        facts = {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in self.facts.items()}
        return json.dumps({"code": self.code, "facts": facts}, sort_keys=True)


def reasons(n: int, why: str = "") -> npt.NDArray[np.object_]:
    """Return one reason for n days (empty: none)."""
    out = np.empty(n, dtype=object)
    out[:] = why  # np.full would take the text and forget its code
    return out
