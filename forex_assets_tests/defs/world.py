"""A small world for the graph's tests: one pair, two tenors, a short backtest, real official data, a real instance."""

from __future__ import annotations

import datetime as dt
import gzip
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import yaml

from forex_assets.defs import jobs
from forex_assets.defs.run import Runner
from forex_assets.market.sources.embedded import EMBEDDED_DIR
from forex_assets.pipeline import Pipeline
from forex_assets.settings import Settings, load_settings, packaged_config_dir

PAIR = "usdclp"
HORIZONS = {"7d": 7, "30d": 30}
DAYS = 4
DRIVERS = ("tpm", "copper_lme", "fed_funds")
FILES = {
    "usdclp_fixing": "usdclp_observado_daily.csv",
    "tpm": "bcch_tpm_daily.csv",
    "copper_lme": "copper_lme_bcch_daily.csv",
    "fed_funds": "fed_funds_daily.csv",
}
LAST_AS_OF = dt.date(2025, 6, 13)


def edit_yaml(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a YAML file after ``change`` edited its mapping in place."""
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(body)
    path.write_text(yaml.safe_dump(body, sort_keys=False, allow_unicode=True), encoding="utf-8")


def small_config(folder: Path, *, source: str = "embedded") -> Path:
    """Write a configuration like the packaged one, with two tenors, a backtest from 2019, and one source a series."""
    shutil.copytree(packaged_config_dir(), folder)

    def platform(body: dict[str, Any]) -> None:
        body["horizons"] = dict(HORIZONS)
        body["backtest"]["start"] = dt.date(2019, 1, 2)

    def pair(body: dict[str, Any]) -> None:
        body["chains"] = {series: [source] for series in FILES}
        body["drivers"] = list(DRIVERS)

    edit_yaml(folder / "platform.yaml", platform)
    edit_yaml(folder / "pairs" / f"{PAIR}.yaml", pair)
    return folder


def settings_of(config_dir: Path, home: Path, *, pairs: str = PAIR, data_dir: Path | None = None) -> Settings:
    """Load settings for a home, with nothing taken from the environment of the test run."""
    environ = {"FOREX_HOME": str(home), "FOREX_OFFLINE": "1", "FOREX_PAIRS": pairs}
    if data_dir is not None:
        environ["FOREX_DATA_DIR"] = str(data_dir)
    return load_settings(config_dir, environ)


class World:
    """A home with the pair's graph materialised in it, and an instance: the one it was made on, or a fresh one."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance

    @cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline on this home's store."""
        return Pipeline(self.settings)

    @cached_property
    def runner(self) -> Runner:
        """A runner on this world's instance."""
        return Runner(self.settings, self.instance)

    @property
    def definitions(self) -> dg.Definitions:
        """The graph as this world's runner built it."""
        return self.runner.repository

    def run(self, family: str, **options: Any) -> int:
        """Run one of the pair's jobs and return how many partitions it materialised."""
        return self.runner.execute(jobs.job_name(PAIR, family), **options)


def read_embedded(series: str) -> pd.DataFrame:
    """Return the official rows of a series as shipped (``date``, ``value``)."""
    with gzip.open(EMBEDDED_DIR / f"{FILES[series]}.gz", "rt", encoding="utf-8") as handle:
        frame = pd.read_csv(handle, dtype={"value": float})
    return frame.assign(date=pd.to_datetime(frame["date"]))


def write_market_folder(
    folder: Path, changes: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]] | None = None, *, since: str = "2017"
) -> Path:
    """Write the world's series as a data folder, each passed through its change, if it has one."""
    folder.mkdir(parents=True)
    for series, file in FILES.items():
        frame = read_embedded(series)
        frame = frame.loc[frame["date"] >= since].reset_index(drop=True)
        if changes and series in changes:
            frame = changes[series](frame.copy())
        frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d")).to_csv(folder / file, index=False)
    return folder
