"""Time: as_of instants, zones, business calendars, tenors, and what the Banco Central de Chile announced when.

No wall clock is read here: whoever needs to know what time it is is given it. The classic rules that this platform
replaces live in :mod:`forex_assets.clock.classic`, by name only.
"""

from forex_assets.clock import bcch
from forex_assets.clock.as_of import AsOf, as_of_instants, santiago_dates
from forex_assets.clock.calendars import BusinessCalendar, calendar_for
from forex_assets.clock.tenors import target_dates
from forex_assets.clock.zones import NEW_YORK, SANTIAGO, local_dates, to_utc

__all__ = [
    "NEW_YORK",
    "SANTIAGO",
    "AsOf",
    "BusinessCalendar",
    "as_of_instants",
    "bcch",
    "calendar_for",
    "local_dates",
    "santiago_dates",
    "target_dates",
    "to_utc",
]
