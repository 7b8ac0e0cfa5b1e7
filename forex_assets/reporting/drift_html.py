"""The deep dive into one day's drift: Evidently's HTML of recent against baseline, as an extra."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets.errors import DataError, ValidationError
from forex_assets.monitoring.drift import measured_over
from forex_assets.monitoring.frames import Frames

if TYPE_CHECKING:
    from forex_assets.settings import Settings


def window_frames(frames: Frames, as_of: dt.date, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return baseline and recent window of every sample that has both, one column a subject.

    Raises
    ------
    DataError
        When no sample has enough observations.
    """
    policy = settings.recommended.drift
    need = policy.baseline_obs + policy.recent_obs
    base: dict[str, Any] = {}
    recent: dict[str, Any] = {}
    for item in measured_over(frames, np.array([as_of], dtype="datetime64[D]"), policy, None):
        end = int(item.ends[0])
        if end >= need:
            values = item.sample.values[end - need : end]
            base[item.sample.subject] = values[: policy.baseline_obs]
            recent[item.sample.subject] = values[policy.baseline_obs :]
    if not base:
        raise DataError(
            f"No series of {frames.pair} has the {need} observations a comparison needs at {as_of}.",
            remedy="choose a later day.",
        )
    return pd.DataFrame(base), pd.DataFrame(recent)


def write_deep_dive(frames: Frames, as_of: dt.date, settings: Settings, path: Path) -> None:
    """Write Evidently's HTML report of a day.

    Raises
    ------
    ValidationError
        When Evidently is not installed.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")  # no telemetry from a desk
    try:
        from evidently import Report
        from evidently.presets import DataDriftPreset
    except ImportError as error:
        raise ValidationError(
            "The deep dive needs Evidently, which is not installed.",
            remedy="pip install 'forex_assets[evidently]' (with -c constraints.txt).",
        ) from error
    base, recent = window_frames(frames, as_of, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    Report([DataDriftPreset()]).run(recent, base).save_html(str(path))
