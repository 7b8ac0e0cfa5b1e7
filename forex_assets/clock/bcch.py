"""What the Banco Central de Chile announced and when: policy meetings, and interventions apart from them.

The tables are ``configs/calendars/bcch_meetings.csv`` and ``bcch_interventions.csv``; every row says what its date
rests on (``evidence``). The statement of a meeting appears at 18:00 in Santiago, after the local close, so the market
answers on the next Chilean business day.
"""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.clock.as_of import AsOf, as_of_instants
from forex_assets.clock.calendars import calendar_for
from forex_assets.clock.zones import SANTIAGO, to_utc
from forex_assets.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

STATEMENT_TIME = dt.time(18, 0)
"""Wall time in Santiago of the policy statement."""

CALENDAR_PUBLISHED = (10, 1)
"""Month and day of the year before on which a year's meeting dates are taken as public (an assumption, see
docs/calendars.md)."""

_MEETING_COLUMNS = (
    "announcement_date",
    "reaction_date",
    "kind",
    "tpm_before",
    "tpm_after",
    "change_bp",
    "evidence",
)
_INTERVENTION_COLUMNS = ("announcement_date", "kind", "size_usd_million", "start", "end", "note", "evidence")
_OUTCOME = ("tpm_before", "tpm_after", "change_bp", "evidence")


def meetings() -> pd.DataFrame:
    """Return every policy meeting known to the tables, oldest first.

    Returns
    -------
    ``announcement_date``, ``announced_at`` (UTC), ``reaction_date`` (the next Chilean business day), ``kind`` (regular,
    special), ``tpm_before`` and ``tpm_after`` (percent a year), ``change_bp``, ``evidence``, ``known_from`` (UTC; when
    the date became public: 1 October of the year before, for special meetings the announcement itself).

    Raises
    ------
    ConfigError
        When the table is missing or contradicts the calendar.
    """
    from forex_assets.settings import calendars_dir

    return _meetings(calendars_dir() / "bcch_meetings.csv").copy()


def meetings_known(as_of: AsOf | str | dt.date) -> pd.DataFrame:
    """Return the meetings whose date was public at ``as_of``; what they decided only once announced.

    Of a meeting still to come the rates, the change and the evidence (which may rest on the change) are missing.
    """
    moment = AsOf.parse(as_of).instant
    table = meetings()
    table = table[table["known_from"] <= moment].reset_index(drop=True)
    to_come = table["announced_at"] > moment
    for column in _OUTCOME:
        table[column] = table[column].mask(to_come)
    return table


def interventions() -> pd.DataFrame:
    """Return the Bank's exchange-market programmes, oldest first; a policy meeting is not one of them.

    Returns
    -------
    ``announcement_date``, ``known_from`` (UTC; the end of that day in Santiago), ``kind``, ``size_usd_million``
    (announced), ``start``, ``end``, ``note``, ``evidence``.
    """
    from forex_assets.settings import calendars_dir

    return _interventions(calendars_dir() / "bcch_interventions.csv").copy()


def interventions_known(as_of: AsOf | str | dt.date) -> pd.DataFrame:
    """Return the programmes announced by ``as_of``; ``end`` and ``note`` only once the programme had ended."""
    moment = AsOf.parse(as_of)
    table = interventions()
    table = table[table["known_from"] <= moment.instant].reset_index(drop=True)
    running = table["end"].to_numpy().astype("datetime64[D]") > np.datetime64(moment.date, "D")
    for column in ("end", "note"):
        table[column] = table[column].mask(running)
    return table


@functools.lru_cache(maxsize=8)
def _meetings(path: Path) -> pd.DataFrame:
    table = _read(path, _MEETING_COLUMNS, ("announcement_date", "reaction_date"))
    announced = table["announcement_date"].to_numpy().astype("datetime64[D]")
    reaction = calendar_for("CL").add(announced, 1)
    wrong = reaction != table["reaction_date"].to_numpy().astype("datetime64[D]")
    if wrong.any():
        raise ConfigError(
            f"{path}: the meeting of {announced[wrong][0]} says the market reacted on "
            f"{table['reaction_date'][wrong].iloc[0].date()}; the next Chilean business day is {reaction[wrong][0]}.",
            remedy="correct the table or the calendar.",
        )
    unknown = sorted(set(table["kind"]) - {"regular", "special"})
    if unknown:
        raise ConfigError(f"{path}: {unknown[0]!r} is no kind of meeting.", remedy="write regular or special.")
    announced_at = to_utc(announced, STATEMENT_TIME, SANTIAGO)
    october = [dt.date(day.year - 1, *CALENDAR_PUBLISHED) for day in announced.tolist()]
    public = as_of_instants(np.array(october, dtype="datetime64[D]"))
    known_from = np.where(table["kind"].to_numpy() == "special", announced_at, public)
    table.insert(1, "announced_at", _utc(announced_at))
    table["known_from"] = _utc(known_from)
    return table


@functools.lru_cache(maxsize=8)
def _interventions(path: Path) -> pd.DataFrame:
    table = _read(path, _INTERVENTION_COLUMNS, ("announcement_date", "start", "end"))
    known = as_of_instants(table["announcement_date"].to_numpy().astype("datetime64[D]"))
    table.insert(1, "known_from", _utc(known))
    return table


def _utc(instants: np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.DatetimeIndex(instants).tz_localize("UTC")


def _read(path: Path, columns: tuple[str, ...], dates: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise ConfigError(
            f"Cannot read the table {path}: {error.strerror or error}.", remedy="restore the file."
        ) from error
    if tuple(table.columns) != columns:
        raise ConfigError(
            f"{path} must have the columns {', '.join(columns)}; it has {', '.join(table.columns)}.",
            remedy="restore the file.",
        )
    try:
        for column in dates:
            table[column] = pd.to_datetime(table[column], format="%Y-%m-%d").astype("datetime64[ns]")
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.", remedy="write dates as YYYY-MM-DD.") from error
    if table["announcement_date"].isna().any():
        raise ConfigError(f"{path}: a row has no announcement_date.", remedy="complete it.")
    return table.sort_values("announcement_date", kind="stable").reset_index(drop=True)
