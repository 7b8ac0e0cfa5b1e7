"""Feeds under suspicion: what the feed rules say of a pair's stored observations, and the alert that tells of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from forex_assets.ops.alerts import Alert
from forex_assets.settings import Settings

if TYPE_CHECKING:
    from forex_assets.market.quality import FeedFinding
    from forex_assets.pipeline import Pipeline

KIND = "feed"
_SAME_STEP = dt.timedelta(minutes=5)
#: Rules that say the values may be wrong; the others, that they are missing, old or far from another market's.
_WRONG_VALUES = frozenset({"level_break", "unit_drift", "disagreement", "date_shift"})


def feed_findings(
    observations: pd.DataFrame,
    settings: Settings,
    pair_id: str,
    *,
    as_of: dt.datetime,
    others: Iterable[pd.DataFrame] = (),
) -> tuple[FeedFinding, ...]:
    """Return what every feed rule says of every series of a pair, as known at ``as_of``.

    The series that only other pairs hold (``others``: their observations) testify about dates.
    """
    from forex_assets.market.quality import judge_feeds, with_witnesses

    specs = {name: settings.series[name] for name in settings.pair(pair_id).all_series}
    rows, witnesses = with_witnesses(observations, specs, others, settings.series)
    platform = settings.platform
    return judge_feeds(rows, specs, platform.feeds, platform.quality, as_of=as_of, witnesses=witnesses)


def stored_feed_findings(
    pipeline: Pipeline, pair_id: str, observations: pd.DataFrame, *, as_of: dt.datetime
) -> tuple[FeedFinding, ...]:
    """Return the same of what is stored; who asks again within minutes gets what was found."""

    def judged() -> tuple[dt.datetime, tuple[FeedFinding, ...]]:
        others = pipeline.data.other_observations(pair_id)
        return as_of, feed_findings(observations, pipeline.settings, pair_id, as_of=as_of, others=others)

    made_from = (pair_id, *observations["data_hash"].head(1))
    then, found = pipeline.memory.kept("feeds", made_from, judged)
    return found if dt.timedelta() <= as_of - then <= _SAME_STEP else judged()[1]


def told(finding: FeedFinding) -> str:
    """Return a finding as a line."""
    against = f" against {finding.against}" if finding.against else ""
    return f"{finding.rule} in {finding.series}{against}: {finding.reason}"


def alert_of(found: Sequence[FeedFinding], pair_id: str, *, now: dt.datetime) -> Alert | None:
    """Return the one alert of everything the feed rules found, or None where they found nothing.

    Its key names series and rules, so the same suspicion is told once per cool-down and a new one at once. It is of
    high severity where values may be wrong.
    """
    suspects = [item for item in found if item.state == "found"]
    if not suspects:
        return None
    serious = any(item.rule in _WRONG_VALUES for item in suspects)
    subjects = sorted({f"{item.series}/{item.rule}" for item in suspects})
    return Alert(
        kind=KIND,
        severity="high" if serious else "medium",
        pair=pair_id,
        title=f"Feeds of {pair_id} under suspicion: {', '.join(dict.fromkeys(item.series for item in suspects))}",
        body="\n".join(told(item) for item in suspects),
        key=":".join([KIND, pair_id, *subjects]),
        created_at=now,
    )
