"""Make the pooled fits the package ships, from the ECB history and the dólar observado: ``python -m …panel.build``."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path

from forex_assets.forecasting.panel.artefacts import EMBEDDED_DIR, PanelFit
from forex_assets.forecasting.panel.fit import fit_panel
from forex_assets.forecasting.panel.prices import panel_histories

THROUGH = dt.date(2025, 6, 13)
"""Last day of the shipped prices; fits after it would need newer ones."""


def make(through: dt.date = THROUGH) -> PanelFit:
    """Return the fits without VIX learned from what is shipped or installed, up to a date."""
    return fit_panel(panel_histories(through), through=through)


def main(arguments: list[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=EMBEDDED_DIR, help="folder of the tables")
    options = parser.parse_args(arguments)
    fit = make()
    fit.save(options.out)
    rows = ", ".join(f"{len(frame):,} {name}" for name, frame in fit.frames.items())
    sys.stdout.write(f"{options.out}: {rows}\n")


if __name__ == "__main__":
    main()
