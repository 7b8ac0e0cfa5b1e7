"""How many configurations were ever scored on a period is remembered, and comparisons allow for all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas, trials
from forex_assets.errors import StoreError, ValidationError
from forex_assets.evaluation.ability import holm
from forex_assets.evidence import evidence
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.pipeline import Pipeline
from forex_assets.store.slices import SliceStore
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, edit_yaml, settings_of, small_config
from forex_assets_tests.test_pipeline import write_days

SPAN = ("2019-01-02", "2020-12-30")


def put(home: Path, *choices: ModelChoice, span: tuple[str, str] = SPAN, how: str = "search") -> int:
    return trials.record(home, PAIR, "7d", choices, *span, how=how)


def count(home: Path, first: str = "2019-06-01", last: str = "2019-06-30") -> int:
    return trials.count(trials.tried(home, PAIR, "7d"), first, last)


def test_a_configuration_counts_once_whatever_it_is_called_and_its_origins_grow(home: Path) -> None:
    assert count(home) == 0
    narrow = ModelChoice("rw_ewma", {}, "one name")
    assert put(home, narrow, ModelChoice("random_walk")) == 1  # the yardstick is no trial
    assert put(home, ModelChoice("rw_ewma", {}, "another name")) == 0
    assert put(home, ModelChoice("random_walk", {"interval": "gaussian"})) == 0  # its default, written out
    assert put(home, ModelChoice("random_walk", {"interval": "t30"})) == 1
    assert count(home) == 2
    assert count(home, "2024-01-01", "2024-12-31") == 0
    put(home, narrow, span=("2023-01-02", "2024-06-28"), how="backtest")
    assert count(home, "2024-01-01", "2024-12-31") == 1
    held = trials.tried(home, PAIR, "7d").set_index("model").loc["rw_ewma"]
    assert (str(held["first_origin"].date()), str(held["last_origin"].date())) == ("2019-01-02", "2024-06-28")
    assert held["how"] == "search"
    assert trials.count(trials.tried(home, PAIR, "30d"), *SPAN) == 0  # each tenor for itself


def test_a_damaged_record_is_an_error_and_stays_as_it_is(home: Path) -> None:
    put(home, ModelChoice("rw_ewma"))
    path = trials.path_of(home, PAIR, "7d")
    path.write_bytes(b"rubbish")
    with pytest.raises(StoreError) as caught:
        count(home)
    assert caught.value.remedy
    with pytest.raises(StoreError):
        put(home, ModelChoice("rw_drift"))
    assert path.read_bytes() == b"rubbish"
    with pytest.raises(ValidationError):
        trials.path_of(home, PAIR, "../7d")


def test_corrected_p_values_allow_for_trials_that_are_not_at_hand() -> None:
    raw = [0.01, 0.04, np.nan]
    np.testing.assert_allclose(holm(raw)[:2], [0.02, 0.04])
    np.testing.assert_allclose(holm(raw, 10)[:2], [0.10, 0.36])
    np.testing.assert_allclose(holm([*raw[:2], *[1.0] * 8])[:2], holm(raw, 10)[:2])
    np.testing.assert_array_equal(holm(raw, 1), holm(raw))


@pytest.mark.capability("K04", "J08")
def test_the_backtest_keeps_its_trials_and_the_evidence_counts_those_of_searches_too(tmp_path: Path) -> None:
    config = small_config(tmp_path / "configs")
    edit_yaml(
        config / "platform.yaml",
        lambda body: body["forecast"].update(models=["random_walk", "rw_blend", "rw_ewma"], active_model="rw_blend"),
    )
    pipeline = Pipeline(settings_of(config, tmp_path / "home"), SliceStore("memory://trials"))
    for name, frame in pipeline.data.ingest(PAIR, now=pd.Timestamp("2025-06-14 12:00", tz="UTC")).items():
        pipeline.store.write(schemas.TABLES[name], PAIR, (), frame)
    write_days(pipeline, pipeline.bars(PAIR, [LAST_AS_OF]))
    rows = pipeline.backtest(PAIR, "7d", every=10)
    held = trials.tried(pipeline.settings.home, PAIR, "7d")
    assert sorted(held["model"]) == ["rw_blend", "rw_ewma"]
    assert set(held["first_origin"]) == {rows["as_of"].min()}

    plain = evidence(pipeline, PAIR, "7d", rows).comparison.set_index("model")
    assert set(plain["trials"]) == {2}
    pipeline.backtest(PAIR, "7d", every=10)  # the same again is no new trial
    tried = [ModelChoice("rw_drift"), *(ModelChoice("random_walk", {"interval": name}) for name in ("t30", "gaussian"))]
    trials.record(pipeline.settings.home, PAIR, "7d", tried, "2021-01-04", "2021-12-30", how="search")
    more = evidence(pipeline, PAIR, "7d", rows).comparison.set_index("model")
    assert set(more["trials"]) == {4}
    raw, before, after = (
        frame.loc[["rw_blend", "rw_ewma"], name].to_numpy(dtype=float)
        for frame, name in ((plain, "dm_crps_p"), (plain, "dm_crps_p_adjusted"), (more, "dm_crps_p_adjusted"))
    )
    np.testing.assert_allclose(before, holm(raw))
    np.testing.assert_allclose(after, holm(raw, 4))
