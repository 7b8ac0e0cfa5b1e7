"""Checkpoints: family from the pipeline, typed errors for what is corrupt, foreign, absent or trained on the future."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from forex_assets.errors import ConfigError, DataError, ForexError, SourceError, ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.chronos import checkpoint as module
from forex_assets.forecasting.chronos.card import Card
from forex_assets.forecasting.chronos.checkpoint import configured, expand, load, resolve, using
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import get_model, resolve_parameters
from forex_assets_tests.forecasting.chronos.conftest import CUTOFF


@pytest.mark.capability("K20")
def test_the_family_comes_from_the_loaded_pipeline_and_never_from_the_name(
    checkpoints: Path, chronos2_folder: Path, tmp_path: Path
) -> None:
    misnamed = tmp_path / "chronos-t5-small"
    shutil.copytree(checkpoints / "bolt", misnamed)
    assert load(misnamed).family == "bolt"
    assert load(checkpoints / "t5").family == "t5"
    assert load(chronos2_folder, "float32").family == "chronos2"
    with pytest.raises(ValidationError, match="is bolt") as caught:
        resolve("t5", str(misnamed))
    assert "chronos_bolt" in caught.value.remedy


@pytest.mark.capability("K20")
@pytest.mark.parametrize("model", ["chronos_bolt", "chronos_2"])
@pytest.mark.parametrize("name", ["temperature", "num_samples", "top_k"])
def test_a_quantile_family_has_no_sampling_parameter(model: str, name: str) -> None:
    with pytest.raises(ValidationError, match=f"no parameter '{name}'"):
        resolve_parameters(get_model(model), {name: 1})


@pytest.mark.capability("K20")
def test_a_sampling_family_has_them_and_they_have_rules() -> None:
    given = resolve_parameters(get_model("chronos_t5"), {"temperature": 0.8, "num_samples": 50})
    assert (given["temperature"], given["num_samples"], given["top_k"]) == (0.8, 50, 0)
    with pytest.raises(ValidationError, match="temperature"):
        resolve_parameters(get_model("chronos_t5"), {"temperature": 0.0})
    with pytest.raises(ValidationError, match="must be a text"):
        resolve_parameters(get_model("chronos_t5"), {"checkpoint": 3})


def test_a_model_without_a_checkpoint_says_how_to_get_one(histories: dict[str, PriceHistory]) -> None:
    history = histories["usdaaa"]
    with using(), pytest.raises(ConfigError, match="needs a checkpoint") as caught:
        run_backtest(history, horizon_days=7, models=["chronos_t5"], start="2023-01-02", as_of="2023-02-01")
    assert "forex chronos train" in caught.value.remedy


def test_several_checkpoints_stand_in_one_folder_and_each_model_takes_its_own(checkpoints: Path) -> None:
    assert [Path(item).name for item in expand([str(checkpoints)])] == ["bolt", "t5"]
    with using(checkpoints):
        assert configured() == (str(checkpoints),)
        assert resolve("t5").family == "t5"
        assert resolve("bolt").family == "bolt"
        with pytest.raises(ConfigError, match="family 'chronos2'"):
            resolve("chronos2")


def test_the_environment_names_the_checkpoints(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREX_CHRONOS_PATH", str(checkpoints))
    assert configured() == (str(checkpoints),)
    assert resolve("bolt").card is not None


@pytest.mark.capability("J08")
def test_an_origin_the_training_data_reach_past_is_refused(
    checkpoints: Path, histories: dict[str, PriceHistory]
) -> None:
    history = histories["usdaaa"]
    with using(checkpoints):
        for model in ("chronos_t5", "chronos_bolt"):
            with pytest.raises(DataError, match=f"learned from data through {CUTOFF}") as caught:
                run_backtest(
                    history, horizon_days=7, models=[model], start="2021-12-20", end="2022-01-14", as_of="2022-02-01"
                )
            assert "--through" in caught.value.remedy
            rows = run_backtest(
                history, horizon_days=7, models=[model], start="2022-01-03", end="2022-01-14", as_of="2022-02-01"
            )
            assert len(rows) == 10


def test_a_checkpoint_that_does_not_say_what_it_learned_from_is_refused_until_it_is_told(
    chronos2_folder: Path, histories: dict[str, PriceHistory]
) -> None:
    found = load(chronos2_folder, "float32")
    origins = make_origins(histories["usdaaa"], np.array(["2022-03-01"], dtype="datetime64[D]"), 7)
    with pytest.raises(DataError, match="does not say until when"):
        found.refuse_before_cutoff(origins.as_of)
    found.refuse_before_cutoff(origins.as_of, "2022-02-28")
    with pytest.raises(DataError, match="through 2022-03-02"):
        found.refuse_before_cutoff(origins.as_of, "2022-03-02")
    with pytest.raises(ValidationError, match="training_cutoff"):
        found.refuse_before_cutoff(origins.as_of, "last year")


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])


def _garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not weights at all")


def _foreign_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _lacking(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    kept = {name: value for name, value in load_file(path).items() if "DenseReluDense" not in name}
    save_file(kept, path, metadata={"format": "pt"})


def _other_class(folder: Path) -> None:
    body = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**body, "chronos_pipeline_class": "NoPipeline"}))


def _bad_card(folder: Path) -> None:
    (folder / "forex_card.json").write_text('{"family": "t5"}')


@pytest.mark.parametrize("family", ["t5", "bolt"])
@pytest.mark.parametrize(
    "damage",
    [_truncate, _garbage, _foreign_config, _no_config, _broken_config, _no_weights, _lacking, _other_class, _bad_card],
)
def test_a_corrupt_or_foreign_checkpoint_is_a_typed_error(
    checkpoints: Path, tmp_path: Path, family: str, damage: object
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(checkpoints / family, folder)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ForexError) as caught:
        load(folder)
    assert isinstance(caught.value, DataError)
    assert str(folder) in caught.value.message
    assert caught.value.remedy


def test_a_location_that_is_neither_folder_nor_hub_id_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="neither a folder"):
        load(tmp_path / "absent" / "deeper")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        expand([str(tmp_path / "empty")])
    monkeypatch.setenv("FOREX_OFFLINE", "1")
    with pytest.raises(ConfigError, match="network is off"):
        load("amazon/chronos-t5-tiny")


def test_a_hub_that_does_not_answer_is_a_source_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import chronos

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the hub")

    monkeypatch.delenv("FOREX_OFFLINE", raising=False)
    monkeypatch.setattr(chronos.BaseChronosPipeline, "from_pretrained", unreachable)
    module._load_hub.cache_clear()
    with pytest.raises(SourceError, match="did not give checkpoint"):
        load("amazon/chronos-t5-nowhere")


def test_a_checkpoint_larger_than_the_memory_is_refused_before_it_is_loaded(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    class Full:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Full)
    module._load_folder.cache_clear()
    with pytest.raises(DataError, match="MB are free"):
        load(checkpoints / "t5")
    module._load_folder.cache_clear()


def test_the_card_comes_back_as_it_was_written(checkpoints: Path, tmp_path: Path) -> None:
    card = Card.read(checkpoints / "t5")
    assert card is not None
    card.write(tmp_path)
    assert Card.read(tmp_path) == card
    text = (checkpoints / "t5" / "MODEL_CARD.md").read_text()
    assert card.data_hash in text
    assert str(card.data_through) in text
