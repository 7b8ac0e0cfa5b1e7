"""Does any challenger beat a random walk? Each against RW σ60 on the same targets; table on stdout, JSON beside.

Theta, ETS, AutoARIMA, VAR, gradient boosting, the classic ensemble, and Chronos-T5, Bolt and Chronos-2 trained here on
the panel to 2017-12-29 (``--steps`` each), beside the ensemble that is deployed, walk-forward from 2018 on 22 USD pairs
of the ECB and USD/CLP as fixing and as close. Weekly origins would cost hours for models that refit or sample, so every
``--every``-th business day is taken (20: about monthly). Boosting and the classic ensemble run on USD/CLP alone, Theta
on ``THETA_PAIRS``, Chronos-T5 and Chronos-2 on ``SLOW_PAIRS`` and every third of those origins. Every ratio compares a
model with the random walk at the origins it ran on itself; ``n`` says how many.
Drivers: copper, dollar index and VIX beside every pair where FOREX_DATA_DIR has them, Chilean ones beside USD/CLP.
Intervals as in ``evaluation.inference`` (block bootstrap over dates, guarded against one storm deciding).

    python benchmarks/bench_challengers.py [--every 20] [--steps 1500] [--checkpoints DIR] [--rows DIR]

``--rows`` keeps what each model has done of each pair and goes on from there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from bench_panel import folder_history, vix_history

from forex_assets.clock import calendar_for
from forex_assets.evaluation.inference import ratio_intervals
from forex_assets.evaluation.scores import crps_from_quantiles, interval_score
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.chronos.checkpoint import using
from forex_assets.forecasting.chronos.data import panel_data
from forex_assets.forecasting.chronos.train import TrainOptions, train
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.panel.index import panel_index
from forex_assets.forecasting.panel.prices import (
    CURRENCIES,
    DEVELOPED,
    EMERGING,
    pair_id,
    panel_histories,
    rate_drivers,
)
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.market.contract import FetchRequest
from forex_assets.market.publication import available_at
from forex_assets.market.sources.embedded import EmbeddedSource
from forex_assets.market.sources.folder import FolderSource
from forex_assets.settings import load_settings

Q = list(QUANTILE_COLUMNS)
HORIZONS = (7, 30, 90)
THROUGH = dt.date(2017, 12, 29)
START = "2018-01-02"
LAST_DAY = dt.date(2025, 6, 13)
GLOBAL = ("copper_comex", "copper_lme", "dxy", "vix")
CHILEAN = ("tpm", "fed_funds", "imacec_yoy", "ipc_yoy")
THINNED = 3
"""Of the origins, every so many-th for models that sample."""


SLOW_PAIRS = ("usdeur", "usdmxn", "usdzar", "usdclp", "usdclp_close")
"""Those on which Chronos-T5 and Chronos-2 run: one samples paths token by token, one passes context by context."""
THETA_PAIRS = ("usdclp", "usdclp_close", *(pair_id(name) for name in (*DEVELOPED, "BRL", "MXN", "ZAR", "KRW")))
"""Theta is fitted by a general optimiser, in seconds a pair and year."""


def contestants(trees: int) -> list[tuple[ModelChoice, int, tuple[str, ...]]]:
    """Return the models, how much each thins the origins, and the pairs it runs on (none: all of them)."""
    one, clp = ModelChoice, ("usdclp", "usdclp_close")
    return [
        (one("random_walk"), 1, ()),
        (one("champion_zero"), 1, ()),
        (one("ensemble"), 1, ()),
        (one("chronos_bolt"), 1, ()),
        (one("var"), 1, ()),
        (one("auto_arima"), 1, ()),
        (one("ets"), 1, ()),
        (one("theta"), 1, THETA_PAIRS),
        (one("classic_ensemble", {"trees": trees}), 1, clp),
        (one("gbm_quantile"), 1, clp),
        (one("chronos_2", {"covariates": "never"}), THINNED, SLOW_PAIRS),
        (one("chronos_t5"), THINNED, SLOW_PAIRS),
        (one("chronos_t5", {"top_k": 50}, "chronos_t5, top_k 50"), THINNED, clp[:1]),
        (one("classic_ensemble", {"trees": trees, "multiplier": "none"}, "classic, no multiplier"), 1, clp[:1]),
    ]


def driver(name: str) -> DriverHistory | None:
    """Return a driver from FOREX_DATA_DIR or the package, or None."""
    spec = load_settings().series[name]
    now = dt.datetime(2025, 6, 13, tzinfo=dt.UTC)
    folder = os.environ.get("FOREX_DATA_DIR")
    if folder and "folder" in spec.addresses:
        source: Any = FolderSource(Path(folder), now)
    elif "embedded" in spec.addresses:
        source = EmbeddedSource(now)
    else:
        return None
    frame = source.fetch(FetchRequest(spec, dt.date(2000, 1, 3), LAST_DAY)).frame
    days = frame["event_date"].to_numpy().astype("datetime64[D]")
    values = frame["value"].to_numpy(dtype=float)
    return DriverHistory(name, calendar_for(spec.calendar), days, available_at(spec, days), values)


def losses(history: PriceHistory, choice: ModelChoice, every: int) -> pd.DataFrame:
    """Return scored rows of one model and pair over its last value; ``seconds`` are those of the tenor."""
    parts = []
    for horizon in HORIZONS:
        started = time.perf_counter()
        rows = run_backtest(
            history, horizon_days=horizon, models=[choice], start=START, every=every, as_of=LAST_DAY
        ).dropna(subset=["actual"])
        actual = rows["actual"].to_numpy()
        rows["interval_score"] = interval_score(actual, rows["q025"].to_numpy(), rows["q975"].to_numpy(), 95)
        rows["crps"] = crps_from_quantiles(actual, rows[Q].to_numpy())
        rows["squared"] = (rows["mean"] - actual) ** 2
        for column, power in (("interval_score", 1), ("crps", 1), ("squared", 2)):
            rows[column] /= rows["last_value"] ** power
        rows["covered_95"] = (actual >= rows["q025"]) & (actual <= rows["q975"])
        rows["covered_80"] = (actual >= rows["q100"]) & (actual <= rows["q900"])
        parts.append(rows.drop(columns=[*Q, "mean", "actual"]).assign(seconds=time.perf_counter() - started))
    return pd.concat(parts, ignore_index=True)


def judge(rows: pd.DataFrame, model: str) -> dict[str, Any]:
    """Return coverage and ratios to the random walk over the pairs and tenors a model ran on."""
    key = ["pair", "horizon", "as_of"]
    own = rows[rows["model"] == model].sort_values(key)
    base = own[key].merge(rows[rows["model"] == "random_walk"], on=key, how="left")
    columns = ["interval_score", "crps", "squared"]
    unit = base.groupby(["pair", "horizon"])[columns].transform("mean").to_numpy()
    top, bottom = own[columns].to_numpy() / unit, base[columns].to_numpy() / unit
    steps = float(own.loc[own["horizon"] == 30, "steps"].mean())
    found = ratio_intervals(top, bottom, own["as_of"], steps)
    tenors = {}
    for horizon in HORIZONS:
        at = (own["horizon"] == horizon).to_numpy()
        tenors[horizon] = {
            "n": int(at.sum()),
            "coverage_80": float(own["covered_80"][at].mean()),
            "coverage_95": float(own["covered_95"][at].mean()),
            "crps": float(top[at, 1].sum() / bottom[at, 1].sum()),
            "interval_score": float(top[at, 0].sum() / bottom[at, 0].sum()),
            "theils_u": float(np.sqrt(top[at, 2].sum() / bottom[at, 2].sum())),
        }
    return {
        "model": model,
        "n": len(own),
        "pairs": sorted(own["pair"].unique()),
        "interval_score": list(found[0][:3]),
        "crps": list(found[1][:3]),
        "theils_u": float(np.sqrt(found[2].value)),
        "tenors": tenors,
    }


def show(title: str, judged: list[dict[str, Any]]) -> None:
    """Print one table."""
    print(f"\n### {title}\n")
    print("| Model | n | CRPS ratio | interval score ratio | U by tenor | 95% covers, by tenor | 80% |")
    print("|---|---|---|---|---|---|---|")
    for item in judged:
        tenors = item["tenors"].values()
        ratios = [f"{v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for v in (item["crps"], item["interval_score"])]
        print(
            f"| `{item['model']}` | {item['n']:,} | {ratios[0]} | {ratios[1]} | "
            f"{' / '.join(format(t['theils_u'], '.3f') for t in tenors)} | "
            f"{' / '.join(format(100 * t['coverage_95'], '.1f') for t in tenors)} | "
            f"{' / '.join(format(100 * t['coverage_80'], '.1f') for t in tenors)} |"
        )


def main() -> None:
    """Train, backtest, score, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=20, help="take every n-th business day")
    parser.add_argument("--size", default="tiny", help="of the Chronos trained here")
    parser.add_argument("--steps", type=int, default=1500, help="of their training")
    parser.add_argument("--trees", type=int, default=0, help="of the classic forest; 0: its table's 400 to 800")
    parser.add_argument("--without", default="", help="models or names to leave out, comma-separated; _ for ', '")
    parser.add_argument("--checkpoints", type=Path, default=None, help="folder of trained ones instead")
    parser.add_argument("--rows", type=Path, default=None, help="folder that keeps each model's rows of each pair")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "challengers.json")
    options = parser.parse_args()
    started = time.perf_counter()
    found = {name: made for name in (*GLOBAL, *CHILEAN) if (made := driver(name)) is not None}
    around = {name: made for name, made in found.items() if name in GLOBAL}
    panel = panel_histories(LAST_DAY)
    close, vix = folder_history("usdclp_close", LAST_DAY), vix_history(LAST_DAY)
    beside = {**rate_drivers(LAST_DAY), **({"vix": vix, **panel_index(panel)} if vix else {})}
    histories = {**panel, **({"usdclp_close": close} if close else {})}
    left = set(options.without.split(","))
    with tempfile.TemporaryDirectory() as scratch:
        folder, kept = options.checkpoints or Path(scratch), options.rows or Path(scratch) / "rows"
        kept.mkdir(parents=True, exist_ok=True)
        cards = {}
        for family in ("t5", "bolt", "chronos2"):
            if not (folder / family).exists():
                train(
                    panel_data(THROUGH),
                    TrainOptions(family=family, size=options.size, steps=options.steps),  # type: ignore[arg-type]
                    folder / family,
                )
            body = json.loads((folder / family / "forex_card.json").read_text())
            cards[family] = {
                name: body[name]
                for name in ("steps", "seconds", "parameters", "validation_loss", "first_validation_loss", "data_hash")
            }
        frames = []
        with using(folder):
            for choice, thinned, only in contestants(options.trees):
                if left & {choice.model, choice.name.replace(", ", "_")}:
                    continue
                for pair, history in histories.items():
                    if only and pair not in only:
                        continue
                    path = kept / f"{choice.name}-{pair}.parquet".replace(", ", "_").replace(" ", "_")
                    if not path.exists():
                        # A history of its own: what a model keeps of its fits goes with it.
                        own = {**beside, **(found if pair.startswith("usdclp") else around)}
                        losses(history.with_drivers(own), choice, options.every * thinned).to_parquet(path)
                    frames.append(pd.read_parquet(path).assign(pair=pair))
                print(f"{choice.name}: {time.perf_counter() - started:.0f} s", flush=True)
    rows = pd.concat(frames, ignore_index=True)
    timed = rows.drop_duplicates(["model", "pair", "horizon"]).groupby("model")["seconds"].sum()
    seconds = {str(name): float(value) for name, value in timed.items()}
    tables: dict[str, Any] = {}
    groups = {
        f"{len(CURRENCIES)} USD pairs and USD/CLP (fixing)": list(panel),
        f"{len(EMERGING)} emerging-market pairs": [pair_id(currency) for currency in EMERGING],
        f"{len(THETA_PAIRS) - 2} USD pairs": list(THETA_PAIRS[2:]),
        "USD/EUR, USD/MXN, USD/ZAR": list(SLOW_PAIRS[:3]),
        "USD/CLP, dólar observado": ["usdclp"],
        "USD/CLP, market close": ["usdclp_close"],
    }
    for title, pairs in groups.items():
        part = rows[rows["pair"].isin(pairs)]
        if part.empty:
            continue
        names = [
            name
            for name in dict.fromkeys(part["model"])
            if name != "random_walk" and part.loc[part["model"] == name, "pair"].nunique() == len(pairs)
        ]
        tables[title] = [judge(part, name) for name in names]
        show(f"{title}, {START[:4]} to {LAST_DAY}, every {options.every}th business day", tables[title])
    total = time.perf_counter() - started
    print(f"\n{total:.0f} s; by model: {', '.join(f'{name} {value:.0f}' for name, value in seconds.items())}")
    result = {
        "every": options.every,
        "trees": options.trees,
        "drivers": sorted(found),
        "cards": cards,
        "seconds": seconds,
        "tables": tables,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
