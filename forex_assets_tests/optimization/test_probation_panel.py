"""Probation beside the panel: both versions on the stored prices of many pairs, as a slow plain twin computes it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets.forecasting.backtest import backtest
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.comparison import MIN_PAIRS
from forex_assets.lifecycle.subject import Subject
from forex_assets.optimization.probation import choice_of, is_pooled, panel_losses
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.pooled import prices as pooled_prices
from forex_assets.pooled import stored as pooled_stored
from forex_assets.schemas.panel import PANEL_BARS
from forex_assets.settings import load_settings

SUBJECT = Subject.forecast("eurusd", "7d")
SINCE, THROUGH = dt.date(2025, 2, 3), dt.date(2025, 5, 30)
GOOD, OTHER = ModelChoice("rw_ewma", {"decay": 0.97}), ModelChoice("rw_ewma", {"decay": 0.8})


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The panel's prices of the last years, as the platform stores them."""
    home = str(tmp_path_factory.mktemp("panel"))
    found = pooled_prices.bars(
        Pipeline(load_settings(environ={"FOREX_HOME": home, "FOREX_OFFLINE": "1"})), now=utc_now()
    )
    return found.loc[found["event_date"] >= "2023-01-01"].reset_index(drop=True)


@pytest.fixture
def pipeline(home: Path, prices: pd.DataFrame) -> Pipeline:
    """A home with the panel's prices stored."""
    made = Pipeline(load_settings())
    pooled_stored.write(made, PANEL_BARS, (), prices)
    return made


@pytest.mark.capability("A30", "L07", "L09")
def test_versions_are_compared_on_the_stored_prices_of_every_other_pair(pipeline: Pipeline) -> None:
    rows, steps = panel_losses(pipeline, SUBJECT, OTHER, GOOD, since=SINCE, through=THROUGH)
    assert steps == 5
    assert len(rows) > 60
    days, pairs, excess, missed = zip(*rows, strict=True)
    assert (min(days), max(days)) >= (str(SINCE), "2025-05-01")
    assert max(days) <= "2025-05-26"  # nothing that had not matured by then
    frame = pooled_stored.stored_bars(pipeline)
    names = set(frame["series"]) - {pooled_stored.VIX, SUBJECT.pair}
    assert max(pairs) == len(names) >= 20
    assert min(pairs) >= MIN_PAIRS

    histories = pooled_stored.histories(frame)
    by_day: dict[str, list[tuple[float, float]]] = {}
    for name in names:
        crps, outside = {}, {}
        for key, choice in (("new", OTHER), ("old", GOOD)):
            found = backtest(
                histories[name],
                horizon_days=7,
                models=[choice],
                start=np.datetime64(SINCE),
                end=np.datetime64(THROUGH),
                as_of=np.datetime64(THROUGH),
            ).rows
            found = found.loc[found["actual"].notna()].set_index("as_of")
            levels = np.array([float(column[1:]) / 1000 for column in found.columns if column[1:].isdigit()])
            quantiles = found[[column for column in found.columns if column[1:].isdigit()]].to_numpy(float)
            gap = found["actual"].to_numpy(float)[:, None] - quantiles
            loss = 2 * np.maximum(levels * gap, (levels - 1) * gap).mean(axis=1)
            missing = (found["actual"] < found["q025"]) | (found["actual"] > found["q975"])
            outside[key] = dict(zip(found.index, missing.astype(float), strict=True))
            crps[key] = dict(zip(found.index, loss / found["last_value"].to_numpy(float), strict=True))
        usual = np.mean(list(crps["old"].values()))
        for day, value in crps["new"].items():
            by_day.setdefault(str(day)[:10], []).append(
                ((value - crps["old"][day]) / usual, outside["new"][day] - outside["old"][day])
            )
    kept = {day: np.mean(values, axis=0) for day, values in by_day.items() if len(values) >= MIN_PAIRS}
    assert dict(zip(days, excess, strict=True)) == pytest.approx({day: mean[0] for day, mean in kept.items()}, rel=1e-6)
    assert dict(zip(days, missed, strict=True)) == pytest.approx({day: mean[1] for day, mean in kept.items()}, abs=1e-9)
    assert any(value != 0 for value in missed)


@pytest.mark.capability("A30")
def test_a_version_beside_itself_shows_nothing_and_without_prices_one_pair_judges(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = panel_losses(pipeline, SUBJECT, GOOD, GOOD, since=SINCE, through=THROUGH)
    assert {(row[2], row[3]) for row in rows} == {(0.0, 0.0)}
    # A model that cannot pass many origins at once is not asked to.
    assert panel_losses(pipeline, SUBJECT, ModelChoice("chronos_t5"), GOOD, since=SINCE, through=THROUGH) == ([], 1)
    monkeypatch.setenv("FOREX_HOME", str(tmp_path / "bare"))
    assert panel_losses(Pipeline(load_settings()), SUBJECT, OTHER, GOOD, since=SINCE, through=THROUGH) == ([], 1)
    # A first version is judged where its gate was: on the panel, whatever the tenor.
    assert is_pooled(pipeline, SUBJECT)
    assert choice_of(pipeline, SUBJECT, "settings") == ModelChoice(pipeline.settings.active_model("eurusd"))
