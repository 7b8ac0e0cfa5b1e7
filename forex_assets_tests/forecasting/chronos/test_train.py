"""Training: it learns, a killed run ends with the same weights, later dates never leak in, wrong use is refused."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from forex_assets.cli import app
from forex_assets.errors import ConfigError, DataError, ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.chronos.card import Card, weights_hash
from forex_assets.forecasting.chronos.checkpoint import load, using
from forex_assets.forecasting.chronos.data import Series, TrainingData, folder_data, of_histories
from forex_assets.forecasting.chronos.train import Progress, TrainOptions, train
from forex_assets.forecasting.chronos.windows import Windows
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets_tests.forecasting.chronos.conftest import CUTOFF

SHORT = TrainOptions(
    family="bolt", size="tiny", context_length=32, steps=12, evaluate_every=4, batch_size=8, validation_days=365
)


class KilledError(Exception):
    """Stands for the end of the process."""


def test_training_lowers_the_loss_on_later_dates_and_the_card_says_so(checkpoints: Path) -> None:
    for family in ("t5", "bolt"):
        card = Card.read(checkpoints / family)
        assert card is not None
        assert card.validation_loss < 0.8 * card.first_validation_loss
        assert card.data_through == CUTOFF
        assert card.trained_through == CUTOFF - dt.timedelta(days=730)
        assert card.steps == 150
        assert card.parameters > 1000
        assert set(card.series) == {"usdaaa", "usdbbb", "usdccc"}
        assert min(card.series.values()) > 2500
        assert not (checkpoints / f".{family}.training").exists()


def test_a_trained_chronos_2_loads_as_one_knows_its_cutoff_and_forecasts(
    training_data: TrainingData, histories: dict[str, PriceHistory], tmp_path: Path
) -> None:
    options = TrainOptions(
        family="chronos2", size="tiny", context_length=64, steps=100, learning_rate=1e-2, evaluate_every=25
    )
    card = train(training_data, options, tmp_path / "c2")
    assert card.validation_loss < 0.8 * card.first_validation_loss
    found = load(tmp_path / "c2", "float32")
    assert (found.family, found.describe()["training_cutoff"]) == ("chronos2", str(CUTOFF))
    assert found.describe()["quantile_levels"][0] == pytest.approx(0.01)
    with using(tmp_path / "c2"):
        rows = run_backtest(
            histories["usdaaa"], horizon_days=7, models=["chronos_2"], start="2022-03-01", every=30, as_of="2023-06-30"
        )
        assert (np.diff(rows[list(QUANTILE_COLUMNS)].to_numpy(), axis=1) > 0).all()
        # It has learned how wide a week is: neither a standstill nor several times the moves there were.
        width = np.log(rows["q975"] / rows["q025"]).mean() / (2 * 1.96 * 0.006 * np.sqrt(5))
        assert 0.3 < width < 3
        with pytest.raises(DataError, match="learned from data through"):
            run_backtest(
                histories["usdaaa"], horizon_days=7, models=["chronos_2"], start="2021-03-01", as_of="2021-04-30"
            )


@pytest.mark.parametrize(("family", "killed_after"), [("t5", 5), ("t5", 8), ("bolt", 5), ("bolt", 8), ("chronos2", 5)])
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(
    family: str, killed_after: int, training_data: TrainingData, tmp_path: Path
) -> None:
    options = replace(SHORT, family=family, prediction_length=8)  # type: ignore[arg-type]
    train(training_data, options, tmp_path / "whole")
    seen: list[Progress] = []

    def kill(at: Progress) -> None:
        if at.step == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        train(training_data, options, tmp_path / "cut", on_step=kill)
    assert not (tmp_path / "cut").exists()
    train(training_data, options, tmp_path / "cut", on_step=seen.append)
    assert seen[0].resumed_from == killed_after // 4 * 4
    assert weights_hash(tmp_path / "cut") == weights_hash(tmp_path / "whole")
    assert seen[-1].share_done == 1.0


def test_nothing_is_overwritten_and_an_unfinished_run_of_other_options_is_not_mixed_in(
    training_data: TrainingData, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def kill(at: Progress) -> None:
        if at.step == 5:
            raise KilledError

    with pytest.raises(KilledError):
        train(training_data, SHORT, out, on_step=kill)
    other = replace(SHORT, learning_rate=1e-3)
    with pytest.raises(ConfigError, match="other options or data"):
        train(training_data, other, out)
    (tmp_path / ".out.training" / "state.pt").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="cannot be read"):
        train(training_data, SHORT, out)
    train(training_data, other, out, restart=True)
    with pytest.raises(ValidationError, match="nothing is overwritten"):
        train(training_data, other, out)


def test_it_stops_early_when_later_dates_no_longer_gain_and_keeps_the_best(
    training_data: TrainingData, tmp_path: Path
) -> None:
    stuck = replace(SHORT, steps=400, learning_rate=1e-9, evaluate_every=2, patience=3)
    card = train(training_data, stuck, tmp_path / "stuck")
    assert card.steps == 6
    assert "without improvement" in card.stopped_by
    timed = replace(SHORT, steps=None, time_budget_s=0.05, evaluate_every=1000)
    assert train(training_data, timed, tmp_path / "timed").stopped_by == "the time budget"


@pytest.mark.capability("J10")
def test_training_windows_hold_nothing_after_the_cut_and_validation_targets_nothing_before(
    training_data: TrainingData,
) -> None:
    cut = np.datetime64("2019-12-31")
    marked = TrainingData(
        tuple(
            Series(item.name, item.date, np.where(item.date > cut, 50.0, 0.0) + 1e-6 * np.arange(len(item.date)))
            for item in training_data.series
        ),
        {},
    )
    for blocks, length in ((False, 20), (True, 8)):
        training = Windows(marked, None, cut, 32, length, blocks)
        for seed in range(30):
            window = training.draw((seed,), 16)
            assert np.nanmax(np.abs(window.context)) < 1
            assert np.nanmax(np.abs(window.target)) < 1
            assert np.isfinite(window.target[:, 0]).all()
        validation = Windows(marked, cut, np.datetime64("2021-12-31"), 32, length, blocks)
        assert (validation.low >= np.searchsorted(marked.series[0].date, cut, side="right") - 1).all()


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"family": "moirai"}, "family"),
        ({"size": "huge"}, "size"),
        ({"steps": None}, "no budget"),
        ({"context_length": 8}, "context_length"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_training_options_are_checked(changed: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        replace(SHORT, **changed)  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_stops_the_training(training_data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="diverged"):
        train(training_data, replace(SHORT, learning_rate=0.999, steps=400), tmp_path / "wild", on_step=_poison)


def _poison(at: Progress) -> None:
    import gc

    from forex_assets.forecasting.chronos.train import _Learner

    for item in gc.get_objects():
        if type(item) is _Learner:
            for weight in item.model.parameters():
                weight.data.fill_(float("nan"))


def test_data_end_at_the_cutoff_and_unusable_series_are_named(
    histories: dict[str, PriceHistory], tmp_path: Path
) -> None:
    data = of_histories(histories, dt.date(2015, 6, 30))
    assert data.through == dt.date(2015, 6, 30)
    assert data.hash == of_histories(histories, dt.date(2015, 6, 30)).hash != of_histories(histories, CUTOFF).hash
    with pytest.raises(DataError, match="250 are needed"):
        of_histories(histories, dt.date(2012, 6, 30))
    days = pd.bdate_range("2015-01-01", periods=400)
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 400)))
    for name, values in {
        "good": walk,
        "jump": np.where(np.arange(400) == 9, 1e5, walk),
        "rate": walk - walk.mean(),
        "flat": 0 * walk + 3,
    }.items():
        pd.DataFrame({"date": days, "close": values}).to_csv(tmp_path / f"{name}.csv", index=False)
    pd.DataFrame({"when": [1]}).to_csv(tmp_path / "other.csv", index=False)
    read = folder_data(tmp_path, dt.date(2016, 3, 1))
    assert [item.name for item in read.series] == ["good"]
    assert read.through <= dt.date(2016, 3, 1)
    assert set(read.skipped) == {"jump", "rate", "flat", "other"}
    with pytest.raises(ValidationError, match="does not exist"):
        folder_data(tmp_path, dt.date(2016, 3, 1), ("absent",))
    with pytest.raises(ValidationError, match="existing folder"):
        folder_data(tmp_path / "nowhere", dt.date(2016, 3, 1))


def test_the_command_trains_from_a_folder_and_info_describes_the_result(tmp_path: Path) -> None:
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, 900)))
    pd.DataFrame({"date": pd.bdate_range("2012-01-02", periods=900), "value": walk}).to_csv(
        tmp_path / "xyz.csv", index=False
    )
    out = tmp_path / "made"
    command = ["chronos", "train", "--out", str(out), "--data-dir", str(tmp_path), "--family", "bolt", "--size", "tiny"]
    options = [
        "--steps",
        "4",
        "--context-length",
        "32",
        "--validation-days",
        "200",
        "--through",
        "2015-06-01",
        "--json",
    ]
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["series"] == {"xyz": 890}
    info = CliRunner().invoke(app, ["chronos", "info", str(out), "--json"])
    body = json.loads(info.stdout)
    assert body["family"] == "bolt"
    assert body["training_cutoff"] == "2015-06-01"
    assert "training cutoff" in CliRunner().invoke(app, ["chronos", "info", str(out)]).stdout
    nothing = CliRunner().invoke(app, ["chronos", "optimise", "garch_t"])
    assert nothing.exit_code == 0
    assert "nothing to quantise" in nothing.stdout
    assert json.loads(CliRunner().invoke(app, ["chronos", "optimise", "garch_t", "--json"]).stdout)["rows"] == []
    refused = CliRunner().invoke(app, [*command, *options])
    assert isinstance(refused.exception, ValidationError)
