"""The classic models are selected by configuration: one word for the profile, parameters by model for one option."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.errors import ConfigError, ValidationError
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.pipeline import PROVENANCE, Pipeline, choices_of
from forex_assets.settings import Settings
from forex_assets.store.slices import SliceStore
from forex_assets_tests.defs.world import PAIR, edit_yaml, settings_of, small_config

DAY = dt.date(2025, 6, 13)
Q = list(QUANTILE_COLUMNS)


def configured(folder: Path, *, trees: int | None = None, **forecast: Any) -> Settings:
    config = small_config(folder / "configs")
    edit_yaml(config / "platform.yaml", lambda body: body["forecast"].update(forecast))
    if trees:  # the table's 400 to 800 trees take minutes
        edit_yaml(
            config / "profiles" / "classic.yaml",
            lambda body: body["forecast"]["parameters"]["classic_ensemble"].update(trees=trees),
        )
    return settings_of(config, folder / "home")


def stored(settings: Settings) -> Pipeline:
    pipeline = Pipeline(settings, SliceStore(f"memory://{settings.home.parent.name}"))
    for name, frame in pipeline.data.ingest(PAIR, now=pd.Timestamp("2025-06-14 12:00", tz="UTC")).items():
        pipeline.store.write(schemas.TABLES[name], PAIR, (), frame)
    for key, frame in pipeline.bars(PAIR, [DAY]).items():
        meta = {name: str(frame[name].iloc[0]) for name in PROVENANCE}
        pipeline.store.write(schemas.BARS, PAIR, key, frame, meta=meta)
    return pipeline


@pytest.mark.capability("B08", "J09", "J10")
def test_one_word_in_the_configuration_deploys_the_classic_ensemble(tmp_path: Path) -> None:
    settings = configured(tmp_path, trees=20, profile="classic")
    assert settings.active_model(PAIR) == "classic_ensemble"
    assert settings.platform.backtest.every_business_days == 20
    pipeline = stored(settings)
    config = pipeline.active(PAIR, "30d")
    chosen = {choice.name: dict(choice.parameters) for choice in choices_of(config)}
    assert chosen["classic_ensemble"] == {"weights": "table", "multiplier": "table", "var": "optional", "trees": 20}
    (frame,) = pipeline.forecasts(PAIR, "30d", [DAY]).values()
    assert set(frame.loc[frame["is_active"], "model"]) == {"classic_ensemble"}
    assert set(frame["model"]) == {"random_walk", "champion_zero", "classic_ensemble"}
    rows = frame[frame["is_target"]].set_index("model")

    history = pipeline.history(PAIR, pipeline.snapshot(PAIR, DAY).bars)
    plain = ModelChoice("classic_ensemble", {"trees": 20, "var": "optional", "multiplier": "none"}, "none")
    bare = make_forecast(history, [DAY], 30, [plain], "none")
    bare = bare[bare["is_target"]].iloc[0]
    half = np.log(rows.loc["classic_ensemble", "q975"] / rows.loc["classic_ensemble", "q500"])
    assert half == pytest.approx(1.35 * np.log(bare["q975"] / bare["q500"]), rel=1e-6)  # the table's multiplier
    # Units repaired: a month's width is of the order of the random walk's, not of one day's return.
    walk = np.log(rows.loc["random_walk", "q975"] / rows.loc["random_walk", "q500"])
    assert 0.5 < half / walk < 2.5


def test_the_profile_is_part_of_what_a_row_traces_back_to(tmp_path: Path) -> None:
    plain = configured(tmp_path / "plain")
    classic = configured(tmp_path / "classic", profile="classic")
    assert plain.active_model(PAIR) == "ensemble"
    assert plain.config_hash(PAIR) != classic.config_hash(PAIR)
    assert classic.config_content(PAIR)["forecast"]["profile"] == "classic"


@pytest.mark.capability("B01", "K10", "K11")
def test_a_single_classic_option_is_a_parameter_of_its_model(tmp_path: Path) -> None:
    plain = stored(configured(tmp_path / "plain", models=["random_walk", "champion_zero", "ensemble"]))
    t30 = stored(
        configured(
            tmp_path / "t30",
            models=["random_walk", "champion_zero", "ensemble"],
            parameters={"random_walk": {"interval": "t30"}},
        )
    )
    widths = {}
    for name, pipeline in {"plain": plain, "t30": t30}.items():
        (frame,) = pipeline.forecasts(PAIR, "7d", [DAY]).values()
        row = frame[frame["is_target"] & (frame["model"] == "random_walk")].iloc[0]
        widths[name] = np.log(row["q975"] / row["q500"])
    assert widths["t30"] / widths["plain"] == pytest.approx(2.042 / 1.960, abs=1e-3)
    assert plain.active(PAIR, "7d").config_hash != t30.active(PAIR, "7d").config_hash


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="profile"):
        configured(tmp_path / "a", profile="vintage")
    with pytest.raises(ConfigError, match=r"'theta', which is not among forecast\.models"):
        configured(tmp_path / "b", parameters={"theta": {"window": 300}})
    wrong = stored(configured(tmp_path / "c", parameters={"random_walk": {"temperature": 0.8}}))
    with pytest.raises(ValidationError, match="no parameter 'temperature'"):
        wrong.forecasts(PAIR, "7d", [DAY])
