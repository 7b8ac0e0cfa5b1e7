"""The reading commands on a home where nothing was made yet: they compute or say so, and leave no trace."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pandas as pd
import pytest

import forex_assets
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets_tests.cli.conftest import Forex

EMBEDDED = Path(forex_assets.__file__).parent / "market" / "embedded" / "usdclp_observado_daily.csv.gz"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.capability("A01", "K14")
def test_a_forecast_is_computed_on_the_spot_and_nothing_is_written(forex: Forex, home: Path) -> None:
    said = forex("forecast", "--as-of", "2025-06-13", "--json")
    assert said.code == 0, said.err
    (pair,) = json.loads(said.out)["pairs"]
    assert (pair["pair"], pair["as_of"], pair["last_value"], pair["source"]) == (
        "usdclp", "2025-06-13", 930.25, "embedded",
    )  # fmt: skip
    assert [row["horizon"] for row in pair["horizons"]] == ["7d", "15d", "30d", "90d"]
    assert [row["active"]["target_date"] for row in pair["horizons"]] == [
        "2025-06-23", "2025-06-30", "2025-07-14", "2025-09-11",
    ]  # fmt: skip
    for row in pair["horizons"]:
        low, high = row["active"]["interval_95"]
        assert not row["stored"]
        assert low < row["active"]["interval_80"][0] < row["active"]["mean"] < row["active"]["interval_80"][1] < high
        assert row["random_walk"]["model"] == "random_walk"
    assert _files(home) == []


def test_a_forecast_says_how_likely_up_and_down_are_and_which_models_carry_it(forex: Forex) -> None:
    (pair,) = json.loads(forex("forecast", "--as-of", "2025-06-13", "--json").out)["pairs"]
    for row in pair["horizons"]:
        view, levels = row["direction"], sorted(QUANTILE_COLUMNS)
        assert view["band"] == 0.005
        assert view["down"] + view["flat"] + view["up"] == pytest.approx(1.0)
        # The probability of a fall by more than the band lies between the levels whose quantiles enclose that value.
        edge = pair["last_value"] * (1 - view["band"])
        below = [int(name[1:]) / 1000 for name in levels if row["quantiles"][name] <= edge]
        above = [int(name[1:]) / 1000 for name in levels if row["quantiles"][name] > edge]
        assert max(below) <= view["down"] <= min(above)
        made = row["made_of"]
        assert sum(made["carried_by"].values()) == pytest.approx(1.0, abs=1e-3)
        assert {"champion_zero", "gjr_t", "loghar"} == set(made["carried_by"])
        assert "gate shut" in made["left_out"]["rw_drift"]
        assert "driver vix" in made["left_out"]
        assert made["degraded"] is False
    flat = [row["direction"]["flat"] for row in pair["horizons"]]
    assert flat == sorted(flat, reverse=True)  # the longer the tenor, the less likely nothing happens


def test_what_draws_pictures_is_pointed_at_the_home_by_every_command(
    forex: Forex, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MPLCONFIGDIR")
    forex("status")
    assert os.environ["MPLCONFIGDIR"] == str(home / "cache" / "matplotlib")
    monkeypatch.setenv("MPLCONFIGDIR", "of the user's own choice")
    forex("status")
    assert os.environ["MPLCONFIGDIR"] == "of the user's own choice"


def test_a_forecast_reads_well_and_says_that_it_is_not_stored(forex: Forex) -> None:
    said = forex("forecast", "--as-of", "2025-06-13", "--horizon", "7d,90d")
    assert said.code == 0
    assert "USD/CLP (dólar observado), as of 2025-06-13: last 930.25 CLP per USD" in said.out
    assert "Computed now, not stored: 7d, 90d." in said.out
    assert "Down / flat / up: 7d " in said.out
    assert "Made of: 7d champion_zero" in said.out
    assert "rw_drift (gate shut)" in said.out
    assert "15d" not in said.out


def test_a_pair_without_data_is_an_error_when_named_and_skipped_among_all(forex: Forex) -> None:
    named = forex("forecast", "--pair", "usdclp_close")
    assert named.code == 1
    assert "usdclp_close" in named.err
    everyone = forex("forecast", "--pair", "all", "--horizon", "7d", "--json")
    assert everyone.code == 0
    shown = json.loads(everyone.out)
    assert [pair["pair"] for pair in shown["pairs"]] == ["usdclp", "eurusd", "usdzar"]
    assert [entry["pair"] for entry in shown["skipped"]] == ["usdclp_close"]
    assert "usdclp_close: skipped." in everyone.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status",), 0),
        (("status", "--check"), 1),
        (("validate",), 1),
        (("report",), 1),
        (("report", "--pair", "all"), 1),
    ],
)
def test_an_empty_home_says_what_to_run(forex: Forex, home: Path, arguments: tuple[str, ...], code: int) -> None:
    said = forex(*arguments)
    assert said.code == code
    assert "forex run" in said.out + said.err
    assert _files(home) == []


def test_status_as_json_names_what_is_not_stored(forex: Forex) -> None:
    shown = json.loads(forex("status", "--json").out)
    assert shown["pairs"] == []
    assert shown["not_stored"] == ["usdclp", "eurusd", "usdclp_close", "usdzar"]
    assert shown["problems"] == ["nothing is stored yet; run `forex run`"]


def test_backtest_rows_have_the_documented_columns(forex: Forex, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    said = forex(
        "backtest", "--start", "2020-01-02", "--end", "2024-12-30", "--every", "20", "--out", str(out), "--json"
    )
    assert said.code == 0, said.err
    shown = json.loads(said.out)
    rows = pd.read_parquet(out)
    assert shown["rows"] == len(rows)
    assert list(rows.columns[:5]) == ["pair", "horizon", "as_of", "target_date", "model"]
    assert {"mean", "actual", *QUANTILE_COLUMNS} <= set(rows.columns)
    assert pd.api.types.is_integer_dtype(rows["horizon"])
    assert sorted(rows["horizon"].unique()) == [7, 15, 30, 90]
    assert rows["as_of"].between(pd.Timestamp("2020-01-02"), pd.Timestamp("2024-12-30")).all()
    assert {(row["horizon"], row["model"]) for row in shown["scores"]} == set(
        zip(rows["horizon"], rows["model"], strict=True)
    )
    assert _files(home) == []


def test_a_data_folder_given_to_the_backtest_serves_it_and_leaves_the_home_alone(
    forex: Forex, home: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    text = gzip.decompress(EMBEDDED.read_bytes()).decode()
    last = text.splitlines()[-1]
    assert last.startswith("2025-06-13,930.25")
    (data / "usdclp_observado_daily.csv").write_text(text.replace(last, "2025-06-13,931.5"))
    out = tmp_path / "rows.parquet"
    said = forex("backtest", "--data-dir", str(data), "--start", "2025-01-02", "--horizon", "7d", "--out", str(out))
    assert said.code == 0, said.err
    rows = pd.read_parquet(out)
    assert rows.loc[rows["last_event_date"] == pd.Timestamp("2025-06-13"), "last_value"].unique().tolist() == [931.5]
    assert _files(home) == []
