"""How good are the models on a panel, walk-forward? The table of docs/models.md on stdout, JSON beside.

Prices: USD against 22 floating currencies (ECB reference rates), USD/TRY apart, the dólar observado, and where
FOREX_DATA_DIR is set the USD/CLP market close and the VIX. Weekly origins (every fifth business day), tenors of 7, 15,
30 and 90 calendar days. Every choice was made on origins and outcomes to 2017 (``--period to-2017`` shows them); the
period reported starts in 2018. Pooled fits are learned as time goes by, from USD/CLP's fixing and the 22 crosses only.

MACE pools the pairs per tenor and averages |coverage - nominal| over the 80% and 95% intervals and four tenors. Ratios
are to ``random_walk`` on the same targets, each pair's losses over its random walk's mean, then averaged over tenors;
their 95% intervals come from a stationary bootstrap over dates, blocks of half a year on average, with all pairs and
tenors of a date drawn together (percentiles). ``evaluation.inference`` gives wider ones, which allow for a result that
rests on one storm; they stand in the JSON as ``guarded``, and per tenor.
``ensemble`` is what the desk gets. Beside it: equal weights, its centre on the last value, and without the VIX.

    python benchmarks/bench_panel.py [--period 2018-on] [--out benchmarks/results/panel.json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.evaluation.inference import BOOTSTRAP_DRAWS, ratio_intervals
from forex_assets.evaluation.scores import crps_from_quantiles, interval_score
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.ensemble import artefacts as ensemble_artefacts
from forex_assets.forecasting.ensemble.learn import EnsembleConfig
from forex_assets.forecasting.ensemble.weights import WeightConfig
from forex_assets.forecasting.panel import artefacts as panel_artefacts
from forex_assets.forecasting.panel import build
from forex_assets.forecasting.panel.fit import PanelConfig
from forex_assets.forecasting.panel.index import panel_index
from forex_assets.forecasting.panel.prices import (
    CURRENCIES,
    EMERGING,
    FIRST_DAY,
    ecb_price_history,
    pair_id,
    panel_histories,
    rate_drivers,
)
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.market.contract import FetchRequest
from forex_assets.market.publication import available_at
from forex_assets.market.sources.folder import FolderSource
from forex_assets.settings import load_settings

HORIZONS = (7, 15, 30, 90)
LAST_DAY = dt.date(2025, 6, 13)
PERIODS = {"2018-on": ("2018-01-01", "2099-12-31"), "to-2017": ("2006-01-01", "2017-12-31")}
VARIANTS: dict[str, ModelChoice] = {
    "ensemble, equal weights": ModelChoice("ensemble", {"weights": "equal"}, "ensemble, equal weights"),
    "ensemble, centred on spot": ModelChoice("ensemble", {"centre": "last"}, "ensemble, centred on spot"),
    "ensemble, no corrections": ModelChoice("ensemble", {"correction": "never"}, "ensemble, no corrections"),
    "six-model mean": ModelChoice(
        "ensemble",
        {"members": "champion_zero,gjr_t,loghar,garch_t,egarch_t,rw_empirical", "weights": "equal"},
        "six-model mean",
    ),
}
WITHOUT_VIX = ("loghar", "ensemble")
BLOCK_ORIGINS = 26
Q = list(QUANTILE_COLUMNS)
NOW = dt.datetime(2025, 6, 13, tzinfo=dt.UTC)


def folder_history(series: str, last: dt.date) -> PriceHistory | None:
    """Return a series of FOREX_DATA_DIR up to a date, or None without that folder."""
    if not os.environ.get("FOREX_DATA_DIR"):
        return None
    spec = load_settings().series[series]
    source = FolderSource(Path(os.environ["FOREX_DATA_DIR"]), NOW)
    frame = source.fetch(FetchRequest(spec, FIRST_DAY.astype(object), last)).frame
    days = frame["event_date"].to_numpy().astype("datetime64[D]")
    return PriceHistory(series, calendar_for(spec.calendar), days, available_at(spec, days), frame["value"].to_numpy())


def vix_history(last: dt.date) -> DriverHistory | None:
    """Return the VIX of FOREX_DATA_DIR up to a date, or None without that folder."""
    held = folder_history("vix", last)
    return held and DriverHistory("vix", held.calendar, held.event_date, held.available_at, held.value)


def rows_of(history: PriceHistory, models: list[str | ModelChoice], start: str, last: dt.date) -> pd.DataFrame:
    """Return matured rows of one pair at every tenor with their losses over the last value."""
    parts = []
    for horizon in HORIZONS:
        # The calibrated model learns from its own past: its backtest starts long before the period.
        rows = run_backtest(
            history,
            horizon_days=horizon,
            models=models,
            start=max(np.datetime64("2005-01-03"), history.event_date[0]),
            every=5,
            as_of=last,
        )
        parts.append(rows[rows["as_of"] >= start].dropna(subset=["actual"]))
    rows = pd.concat(parts, ignore_index=True)
    actual = rows["actual"].to_numpy()
    rows["interval_score"] = interval_score(actual, rows["q025"].to_numpy(), rows["q975"].to_numpy(), 95)
    rows["crps"] = crps_from_quantiles(actual, rows[Q].to_numpy())
    rows["squared"] = (rows["mean"] - actual) ** 2
    for name, power in (("interval_score", 1), ("crps", 1), ("squared", 2)):
        rows[name] /= rows["last_value"] ** power
    rows["below"], rows["above"] = actual < rows["q025"], actual > rows["q975"]
    rows["covered_95"] = ~(rows["below"] | rows["above"])
    rows["covered_80"] = (actual >= rows["q100"]) & (actual <= rows["q900"])
    return rows.drop(columns=[*Q, "mean", "actual"])


def block_intervals(top: np.ndarray, bottom: np.ndarray, dates: pd.Series, draws: int = 2000) -> np.ndarray:
    """Return 95% percentile intervals of ratios of sums, (2, c): a stationary bootstrap over dates."""
    day = pd.factorize(dates, sort=True)[0]
    m, c = int(day.max()) + 1, top.shape[1]
    sums = np.zeros((m, 2 * c))
    np.add.at(sums, day, np.concatenate([top, bottom], axis=1))
    rng = np.random.default_rng(20250613)
    at = rng.integers(0, m, draws)
    totals = np.zeros((draws, 2 * c))
    for _ in range(m):
        totals += sums[at]
        at = np.where(rng.random(draws) < 1.0 / BLOCK_ORIGINS, rng.integers(0, m, draws), (at + 1) % m)
    return np.percentile(totals[:, :c] / totals[:, c:], [2.5, 97.5], axis=0)


def judge(rows: pd.DataFrame, model: str) -> dict[str, Any]:
    """Return coverage and ratios of a model over the pairs among the rows."""
    key = ["horizon", "as_of", "pair"]
    own = rows[rows["model"] == model].sort_values(key, kind="stable")
    base = rows[rows["model"] == "random_walk"].sort_values(key, kind="stable")
    losses = ["interval_score", "crps", "squared"]
    # Every pair and tenor weighs alike: its losses are divided by its random walk's mean.
    unit = base.groupby(["pair", "horizon"])[losses].transform("mean").to_numpy()
    top, bottom = own[losses].to_numpy() / unit, base[losses].to_numpy() / unit
    tenors = []
    for horizon in HORIZONS:
        at = (own["horizon"] == horizon).to_numpy()
        part = own[at]
        ratio = ratio_intervals(top[at], bottom[at], part["as_of"], float(part["steps"].mean()), draws=BOOTSTRAP_DRAWS)
        tenors.append(
            {
                "horizon": horizon,
                "n": len(part),
                "coverage_80": float(part["covered_80"].mean()),
                "coverage_95": float(part["covered_95"].mean()),
                "below_95": float(part["below"].mean()),
                "above_95": float(part["above"].mean()),
                **{
                    name: [item.value, item.low, item.high]
                    for name, item in zip(("interval_score", "crps", "mse"), ratio, strict=True)
                },
            }
        )
    errors = [abs(t[f"coverage_{level}"] - level / 100) for t in tenors for level in (80, 95)]
    all_tenors = ratio_intervals(top, bottom, own["as_of"], float(own.loc[own["horizon"] == 90, "steps"].mean()))
    found = dict(zip(("interval_score", "crps", "mse"), all_tenors, strict=True))
    low, high = block_intervals(top[:, :2], bottom[:, :2], own["as_of"])
    year = own["as_of"].dt.year.to_numpy()
    by_year = {int(y): float(top[year == y, 0].sum() / bottom[year == y, 0].sum()) for y in np.unique(year)}
    return {
        "model": model,
        "n": len(own),
        "mace_points": 100 * float(np.mean(errors)),
        "interval_score": [found["interval_score"].value, float(low[0]), float(high[0])],
        "crps": [found["crps"].value, float(low[1]), float(high[1])],
        "guarded": {name: [found[name].low, found[name].high] for name in ("interval_score", "crps")},
        "theils_u": float(np.sqrt(found["mse"].value)),
        "interval_score_by_year": by_year,
        "tenors": tenors,
    }


def show(title: str, judged: Iterable[dict[str, Any]]) -> None:
    """Print one table."""
    print(f"\n### {title}\n")
    print("| Model | MACE | interval score ratio | CRPS ratio | U | 80% by tenor | 95% by tenor | IS ratio by tenor |")
    print("|---|---|---|---|---|---|---|---|")
    for item in judged:
        cover = [" / ".join(f"{100 * t[f'coverage_{level}']:.1f}" for t in item["tenors"]) for level in (80, 95)]
        by_tenor = " / ".join(f"{t['interval_score'][0]:.3f}" for t in item["tenors"])
        ratios = [
            "1" if item["model"] == "random_walk" else f"{v[0]:.{d}f} [{v[1]:.3f}, {v[2]:.3f}]"
            for v, d in ((item["interval_score"], 3), (item["crps"], 4))
        ]
        print(
            f"| `{item['model']}` | {item['mace_points']:.2f} | {ratios[0]} | {ratios[1]} | {item['theils_u']:.4f} | "
            f"{cover[0]} | {cover[1]} | {by_tenor} |"
        )


def show_years(judged: Iterable[dict[str, Any]]) -> None:
    """Print interval score ratios by year of origin."""
    judged = [item for item in judged if item["model"] != "random_walk"]
    years = list(judged[0]["interval_score_by_year"])
    print("\n| Interval score ratio | " + " | ".join(map(str, years)) + " |\n|---|" + "---|" * len(years))
    for item in judged:
        cells = " | ".join(f"{item['interval_score_by_year'][year]:.3f}" for year in years)
        print(f"| `{item['model']}` | {cells} |")


def main() -> None:
    """Learn, backtest, score, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--period", choices=sorted(PERIODS), default="2018-on")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument(
        "--models",
        default="random_walk,champion_zero,gjr_t,loghar,ensemble,ensemble; equal weights,ensemble; centred on spot",
        help="names separated by commas; a semicolon stands for the comma inside a name",
    )
    parser.add_argument("--fits", type=Path, default=None, help="folder of fits made before, instead of learning them")
    parser.add_argument("--config", default="{}", help="JSON of PanelConfig fields, for choosing them on data to 2017")
    parser.add_argument("--weights", default="{}", help="JSON of WeightConfig fields, the same")
    options = parser.parse_args()
    start, end = PERIODS[options.period]
    last = min(LAST_DAY, dt.date.fromisoformat(end))
    models: list[str | ModelChoice] = [
        VARIANTS.get(name, name) for name in (item.replace(";", ",") for item in options.models.split(","))
    ]
    started = time.perf_counter()
    panel = panel_histories(last)
    vix = vix_history(last)
    if options.fits:
        fit, learned = panel_artefacts.PanelFit.load(options.fits), ensemble_artefacts.EnsembleFit.load(options.fits)
    else:
        fit, learned = build.make(
            last,
            vix,
            histories=panel,
            panel=PanelConfig(**json.loads(options.config)),
            ensemble=EnsembleConfig(weights=WeightConfig(**json.loads(options.weights))),
        )
    print(f"pooled fits of {len(panel)} pairs{'' if vix else ' (no VIX)'}: {time.perf_counter() - started:.1f} s")
    rates = rate_drivers(last)
    market = {"vix": vix, **panel_index(panel)} if vix else {}
    close = folder_history("usdclp_close", last)
    extra = {"usdtry": ecb_price_history("TRY", last), **({"usdclp_close": close} if close else {})}
    with panel_artefacts.using(fit), ensemble_artefacts.using(learned):
        parts = []
        for name, history in {**panel, **extra}.items():
            parts.append(rows_of(history.with_drivers({**rates, **market}), models, start, last).assign(pair=name))
            if market:
                plain: list[str | ModelChoice] = [ModelChoice(m, {}, f"{m} without VIX") for m in WITHOUT_VIX]
                parts.append(rows_of(history.with_drivers(rates), plain, start, last).assign(pair=name))
        rows = pd.concat(parts, ignore_index=True)
    emerging = [pair_id(currency) for currency in EMERGING]
    groups = {
        f"{len(CURRENCIES)} USD pairs and USD/CLP (fixing)": list(panel),
        f"{len(CURRENCIES)} USD pairs and USD/CLP (close)": [*list(panel)[:-1], "usdclp_close"],
        f"{len(emerging)} emerging-market pairs": emerging,
        "USD/CLP, market close": ["usdclp_close"],
        "USD/CLP, dólar observado": ["usdclp"],
        "USD/TRY": ["usdtry"],
    }
    names = list(dict.fromkeys(rows["model"]))
    results: dict[str, Any] = {"period": options.period, "start": start, "last_day": str(last), "vix": bool(vix)}
    results["tables"] = {}
    for title, pairs in groups.items():
        part = rows[rows["pair"].isin(pairs)]
        if not set(pairs) <= set(part["pair"]):
            continue
        judged = [judge(part, name) for name in names]
        show(f"{title}, {options.period}, n = {judged[0]['n']:,}", judged)
        if not results["tables"]:
            show_years(judged)
        results["tables"][title] = judged
    results["seconds"] = time.perf_counter() - started
    print(f"\n{results['seconds']:.1f} s")
    if options.out or options.period == "2018-on":
        out = options.out or Path(__file__).parent / "results" / "panel.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
