"""Settings of Chronos: which checkpoints there are."""

from __future__ import annotations

import datetime as dt

from pydantic import field_validator

from forex_assets.settings.fields import Strict


class ChronosSettings(Strict):
    """Where checkpoints are; none by default, since the package ships none.

    Attributes
    ----------
    locations:
        Folders in the standard format (or folders holding such), or ids of the hub; each model takes the first of its
        family. ``FOREX_CHRONOS_PATH`` takes their place (several joined by the system's path separator).
    training_cutoff:
        Last day of the training data of checkpoints that carry no card of ours: earlier origins are refused, and
        without it every origin is.
    """

    locations: tuple[str, ...] = ()
    training_cutoff: dt.date | None = None

    @field_validator("locations")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not item.strip() for item in value):
            raise ValueError("chronos.locations holds an empty entry; name a folder or an id of the hub")
        return value
