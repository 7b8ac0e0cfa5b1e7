"""The three Chronos models: batches change nothing, tails are completed, covariates seen, limits are typed errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.chronos.checkpoint import load, using
from forex_assets.forecasting.chronos.decoder import Sampling, T5Sampler, pad_left
from forex_assets.forecasting.chronos.quantile import at_stored_levels, block_returns, bolt_quantiles
from forex_assets.forecasting.contract import OriginRandom, QuantilePaths, check_paths
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.models.chronos import covariates_of, samples_for
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS

MODELS = ("chronos_t5", "chronos_bolt", "chronos_2")
FOREIGN: dict[str, Any] = {"training_cutoff": "2021-12-31"}
Q = list(QUANTILE_COLUMNS)


@pytest.fixture
def in_force(checkpoints: Path, chronos2_folder: Path) -> Any:
    with using(checkpoints, chronos2_folder):
        yield


def given(model: str) -> dict[str, Any]:
    return FOREIGN if model == "chronos_2" else {}


def predict(
    model: str, history: PriceHistory, days: Any, steps: Any, horizon: int = 15, **params: Any
) -> QuantilePaths:
    made = get_model(model)
    origins = make_origins(history, np.asarray(days, dtype="datetime64[D]"), horizon)
    resolved = resolve_parameters(made, {**given(model), **params})
    return made.predict(history, origins, np.asarray(steps), resolved, OriginRandom(history.pair, horizon, model, 5))


@pytest.mark.usefixtures("in_force")
@pytest.mark.parametrize("model", MODELS)
def test_results_do_not_depend_on_the_batch_or_on_other_steps(model: str, histories: dict[str, PriceHistory]) -> None:
    history = histories["usdaaa"]
    days = history.event_date[2700:3300:53]
    steps = np.tile([11, 3, 11, 30], (len(days), 1))
    whole = predict(model, history, days, steps)
    check_paths(model, whole, steps.shape)
    for i in (0, 4, len(days) - 1):
        for columns in ([0], [3, 1]):
            alone = predict(model, history, days[i : i + 1], steps[i : i + 1, columns])
            np.testing.assert_array_equal(alone.quantiles[0], whole.quantiles[i, columns])
            np.testing.assert_array_equal(alone.mean[0], whole.mean[i, columns])
    backwards = predict(model, history, days[::-1], steps)
    np.testing.assert_array_equal(backwards.quantiles[::-1], whole.quantiles)


@pytest.mark.usefixtures("in_force")
@pytest.mark.parametrize("model", MODELS)
def test_the_last_step_of_a_path_is_the_backtest_row_and_reruns_are_identical(
    model: str, histories: dict[str, PriceHistory]
) -> None:
    history = histories["usdbbb"]
    choice = ModelChoice(model, given(model))
    rows = run_backtest(
        history, horizon_days=15, models=[choice], start="2023-05-01", end="2023-05-05", as_of="2024-01-02"
    )
    again = run_backtest(
        history, horizon_days=15, models=[choice], start="2023-05-01", end="2023-05-05", as_of="2024-01-02"
    )
    assert rows.equals(again)
    path = make_forecast(history, ["2023-05-03"], 15, [choice], model)
    last = path[path["is_target"]].iloc[0]
    row = rows.set_index("as_of").loc[last["as_of"]]
    assert (row[Q].to_numpy(float) == last[Q].to_numpy(float)).all()


@pytest.mark.usefixtures("in_force")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.capability("J10")
def test_what_becomes_known_later_changes_nothing(model: str, histories: dict[str, PriceHistory]) -> None:
    history = histories["usdccc"]
    t = 2900
    value = history.value.copy()
    value[t + 1 :] *= np.exp(np.random.default_rng(0).normal(0, 0.1, len(value) - t - 1))
    other = PriceHistory(history.pair, history.calendar, history.event_date, history.available_at, value)
    day, steps = history.event_date[[t]], np.array([[5, 20]])
    one, two = predict(model, history, day, steps), predict(model, other, day, steps)
    np.testing.assert_array_equal(one.quantiles, two.quantiles)


@pytest.mark.usefixtures("in_force")
def test_a_trained_t5_and_bolt_hold_coverage_near_the_random_walks(histories: dict[str, PriceHistory]) -> None:
    parts = [
        run_backtest(
            history, horizon_days=7, models=["random_walk", "chronos_t5", "chronos_bolt"], start="2022-01-03", every=5,
            as_of=str(history.event_date[-1]),
        ).dropna(subset=["actual"])
        for history in histories.values()
    ]  # fmt: skip
    from forex_assets.evaluation.scores import crps_from_quantiles

    crps, covered = {}, {}
    for model in ("random_walk", "chronos_t5", "chronos_bolt"):
        rows = [part[part["model"] == model] for part in parts]
        actual = np.concatenate([part["actual"] / part["last_value"] for part in rows])
        quantiles = np.concatenate([part[Q].div(part["last_value"], axis=0) for part in rows])
        crps[model] = crps_from_quantiles(actual, quantiles).mean()
        covered[model] = ((actual >= quantiles[:, 0]) & (actual <= quantiles[:, -1])).mean()
    assert 0.9 < covered["chronos_t5"] < 0.995
    assert 0.9 < covered["chronos_bolt"] < 0.995
    assert crps["chronos_t5"] / crps["random_walk"] < 1.08
    assert crps["chronos_bolt"] / crps["random_walk"] < 1.08


def test_our_decoder_gives_the_logits_of_transformers(checkpoints: Path) -> None:
    import torch

    found = load(checkpoints / "t5")
    sampler = T5Sampler(found.pipeline)
    rng = np.random.default_rng(3)
    contexts = pad_left([rng.standard_t(4, n) * 0.01 for n in (64, 40, 55)])
    tokens = torch.as_tensor(rng.integers(2, 500, (3, 7)))
    tokens[:, 0] = 0
    ids, mask, _ = found.pipeline.tokenizer.context_input_transform(torch.as_tensor(contexts))
    with torch.inference_mode():
        theirs = found.pipeline.inner_model(input_ids=ids, attention_mask=mask.long(), decoder_input_ids=tokens).logits
    ours = sampler.logits(sampler.encode(contexts), tokens)
    assert float((ours - theirs).abs().max()) < 1e-6  # the tokenizer's scale is float32


def test_our_bolt_pass_gives_the_quantiles_of_the_pipeline(checkpoints: Path) -> None:
    import torch

    found = load(checkpoints / "bolt")
    rng = np.random.default_rng(4)
    contexts = [rng.standard_t(4, 64) * 0.01 + 0.002 for _ in range(5)]
    ours = bolt_quantiles(found.pipeline, contexts, 64)
    with torch.inference_mode():
        theirs = found.pipeline.model(context=torch.as_tensor(np.array(contexts), dtype=torch.float64)).quantile_preds
    np.testing.assert_allclose(ours, theirs[:, :, 0].numpy(), rtol=1e-4, atol=1e-7)


@pytest.mark.capability("K20")
def test_cutting_tokens_or_cooling_narrows_the_distribution(checkpoints: Path) -> None:
    sampler = T5Sampler(load(checkpoints / "t5").pipeline)
    rng = np.random.default_rng(5)
    memory = sampler.encode(rng.standard_t(4, (6, 64)) * 0.01)
    uniforms, heat = rng.random((6, 8, 200)), np.ones(200)
    width = sampler.sample(memory, uniforms, heat).std()
    assert sampler.sample(memory, uniforms, heat, Sampling(top_k=20)).std() < 0.9 * width
    assert sampler.sample(memory, uniforms, heat, Sampling(top_p=0.5)).std() < 0.9 * width
    assert (
        sampler.sample(memory, uniforms, 0.6 * heat).std() < width < sampler.sample(memory, uniforms, 1.4 * heat).std()
    )


@pytest.mark.capability("K20")
def test_the_number_of_samples_follows_from_an_error_budget() -> None:
    n = samples_for(0.1)
    rng = np.random.default_rng(6)
    error = np.quantile(rng.standard_normal((2000, n)), 0.975, axis=1).std()
    assert error == pytest.approx(0.1, rel=0.1)
    with pytest.raises(ValidationError, match="between 0 and 1"):
        samples_for(2.0)


@pytest.mark.capability("K11")
def test_tails_beyond_a_familys_levels_follow_the_shape_of_past_errors() -> None:
    from scipy import stats

    levels = [round(0.1 * i, 1) for i in range(1, 10)]
    for shape in (stats.t(3), stats.norm, stats.skewnorm(5)):
        truth = shape.ppf(QUANTILE_LEVELS)
        found = at_stored_levels(levels, 2.0 + 0.5 * shape.ppf(levels)[None], 7.0 * truth[None])
        np.testing.assert_allclose(found[0], 2.0 + 0.5 * truth, rtol=1e-6)
    crossing = at_stored_levels(levels, np.array([[0, 2, 1, 3, 4, 5, 5, 5, 6.0]]), stats.norm.ppf([QUANTILE_LEVELS]))
    assert (np.diff(crossing) > 0).all()


def test_blocks_are_returns_over_the_tenor_that_end_at_the_origin() -> None:
    log_value = np.arange(100.0) ** 1.5
    blocks = block_returns(log_value, 7, 10)
    np.testing.assert_allclose(blocks[-1], log_value[-1] - log_value[-8])
    np.testing.assert_allclose(blocks.sum(), log_value[-1] - log_value[-71])
    with pytest.raises(DataError, match="needs 8"):
        block_returns(log_value, 20, 10)


@pytest.mark.usefixtures("in_force")
def test_chronos_2_sees_drivers_as_they_were_known(histories: dict[str, PriceHistory]) -> None:
    plain = histories["usdaaa"]
    rng = np.random.default_rng(7)
    values = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(plain))))
    late = plain.available_at + np.timedelta64(20, "h")  # known a day after the price
    driver = DriverHistory("dxy", plain.calendar, plain.event_date, late, values)
    history = plain.with_drivers({"dxy": driver})
    t = 2900
    day, steps = history.event_date[[t]], np.array([[5]])
    with_driver = predict("chronos_2", history, day, steps)
    assert (with_driver.quantiles != predict("chronos_2", plain, day, steps).quantiles).any()
    never = predict("chronos_2", history, day, steps, covariates="never")
    np.testing.assert_array_equal(never.quantiles, predict("chronos_2", plain, day, steps).quantiles)
    changed = values.copy()
    changed[t:] *= 2.0  # the value of the origin's own date is not known yet
    other = plain.with_drivers({"dxy": DriverHistory("dxy", plain.calendar, plain.event_date, late, changed)})
    np.testing.assert_array_equal(predict("chronos_2", other, day, steps).quantiles, with_driver.quantiles)
    group = make_origins(history, day, 7).groups[0]
    shown = covariates_of(history, group.series, int(group.ends[0]), 5, 60)
    np.testing.assert_allclose(shown["dxy"][-1], np.log(values[t - 1] / values[t - 6]))


@pytest.mark.usefixtures("in_force")
def test_a_horizon_beyond_the_models_limit_is_a_typed_error(histories: dict[str, PriceHistory]) -> None:
    history = histories["usdaaa"]
    day = history.event_date[[3000]]
    with pytest.raises(DataError, match=r"asked for 73 steps.*used to 72"):
        predict("chronos_t5", history, day, [[73]])
    with pytest.raises(DataError, match="context needs 8"):
        predict("chronos_bolt", history, day, [[500]])


@pytest.mark.usefixtures("in_force")
def test_time_and_memory_that_run_out_are_typed_errors(
    histories: dict[str, PriceHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    history = histories["usdaaa"]
    day = history.event_date[[3000]]
    for model in MODELS:
        with pytest.raises(DataError, match="time_limit_s"):
            predict(model, history, day, [[40]], time_limit_s=0.001) if model == "chronos_t5" else predict(
                model, history, history.event_date[2700:3300], np.full((600, 1), 5), time_limit_s=0.001
            )

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1e18 bytes")

    monkeypatch.setattr(T5Sampler, "sample", full)
    with pytest.raises(DataError, match="Memory ran out") as caught:
        predict("chronos_t5", history, day, [[5]])
    assert "fewer samples" in caught.value.remedy
