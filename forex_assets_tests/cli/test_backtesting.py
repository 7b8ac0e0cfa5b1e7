"""The commands that judge the past: any pair of a folder, any model, bad input, validation in folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from forex_assets.errors import DataError
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets_tests.cli.conftest import Forex

DAYS = pd.bdate_range("2015-01-02", "2026-03-31")
PRICES = 5.0 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 0.007, len(DAYS))))


def write(folder: Path, pair: str, days: pd.DatetimeIndex, values: np.ndarray) -> None:
    frame = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "value": values})
    frame.to_csv(folder / f"fx_{pair}_daily.csv", index=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder, "usdbrl", DAYS, PRICES)
    return folder


def changed(change: Callable[[np.ndarray], None]) -> np.ndarray:
    values = PRICES.copy()
    change(values)
    return values


def test_a_pair_no_configuration_knows_is_backtested_to_the_end_of_its_file(
    forex: Forex, data: Path, tmp_path: Path
) -> None:
    write(data, "usdmxn", DAYS, 4.0 * PRICES)
    out = tmp_path / "rows.parquet"
    said = forex(
        "backtest", "--data-dir", str(data), "--pair", "usdbrl,usdmxn", "--models", "rw_blend", "--horizon", "7d,90d",
        "--start", "2024-01-02", "--every", "5", "--out", str(out), "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    rows = pd.read_parquet(out)
    assert list(rows["pair"].unique()) == ["usdbrl", "usdmxn"]
    assert list(rows["model"].unique()) == ["random_walk", "rw_blend"]
    assert {"horizon", "as_of", "target_date", "mean", "actual", *QUANTILE_COLUMNS} <= set(rows.columns)
    assert rows["as_of"].max() > pd.Timestamp("2026-03-20")
    wide = rows.set_index(["as_of", "horizon", "model", "pair"])["q975"].unstack("pair")
    np.testing.assert_allclose(wide["usdmxn"], 4.0 * wide["usdbrl"])
    shown = json.loads(said.out)
    assert shown["declaration"]["trials"] == 1
    assert shown["declaration"]["models"][1]["refit"] == "at every origin, from the window before it"
    assert {(row["horizon"], row["model"]) for row in shown["comparison"]} == {
        (days, model) for days in (7, 90) for model in ("random_walk", "rw_blend")
    }
    stored = json.loads(pq.read_schema(out).metadata[b"forex_backtest"])
    assert stored == shown["declaration"]


def run_one(forex: Forex, data: Path, *options: str) -> tuple[int, str, str]:
    said = forex(
        "backtest", "--data-dir", str(data), "--pair", "usdbrl", "--horizon", "7d", "--start", "2020-01-02",
        "--every", "20", *options,
    )  # fmt: skip
    return said.code, said.out, said.err


@pytest.mark.parametrize(
    ("name", "days", "values", "message"),
    [
        ("too short", DAYS[-50:], PRICES[-50:], "too_short"),
        ("every seventh day", DAYS[::7], PRICES[::7], "gappy"),
        ("constant", DAYS, np.full(len(DAYS), 4.0), "the quality rules withdrew"),
        ("negative", DAYS, -PRICES, "holds no positive number"),
    ],
)
def test_a_history_nothing_can_be_learnt_from_is_refused_with_the_rule(
    forex: Forex, data: Path, name: str, days: pd.DatetimeIndex, values: np.ndarray, message: str
) -> None:
    write(data, "usdbrl", days, values)
    code, out, err = run_one(forex, data, "--models", "rw_blend")
    assert code == 1, name
    assert message in err
    assert "Remedy:" in err
    assert out == ""


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda v: v.__setitem__(slice(2000, 2003), v[2000:2003] * 1000), "unit"),
        (lambda v: v.__setitem__(2000, 0.0), "range"),
        (lambda v: v.__setitem__(2000, -3.0), "range"),
    ],
)
def test_bad_values_inside_a_history_are_withdrawn_said_and_change_no_other_row(
    forex: Forex, data: Path, tmp_path: Path, change: Callable[[np.ndarray], None], rule: str
) -> None:
    write(data, "usdbrl", DAYS, changed(change))
    out = tmp_path / "rows.parquet"
    code, _, err = run_one(forex, data, "--models", "rw_blend", "--out", str(out))
    assert code == 0, err
    assert f"{rule} " in err
    rows = pd.read_parquet(out)
    assert rows["q975"].max() < 2 * PRICES.max()
    assert rows["q025"].min() > PRICES.min() / 2


def test_a_missing_value_inside_a_history_is_a_gap_like_any_other(forex: Forex, data: Path, tmp_path: Path) -> None:
    write(data, "usdbrl", DAYS, changed(lambda v: v.__setitem__(2000, np.nan)))
    out = tmp_path / "rows.parquet"
    code, _, err = run_one(forex, data, "--models", "rw_blend", "--out", str(out))
    assert code == 0, err
    assert np.isfinite(pd.read_parquet(out)[list(QUANTILE_COLUMNS)]).all().all()


def test_a_model_that_cannot_run_is_left_out_and_the_others_go_on(
    forex: Forex, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forex_assets.forecasting.registry import get_model

    def refuse(*_: object, **__: object) -> None:
        raise DataError("Driver vix is not known at 2020-01-02; the model needs it.", remedy="give vix_daily.csv.")

    monkeypatch.setattr(type(get_model("rw_blend")), "predict", refuse)
    code, out, err = run_one(forex, data, "--models", "rw_blend,rw_empirical", "--json")
    assert code == 0, err
    shown = json.loads(out)
    assert [row["model"] for row in shown["scores"]] == ["random_walk", "rw_empirical"]
    left = shown["declaration"]["left_out"]
    assert [(entry["model"], entry["horizon"]) for entry in left] == [("rw_blend", "7d")]
    assert left[0]["message"].startswith("Driver vix is not known")
    assert left[0]["remedy"] == "give vix_daily.csv."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models", "crystal_ball"), "Model 'crystal_ball' is not registered"),
        (("--models", ","), "--models ',' names no model"),
        (("--folds", "3"), "--folds 3 goes with --validate"),
        (("--validate", "sideways"), "Walk-forward 'sideways' is not one of expanding, rolling"),
        (("--validate", "rolling", "--start", "2020-01-02"), "--start does not go with --validate"),
        (("--pair", "usdxyz"), "Pair 'usdxyz' is neither configured nor in"),
    ],
)
def test_wrong_use_names_value_and_rule(forex: Forex, data: Path, options: tuple[str, ...], message: str) -> None:
    said = forex("backtest", "--data-dir", str(data), "--pair", "usdbrl", *options)
    assert said.code == 2
    assert message in " ".join(said.err.split())


@pytest.mark.capability("E07")
@pytest.mark.parametrize("kind", ["expanding", "rolling"])
def test_validation_in_folds_gives_means_limits_and_three_answers(forex: Forex, data: Path, kind: str) -> None:
    asked = ("backtest", "--data-dir", str(data), "--pair", "usdbrl", "--horizon", "7d", "--models", "rw_blend")
    said = forex(*asked, "--validate", kind, "--folds", "3", "--json")
    assert said.code == 0, said.err
    shown = json.loads(said.out)
    assert [row["model"] for row in shown["validations"]] == ["random_walk", "rw_blend"]
    for row in shown["validations"]:
        assert len(row["folds"]) == 3
        assert {type(row[name]) for name in ("acceptable", "performance", "stability", "fairness")} == {bool}
        assert row["mean_rmse"] == pytest.approx(np.mean([fold["rmse"] for fold in row["folds"]]))
    assert shown["limits"]["min_mean_coverage_share"] == 0.85
    table = forex(*asked, "--validate", kind, "--folds", "3")
    assert "Acceptable" in table.out


def test_a_rolling_fold_sees_a_year_and_no_more(forex: Forex, data: Path) -> None:
    asked = ("--pair", "usdbrl", "--horizon", "7d", "--models", "rw_blend", "--validate", "rolling", "--folds", "2")
    before = json.loads(forex("backtest", "--data-dir", str(data), *asked, "--json").out)["validations"]
    write(data, "usdbrl", DAYS, changed(lambda v: v.__setitem__(slice(0, 1500), v[:1500] ** 1.5 / 2)))
    after = json.loads(forex("backtest", "--data-dir", str(data), *asked, "--json").out)["validations"]
    assert before == after


def test_without_stored_evidence_the_command_says_what_to_run(forex: Forex) -> None:
    said = forex("evaluate")
    assert said.code == 1
    assert "forex run" in said.err
    assert forex("evaluate", "--by", "moon").code == 2
