"""What do the quality rules catch of planted errors, and what do they take from clean rows? Tables and JSON.

Errors of every kind (``forex_assets/simulation/corruption.py``) are planted into real series, ``--draws`` times each,
and judged by the production path over the rows around them; dates of a series are moved by a session and held against
all others. Embedded and ECB series always; the series of FOREX_DATA_DIR where it is set. Clean losses and alarms: 2010
to 2025, nothing planted.

    python benchmarks/bench_corruption.py [--draws 400] [--out benchmarks/results/corruption.json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

from forex_assets.market.contract import FetchRequest
from forex_assets.market.quality import apply_quality
from forex_assets.market.sources.ecb import EcbSource
from forex_assets.market.sources.embedded import EmbeddedSource
from forex_assets.market.sources.folder import FolderSource
from forex_assets.settings import SeriesSpec, Settings, load_settings
from forex_assets.simulation.corruption_suite import (
    Subject,
    alarms_on_clean,
    clean_losses,
    observed,
    recall_by_kind,
    recall_of_shifts,
    subject,
    summary_of,
)

NOW = dt.datetime(2025, 6, 30, tzinfo=dt.UTC)
START, END = dt.date(1999, 2, 1), dt.date(2025, 6, 13)
ECB_CROSSES = {"usdsek": ("USD", "SEK"), "gbpusd": ("GBP", "USD"), "audusd": ("AUD", "USD"), "nzdusd": ("NZD", "USD")}
#: Series whose dates are moved, and the one beside it in whose years they are.
SHIFTED = (
    ("usdclp_close", "usdclp_fixing"),
    ("copper_comex", "copper_lme"),
    ("copper_comex", "wti"),
    ("sp500", "vix"),
    ("dxy", "eurusd_ecb"),
    ("brent", "wti"),
    ("eurusd_ecb", "usdsek"),
    ("gbpusd", "eurusd_ecb"),
    ("audusd", "nzdusd"),
    ("usdzar_ecb", "audusd"),
    ("usdzar_ecb", "dxy"),
)
SHOCKS = (("2019-11-01", "2019-11-30"), ("2020-03-01", "2020-03-31"), ("2022-07-01", "2022-07-31"))


def series_of(settings: Settings) -> dict[str, tuple[SeriesSpec, pd.DataFrame]]:
    """Return every daily series at hand with its rows as observations."""
    specs = dict(settings.series)
    for name, (base, quote) in ECB_CROSSES.items():
        update = {"id": name, "range": (0.05, 30.0), "addresses": {"ecb": {"base": base, "quote": quote}}}
        specs[name] = settings.series["eurusd_ecb"].model_copy(update=update)
    sources = (FolderSource(settings.data_dir, NOW), EmbeddedSource(NOW), EcbSource(NOW))
    out = {}
    for name, spec in specs.items():
        for source in sources:
            if source.name in spec.addresses and source.not_configured(spec) is None and spec.frequency == "daily":
                frame = source.fetch(FetchRequest(spec, START, END)).frame
                out[name] = (spec, observed(spec, frame, NOW))
                break
    return out


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20250613)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "corruption.json")
    options = parser.parse_args()
    started = time.perf_counter()
    settings = load_settings()
    limits, feeds = settings.platform.quality, settings.platform.feeds
    held = series_of(settings)
    subjects: dict[str, Subject] = {}
    for name, (spec, rows) in held.items():
        reference = held.get(spec.reference.series) if spec.reference is not None else None
        subjects[name] = subject(spec, rows, limits, NOW, reference)
    judging = [item for item in subjects.values() if item.spec.quality.jump or item.spec.quality.outliers]
    kinds = recall_by_kind(judging, limits, draws=options.draws, seed=options.seed, now=NOW)
    targets = [
        (subjects[a], subjects[b], [item for name, item in subjects.items() if name != a])
        for a, b in SHIFTED
        if a in subjects and b in subjects
    ]
    shifts = recall_of_shifts(targets, feeds, draws=max(1, options.draws // 2), seed=options.seed)
    alarms = alarms_on_clean(list(subjects.values()), feeds, "2010-01-01", "2025-06-13")
    every = pd.concat([rows for _, rows in held.values()], ignore_index=True)
    judged = apply_quality(every, {name: spec for name, (spec, _) in held.items()}, limits, now=NOW)
    clean = clean_losses(judged, "2010-01-01", "2025-12-31")
    lost = {f"{first} to {last}": int(clean_losses(judged, first, last)["withdrawn"].sum()) for first, last in SHOCKS}

    print(f"{len(judging)} series: {', '.join(item.spec.id for item in judging)}\n")
    print(f"{'kind':<16}{'gross':>6}{'plants':>8}{'rows':>7}{'found':>7}{'recall':>9}  95% interval    beside")
    for row in kinds.itertuples():
        gross = "yes" if row.gross else "no"
        print(
            f"{row.kind:<16}{gross:>6}{row.plants:>8}{row.rows:>7}{row.found:>7}{row.recall:>9.3f}"
            f"  {row.recall_low:.3f} to {row.recall_high:.3f}{row.collateral:>7}"
        )
    pooled = summary_of(kinds)
    print(f"\ngross errors together: {pooled['gross_recall']:.4f} of {pooled['gross_rows']:.0f} rows")
    head = f"{'share':>7}{'plants':>8}{'untold':>8}{'found':>7}{'recall':>9}  95% interval    sessions  alarms"
    print(f"\n{'dates moved in':<16}{'in years of':<16}{head}")
    for row in shifts.itertuples():
        print(
            f"{row.series:<16}{row.beside:<16}{row.share:>7.2f}{row.plants:>8}{row.untold:>8}{row.found:>7}"
            f"{row.recall:>9.3f}  {row.recall_low:.3f} to {row.recall_high:.3f}{row.sessions:>10.0f}{row.alarms:>8}"
        )
    together = int(shifts["found"].sum()) / int(shifts["plants"].sum())
    print(f"together {together:.3f}")
    judged_dates = alarms[alarms["state"] != "unknown"]
    accused = judged_dates[judged_dates["state"] == "found"]
    print(f"\nnothing planted: {len(accused)} of {len(judged_dates)} judgements of 60 sessions accuse a series")
    for row in accused.itertuples():
        print(f"  {row.as_of} {row.series}: {row.reason}")
    withdrawn, rows = clean["withdrawn"].sum(), clean["rows"].sum()
    print(f"\nclean rows 2010-2025: {withdrawn} of {rows} withdrawn, most {clean['share'].max():.3%} of a series")
    print(f"shock months: {lost}")
    results: dict[str, Any] = {
        "draws": options.draws,
        "series": [item.spec.id for item in judging],
        "kinds": kinds.to_dict("records"),
        "pooled": dict(pooled),
        "shifts": shifts.to_dict("records"),
        "shift_recall": together,
        "date_alarms": {
            "judged": len(judged_dates),
            "instants": int(alarms["as_of"].nunique()),
            "found": accused.astype(str).to_dict("records"),
        },
        "clean": clean.to_dict("records"),
        "shock_rows_lost": lost,
        "folder": settings.data_dir is not None,
        "seconds": time.perf_counter() - started,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\n{options.out} ({results['seconds']:.0f} s)")


if __name__ == "__main__":
    main()
