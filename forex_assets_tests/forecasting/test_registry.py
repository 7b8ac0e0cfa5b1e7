"""Models by name: the page that explains adding one is run as it stands, through a real entry point."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from forex_assets.errors import ConfigError, DataError, ValidationError
from forex_assets.evaluation.outcomes import outcomes
from forex_assets.forecasting import registry
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, model_names
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.simulation.worlds import random_walk_world

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-model.md"
Q = list(QUANTILE_COLUMNS)


def _forget() -> None:
    registry._plugins.cache_clear()
    get_model.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package of somebody else's: a module folder and its metadata with entry points."""
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[forex_assets.models]\n"
        "quartile_walk = my_models_page:QuartileWalk\n"
        "absent = my_models_page:Absent\n"
        "no_model = my_models_page:np\n"
        "misnamed = my_models_page:QuartileWalk\n"
    )
    source = re.search(r"```python\n(.*?class QuartileWalk.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert source, f"{PAGE} no longer shows the example model"
    (tmp_path / "my_models_page.py").write_text(source.group(1))
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield tmp_path
    sys.modules.pop("my_models_page", None)
    monkeypatch.undo()
    _forget()


@pytest.fixture
def history() -> PriceHistory:
    world = random_walk_world(6, 420)
    return PriceHistory.from_bars(world.bars, world.calendar)


def test_the_example_of_the_page_runs_beside_the_built_in_models(package: Path, history: PriceHistory) -> None:
    assert model_names()[-1] in ("quartile_walk", "no_model", "misnamed", "absent")
    assert "quartile_walk" in model_names()
    last = str(history.event_date[-1])
    models = ["random_walk", "quartile_walk", ModelChoice("quartile_walk", {"window": 60}, "quartile_walk_60")]
    rows = run_backtest(history, horizon_days=7, models=models, as_of=last)
    again = run_backtest(history, horizon_days=7, models=models, start=history.event_date[300], as_of=last)
    late = rows[rows["as_of"].isin(again["as_of"])].reset_index(drop=True)
    assert (late[Q].to_numpy() == again[Q].to_numpy()).all()  # sampled, yet the same in any batch
    day = again["as_of"].iloc[-1]
    path = make_forecast(history, str(day.date()), 7, models, "quartile_walk")
    final = path[path["is_target"]].set_index("model")[Q]
    expected = again[again["as_of"] == day].set_index("model")[Q]
    assert (final.to_numpy() == expected.loc[final.index].to_numpy()).all()
    other_seed = run_backtest(
        history, horizon_days=7, models=["quartile_walk"], start=history.event_date[300], as_of=last, seed=1
    )
    assert not (other_seed[Q].to_numpy() == again.loc[again["model"] == "quartile_walk", Q].to_numpy()).any()


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("absent", ConfigError, "cannot be imported"),
        ("no_model", ConfigError, "lacks name, capabilities or predict"),
        ("misnamed", ConfigError, "calls itself 'quartile_walk'"),
        ("quartile_wlak", ValidationError, "did you mean 'quartile_walk'"),
        ("chronos", ValidationError, "registered: random_walk"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_with_the_reason(
    package: Path, name: str, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match) as caught:
        get_model(name)
    assert getattr(caught.value, "remedy", "")


def test_a_built_in_name_cannot_be_taken_by_a_package(package: Path) -> None:
    (package / "my_package-1.0.dist-info" / "entry_points.txt").write_text(
        "[forex_assets.models]\nrandom_walk = my_models_page:QuartileWalk\n"
    )
    _forget()
    assert type(get_model("random_walk")).__name__ == "RandomWalk"
    assert model_names().count("random_walk") == 1


def test_an_ensemble_that_cannot_combine_is_stopped(monkeypatch: pytest.MonkeyPatch, history: PriceHistory) -> None:
    from forex_assets.forecasting import prediction
    from forex_assets.forecasting.models.champion_zero import ChampionZero

    class Bare:
        name = "champion_zero"
        capabilities = ChampionZero.capabilities

        def predict(self, *_: object) -> None:
            raise AssertionError("an ensemble is combined, not predicted")

    monkeypatch.setattr(
        prediction, "get_model", lambda name: Bare() if name == "champion_zero" else registry.get_model(name)
    )
    with pytest.raises(DataError, match="cannot combine"):
        run_backtest(history, horizon_days=7, models=["champion_zero"], as_of=str(history.event_date[-1]))


@pytest.mark.capability("K18")
def test_backtest_and_evaluation_agree_on_every_outcome() -> None:
    world = random_walk_world(6, 200)
    bars = world.bars.copy()
    bars.loc[150, "withdrawn_at"] = bars.loc[151, "available_at"]
    bars.loc[160, "withdrawn_at"] = bars.loc[160, "available_at"]
    history = PriceHistory.from_bars(bars, world.calendar)
    targets = world.bars["event_date"].to_numpy().astype("datetime64[D]")[100:]
    actual, matured = history.outcomes(targets, targets[-3])
    theirs = outcomes(bars, targets, as_of=targets[-3].astype(object))
    known = ~np.isnat(matured)
    assert list(theirs["target_date"].to_numpy().astype("datetime64[D]")) == list(targets[known])
    np.testing.assert_array_equal(theirs["actual"].to_numpy(), actual[known])
    np.testing.assert_array_equal(theirs["matured_on"].to_numpy().astype("datetime64[D]"), matured[known])
