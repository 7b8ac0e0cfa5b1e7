"""Pooled log-HAR: fits learned from the matured past of many pairs, and a model that only applies them."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.errors import DataError, SourceError, ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.contract import OriginRandom
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.models import loghar
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.panel import artefacts, build
from forex_assets.forecasting.panel.artefacts import PLAIN, TABLES, VIX, PanelFit, using
from forex_assets.forecasting.panel.features import (
    INDEX_FEATURES,
    NOMINAL_STEPS,
    OWN_FEATURES,
    Driver,
    Market,
    own_features,
)
from forex_assets.forecasting.panel.fit import PanelConfig, fit_panel
from forex_assets.forecasting.panel.index import index_drivers, panel_index
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets_tests.forecasting.conftest import history_of

Q = list(QUANTILE_COLUMNS)
CALENDAR = calendar_for("FX")
SMALL = PanelConfig(first_refit="2008-01-01", min_rows=300)
THROUGH = "2012-12-31"


def made_history(seed: int, n: int = 2100, pair: str = "usdaaa") -> PriceHistory:
    """Eight years of prices whose volatility persists."""
    rng = np.random.default_rng(seed)
    level = np.cumsum(rng.normal(0, 0.06, n))
    log_sigma = math.log(0.006) + 0.5 * (level - np.convolve(level, np.ones(400) / 400, mode="full")[:n])
    return history_of(
        100 * np.exp(np.cumsum(np.exp(log_sigma) * rng.standard_t(6, n) * 0.8)), CALENDAR, "2005-01-03", pair
    )


PANEL = {f"usd{name}": made_history(seed, pair=f"usd{name}") for seed, name in enumerate(("aaa", "bbb", "ccc", "ddd"))}
LAST = str(PANEL["usdaaa"].event_date[-1])


def made_vix(changed_after: np.datetime64 | None = None) -> Driver:
    return Driver.of(vix_history(changed_after))


def vix_history(changed_after: np.datetime64 | None = None) -> DriverHistory:
    rng = np.random.default_rng(99)
    first = PANEL["usdaaa"]
    value = 18 * np.exp(0.3 * np.sin(np.arange(len(first)) / 90) + rng.normal(0, 0.05, len(first)))
    if changed_after is not None:
        value = np.where(first.event_date > changed_after, 60.0, value)
    return DriverHistory("vix", CALENDAR, first.event_date, first.available_at, value)


@pytest.fixture(scope="module")
def fit() -> PanelFit:
    return fit_panel(PANEL, made_vix(), through=THROUGH, config=SMALL)


@pytest.fixture(scope="module")
def drivers() -> dict[str, DriverHistory]:
    return {"vix": vix_history(), **panel_index(PANEL)}


def altered(history: PriceHistory, t: np.datetime64, seed: int) -> PriceHistory:
    """The same history with other values after the end of t."""
    rng = np.random.default_rng(seed)
    after = history.available_at > as_of_instants(np.array([t]))[0]
    value = np.where(after, history.value * np.exp(rng.normal(0, 0.2, len(history))), history.value)
    return PriceHistory(history.pair, history.calendar, history.event_date, history.available_at, value)


@pytest.mark.capability("J10")
@pytest.mark.parametrize("t", ["2009-12-31", "2011-06-30", "2012-03-14"])
def test_no_pooled_fit_depends_on_what_becomes_known_on_or_after_it_is_valid(fit: PanelFit, t: str) -> None:
    """The leakage canary: other prices and another VIX after t leave every row valid by t + 1 exactly as it is."""
    day = np.datetime64(t)
    panel = {name: altered(history, day, seed) for seed, (name, history) in enumerate(PANEL.items())}
    other = fit_panel(panel, made_vix(day), through=THROUGH, config=SMALL)
    for name, frame in fit.frames.items():
        again = other.frames[name]
        valid = pd.Timestamp(t) + pd.Timedelta(days=1)
        rows = frame[frame["valid_from"] <= valid].reset_index(drop=True)
        assert len(rows)
        pd.testing.assert_frame_equal(
            rows, again[again["valid_from"] <= valid].reset_index(drop=True), check_exact=True
        )
        later = frame[frame["valid_from"] > valid + pd.Timedelta(days=370)]
        if len(later):
            assert not later.equals(again.loc[later.index.intersection(again.index)])


@pytest.mark.capability("J10")
def test_the_canary_of_the_fits_has_teeth(fit: PanelFit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that takes outcomes before they mature is caught."""
    from forex_assets.forecasting.panel import fit as module

    day = np.datetime64("2011-06-30")
    honest = module._known_on

    def hasty(series: object) -> object:
        return honest(series) - np.timedelta64(30, "D")  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_known_on", hasty)
    both = [
        fit_panel(panel, through=THROUGH, config=SMALL).frames["panel_shapes"]
        for panel in (PANEL, {name: altered(history, day, 1) for name, history in PANEL.items()})
    ]
    rows = [frame[frame["valid_from"] <= "2011-07-01"].reset_index(drop=True) for frame in both]
    assert not rows[0].equals(rows[1])


def test_a_fit_made_earlier_holds_the_same_rows_as_one_made_later(fit: PanelFit) -> None:
    early = fit_panel(PANEL, made_vix(), through="2011-03-31", config=SMALL)
    for name, frame in early.frames.items():
        rows = fit.frames[name]
        pd.testing.assert_frame_equal(
            rows[rows["valid_from"] <= "2011-03-31"].reset_index(drop=True), frame.reset_index(drop=True)
        )


def test_a_pair_that_joins_the_panel_later_changes_nothing_before(fit: PanelFit) -> None:
    joins = np.datetime64("2010-09-01")
    new = made_history(31, pair="usdeee")
    rows = new.event_date >= joins
    young = PriceHistory("usdeee", CALENDAR, new.event_date[rows], new.available_at[rows], new.value[rows])
    wider = fit_panel({**PANEL, "usdeee": young}, made_vix(), through=THROUGH, config=SMALL)
    known = "2011-08-01"  # a year of values and one tenor later
    for name, frame in fit.frames.items():
        both = [each[each["valid_from"] <= known].reset_index(drop=True) for each in (frame, wider.frames[name])]
        pd.testing.assert_frame_equal(*both, rtol=1e-9)  # one more column turns the last digits
        assert not frame.equals(wider.frames[name])


def test_a_value_withdrawn_later_teaches_until_then_and_no_longer() -> None:
    clean = PANEL["usdaaa"]
    wrong = np.searchsorted(clean.event_date, np.datetime64("2010-03-10"))
    value = clean.value.copy()
    value[wrong] *= 1.5
    withdrawn = np.full(len(clean), np.datetime64("NaT", "us"))
    withdrawn[wrong] = np.datetime64("2011-05-10T12:00", "us")
    kept = np.arange(len(clean)) != wrong
    late = PriceHistory("usdaaa", CALENDAR, clean.event_date, clean.available_at, value, withdrawn)
    never = PriceHistory("usdaaa", CALENDAR, clean.event_date[kept], clean.available_at[kept], clean.value[kept])
    others = {name: history for name, history in PANEL.items() if name != "usdaaa"}
    shapes = [
        fit_panel({"usdaaa": history, **others}, through="2011-12-31", config=SMALL).frames["panel_shapes"]
        for history in (late, never)
    ]
    before = [frame[frame["valid_from"].between("2010-07-01", "2011-05-01")] for frame in shapes]
    after = [frame[frame["valid_from"] >= "2011-06-01"].reset_index(drop=True) for frame in shapes]
    assert not before[0][Q].reset_index(drop=True).equals(before[1][Q].reset_index(drop=True))
    pd.testing.assert_frame_equal(*after, check_exact=True)


def test_tables_are_declared_point_in_time_and_written_and_read_alike(fit: PanelFit, tmp_path: Path) -> None:
    for table in TABLES:
        frame = fit.frames[table.name]
        assert list(frame.columns) == list(table.column_names)
        assert (frame["learned_through"] < frame["valid_from"]).all()
        assert set(frame["variant"]) == {PLAIN, VIX}
        assert set(frame["steps"]) == set(NOMINAL_STEPS)
    january = fit.frames["panel_coefficients"]["valid_from"].dt.strftime("%m-%d").unique()
    assert list(january) == ["01-01"]
    months = fit.frames["panel_shapes"]["valid_from"].unique()
    assert len(months) > 40
    fit.save(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = PanelFit.load(tmp_path)
    again.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    for name, frame in fit.frames.items():
        pd.testing.assert_frame_equal(frame, again.frames[name], rtol=1e-5)


def test_the_same_prices_give_the_same_fits(fit: PanelFit) -> None:
    fresh = {
        name: PriceHistory(name, CALENDAR, h.event_date, h.available_at, h.value) for name, h in reversed(PANEL.items())
    }
    again = fit_panel(dict(reversed(fresh.items())), made_vix(), through=THROUGH, config=SMALL)
    for name, frame in fit.frames.items():
        pd.testing.assert_frame_equal(frame, again.frames[name], check_exact=True)


def test_a_planted_law_is_learned_and_shrinkage_shrinks() -> None:
    from forex_assets.forecasting.panel.fit import _ridge_by_cut

    rng = np.random.default_rng(5)
    x, pair = rng.normal(size=(20_000, 3)), rng.integers(0, 4, 20_000)
    own = np.array([0.3, -0.3, 0.0, 0.0])
    y = 0.5 + x @ [0.4, -0.2, 0.0] + own[pair] + rng.normal(0, 0.5, 20_000)
    cuts = np.array([100, 20_000])
    found = _ridge_by_cut(x, pair, 4, y, cuts, PanelConfig(ridge=1e-6, pair_ridge=1e-6, min_rows=1000))
    assert found[0] is None
    intercept, beta, level = found[1] or (0.0, np.zeros(0), np.zeros(0))
    np.testing.assert_allclose(beta, [0.4, -0.2, 0.0], atol=0.02)
    np.testing.assert_allclose(intercept + level, 0.5 + own, atol=0.03)
    heavy = _ridge_by_cut(x, pair, 4, y, cuts, PanelConfig(ridge=1.0, pair_ridge=1.0, min_rows=1000))[1]
    assert heavy is not None
    assert abs(heavy[1][0]) < 0.25
    assert np.abs(heavy[2]).max() < 0.1


def test_a_year_of_crisis_is_one_year_among_many() -> None:
    from forex_assets.forecasting.panel.fit import _year_block_shapes

    rng = np.random.default_rng(1)
    day = np.arange("2001-01-01", "2011-01-01", dtype="datetime64[D]")
    year = day.astype("datetime64[Y]").astype(int) + 1970
    error = rng.normal(0, 1, len(day)) * np.where(year == 2008, 3.0, 1.0)
    months = np.array(["2010-12-01", "2011-02-01"], dtype="datetime64[D]")
    config = PanelConfig(full_year_rows=300)
    month, _, used, weights, shape = list(
        _year_block_shapes(error, np.zeros(len(day), dtype=int), day, day + np.timedelta64(7, "D"), months, config)
    )[-1]
    assert month == months[1]
    assert used == len(day)
    assert weights == pytest.approx(10.0)
    by_year = [np.quantile(error[year == y], QUANTILE_LEVELS) for y in range(2001, 2011)]
    expected = np.mean(by_year, axis=0)
    np.testing.assert_allclose(shape, expected - expected[6], rtol=1e-12)


def test_features_follow_from_the_past_and_the_vix_from_earlier_dates() -> None:
    history = PANEL["usdbbb"]
    t = history.event_date[1200]
    other = altered(history, t, 3)
    ends = np.arange(300, 1202)
    made = []
    for each in (history, other):
        series = each.groups(each.available_at[-1:])[0].series
        made.append(own_features(series, ends, np.full(len(ends), 4e-5)))
    assert (made[0] == made[1]).all()
    assert made[0].shape == (len(ends), len(OWN_FEATURES))
    assert np.isfinite(made[0]).all()
    market = Market.of({"vix": vix_history(), **panel_index(PANEL)})
    assert market is not None
    vix = market.vix
    days = vix.event_date[400:410]
    at = market.features(days)
    np.testing.assert_allclose(at[:, 0], np.log(vix.value[399:409]))  # never the value dated the same day
    np.testing.assert_allclose(at[:, 1], np.log(vix.value[399:409] / vix.value[394:404]))
    np.testing.assert_allclose(at[0, 2], np.log(vix.value[378:400]).mean())
    gap = vix.event_date[-1] + np.array([5, 30])
    assert np.isfinite(market.features(gap)).all(axis=1).tolist() == [True, False]
    assert Market.of({"vix": vix_history()}) is None


def test_the_panel_index_is_the_mean_of_what_pairs_show_and_remembers_revisions() -> None:
    known = [(history.groups(history.available_at[-1:])[0].series, len(history)) for history in PANEL.values()]
    five = index_drivers(known)[0]
    histories = panel_index(PANEL)
    assert set(histories) == set(INDEX_FEATURES)
    np.testing.assert_array_equal(Driver.of(histories[INDEX_FEATURES[0]]).value, five.value)
    day = five.event_date[500]
    changed = {name: altered(history, day, seed) for seed, (name, history) in enumerate(PANEL.items())}
    later = Driver.of(panel_index(changed)[INDEX_FEATURES[0]])
    np.testing.assert_array_equal(later.newest(five.event_date[:501]), five.newest(five.event_date[:501]))
    assert not np.allclose(later.value[501:520], five.value[501:520])
    clean = PANEL["usdaaa"]
    wrong = int(np.searchsorted(clean.event_date, np.datetime64("2010-03-10")))
    value = clean.value.copy()
    value[wrong] *= 1.5
    withdrawn = np.full(len(clean), np.datetime64("NaT", "us"))
    withdrawn[wrong] = np.datetime64("2011-05-10T12:00", "us")
    dirty = PriceHistory("usdaaa", CALENDAR, clean.event_date, clean.available_at, value, withdrawn)
    index = panel_index({**PANEL, "usdaaa": dirty})[INDEX_FEATURES[0]]
    before, after = (
        index.known_at(as_of_instants(np.array([day], dtype="datetime64[D]"))[0])
        for day in ("2011-05-09", "2011-05-10")
    )
    at = [int(np.searchsorted(dates, np.datetime64("2010-03-11"))) for dates, _ in (before, after)]
    assert before[1][at[0]] > after[1][at[1]] + 0.1


@pytest.mark.parametrize("horizon", [7, 15, 30, 90])
def test_the_model_applies_what_was_valid_and_one_origin_equals_many(
    fit: PanelFit, drivers: dict[str, DriverHistory], horizon: int
) -> None:
    history = PANEL["usdccc"].with_drivers(drivers)
    params = resolve_parameters(get_model("loghar"), {})
    rng = OriginRandom("usdccc", horizon, "loghar")
    days = history.calendar.sessions("2009-01-05", "2012-11-30")[::7]
    with using(fit):
        many = make_origins(history, days, horizon)
        whole = get_model("loghar").predict(history, many, many.steps[:, None], params, rng)
        assert (np.diff(whole.quantiles, axis=-1) > 0).all()
        for position in (0, 60, len(many) - 1):
            fresh = PriceHistory(
                "usdccc", CALENDAR, history.event_date, history.available_at, history.value, drivers=drivers
            )
            one = make_origins(fresh, many.as_of[position : position + 1], horizon)
            steps = np.array([[63, many.steps[position], 1]])
            alone = get_model("loghar").predict(fresh, one, steps, params, rng)
            assert (alone.quantiles[0, 1] == whole.quantiles[position, 0]).all()
        path = make_forecast(history, days[-3:], horizon, ["loghar"], "loghar")
        last = path[path["is_target"]][Q].to_numpy()
    assert (last == whole.quantiles[-3:, 0]).all()


def test_a_later_fit_changes_no_earlier_forecast(fit: PanelFit) -> None:
    early = fit_panel(PANEL, made_vix(), through="2011-03-31", config=SMALL)
    frames = []
    for each in (early, fit):
        with using(each):
            frames.append(
                run_backtest(
                    PANEL["usdddd"],
                    horizon_days=30,
                    models=["loghar"],
                    start="2009-01-05",
                    end="2011-03-31",
                    as_of=LAST,
                )
            )
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_without_vix_the_fit_without_it_serves_and_says_so(fit: PanelFit, drivers: dict[str, DriverHistory]) -> None:
    days = np.array(["2007-06-01", "2012-06-01"], dtype="datetime64[D]")
    market = Market.of(drivers)
    assert loghar.variants(fit, market, days) == [VIX, VIX]
    assert loghar.variants(fit, None, days) == [PLAIN, PLAIN]
    vix = drivers["vix"]
    old = {
        **drivers,
        "vix": DriverHistory("vix", CALENDAR, *(x[:700] for x in (vix.event_date, vix.available_at, vix.value))),
    }
    assert loghar.variants(fit, Market.of(old), days) == [VIX, PLAIN]
    plain = PanelFit(*(frame[frame["variant"] == PLAIN].reset_index(drop=True) for frame in fit.frames.values()))
    assert loghar.variants(plain, market, days) == [PLAIN, PLAIN]
    history = PANEL["usdaaa"]
    rows = []
    for each, beside, parameters in (
        (fit, drivers, {"vix": "never"}),
        (fit, {}, {}),
        (fit, old, {}),
        (plain, drivers, {}),
        (fit, drivers, {}),
    ):
        with using(each):
            rows.append(
                run_backtest(
                    history.with_drivers(beside),
                    horizon_days=15,
                    models=[ModelChoice("loghar", parameters)],
                    start="2012-01-05",
                    as_of=LAST,
                )
            )
    for other in rows[1:4]:
        pd.testing.assert_frame_equal(rows[0], other, check_exact=True)
    assert not rows[0].equals(rows[4])


def test_before_the_first_fit_it_is_gjr_with_student_t(fit: PanelFit) -> None:
    history = PANEL["usdaaa"]
    with using(fit):
        rows = run_backtest(
            history, horizon_days=7, models=["loghar", "gjr_t"], start="2006-06-01", end="2006-12-29", as_of=LAST
        )
    width = np.log(rows["q975"] / rows["q025"])
    ratio = width[rows["model"] == "loghar"].to_numpy() / width[rows["model"] == "gjr_t"].to_numpy()
    assert np.median(ratio) == pytest.approx(1.0, abs=0.15)


def test_a_pair_that_is_not_usd_first_gets_the_symmetric_shape(fit: PanelFit) -> None:
    history = PANEL["usdaaa"]
    other = PriceHistory("eurusd", CALENDAR, history.event_date, history.available_at, history.value)
    with using(fit):
        rows = run_backtest(other, horizon_days=30, models=["loghar"], start="2012-01-05", as_of=LAST)
    move = np.log(rows[Q].div(rows["last_value"], axis=0)).to_numpy()
    np.testing.assert_allclose(move, -move[:, ::-1], atol=1e-12)


def test_the_shipped_fits_are_those_the_shipped_prices_give() -> None:
    shipped = artefacts.embedded()
    assert shipped.variants == (PLAIN, VIX)
    assert "usdclp" in shipped.pairs
    assert len(shipped.pairs) >= 21
    through = dt.date(2006, 3, 31)
    try:
        early = fit_panel(build.panel_histories(through), through=through)
    except SourceError as error:
        pytest.skip(f"no ECB history: {error}")
    for name, frame in early.frames.items():
        rows = shipped.frames[name]
        rows = rows[(rows["valid_from"] <= "2006-03-31") & (rows["variant"] == PLAIN)].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, frame.reset_index(drop=True), rtol=2e-5, atol=2e-6)


def test_what_cannot_be_learned_or_read_is_refused_with_the_reason(fit: PanelFit, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one price history"):
        fit_panel({}, through=THROUGH)
    short = {"usdaaa": made_history(1, 300)}
    with pytest.raises(DataError, match="No pooled fit can be made"):
        fit_panel(short, through=THROUGH, config=SMALL)
    with pytest.raises(DataError, match="cannot be read"):
        PanelFit.load(tmp_path)
    (tmp_path / "panel_coefficients.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match="cannot be read"):
        PanelFit.load(tmp_path)
    frames = [frame.copy() for frame in fit.frames.values()]
    frames[1].loc[0, "learned_through"] = frames[1].loc[0, "valid_from"]
    with pytest.raises(DataError, match="only earlier days"):
        PanelFit(*frames)
    with pytest.raises(DataError, match="wrong columns"):
        PanelFit(frames[0].drop(columns="n"), frames[1], frames[2])
    with pytest.raises(ValidationError, match="'sometimes'; allowed"):
        resolve_parameters(get_model("loghar"), {"vix": "sometimes"})
