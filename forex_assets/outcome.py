"""The one rule that says which value settles a date, and on which day it did.

Both the backtest and the evaluation of stored forecasts use it: the value dated the date itself, as it was known at the
end of the first Santiago day at whose end one was known. No nearest date; nothing learned later changes it.
"""

from __future__ import annotations

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.clock import as_of_instants, santiago_dates


def settled(event_date: Dates, available_at: Dates, withdrawn_at: Dates, value: Floats) -> tuple[Dates, Floats, Dates]:
    """Return every date that has an outcome, the outcome, and the day it became known.

    Parameters
    ----------
    event_date:
        Date each value belongs to, ``datetime64[D]``, shape (n,), in any order; revisions are rows of their own.
    available_at, withdrawn_at:
        When each value could be known, and from when it was known to be bad (NaT: never), ``datetime64[us]`` in UTC.
    value:
        The values; those that are not finite never count.

    Returns
    -------
    tuple
        Dates in growing order, values, and days of maturity (Santiago), each of shape (m,).
    """
    known_on = santiago_dates(available_at).astype("datetime64[D]")
    # A value taken back before its first day ended was never known at the end of a day.
    usable = ~(withdrawn_at <= as_of_instants(known_on)) & np.isfinite(value)
    event, available, value, known_on = event_date[usable], available_at[usable], value[usable], known_on[usable]
    order = np.lexsort((available, known_on, event))
    event, value, known_on = event[order], value[order], known_on[order]
    starts = np.append(True, event[1:] != event[:-1])[: len(event)]
    first_day = known_on[starts][np.cumsum(starts) - 1]
    event, value, known_on = (column[known_on == first_day] for column in (event, value, known_on))
    newest = np.append(event[1:] != event[:-1], True)[: len(event)]
    return event[newest], value[newest], known_on[newest]
