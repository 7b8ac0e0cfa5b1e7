"""The ensemble: learned weights, a sticky gate, members that fail, one origin like a thousand, nothing from later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.arrays import Ints
from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting import registry
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.contract import Capabilities, OriginRandom, QuantilePaths
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.ensemble import artefacts
from forex_assets.forecasting.ensemble.artefacts import CORRECTIONS, WEIGHTS, EnsembleFit, using
from forex_assets.forecasting.ensemble.conditions import conditions_at, scheduled_events
from forex_assets.forecasting.ensemble.learn import EnsembleConfig, learn_ensemble
from forex_assets.forecasting.ensemble.members import MEMBERS, WATCHED, prior_shares
from forex_assets.forecasting.ensemble.weights import WeightConfig, admitted, best_mean, crps, shrunk
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.models.ensemble import Ensemble
from forex_assets.forecasting.models.random_walk import RandomWalk
from forex_assets.forecasting.origins import Origins, make_origins
from forex_assets.forecasting.prediction import Predictor
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets_tests.forecasting.test_loghar import CALENDAR, LAST, PANEL, altered

Q = list(QUANTILE_COLUMNS)
CHEAP = EnsembleConfig(
    members=("rw_blend", "rw_empirical", "rw_ewma"),
    watched=("rw_drift",),
    start="2006-01-02",
    first_month="2007-06-01",
    every=10,
    min_rows=60,
)
THROUGH = "2012-12-31"


@pytest.fixture(scope="module")
def fit() -> EnsembleFit:
    return learn_ensemble(PANEL, through=THROUGH, config=CHEAP, events={"usda_meeting": MEETINGS})


MEETINGS = np.arange("2006-01-10", "2013-01-01", 45, dtype="datetime64[D]")
CHOICE = ModelChoice("ensemble", {"members": ",".join(CHEAP.members)}, "ensemble")


def rows_of(history: PriceHistory, fit: EnsembleFit, horizon: int = 15, **options: Any) -> pd.DataFrame:
    with using(fit):
        return run_backtest(
            history,
            horizon_days=horizon,
            models=["random_walk", *CHEAP.members, options.pop("choice", CHOICE)],
            start="2011-01-03",
            as_of=options.pop("as_of", LAST),
            **options,
        )


# ---- learning ------------------------------------------------------------------------------------------------------


@pytest.mark.capability("J10")
@pytest.mark.parametrize("t", ["2009-12-31", "2011-06-30"])
def test_no_weight_gate_or_correction_depends_on_what_becomes_known_after_it_is_valid(fit: EnsembleFit, t: str) -> None:
    day = np.datetime64(t)
    panel = {name: altered(history, day, seed) for seed, (name, history) in enumerate(PANEL.items())}
    other = learn_ensemble(panel, through=THROUGH, config=CHEAP, events={"usda_meeting": MEETINGS})
    valid = pd.Timestamp(t) + pd.Timedelta(days=1)
    for name, frame in fit.frames.items():
        again = other.frames[name]
        rows = frame[frame["valid_from"] <= valid].reset_index(drop=True)
        assert len(rows)
        pd.testing.assert_frame_equal(
            rows, again[again["valid_from"] <= valid].reset_index(drop=True), check_exact=True
        )
        assert not frame.equals(again)


def test_tables_are_declared_weights_are_shares_and_reading_gives_what_was_written(
    fit: EnsembleFit, tmp_path: Any
) -> None:
    weights, corrections = fit.frames[WEIGHTS.name], fit.frames[CORRECTIONS.name]
    assert (weights["learned_through"] < weights["valid_from"]).all()
    assert set(weights["member"]) == {*CHEAP.members, *CHEAP.watched}
    assert (weights.loc[weights["member"] == "rw_drift", "weight"] == 0).all()
    assert set(corrections["condition"]) >= {"all", "regime_calm", "regime_stressed", "usda_meeting"}
    total = weights.groupby(["valid_from", "steps"])["weight"].sum()
    np.testing.assert_allclose(total, 1.0, atol=1e-9)
    fit.save(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    EnsembleFit.load(tmp_path).save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    with pytest.raises(DataError, match="cannot be read"):
        EnsembleFit.load(tmp_path / "nowhere")


def test_the_best_mean_finds_who_is_right_and_shrinkage_pulls_to_equal() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    z = np.array([-1.96, -1.645, -1.282, -0.842, -0.524, -0.253, 0, 0.253, 0.524, 0.842, 1.282, 1.645, 1.96])
    outcome = rng.normal(size=n)
    right, wide, off = (np.tile(scale * z + shift, (n, 1)) for scale, shift in ((1.0, 0.0), (2.5, 0.0), (1.0, 1.5)))
    config = WeightConfig(rounds=200)
    equal = np.full(3, 1 / 3)
    weights = best_mean(np.stack([wide, right, off], axis=1), outcome, equal, config)
    assert weights.sum() == pytest.approx(1.0)
    assert weights.argmax() == 1
    assert weights[1] > 0.8
    assert crps(outcome, right).mean() < crps(outcome, wide).mean()
    narrow = np.tile(0.5 * z, (n, 1))
    both = best_mean(np.stack([narrow, np.tile(1.5 * z, (n, 1))], axis=1), outcome, np.full(2, 0.5), config)
    np.testing.assert_allclose(both, [0.5, 0.5], atol=0.06)  # neither is right, their mean is
    assert np.abs(shrunk(weights, 0.0, equal, config) - 1 / 3).max() == 0.0
    assert np.abs(shrunk(weights, 1e9, equal, config) - weights).max() < 1e-5
    np.testing.assert_allclose(prior_shares(["champion_zero", "gjr_t", "loghar"]), [0.25, 0.25, 0.5])
    np.testing.assert_allclose(prior_shares(["champion_zero", "gjr_t"]), [0.5, 0.5])
    np.testing.assert_allclose(admitted(np.array([0.2, 0.3, 0.5]), np.array([True, False, True])), [2 / 7, 0, 5 / 7])
    assert admitted(np.array([0.2, 0.8]), np.array([False, False])).sum() == 0.0


class Sinking(RandomWalk):
    """A model whose centre is far off: no better than nothing."""

    name = "sinking"
    capabilities = Capabilities(family="parametric", min_history=61)

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        paths = super().predict(history, origins, steps, {"interval": "gaussian"}, rng)
        return QuantilePaths(paths.mean * 1.08, paths.quantiles * 1.08)


class Breaking(RandomWalk):
    """A model that refuses every origin after a day, and one before."""

    name = "breaking"
    capabilities = Capabilities(family="parametric", min_history=61, centre="last")
    error: type[Exception] = ValueError
    bad_day = np.datetime64("2012-03-01")

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        bad = (origins.as_of >= self.bad_day) | (origins.as_of == np.datetime64("2011-05-04"))
        if bad.any():
            raise self.error(f"no thanks for {origins.as_of[bad][0]}")
        return super().predict(history, origins, steps, {"interval": "gaussian"}, rng)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of another package, found by entry point."""
    here = f"{__name__}:"
    registry.get_model.cache_clear()
    monkeypatch.setattr(registry, "_plugins", lambda: {"sinking": f"{here}Sinking", "breaking": f"{here}Breaking"})
    yield
    registry.get_model.cache_clear()


@pytest.mark.usefixtures("plugins")
def test_a_member_that_is_worse_beyond_noise_is_shut_out_and_the_others_take_its_share() -> None:
    config = EnsembleConfig(**{**CHEAP.__dict__, "members": ("rw_blend", "sinking")})
    learned = learn_ensemble({"usdaaa": PANEL["usdaaa"]}, through=THROUGH, config=config)
    frame = learned.frames[WEIGHTS.name]
    late = frame[(frame["valid_from"] == frame["valid_from"].max()) & (frame["steps"] == 5)].set_index("member")
    assert late.loc["sinking", "gate"] == "shut"
    assert late.loc["sinking", "theils_u"] > 1.5
    assert late.loc["sinking", "weight"] == 0.0
    assert late.loc["rw_blend", "weight"] == 1.0
    with using(learned):
        path = make_forecast(
            PANEL["usdaaa"],
            "2012-11-30",
            7,
            [ModelChoice("ensemble", {"members": "rw_blend,sinking"}, "ensemble")],
            "ensemble",
        )
    assert json.loads(path["carried_by"].iloc[-1]) == {"rw_blend": 1.0}
    assert "Theil's U" in json.loads(path["left_out"].iloc[-1])["sinking"]
    assert not path["degraded"].any()  # a shut gate is a verdict, not a failure


@pytest.mark.usefixtures("plugins")
def test_where_every_gate_is_shut_the_members_serve_and_the_table_says_so() -> None:
    config = EnsembleConfig(**{**CHEAP.__dict__, "members": ("sinking",), "watched": ()})
    frame = learn_ensemble({"usdaaa": PANEL["usdaaa"]}, through=THROUGH, config=config).frames[WEIGHTS.name]
    shut = frame[frame["gate"] == "shut"]
    assert len(shut)
    assert (shut["weight"] == 1.0).all()
    assert shut["reason"].str.contains("serves since every gate is shut").all()


@pytest.mark.usefixtures("plugins")
def test_a_member_that_cannot_run_on_the_panel_teaches_nothing_and_says_why() -> None:
    config = EnsembleConfig(**{**CHEAP.__dict__, "members": ("rw_blend", "breaking"), "watched": ()})
    frame = learn_ensemble({"usdaaa": PANEL["usdaaa"]}, through=THROUGH, config=config).frames[WEIGHTS.name]
    broken = frame[frame["member"] == "breaking"]
    assert (broken["gate"] == "shut").all()
    assert (broken["weight"] == 0.0).all()
    assert broken["reason"].str.contains("failed on usdaaa: ValueError: no thanks").all()


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(DataError, match="at least one price history"):
        learn_ensemble({}, through=THROUGH)
    with pytest.raises(DataError, match="No weights can be learned"):
        learn_ensemble({"usdaaa": PANEL["usdaaa"]}, through="2006-06-30", config=CHEAP)
    frame = artefacts.embedded().frames[WEIGHTS.name].head(7).copy()
    empty = artefacts.embedded().frames[CORRECTIONS.name].head(0)
    frame["weight"] = frame["weight"] + 0.1
    with pytest.raises(DataError, match="shares of 1"):
        EnsembleFit(frame, empty)
    late = artefacts.embedded().frames[WEIGHTS.name].head(7).copy()
    late["learned_through"] = late["valid_from"]
    with pytest.raises(DataError, match="only earlier days"):
        EnsembleFit(late, empty)


# ---- applying ------------------------------------------------------------------------------------------------------


def test_the_mean_is_the_weighted_mean_of_its_members(fit: EnsembleFit) -> None:
    choice = ModelChoice("ensemble", {**CHOICE.parameters, "correction": "never"}, "ensemble")
    rows = rows_of(PANEL["usdbbb"], fit, every=20, choice=choice)
    wide = rows.set_index(["as_of", "model"])
    days = rows["as_of"].drop_duplicates().to_numpy().astype("datetime64[D]")
    weights = fit.weights("plain", 11, CHEAP.members, days)
    steps = rows.drop_duplicates("as_of")["steps"].to_numpy()
    exact = steps == 11
    assert exact.any()
    for day, share in zip(days[exact], weights[exact], strict=True):
        parts = np.stack([wide.loc[(pd.Timestamp(day), name), Q].to_numpy(float) for name in CHEAP.members])
        np.testing.assert_allclose(
            wide.loc[(pd.Timestamp(day), "ensemble"), Q].to_numpy(float), share @ parts, rtol=1e-12
        )


@given(
    picks=st.lists(st.integers(300, 2000), min_size=1, max_size=8, unique=True), horizon=st.sampled_from([7, 30, 90])
)
@settings(max_examples=12, deadline=None)
def test_batch_composition_changes_nothing(picks: list[int], horizon: int) -> None:
    history = PANEL["usdccc"]
    params = resolve_parameters(get_model("ensemble"), CHOICE.parameters)
    rng = OriginRandom("usdccc", horizon, "ensemble")
    origins = make_origins(history, history.event_date[sorted(picks)], horizon)
    steps = np.tile(np.array([1, 4, 40]), (len(origins), 1))
    whole = get_model("ensemble").predict(history, origins, steps, params, rng)
    for i in range(len(origins)):
        one = make_origins(history, origins.as_of[i : i + 1], horizon)
        alone = get_model("ensemble").predict(history, one, steps[:1], params, rng)
        assert (alone.quantiles[0] == whole.quantiles[i]).all()
        assert (alone.mean[0] == whole.mean[i]).all()


def test_the_path_ends_where_the_backtest_is_and_tells_who_carries_it() -> None:
    history = PANEL["usdaaa"]
    days = history.calendar.sessions("2012-01-02", "2012-03-30")[::13]
    for horizon in (7, 90):
        path = make_forecast(history, days, horizon, ["random_walk", "ensemble"], "ensemble")
        rows = run_backtest(
            history, horizon_days=horizon, models=["ensemble"], start=days[0], end=days[-1], every=13, as_of=LAST
        )
        target = path[path["is_target"] & (path["model"] == "ensemble")]
        assert (target[Q].to_numpy() == rows[Q].to_numpy()).all()
        shares = target["carried_by"].map(json.loads)
        assert all(set(item) == set(MEMBERS) for item in shares)
        np.testing.assert_allclose(shares.map(lambda item: sum(item.values())), 1.0, atol=1e-3)
        left_out = json.loads(target["left_out"].iloc[0])
        assert set(left_out) == {*WATCHED, "driver vix"}
        plain = path[path["model"] == "random_walk"]
        assert plain["carried_by"].isna().all()
        assert not path["degraded"].any()


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize("error", [ValueError, MemoryError, DataError, TimeoutError])
def test_a_failing_member_degrades_the_ensemble_visibly_and_only_where_it_fails(
    fit: EnsembleFit, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    made = (
        error
        if error is not DataError
        else type(
            "Refused", (DataError,), {"__init__": lambda self, text: DataError.__init__(self, text, remedy="none.")}
        )
    )
    monkeypatch.setattr(Breaking, "error", made)
    choice = ModelChoice("ensemble", {"members": "rw_blend,breaking", "weights": "equal"}, "ensemble")
    history = PANEL["usdaaa"]
    days = history.calendar.sessions("2011-04-27", "2012-03-08")
    path = make_forecast(history, days, 7, [choice, "rw_blend", "random_walk"], "ensemble")
    target = path[path["is_target"]].set_index(["as_of", "model"])
    mine = target.xs("ensemble", level="model")
    failed = (mine.index >= "2012-03-01") | (mine.index == "2011-05-04")
    if error is TimeoutError:  # a model out of time is not asked again, origin by origin
        assert mine["degraded"].all()
        return
    assert (mine["degraded"].to_numpy() == failed).all()
    blend = target.xs("rw_blend", level="model")
    assert (mine.loc[failed, Q].to_numpy() == blend.loc[failed, Q].to_numpy()).all()
    assert not (mine.loc[~failed, "q025"] == blend.loc[~failed, "q025"]).any()
    told = json.loads(mine.loc["2012-03-05", "left_out"])["breaking"]
    assert "no thanks for 2012-03-05" in told
    assert json.loads(mine.loc["2012-03-05", "carried_by"]) == {"rw_blend": 1.0}
    alone = make_forecast(history, "2011-06-01", 7, [choice], "ensemble")
    assert (alone[alone["is_target"]][Q].to_numpy() == mine.loc[["2011-06-01"], Q].to_numpy()).all()


@pytest.mark.usefixtures("plugins")
def test_where_every_member_fails_the_error_names_each() -> None:
    choice = ModelChoice("ensemble", {"members": "breaking"}, "ensemble")
    with pytest.raises(DataError, match=r"Every member .* failed .* 2012-06-01.*breaking: ValueError: no thanks"):
        make_forecast(PANEL["usdaaa"], "2012-06-01", 7, [choice], "ensemble")


def test_a_history_too_short_for_one_member_is_forecast_by_the_others() -> None:
    history = PANEL["usdaaa"]
    day = history.event_date[245]
    path = make_forecast(history, day, 7, ["ensemble"], "ensemble")
    assert path["degraded"].all()
    assert json.loads(path["carried_by"].iloc[0]) == {"champion_zero": 1.0}
    assert "246 values are known, 250 are needed" in json.loads(path["left_out"].iloc[0])["gjr_t"]


def test_carry_moves_the_centre_of_a_pair_with_two_policy_rates_and_is_lagged() -> None:
    history = PANEL["usdaaa"]
    pair = PriceHistory("usdclp", CALENDAR, history.event_date, history.available_at, history.value)
    day = history.event_date
    chile = DriverHistory(
        "tpm", CALENDAR, day, history.available_at, np.where(day < np.datetime64("2012-06-01"), 5.0, 11.0)
    )
    fed = DriverHistory("fed_funds", CALENDAR, day, history.available_at, np.full(len(day), 1.0))
    days = np.array(["2012-05-31", "2012-06-04"], dtype="datetime64[D]")
    plain = make_forecast(pair, days, 90, ["ensemble"], "ensemble")
    carried = make_forecast(
        pair.with_drivers({"tpm": chile, "fed_funds": fed}), days, 90, ["ensemble", "loghar"], "ensemble"
    )
    target = carried[carried["is_target"]]
    gap = (target["target_date"] - target["last_event_date"]).dt.days / 365.0
    for name in ("ensemble", "loghar"):
        rows = target["model"] == name
        moved = np.log(target.loc[rows, "mean"] / target.loc[rows, "last_value"]) / gap[rows]
        np.testing.assert_allclose(moved, [0.04, 0.10], rtol=1e-9)
    ours = plain[plain["is_target"]]
    assert (ours["mean"].to_numpy() == ours["last_value"].to_numpy()).all() or np.allclose(
        ours["mean"], ours["last_value"]
    )
    assert "driver carry" in json.loads(ours["left_out"].iloc[0])
    assert "driver carry" not in json.loads(target["left_out"].dropna().iloc[0])
    spot = make_forecast(
        pair.with_drivers({"tpm": chile, "fed_funds": fed}),
        days,
        90,
        [ModelChoice("ensemble", {"centre": "last"}, "e")],
        "e",
    )
    np.testing.assert_allclose(spot["mean"], spot["last_value"], rtol=1e-12)


def test_a_correction_is_applied_only_where_it_is_used_and_its_condition_holds() -> None:
    weights = artefacts.embedded().frames[WEIGHTS.name]
    base = artefacts.embedded().frames[CORRECTIONS.name]
    row = base[(base["variant"] == "plain") & (base["condition"] == "all") & (base["valid_from"] == "2012-01-01")]
    assert len(row) == 4
    wide = row.assign(factor_lower=1.5, factor_upper=2.0, used=True)
    meeting = row.assign(factor_lower=3.0, factor_upper=3.0, used=True, condition="usd_meeting")
    idle = row.assign(factor_lower=9.0, factor_upper=9.0, used=False, condition="regime_calm")
    made = EnsembleFit(
        weights, pd.concat([wide, meeting, idle]), {"usd_meeting": np.array(["2012-02-20"], dtype="M8[D]")}
    )
    days = np.array(["2011-12-15", "2012-01-16", "2012-02-16"], dtype="datetime64[D]")
    factors = []
    for each in (EnsembleFit(weights, base.head(0)), made):
        with using(each):
            path = make_forecast(PANEL["usdaaa"], days, 7, ["ensemble"], "ensemble")
        q = path[path["is_target"]]
        factors.append(np.log(q[["q025", "q975"]].div(q["q500"], axis=0)).to_numpy())
    np.testing.assert_allclose(factors[1] / factors[0], [[1, 1], [1.5, 2.0], [3.0, 3.0]], rtol=1e-9)


def test_scheduled_events_were_announced_before_and_hold_for_the_pairs_they_move() -> None:
    events = scheduled_events()
    fomc, releases = events["any_fomc"], events["any_us_release"]
    assert {"2020-01-29", "2025-06-18"} <= set(fomc.astype(str))
    assert not {"2020-03-03", "2020-03-15", "2020-03-18"} & set(fomc.astype(str)), "not announced, or given up"
    assert {"2021-01-08", "2021-01-13"} <= set(releases.astype(str))
    assert (np.diff(releases) > np.timedelta64(0, "D")).all()
    origins = make_origins(PANEL["usdaaa"], np.array(["2012-01-16", "2012-02-16"], dtype="datetime64[D]"), 7)
    day = {"any_x": np.array(["2012-02-20"], dtype="datetime64[D]")}
    held = conditions_at(origins, {**day, "usdclp_x": day["any_x"], "usd_x": day["any_x"]})
    assert held["any_x"].tolist() == held["usd_x"].tolist() == [False, True]
    assert held["usdclp_x"].tolist() == [False, False]


def test_shipped_weights_are_of_the_members_and_every_gate_was_walked_forward() -> None:
    shipped = artefacts.embedded()
    frame = shipped.frames[WEIGHTS.name]
    assert set(frame["member"]) == {*MEMBERS, *WATCHED}
    assert set(frame["variant"]) == {"plain", "vix"}
    assert (frame.loc[frame["member"].isin(MEMBERS), "weight"] > 0.2).all()
    assert (frame["learned_through"] < frame["valid_from"]).all()
    assert shipped.gate("plain", 63, "rw_drift", np.datetime64("2025-06-13")) is not None
    assert shipped.gate("plain", 63, "rw_drift", np.datetime64("2001-06-13")) is None
    assert shipped.gate("plain", 63, "theta_of_nobody", np.datetime64("2025-06-13")) is None


@pytest.mark.parametrize("members", ["", "ensemble", "rw_blend,rw_blend", " , "])
def test_members_must_be_models_each_once(members: str) -> None:
    with pytest.raises(ValidationError, match="must name models"):
        make_forecast(PANEL["usdaaa"], "2012-06-01", 7, [ModelChoice("ensemble", {"members": members}, "e")], "e")


def test_predictions_are_shared_and_a_second_name_keeps_the_composition() -> None:
    history = PANEL["usdaaa"]
    origins = make_origins(history, history.event_date[[900]], 7)
    predictor = Predictor(history, origins, origins.steps[:, None])
    one, two = predictor.paths(ModelChoice("ensemble")), predictor.paths(ModelChoice("ensemble", {}, "again"))
    assert one is two
    assert set(predictor.compositions) == {"ensemble", "again"}
    assert isinstance(get_model("ensemble"), Ensemble)
    assert len(QUANTILE_LEVELS) == one.quantiles.shape[-1]
