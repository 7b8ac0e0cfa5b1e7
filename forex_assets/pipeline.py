"""From settings and store to the frame of each asset, without Dagster.

Each method reads what it needs from the store, calls the library and returns a frame with its provenance columns. The
assets in :mod:`forex_assets.defs` and the reading commands of the command line call the same methods, so a number has
one way to come about.
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.clock import BusinessCalendar, as_of_instants, calendar_for
from forex_assets.errors import StoreError, UnusableSliceError
from forex_assets.last_made import LastMade, Same
from forex_assets.lifecycle.active import ActiveConfig, resolve
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.market_data import MarketData
from forex_assets.pooled import drivers as pooled_drivers
from forex_assets.pooled import fits as pooled_fits
from forex_assets.pooled import index as pooled_index
from forex_assets.pooled import stored as pooled_stored
from forex_assets.provenance import code_version, combine_hashes, content_hash, stamped
from forex_assets.schemas import PROVENANCE
from forex_assets.settings import Settings
from forex_assets.store.files import LocalFiles
from forex_assets.store.slices import SliceStore

if TYPE_CHECKING:
    from forex_assets.forecasting.price_history import PriceHistory
    from forex_assets.forecasting.registry import ModelChoice

Key = tuple[str, ...]
ENSEMBLE = "ensemble"


class DamagedSliceWarning(UserWarning):
    """A result was made without a slice that cannot be read."""


def utc_now() -> pd.Timestamp:
    """Return the current instant; the only clock in the platform, read at the edge."""
    return pd.Timestamp.now(tz="UTC")


def day_key(day: dt.date | np.datetime64 | pd.Timestamp) -> str:
    """Return the partition key of a day: ``2025-06-13``."""
    return pd.Timestamp(day).strftime("%Y-%m-%d")


@dataclass(frozen=True)
class Snapshot:
    """The newest stored price history and its hashes."""

    as_of: dt.date
    bars: pd.DataFrame
    data_hash: str


class Pipeline:
    """Settings and store together; every method is one step of the graph."""

    def __init__(self, settings: Settings, store: SliceStore | None = None) -> None:
        self.settings = settings
        self.store = store if store is not None else SliceStore(settings.store_root)
        self.lifecycle = LifecycleStore(settings.home)
        self._recorded: set[str] = set()
        self.memory = LastMade()
        self.data = MarketData(settings, self.store, self.memory)
        self._looked_up_index: pd.DataFrame | None = None

    # ---- facts -------------------------------------------------------------------------------------------------

    def calendar(self, pair_id: str) -> BusinessCalendar:
        """Return the joint business calendar of a pair."""
        return calendar_for(self.settings.pair(pair_id).calendars)

    def active(self, pair_id: str, horizon: str, as_of: dt.date | None = None) -> ActiveConfig:
        """Return the configuration current at ``as_of``."""
        return resolve(self.settings, pair_id, horizon, as_of, store=self.lifecycle)

    def record_config(self, config: ActiveConfig) -> None:
        """Keep what a configuration hash stands for: ``<home>/configs/<hash>.json``, written once."""
        name = f"configs/{config.config_hash}.json"
        if name not in self._recorded and not (self.settings.home / name).exists():
            body = {**config.as_dict(), "subject": self.settings.config_content(config.pair)}
            text = json.dumps(body, indent=2, sort_keys=True, default=str) + "\n"
            LocalFiles(self.settings.home).write_all([(name, text.encode())])
        self._recorded.add(name)

    @cached_property
    def code_version(self) -> str:
        """Version and source hash stamped into every row."""
        return code_version()

    def stamp(self, frame: pd.DataFrame, *, config_hash: str, data_hash: str | Sequence[str]) -> pd.DataFrame:
        """Return ``frame`` with its provenance columns filled in."""
        return stamped(frame, config_hash=config_hash, data_hash=data_hash)

    # ---- market data -------------------------------------------------------------------------------------------

    def looked_up_index(self, pair_id: str) -> pd.DataFrame | None:
        """Return the panel's volatility index for a pair that was looked up, made once; None where it serves nothing.

        It serves only beside VIX.
        """
        observations = self.data.looked_up(pair_id)
        if observations is None or not (observations["series"] == pooled_stored.VIX).any():
            return None
        if self._looked_up_index is None:
            self._looked_up_index = pooled_index.fresh_index(self, now=utc_now())
        return self._looked_up_index

    def observations(self, pair_id: str) -> pd.DataFrame:
        """Return the pair's observations, ingesting them on first use."""
        stored = self.data.stored_observations(pair_id)
        if stored is None:
            return self.data.write_ingest(pair_id, now=utc_now())["observations"]
        return stored

    def default_as_of(self, pair_id: str, *, now: pd.Timestamp, observations: pd.DataFrame | None = None) -> dt.date:
        """Return the last business day with usable data of a pair's target, not after today in Santiago.

        Looks at the stored observations unless others are given.
        """
        from forex_assets.clock import AsOf
        from forex_assets.market.asof import newest_usable_date

        pair = self.settings.pair(pair_id)
        known = self.observations(pair_id) if observations is None else observations
        newest = np.datetime64(newest_usable_date(known, pair), "D")
        today = np.datetime64(AsOf(now.to_pydatetime()).date, "D")
        return pd.Timestamp(self.calendar(pair_id).roll_back(np.array([min(newest, today)]))[0]).date()

    def bars(self, pair_id: str, as_ofs: Sequence[dt.date]) -> LazyFrames:
        """Return one snapshot of the price history per as_of, each built when it is asked for.

        All days share the rows of the newest snapshot, cut where each day's knowledge ends; a day between a row's
        publication and its later withdrawal or revision gets a snapshot of its own.
        """
        from forex_assets.market.asof import bars_as_of, chain_hashes, data_hash

        pair = self.settings.pair(pair_id)
        observations = self.observations(pair_id)
        config_hash = self.settings.config_hash(pair_id)
        days = np.array(sorted(as_ofs), dtype="datetime64[D]")
        longest = bars_as_of(observations, pair, days[-1])
        hashes = chain_hashes(longest)
        available, withdrawn = instants_of(longest["available_at"]), instants_of(longest["withdrawn_at"])
        ends = {day_key(day): instant for day, instant in zip(days, as_of_instants(days), strict=True)}

        def snapshot(key: Key) -> pd.DataFrame:
            instant = ends[key[0]]
            rows = int(np.searchsorted(available, instant, side="right"))
            if (withdrawn[:rows] > instant).any():
                frame = bars_as_of(observations, pair, np.datetime64(key[0], "D"))
                return self.stamp(frame, config_hash=config_hash, data_hash=data_hash(frame))
            frame = longest.iloc[:rows].assign(as_of=pd.Timestamp(key[0]).as_unit("ns"))
            return self.stamp(frame, config_hash=config_hash, data_hash=hashes[rows - 1] if rows else content_hash([]))

        return LazyFrames([(key,) for key in ends], snapshot)

    def drivers(self, pair_id: str, as_ofs: Sequence[dt.date]) -> dict[Key, pd.DataFrame]:
        """Return what was known of each driver per as_of."""
        from forex_assets.market.asof import drivers_as_of

        pair = self.settings.pair(pair_id)
        observations = self.observations(pair_id)
        days = np.array(sorted(as_ofs), dtype="datetime64[D]")
        frame = drivers_as_of(observations, self.settings, pair, days)
        config_hash = self.settings.config_hash(pair_id)
        out: dict[Key, pd.DataFrame] = {}
        for day, rows in frame.groupby("as_of", sort=True):
            known = rows[["series", "event_date", "value"]].astype(str).to_numpy().tolist()
            out[(day_key(pd.Timestamp(str(day))),)] = self.stamp(
                rows, config_hash=config_hash, data_hash=content_hash(known)
            )
        return {(day_key(day),): out.get((day_key(day),), schemas.DRIVERS.empty()) for day in days}

    # ---- forecasts ---------------------------------------------------------------------------------------------

    def snapshot_days(self, pair_id: str) -> list[dt.date]:
        """Return the days whose bars are stored, in order."""
        return [dt.date.fromisoformat(key[0]) for key in self.store.keys(schemas.BARS, pair_id)]

    def snapshot(self, pair_id: str, as_of: dt.date | None = None) -> Snapshot:
        """Return the stored snapshot of ``as_of``, or the newest one.

        Raises
        ------
        StoreError
            When it is not stored.
        """
        days = self.snapshot_days(pair_id)
        if not days or (as_of is not None and as_of not in days):
            raise _no_bars(pair_id, as_of)
        day = as_of or days[-1]
        bars = self.memory.slice_of(self.store, schemas.BARS, pair_id, (day_key(day),))
        return Snapshot(day, bars, self.store.info(schemas.BARS, pair_id, (day_key(day),)).meta["data_hash"])

    def history(self, pair_id: str, bars: pd.DataFrame) -> PriceHistory:
        """Return the price history in a bars snapshot, with what a model may look at beside it.

        The horizons of a run share one, and with it all that models derive from its series alone.
        """
        from forex_assets.forecasting.price_history import PriceHistory

        made_from = (pair_id, Same(bars), pooled_drivers.drivers_made_from(self, pair_id))
        history: PriceHistory = self.memory.kept(
            "history",
            made_from,
            lambda: PriceHistory.from_bars(bars, self.calendar(pair_id), pooled_drivers.pair_drivers(self, pair_id)),
        )
        return history

    def forecasts(self, pair_id: str, horizon: str, as_ofs: Sequence[dt.date]) -> dict[Key, pd.DataFrame]:
        """Return the forecast rows of many days of one horizon, each made from its own day's snapshot.

        Days whose snapshot is a prefix of the newest one asked for (the usual case: no row was withdrawn or revised
        since) are computed in one batch; the others one by one from their own snapshot.
        """
        from forex_assets.market.asof import chain_hashes

        days = sorted(as_ofs)
        newest = self.snapshot(pair_id, days[-1])
        hashes = chain_hashes(newest.bars)
        for day in days:
            self.record_config(self.active(pair_id, horizon, day))
        batch: list[dt.date] = []
        data_hashes: dict[str, str] = {}
        out: dict[Key, pd.DataFrame] = {}
        calibration = self.calibration_of(self.active(pair_id, horizon))
        for day in days:
            info = self._bars_info(pair_id, day)
            data_hashes[day_key(day)] = info.meta["data_hash"]
            if 0 < info.rows <= len(hashes) and hashes[info.rows - 1] == info.meta["data_hash"]:
                batch.append(day)
            else:
                own = self.snapshot(pair_id, day).bars
                out.update(self._forecast_batch(pair_id, horizon, own, [day], data_hashes, calibration))
        if batch:
            out.update(self._forecast_batch(pair_id, horizon, newest.bars, batch, data_hashes, calibration))
        return dict(sorted(out.items()))

    def _bars_info(self, pair_id: str, day: dt.date) -> Any:
        key = (day_key(day),)
        if not self.store.exists(schemas.BARS, pair_id, key):
            raise _no_bars(pair_id, day)
        info = self.store.info(schemas.BARS, pair_id, key)
        if info.verdict.state == "bad":
            raise UnusableSliceError(
                f"The bars of {pair_id} for {day} are judged bad: {'; '.join(info.verdict.reasons)}.",
                remedy="correct the source or the quality rule, then materialise the bars again.",
            )
        return info

    def forecast_on(
        self, pair_id: str, horizon: str, bars: pd.DataFrame, days: Sequence[dt.date]
    ) -> dict[Key, pd.DataFrame]:
        """Return forecasts from given bars, with stored width factors, or factors learned on the spot."""
        from forex_assets.market.asof import data_hash

        hashed = data_hash(bars)
        calibration = self.calibration(pair_id, horizon)
        if calibration is None:
            rows = self.backtest_of(pair_id, horizon, bars, days[-1], hashed)
            calibration = self.interval_calibration(pair_id, horizon, rows).drop(columns=list(PROVENANCE))
        hashes = {day_key(day): hashed for day in days}
        return self._forecast_batch(pair_id, horizon, bars, days, hashes, calibration)

    def _forecast_batch(
        self,
        pair_id: str,
        horizon: str,
        bars: pd.DataFrame,
        days: Sequence[dt.date],
        data_hashes: Mapping[str, str],
        calibration: pd.DataFrame | None,
    ) -> dict[Key, pd.DataFrame]:
        from forex_assets.forecasting.forecast import make_forecast
        from forex_assets.forecasting.garch.kept import KeptFits, using
        from forex_assets.made_from import BARS, made_from
        from forex_assets.regime_handover import factors_for

        by_config: dict[str, list[dt.date]] = {}
        for day in days:
            by_config.setdefault(self.active(pair_id, horizon, day).config_hash, []).append(day)
        if len(by_config) > 1:
            # Each day is made with the configuration that was current then, never with a later one.
            made_apart = [
                self._forecast_batch(pair_id, horizon, bars, part, data_hashes, calibration)
                for part in by_config.values()
            ]
            return {key: frame for part in made_apart for key, frame in part.items()}
        config = self.active(pair_id, horizon, days[-1])
        with pooled_fits.in_force(self), using(KeptFits(self.settings.home / "cache" / "garch")):
            history = self.history(pair_id, bars)
            beside = made_from(history, days, calibration)
            frame = make_forecast(
                history,
                np.array(days, dtype="datetime64[D]"),
                horizon_days=self.settings.horizons[horizon],
                models=choices_of(config),
                active_model=config.model,
                calibration=calibration,
                regime_factors=factors_for(self, pair_id, calibration, days),
                max_age=self.settings.platform.forecast.max_last_value_age_business_days,
                seed=self.settings.platform.forecast.seed,
                monthly=horizon.endswith("m"),
            )
        out: dict[Key, pd.DataFrame] = {}
        parts = {key: {BARS: data_hashes[key], **told} for key, told in zip(map(day_key, days), beside, strict=True)}
        for made_on, rows in frame.groupby("as_of", sort=True):
            key = day_key(pd.Timestamp(str(made_on)))
            made = self.stamp(rows, config_hash=config.config_hash, data_hash=combine_hashes(parts[key]))
            made.attrs["made_from"] = parts[key]
            out[(horizon, key)] = made
        return out

    def calibration(self, pair_id: str, horizon: str) -> pd.DataFrame | None:
        """Return the stored width factors of a horizon, or None when none were learned yet."""
        if not self.store.exists(schemas.INTERVAL_CALIBRATION, pair_id, (horizon,)):
            return None
        frame = self.store.read(schemas.INTERVAL_CALIBRATION, pair_id, [(horizon,)])
        return frame.drop(columns=list(PROVENANCE))

    def calibration_of(self, config: ActiveConfig) -> pd.DataFrame | None:
        """Return the stored width factors, and those of promoted versions that were learned after the backtest."""
        from forex_assets.forecasting.calibration import learn
        from forex_assets.forecasting.registry import get_model

        stored = self.calibration(config.pair, config.horizon)
        key = (config.horizon,)
        known = set() if stored is None else set(stored["model"])
        missing = [
            variant
            for variant in config.variants
            if variant.label not in known and get_model(variant.model).capabilities.calibrated
        ]
        if stored is None or not missing or not self.store.exists(schemas.BACKTEST, config.pair, key):
            return stored
        rows = self.store.read(schemas.BACKTEST, config.pair, [key])
        learned = [learn(rows, model=item.model).assign(model=item.label) for item in missing]
        return pd.concat([stored, *learned], ignore_index=True)

    def backtest(
        self,
        pair_id: str,
        horizon: str,
        *,
        as_of: dt.date | None = None,
        start: dt.date | None = None,
        every: int | None = None,
    ) -> pd.DataFrame:
        """Return the walk-forward rows of every model for one horizon, from the snapshot of ``as_of`` or the newest."""
        from forex_assets import trials

        snapshot = self.snapshot(pair_id, as_of)
        config = self.active(pair_id, horizon, snapshot.as_of)
        self.record_config(config)
        made = self.backtest_of(
            pair_id, horizon, snapshot.bars, snapshot.as_of, snapshot.data_hash, start=start, every=every
        )
        span = made["as_of"].min(), made["as_of"].max()
        trials.record(self.settings.home, pair_id, horizon, choices_of(config), *span, how="backtest")
        return made

    def backtest_of(
        self,
        pair_id: str,
        horizon: str,
        bars: pd.DataFrame,
        as_of: dt.date,
        data_hash: str,
        *,
        start: dt.date | None = None,
        end: dt.date | None = None,
        every: int | None = None,
        models: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return the walk-forward rows of one horizon on given bars; default: the configuration's models."""
        from forex_assets.forecasting.backtest import run_backtest
        from forex_assets.made_from import BARS, made_from

        config = self.active(pair_id, horizon, as_of)
        options = self.settings.platform.backtest
        with pooled_fits.in_force(self):
            history = self.history(pair_id, bars)
            parts = {BARS: data_hash, **made_from(history, [as_of], whole=True)[0]}
            frame = run_backtest(
                history,
                horizon_days=self.settings.horizons[horizon],
                models=choices_of(config) if models is None else models,
                start=np.datetime64(start or options.start, "D"),
                end=np.datetime64(min(end or as_of, as_of), "D"),
                every=every or options.every_business_days,
                as_of=np.datetime64(as_of, "D"),
                max_age=self.settings.platform.forecast.max_last_value_age_business_days,
                seed=self.settings.platform.forecast.seed,
            )
        made = self.stamp(frame, config_hash=config.config_hash, data_hash=combine_hashes(parts))
        made.attrs["made_from"] = parts
        return made

    def interval_calibration(self, pair_id: str, horizon: str, backtest: pd.DataFrame) -> pd.DataFrame:
        """Return the width factors by month, each learned from errors matured before it."""
        from forex_assets.forecasting.calibration import learn
        from forex_assets.forecasting.registry import get_model
        from forex_assets.regime_handover import with_regimes

        config = self.active(pair_id, horizon)
        calibrated = [name for name in config.models if get_model(name).capabilities.calibrated]
        frames = [learn(backtest, model=name) for name in calibrated]
        frames.extend(
            learn(backtest, model=variant.model).assign(model=variant.label)
            for variant in config.variants
            if get_model(variant.model).capabilities.calibrated
        )
        if ENSEMBLE in config.models:
            frames.append(pooled_fits.corrections_of(self, pair_id, horizon))
        frame = pd.concat(frames, ignore_index=True) if frames else schemas.INTERVAL_CALIBRATION.empty()
        frame = with_regimes(self, pair_id, horizon, frame, backtest)
        hashes = "+".join(sorted(backtest["data_hash"].unique()))
        return self.stamp(frame, config_hash=config.config_hash, data_hash=combine_hashes({"backtest": hashes}))

    # ---- evaluation --------------------------------------------------------------------------------------------

    def evaluations(
        self, pair_id: str, horizon: str, forecasts: pd.DataFrame, *, as_of: dt.date | None = None
    ) -> dict[Key, pd.DataFrame]:
        """Return outcome and scores of stored forecasts of one horizon.

        Raises
        ------
        DataError
            When a target's value is not known in the newest snapshot; nothing is evaluated before it matures.
        """
        from forex_assets.evaluation.evaluate import evaluate
        from forex_assets.evaluation.outcomes import outcomes

        snapshot = self.snapshot(pair_id, as_of)
        targets = forecasts.loc[forecasts["is_target"]]
        known = outcomes(snapshot.bars, targets["target_date"].to_numpy("datetime64[D]"), as_of=snapshot.as_of)
        frame = evaluate(targets.drop(columns=list(PROVENANCE)), known)
        made = targets.drop_duplicates("as_of").set_index("as_of")
        out: dict[Key, pd.DataFrame] = {}
        for day, rows in frame.groupby("as_of", sort=True):
            source = made.loc[pd.Timestamp(str(day))]
            outcome = content_hash([str(rows["target_date"].iloc[0]), float(rows["actual"].iloc[0])])
            out[(horizon, day_key(pd.Timestamp(str(day))))] = self.stamp(
                rows,
                config_hash=str(source["config_hash"]),
                data_hash=combine_hashes({"forecast": str(source["data_hash"]), "outcome": outcome}),
            )
        return out

    def matured_as_ofs(self, pair_id: str, horizon: str, days: Iterable[dt.date], *, as_of: dt.date) -> list[dt.date]:
        """Return those of ``days`` whose target value is known at the end of ``as_of``."""
        from forex_assets.clock import target_dates
        from forex_assets.evaluation.outcomes import outcomes

        asked = np.array(sorted(days), dtype="datetime64[D]")
        if not len(asked):
            return []
        targets = target_dates(asked, self.settings.horizons[horizon], self.calendar(pair_id))
        known = outcomes(self.snapshot(pair_id, as_of).bars, targets, as_of=as_of)
        matured = np.isin(targets, known["target_date"].to_numpy("datetime64[D]"))
        return [pd.Timestamp(day).date() for day in asked[matured]]

    def evaluable(
        self, pair_id: str, horizon: str, days: Iterable[dt.date], *, as_of: dt.date
    ) -> tuple[list[dt.date], dict[dt.date, str]]:
        """Return those of ``days`` whose stored forecast has matured by ``as_of``, and the withheld ones with reasons.

        A forecast judged bad is never evaluated; it must not keep its neighbours in a range from being so.
        """
        ready: list[dt.date] = []
        withheld: dict[dt.date, str] = {}
        for day in self.matured_as_ofs(pair_id, horizon, days, as_of=as_of):
            verdict = self.store.info(schemas.FORECAST, pair_id, (horizon, day_key(day))).verdict
            if verdict.state == "bad":
                withheld[day] = "; ".join(verdict.reasons)
            else:
                ready.append(day)
        return ready, withheld

    def performance(
        self, pair_id: str, horizon: str, backtest: pd.DataFrame, *, as_of: dt.date | None = None
    ) -> pd.DataFrame:
        """Return the scores by window of one horizon: live forecasts and the backtest beside them.

        An evaluation that is damaged or of another schema version is left out, with a :class:`DamagedSliceWarning`.
        """
        from forex_assets.evaluation.performance import performance_report
        from forex_assets.performance_view import with_status

        day = as_of or self.snapshot(pair_id).as_of
        keys = [
            key for key in self.store.keys(schemas.EVALUATION, pair_id) if key[0] == horizon and key[1] <= day_key(day)
        ]
        stored, left_out = self.store.read_whole_ones(schemas.EVALUATION, pair_id, keys)
        for reason in left_out:
            warnings.warn(f"Scores of {pair_id} {horizon} leave out {reason}", DamagedSliceWarning, stacklevel=2)
        evaluation = stored.drop(columns=list(PROVENANCE))
        evaluation = evaluation.loc[evaluation["matured_on"] <= pd.Timestamp(day)]
        config = self.active(pair_id, horizon, day)
        frame = performance_report(
            evaluation,
            backtest.drop(columns=list(PROVENANCE)),
            as_of=day,
            recommended=self.settings.recommended,
            classic=self.settings.classic,
            active_model=config.model,
        )
        frame = with_status(self, pair_id, horizon, frame, evaluation, backtest, day)
        hashes = "+".join(sorted(backtest["data_hash"].unique()))
        scores = content_hash([len(evaluation), float(evaluation["crps"].sum()), str(evaluation["matured_on"].max())])
        return self.stamp(
            frame, config_hash=config.config_hash, data_hash=combine_hashes({"backtest": hashes, "evaluation": scores})
        )


def choices_of(config: ActiveConfig) -> list[ModelChoice]:
    """Return the models a configuration runs: the settings', promoted versions, and what those are combined from."""
    from forex_assets.forecasting.registry import ModelChoice, get_model

    bases = (base for variant in config.variants for base in get_model(variant.model).capabilities.bases)
    named = dict.fromkeys([*config.models, *bases])
    return [ModelChoice(name, config.parameters.get(name, {})) for name in named] + [
        ModelChoice(variant.model, variant.parameters, variant.label) for variant in config.variants
    ]


def _no_bars(pair_id: str, as_of: dt.date | None) -> StoreError:
    day = f" --as-of {as_of}" if as_of else ""
    return StoreError(
        f"No bars of {pair_id} are stored{f' for {as_of}' if as_of else ''}.",
        remedy=f"run `forex run --pair {pair_id}{day}`, or materialise {pair_id}/bars for that day first.",
    )


def instants_of(series: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """Return a column of instants as ``datetime64[us]`` in UTC."""
    return np.asarray(series.dt.tz_convert(None), dtype="datetime64[us]")


class LazyFrames(Mapping[Key, pd.DataFrame]):
    """Frames by store key, built on access, so that a thousand snapshots never stand in memory together."""

    def __init__(self, keys: Sequence[Key], make: Callable[[Key], pd.DataFrame]) -> None:
        self._keys = dict.fromkeys(keys)
        self._make = make

    def __contains__(self, key: object) -> bool:
        """Tell whether a frame is held, without building it."""
        return key in self._keys

    def __getitem__(self, key: Key) -> pd.DataFrame:
        """Build the frame of a key."""
        if key not in self._keys:
            raise KeyError(key)
        return self._make(key)

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the keys."""
        return iter(self._keys)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._keys)


__all__ = ["PROVENANCE", "Pipeline", "Snapshot", "day_key", "utc_now"]
