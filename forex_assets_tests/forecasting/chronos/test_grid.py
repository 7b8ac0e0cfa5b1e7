"""The shared grid gives the scores of one call per configuration, and optimisation accepts nothing that harms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.chronos.checkpoint import load
from forex_assets.forecasting.chronos.grid import GridPoint, classic_grid, evaluate_grid
from forex_assets.forecasting.chronos.optimise import Budgets, optimise
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.price_history import PriceHistory


@pytest.mark.capability("A09", "A10")
def test_the_classic_grid_has_27_configurations() -> None:
    grid = classic_grid()
    assert len(set(grid)) == 27
    assert grid[0] == GridPoint(90, 50, 0.8)
    assert grid[-1] == GridPoint(365, 200, 1.2)
    with pytest.raises(ValidationError, match="temperature positive"):
        GridPoint(90, 50, 0.0)


@pytest.mark.capability("A09", "A10", "K20")
def test_the_shared_grid_scores_as_one_library_call_per_configuration_and_origin_does(
    checkpoints: Path, histories: dict[str, PriceHistory]
) -> None:
    import torch

    history = histories["usdaaa"]
    origins = make_origins(history, history.event_date[3100:3300:40], 7)
    found = load(checkpoints / "t5", "float32")
    grid = [GridPoint(30, 200, 1.0), GridPoint(60, 100, 0.8), GridPoint(60, 200, 1.2)]
    seeds = [evaluate_grid(history, origins, origins.steps, grid, found, seed=s) for s in range(6)]
    ours = np.array([frame["rmse"] for frame in seeds])
    actual, _ = history.outcomes(origins.target_date)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for column, point in enumerate(grid):
            means = []
            for i in range(len(origins)):
                _, value = origins.known(i)
                context = torch.as_tensor(np.diff(np.log(value))[-point.context_length :], dtype=torch.float32)
                paths = found.pipeline.predict(
                    context, int(origins.steps[i]), point.num_samples, point.temperature, top_k=512, top_p=1.0
                )
                means.append((value[-1] * np.exp(paths[0].sum(dim=1).double().numpy())).mean())
            theirs = np.sqrt(np.mean((np.array(means) - actual) ** 2))
            spread = ours[:, column].std(ddof=1) * np.sqrt(1 + 1 / len(seeds))
            assert abs(theirs - ours[:, column].mean()) < 5 * spread
    assert list(seeds[0].columns) == [
        "context_length", "num_samples", "temperature", "rmse", "mape", "crps", "coverage_95", "n",
    ]  # fmt: skip


@pytest.mark.capability("K20")
def test_common_random_numbers_and_batches_leave_a_configurations_score_alone(
    checkpoints: Path, histories: dict[str, PriceHistory]
) -> None:
    history = histories["usdbbb"]
    origins = make_origins(history, history.event_date[3100:3300:40], 7)
    found = load(checkpoints / "t5")
    many = evaluate_grid(
        history,
        origins,
        origins.steps,
        [GridPoint(c, n, t) for c in (30, 60) for n in (20, 40) for t in (0.8, 1.0)],
        found,
    )
    for at in (0, 3, 6):
        row = many.iloc[at]
        point = GridPoint(int(row["context_length"]), int(row["num_samples"]), float(row["temperature"]))
        alone = evaluate_grid(history, origins, origins.steps, [point], found).iloc[0]
        assert alone["rmse"] == row["rmse"]
        assert alone["crps"] == row["crps"]


def test_a_grid_refuses_what_it_cannot_score(
    checkpoints: Path, chronos2_folder: Path, histories: dict[str, PriceHistory]
) -> None:
    history = histories["usdaaa"]
    point = [GridPoint(30, 20, 1.0)]
    late = make_origins(history, history.event_date[-1:], 7)
    good = make_origins(history, history.event_date[[3000]], 7)
    early = make_origins(history, history.event_date[[2000]], 7)
    t5 = load(checkpoints / "t5")
    with pytest.raises(DataError, match="is not known"):
        evaluate_grid(history, late, late.steps, point, t5)
    with pytest.raises(DataError, match="learned from data through"):
        evaluate_grid(history, early, early.steps, point, t5)
    with pytest.raises(DataError, match="used to 72"):
        evaluate_grid(history, good, np.array([100]), point, t5)
    with pytest.raises(ValidationError, match="scores nothing"):
        evaluate_grid(history, good, good.steps, [], t5)
    for folder, family in ((checkpoints / "bolt", "bolt"), (chronos2_folder, "chronos2")):
        with pytest.raises(ValidationError, match=f"family '{family}'"):
            evaluate_grid(history, good, good.steps, point, load(folder, "float32"))


@pytest.mark.capability("E25", "L16")
def test_an_optimisation_is_accepted_only_if_every_budget_holds(
    checkpoints: Path, histories: dict[str, PriceHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forex_assets.forecasting.chronos import optimise as module

    for name in ("torch.compile",):
        monkeypatch.delitem(module._VARIANTS, name)
    never = Budgets(speedup=1e9)
    found = optimise(str(checkpoints / "bolt"), origins=12, histories=histories, budgets=never)
    assert found.conclusion.startswith("No-op")
    by_name = {row.variant: row for row in found.rows}
    assert not any(row.accepted for name, row in by_name.items() if name != "float32 (as it is)")
    assert np.isfinite(by_name["bf16"].crps_ratio)
    assert np.isfinite(by_name["int8 (dynamic)"].crps_ratio)
    assert "not installed" in by_name["ONNX"].reason or "caches" in by_name["ONNX"].reason
    always = Budgets(crps_ratio=9, coverage_points=100, speedup=1e-9, latency_ms=1e9)
    found = optimise(str(checkpoints / "bolt"), origins=12, histories=histories, budgets=always)
    assert any(row.accepted for row in found.rows[1:])
    assert found.as_dict()["rows"][0]["speedup"] == 1.0
    assert all(len(row.cells()) == 7 for row in found.rows)


@pytest.mark.capability("E25", "L16")
def test_optimising_a_model_without_a_network_is_a_stated_no_op() -> None:
    found = optimise("garch_t")
    assert found.rows == ()
    assert "nothing to quantise" in found.conclusion
