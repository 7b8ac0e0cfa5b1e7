"""One tiny checkpoint of each family, trained once per session on planted returns."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from forex_assets.clock import calendar_for
from forex_assets.forecasting.chronos.data import TrainingData, of_histories
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets_tests.forecasting.conftest import history_of

CUTOFF = dt.date(2021, 12, 31)


def made_history(pair: str, seed: int, n: int = 3400) -> PriceHistory:
    """Thirteen years of heavy-tailed returns whose volatility doubles and halves."""
    rng = np.random.default_rng(seed)
    sigma = 0.004 * np.exp(0.35 * np.sin(np.arange(n) / 120 + seed))
    return history_of(
        900 * np.exp(np.cumsum(sigma * rng.standard_t(5, n))), calendar_for("FX"), "2012-01-02", pair=pair
    )


@pytest.fixture(scope="session")
def histories() -> dict[str, PriceHistory]:
    return {name: made_history(name, seed) for seed, name in enumerate(("usdaaa", "usdbbb", "usdccc"))}


@pytest.fixture(scope="session")
def training_data(histories: dict[str, PriceHistory]) -> TrainingData:
    return of_histories(histories, CUTOFF)


@pytest.fixture(scope="session")
def checkpoints(training_data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one trained T5 and one trained Bolt."""
    from forex_assets.forecasting.chronos.train import TrainOptions, train

    folder = tmp_path_factory.mktemp("chronos")
    for family, steps in (("t5", 150), ("bolt", 150)):
        options = TrainOptions(
            family=family,  # type: ignore[arg-type]
            size="tiny",
            context_length=64,
            prediction_length=36,
            steps=steps,
            learning_rate=1e-2,
            evaluate_every=50,
        )
        train(training_data, options, folder / family)
    return folder


@pytest.fixture(scope="session")
def chronos2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Chronos-2 in the standard format: foreign, without a card."""
    import torch
    from chronos.chronos2 import Chronos2Model
    from chronos.chronos2.config import Chronos2CoreConfig

    folder = tmp_path_factory.mktemp("foreign") / "c2"
    config = Chronos2CoreConfig(
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=1,
        num_heads=4,
        chronos_config={
            "context_length": 128,
            "output_patch_size": 8,
            "input_patch_size": 8,
            "input_patch_stride": 8,
            "quantiles": [0.01, *[round(0.05 * i, 2) for i in range(1, 20)], 0.99],
            "use_reg_token": True,
            "use_arcsinh": True,
            "max_output_patches": 4,
        },
        chronos_pipeline_class="Chronos2Pipeline",
        architectures=["Chronos2Model"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        Chronos2Model(config).save_pretrained(folder)
    return folder
