"""Groups forecasts and backtest: the active configuration, walk-forward evidence, width factors, daily forecasts."""

import datetime as dt
import warnings
from collections import defaultdict
from typing import Any

import dagster as dg
import pandas as pd

from forex_assets.defs import panel
from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors, say
from forex_assets.defs.partitions import DAY, HORIZON, day_by_horizon, horizons, partition_key, store_key
from forex_assets.forecast_view import composition_of, direction_of
from forex_assets.pipeline import Pipeline
from forex_assets.settings import PairSpec

GROUP = "forecasts"
BACKTEST_GROUP = "backtest"
ALL_DAYS = dg.AllPartitionMapping()


class AsOfConfig(dg.Config):
    """Which day's snapshot to work from; empty: the newest stored one."""

    as_of: str = ""

    def day(self) -> dt.date | None:
        """Return the day, or None for the newest."""
        return dt.date.fromisoformat(self.as_of) if self.as_of else None


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """Return the forecasting assets of one pair."""
    by_horizon = horizons(pipeline.settings)
    bars_key = dg.AssetKey([pair.id, "bars"])
    config_key = dg.AssetKey([pair.id, "active_config"])

    @dg.observable_source_asset(
        key=config_key,
        partitions_def=by_horizon,
        group_name=GROUP,
        description=(
            "The configuration each horizon's forecasts use, resolved once per run; its data version is the hash "
            "stamped into every row. It changes with settings or the deployed version, never by materialising."
        ),
        metadata={
            horizon: f"{config.model}, configuration {config.config_hash}"
            for horizon in pipeline.settings.horizons
            for config in [pipeline.active(pair.id, horizon)]
        },
        tags={"pair": pair.id, "dagster/kind/yaml": ""},
    )
    def active_config() -> dg.DataVersionsByPartition:
        hashes = {horizon: pipeline.active(pair.id, horizon).config_hash for horizon in pipeline.settings.horizons}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            return dg.DataVersionsByPartition(hashes)

    @dg.asset(
        name="backtest",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        deps=[dg.AssetDep(bars_key, partition_mapping=ALL_DAYS), config_key, *panel.lineage()],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "backtest", BACKTEST_GROUP),
    )
    def backtest(context: dg.AssetExecutionContext, config: AsOfConfig) -> Any:
        with readable_errors():
            frames = {
                (horizon,): pipeline.backtest(pair.id, horizon, as_of=config.day())
                for horizon in context.partition_keys
            }
        describe_slices(context, context.asset_key, frames)
        for (horizon,), frame in frames.items():
            say(context, horizon, "origins", origins_markdown(frame))
        return frames

    @dg.asset(
        name="interval_calibration",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        ins={"backtest": dg.AssetIn(key=dg.AssetKey([pair.id, "backtest"]))},
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "interval_calibration", GROUP, unit="factor"),
    )
    def interval_calibration(context: dg.AssetExecutionContext, backtest: pd.DataFrame) -> Any:
        with readable_errors():
            frames = {
                (horizon,): pipeline.interval_calibration(
                    pair.id, horizon, backtest.loc[backtest["horizon"] == pipeline.settings.horizons[horizon]]
                )
                for horizon in context.partition_keys
            }
        describe_slices(context, context.asset_key, frames)
        for (horizon,), frame in frames.items():
            say(context, horizon, "newest_factors", factors_markdown(frame))
        return frames

    @dg.asset(
        name="forecast",
        key_prefix=pair.id,
        partitions_def=day_by_horizon(pipeline.settings, pair),
        deps=[
            dg.AssetDep(bars_key, partition_mapping=dg.MultiToSingleDimensionPartitionMapping(DAY)),
            dg.AssetDep(config_key, partition_mapping=dg.MultiToSingleDimensionPartitionMapping(HORIZON)),
            dg.AssetDep(
                [pair.id, "interval_calibration"], partition_mapping=dg.MultiToSingleDimensionPartitionMapping(HORIZON)
            ),
            *panel.lineage(),
        ],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "forecast", GROUP),
    )
    def forecast(context: dg.AssetExecutionContext) -> Any:
        frames: dict[tuple[str, ...], pd.DataFrame] = {}
        with readable_errors():
            for horizon, days in days_by_horizon(context).items():
                frames.update(pipeline.forecasts(pair.id, horizon, days))
        describe_slices(context, context.asset_key, frames)
        for horizon in sorted(
            {key[0] for key in frames}
        ):  # each entry costs Dagster a look at the whole range of the run
            newest = max(key for key in frames if key[0] == horizon)
            for name, text in forecast_markdown(frames[newest]).items():
                say(context, partition_key(newest), name, text)
        return frames

    return [active_config, backtest, interval_calibration, forecast]


def forecast_markdown(frame: pd.DataFrame) -> dict[str, str]:
    """Return what a reader asks of a day's deployed forecast: the view, what it is made of, and from which data."""
    rows = frame.loc[frame["is_target"] & frame["is_active"]]
    if rows.empty:
        return {}
    row = rows.iloc[0]
    view = direction_of(row)
    flat = f"flat (within {view['band']:.1%}) {view['flat']:.0%}"
    out = {"direction": f"down {view['down']:.0%}, {flat}, up {view['up']:.0%}"}
    made = composition_of(row)
    if made is not None:
        lines = ["| model | share |", "|---|---|"]
        lines += [f"| {name} | {share:.1%} |" for name, share in made["carried_by"].items()]
        lines += ["", "Left out:", "", *(f"- {name}: {reason}" for name, reason in made["left_out"].items())]
        failed = ["", "**Degraded: a model that should carry weight failed.**"] if made["degraded"] else []
        out["made_of"] = "\n".join([*lines, *failed])
    if "made_from" in frame.attrs:
        lines = [
            "| data | hash |",
            "|---|---|",
            *(f"| {name} | `{value}` |" for name, value in frame.attrs["made_from"].items()),
        ]
        out["made_from"] = "\n".join(lines)
    return out


def days_by_horizon(context: dg.AssetExecutionContext) -> dict[str, list[dt.date]]:
    """Return the days of this run per horizon."""
    days: dict[str, list[dt.date]] = defaultdict(list)
    for key in context.partition_keys:
        horizon, day = store_key(key)
        days[horizon].append(dt.date.fromisoformat(day))
    return days


def origins_markdown(frame: pd.DataFrame) -> str:
    """Return what a backtest holds, by model: origins, their dates, and how many have an outcome."""
    groups = frame.groupby("model", sort=False)
    table = groups.agg(
        origins=("as_of", "size"), first=("as_of", "min"), last=("as_of", "max"), matured=("actual", "count")
    )
    return _markdown(table.reset_index())


def factors_markdown(frame: pd.DataFrame, *, months: int = 6) -> str:
    """Return the newest width factors of each model: what they were learned from, and coverage before and after.

    Those that hold only under a condition follow once each, with whether they are used and why.
    """
    columns = [
        "model",
        "valid_from",
        "n",
        "n_effective",
        "factor_lower",
        "factor_upper",
        "coverage_95_before",
        "coverage_95_after",
        "tail_low_after",
        "tail_high_after",
    ]
    ordered = frame.sort_values("valid_from")
    common = ordered.loc[ordered["condition"] == "all"].groupby("model", sort=False).tail(months)
    others = ordered.loc[ordered["condition"] != "all"].groupby(["model", "condition"], sort=False).tail(1)
    told = _markdown(common[columns].round(3))
    if others.empty:
        return told
    columns[1:1] = ["condition", "used", "reason"]
    return f"{told}\n\nUnder a condition:\n\n{_markdown(others[columns].round(3))}"


def _markdown(table: pd.DataFrame) -> str:
    if table.empty:
        return "none yet"
    days = table.select_dtypes("datetime").columns
    return str(table.assign(**{name: table[name].dt.strftime("%Y-%m-%d") for name in days}).to_markdown(index=False))
