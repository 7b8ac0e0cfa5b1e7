"""Planted errors are found, clean rows and true shocks stand: what bench_corruption measures, on fewer draws."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets.market.contract import FetchRequest
from forex_assets.market.quality import apply_quality
from forex_assets.market.sources.ecb import EcbSource
from forex_assets.market.sources.embedded import EmbeddedSource
from forex_assets.market.sources.folder import FolderSource
from forex_assets.settings import SeriesSpec, Settings
from forex_assets.simulation.corruption import BEFORE, KINDS, moved_dates, robust_sigma
from forex_assets.simulation.corruption_suite import (
    Subject,
    alarms_on_clean,
    clean_losses,
    observed,
    recall_by_kind,
    recall_of_shifts,
    subject,
    summary_of,
    wilson,
)
from forex_assets_tests.market.observed import NOW

pytestmark = pytest.mark.capability("J13", "E03")
GROSS = 0.98
SHIFTS = 0.8


def rows_of(source: EmbeddedSource | EcbSource | FolderSource, spec: SeriesSpec) -> pd.DataFrame:
    return observed(spec, source.fetch(FetchRequest(spec, dt.date(1999, 2, 1), dt.date(2025, 6, 13))).frame, NOW)


@pytest.fixture(scope="module")
def shipped(configured: Settings) -> dict[str, Subject]:
    """Series everyone has: embedded ones, and crosses of the ECB's rates."""
    limits, ecb = configured.platform.quality, configured.series["eurusd_ecb"]
    out = {}
    for name in ("usdclp_fixing", "brent", "wti", "copper_lme"):
        spec = configured.series[name]
        out[name] = subject(spec, rows_of(EmbeddedSource(NOW), spec), limits, NOW)
    for name, (base, quote) in {"eurusd": ("EUR", "USD"), "usdsek": ("USD", "SEK"), "audusd": ("AUD", "USD")}.items():
        address = {"ecb": {"base": base, "quote": quote}}
        spec = ecb.model_copy(update={"id": name, "range": (0.1, 30.0), "addresses": address})
        out[name] = subject(spec, rows_of(EcbSource(NOW), spec), limits, NOW)
    return out


def test_every_kind_of_error_is_found_in_the_series_shipped(shipped: dict[str, Subject], configured: Settings) -> None:
    judged = [item for item in shipped.values() if item.spec.quality.outliers]
    table = recall_by_kind(judged, configured.platform.quality, draws=18, seed=11, now=NOW).set_index("kind")
    assert len(table) >= 12
    assert summary_of(table.reset_index())["gross_recall"] >= GROSS
    assert table["recall"].min() >= 0.85
    assert table["collateral"].sum() <= 0.002 * table["plants"].sum() * 300


def test_dates_moved_by_a_session_are_found_within_60_days(shipped: dict[str, Subject], configured: Settings) -> None:
    targets = [
        (shipped[a], shipped[b], [item for name, item in shipped.items() if name != a])
        for a, b in (("eurusd", "usdsek"), ("usdsek", "eurusd"), ("brent", "wti"))
    ]
    table = recall_of_shifts(targets, configured.platform.feeds, draws=14, seed=3)
    assert table["found"].sum() / table["plants"].sum() >= SHIFTS
    assert table["untold"].sum() == 0
    assert table["alarms"].iloc[:2].sum() == 0


def test_clean_years_of_the_series_shipped_accuse_hardly_anybody(
    shipped: dict[str, Subject], configured: Settings
) -> None:
    table = alarms_on_clean(
        list(shipped.values()), configured.platform.feeds, "2018-01-01", "2021-12-31", without=["copper_lme"]
    )
    judged = table[table["state"] != "unknown"]
    assert len(judged) >= 70
    assert "copper_lme" not in set(table["series"])
    assert (judged["state"] == "found").sum() <= 2


@pytest.fixture(scope="module")
def as_came(market_data_dir: Path, configured: Settings) -> dict[str, pd.DataFrame]:
    """Daily series of the data folder, nothing left out."""
    folder = FolderSource(market_data_dir, NOW)
    return {
        name: rows_of(folder, spec)
        for name, spec in configured.series.items()
        if "folder" in spec.addresses and spec.frequency == "daily"
    }


@pytest.fixture(scope="module")
def real(as_came: dict[str, pd.DataFrame], configured: Settings) -> dict[str, Subject]:
    """The same series to plant in, the market close with its reference among them."""
    out, limits = {}, configured.platform.quality
    for name, frame in as_came.items():
        spec = configured.series[name]
        reference = spec.reference.series if spec.reference is not None else None
        held = (configured.series[reference], as_came[reference]) if reference is not None else None
        out[name] = subject(spec, frame, limits, NOW, held)
    return out


def test_every_kind_of_error_is_found_in_real_series(real: dict[str, Subject], configured: Settings) -> None:
    judged = [item for item in real.values() if item.spec.quality.jump]
    table = recall_by_kind(judged, configured.platform.quality, draws=16, seed=5, now=NOW).set_index("kind")
    assert set(table.index) == set(KINDS)
    assert summary_of(table.reset_index())["gross_recall"] >= GROSS
    assert table["recall"].min() >= 0.85


def test_a_feed_that_starts_to_run_late_is_found_in_real_pairs(real: dict[str, Subject], configured: Settings) -> None:
    names = (("usdclp_close", "usdclp_fixing"), ("copper_comex", "copper_lme"), ("sp500", "vix"), ("dxy", "vix"))
    targets = [(real[a], real[b], [item for name, item in real.items() if name != a]) for a, b in names]
    table = recall_of_shifts(targets, configured.platform.feeds, draws=8, seed=5)
    assert table["found"].sum() / table["plants"].sum() >= SHIFTS
    assert table["alarms"].sum() <= 1


def test_clean_rows_and_the_true_shocks_stand(as_came: dict[str, pd.DataFrame], configured: Settings) -> None:
    rows = pd.concat(as_came.values(), ignore_index=True)
    specs = {name: configured.series[name] for name in as_came}
    judged = apply_quality(rows, specs, configured.platform.quality, now=NOW)
    clean = clean_losses(judged, "2010-01-01", "2025-12-31")
    assert clean["rows"].sum() > 40_000
    assert clean["share"].max() <= 0.002
    for first, last in (("2019-11-01", "2019-11-30"), ("2020-03-01", "2020-03-31"), ("2022-07-01", "2022-07-31")):
        lost = clean_losses(judged, first, last)
        assert lost["rows"].min() >= 18
        assert lost["withdrawn"].sum() == 0


def test_a_plant_leaves_the_rows_it_was_given_as_they_are(shipped: dict[str, Subject]) -> None:
    window = shipped["eurusd"].rows.iloc[1000 : 1000 + BEFORE + 45].reset_index(drop=True)
    sigma = robust_sigma(window["value"].to_numpy(), BEFORE)
    for number, kind in enumerate(KINDS.values()):
        before = window.copy()
        planted = kind.plant(window, BEFORE, sigma, np.random.default_rng(number))
        pd.testing.assert_frame_equal(window, before)
        assert len(planted.wrong) >= 1
        columns = ["event_time", "value", "high"]
        same = len(planted.rows) == len(window) and planted.rows[columns].equals(window[columns])
        assert not same, kind.name


def test_moved_dates_keep_every_value_but_one(shipped: dict[str, Subject]) -> None:
    rows = shipped["eurusd"].rows.iloc[:50]
    values = rows["value"].to_numpy()
    late, early = (moved_dates(rows, 20, move)["value"].to_numpy() for move in (1, -1))
    np.testing.assert_array_equal(late[20:], values[19:-1])
    np.testing.assert_array_equal(early[20:-1], values[21:])
    np.testing.assert_array_equal(late[:20], values[:20])


def test_the_interval_of_a_share_holds_it_and_stays_a_share() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    for found, n in ((0, 10), (10, 10), (196, 200)):
        low, high = wilson(found, n)
        assert 0 <= low < high <= 1
        assert low - 1e-12 <= found / n <= high + 1e-12
