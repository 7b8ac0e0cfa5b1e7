"""Machine code of the numba kernels, made once at set-up instead of in every fresh home.

``python -m forex_assets.compiled`` compiles every kernel into the environment the package is installed in
(``<sys.prefix>/share/forex_assets/numba``), as pip does with bytecode. Where that was not done, or cannot be written to
(numba wants to), each home compiles for itself on first use.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

DONE = "complete"


def environment_folder() -> Path:
    """Return where set-up keeps the machine code of this environment."""
    return Path(sys.prefix) / "share" / "forex_assets" / "numba"


def cache_folder(home: Path, environment: Path | None = None) -> Path:
    """Return the folder numba should use: the environment's, if set-up finished it and it can be written, else home's.

    Parameters
    ----------
    home:
        The home folder.
    environment:
        Folder set-up compiles into; default: this environment's.
    """
    made = environment_folder() if environment is None else environment
    if (made / DONE).is_file() and os.access(made, os.W_OK):
        return made
    return home / "cache" / "numba"


def compile_kernels(folder: Path) -> int:
    """Compile every kernel into ``folder`` by running each model that uses one; return the number of files there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).unlink(missing_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)  # before numba is imported: it reads it then
    import numpy as np

    from forex_assets.clock import calendar_for
    from forex_assets.forecasting.backtest import backtest
    from forex_assets.forecasting.price_history import PriceHistory
    from forex_assets.forecasting.registry import ModelChoice

    calendar = calendar_for("FX")
    days = calendar.sessions(np.datetime64("2020-01-01"), np.datetime64("2022-12-31"))
    values = 100.0 * np.exp(np.cumsum(0.005 * np.random.default_rng(0).standard_t(5, len(days))))
    history = PriceHistory("example", calendar, days, days.astype("datetime64[us]"), values)
    models = [
        ModelChoice(name, parameters={"terminal": terminal}, label=f"{name} {terminal}")
        for name in ("garch_t", "gjr_t", "egarch_t")
        for terminal in ("shape", "simulated")
    ]
    backtest(history, horizon_days=7, models=[*models, "rw_aci"], start=days[-40], every=10, as_of=days[-1])
    (folder / DONE).write_text("Compiled kernels of forex_assets.\n", encoding="utf-8")
    return sum(1 for path in folder.rglob("*.nbc"))


if __name__ == "__main__":
    sys.stdout.write(f"{compile_kernels(environment_folder())} kernels compiled into {environment_folder()}\n")
