"""Make the pooled fits the package ships, from the ECB history and the dólar observado: ``python -m …panel.build``.

With ``--vix FILE`` (CSV: date, close) the variant with VIX is made too. What is written are statistics learned from
prices and VIX; no value of either.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Mapping
from pathlib import Path

from forex_assets.clock import calendar_for
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.ensemble.artefacts import EnsembleFit
from forex_assets.forecasting.ensemble.conditions import scheduled_events
from forex_assets.forecasting.ensemble.learn import EnsembleConfig, learn_ensemble
from forex_assets.forecasting.panel.artefacts import EMBEDDED_DIR, PanelFit, using
from forex_assets.forecasting.panel.features import VIX_SERIES, Driver
from forex_assets.forecasting.panel.fit import PanelConfig, fit_panel
from forex_assets.forecasting.panel.index import panel_index
from forex_assets.forecasting.panel.prices import panel_histories, rate_drivers
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.market.publication import available_at
from forex_assets.settings import load_settings

THROUGH = dt.date(2025, 6, 13)
"""Last day of the shipped prices; fits after it would need newer ones."""


def make(
    through: dt.date = THROUGH,
    vix: DriverHistory | None = None,
    *,
    histories: Mapping[str, PriceHistory] | None = None,
    panel: PanelConfig | None = None,
    ensemble: EnsembleConfig | None = None,
) -> tuple[PanelFit, EnsembleFit]:
    """Return pooled fits and ensemble learned up to a date, by default from what is shipped or installed."""
    given = dict(histories or panel_histories(through))
    fit = fit_panel(given, Driver.of(vix) if vix else None, through=through, config=panel)
    drivers = rate_drivers(through)
    if vix is not None:
        drivers |= {VIX_SERIES: vix, **panel_index(given)}
    beside = {name: history.with_drivers({**drivers, **history.drivers}) for name, history in given.items()}
    with using(fit):
        learned = learn_ensemble(beside, through=through, config=ensemble, events=scheduled_events())
    return fit, learned


def read_vix(path: Path) -> DriverHistory:
    """Return the VIX held in a CSV file with columns date and close."""
    import pandas as pd

    spec = load_settings().series[VIX_SERIES]
    frame = pd.read_csv(path, parse_dates=["date"]).dropna(subset=["close"])
    days = frame["date"].to_numpy().astype("datetime64[D]")
    value = frame["close"].to_numpy(dtype=float)
    return DriverHistory(VIX_SERIES, calendar_for(spec.calendar), days, available_at(spec, days), value)


def main(arguments: list[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=EMBEDDED_DIR, help="folder of the tables")
    parser.add_argument("--vix", type=Path, default=None, help="CSV with date and close")
    parser.add_argument("--through", type=dt.date.fromisoformat, default=THROUGH, help="last day learned from")
    options = parser.parse_args(arguments)
    fit, learned = make(options.through, read_vix(options.vix) if options.vix else None)
    fit.save(options.out)
    learned.save(options.out)
    rows = ", ".join(f"{len(frame):,} {name}" for name, frame in (*fit.frames.items(), *learned.frames.items()))
    sys.stdout.write(f"{options.out}: {rows}\n")


if __name__ == "__main__":
    main()
