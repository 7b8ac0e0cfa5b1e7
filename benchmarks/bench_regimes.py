"""Regimes: how often they are right, how often they are not, and what they cost.

False switches and power of the volatility state under a walk with t5 innovations and under GARCH-t; size of the test of
the copper link; and, with a folder of market data (FOREX_DATA_DIR), the dates on which real episodes were seen.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.market.ingest import ingest
from forex_assets.monitoring import regime
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.observed import Observed
from forex_assets.monitoring.regimes.link import probability_negative, rolling_link
from forex_assets.monitoring.regimes.paths import volatility_path
from forex_assets.pipeline import Pipeline
from forex_assets.schemas import EVALUATION
from forex_assets.settings import load_settings, packaged_config_dir
from forex_assets.watching import frames_from

RESULTS = Path(__file__).parent / "results" / "regimes.json"
SETTINGS = load_settings(packaged_config_dir(), {})
POLICY = SETTINGS.recommended.regimes
PATHS, YEARS, LINKS = 300, 4, 1_000


def t_returns(rng: np.random.Generator, shape: Any, sigma: float = 0.006) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Student's t5 returns."""
    return np.asarray(rng.standard_t(5, shape) * sigma * np.sqrt(3 / 5))


def garch(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """GARCH(1,1)-t returns, alpha 0.06 and beta 0.92."""
    shocks, out = t_returns(rng, (250 * YEARS + 250, PATHS), 1.0), []
    variance = np.full(PATHS, 0.006**2)
    for row in shocks:
        out.append(row * np.sqrt(variance))
        variance = 0.006**2 * 0.02 + 0.06 * out[-1] ** 2 + 0.92 * variance
    return np.array(out)[250:]


def switches(returns: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Return switches to HIGH_VOL a year, and their standard error over paths."""
    on = volatility_path(returns, POLICY.volatility).held.on
    per_path = (on[1:] & ~on[:-1])[120:].sum(axis=0) / (len(returns) - 121) * 250
    return float(per_path.mean()), float(per_path.std() / np.sqrt(len(per_path)))


def simulated() -> list[tuple[str, str, str]]:
    """Return what was measured on planted truth."""
    rng = np.random.default_rng(7)
    walk, clustered = t_returns(rng, (250 * YEARS, PATHS)), garch(rng)
    rows = []
    for name, returns in (("walk, t5", walk), ("GARCH-t", clustered)):
        rate, error = switches(returns)
        rows.append(
            (f"HIGH_VOL switched on, {name}", f"{rate:.2f} ± {1.96 * error:.2f} a year", f"{PATHS * YEARS} years")
        )
    for factor in (1.5, 2.0):
        loud = walk.copy()
        loud[600:] *= factor
        found = volatility_path(loud, POLICY.volatility).held.on[600:630].any(axis=0).mean()
        half = 1.96 * np.sqrt(found * (1 - found) / PATHS)
        rows.append((f"volatility x{factor:g} seen within 30 days", f"{found:.0%} ± {half:.0%}", f"{PATHS} paths"))
    storm = np.exp(1.8 * rng.standard_normal((LINKS, 250)).cumsum(axis=1) / np.sqrt(250))
    for name, scale in (("independent", np.ones((LINKS, 250))), ("independent, common storms", storm)):
        x, y = (t_returns(rng, (LINKS, 250)) * scale for _ in range(2))
        links = [rolling_link(a, b, 250, 5) for a, b in zip(x, y, strict=True)]
        ours = np.mean([probability_negative(link)[-1] >= 0.99 for link in links])
        naive = np.mean([link.z[-1] * np.sqrt(247) < -2.326 for link in links])
        rows.append(
            (f"link called negative at 1%, {name}", f"{ours:.1%} (textbook test {naive:.1%})", f"{LINKS} pairs")
        )
    return rows


def changes(labels: Any) -> str:
    """Return how often a label changed a month."""
    return f"{(labels[1:] != labels[:-1]).sum() / (len(labels) / 21):.2f}"


def real(folder: str) -> tuple[list[tuple[str, str, str]], float, float]:
    """Return what was seen in real history, and the seconds of a replay and of one day."""
    made = load_settings(packaged_config_dir(), {"FOREX_DATA_DIR": folder, "FOREX_OFFLINE": "1"})
    pair = made.pair("usdclp_close")
    rows = ingest(made, pair.id, now=pd.Timestamp("2025-06-16T12:00:00Z"), stored=None).observations
    frames = frames_from(Pipeline(made), pair.id, rows.assign(data_hash=""), EVALUATION.empty())
    days = frames.calendar.sessions(np.datetime64("2012-01-02"), np.datetime64("2025-06-13"))
    start = time.perf_counter()
    table = regime.regimes(frames, days, made, "recommended").set_index("as_of")
    replay = time.perf_counter() - start
    start = time.perf_counter()
    regime.regimes(frames, days[-1:], made, "recommended")
    one = time.perf_counter() - start
    out = []
    for name, column in (("HIGH_VOL", "high_vol"), ("COPPER_SHOCK", "copper_shock")):
        on = (table[column] == "fired").to_numpy()
        starts = np.flatnonzero(on & ~np.append(False, on[:-1]))
        dates = ", ".join(str(table.index[i].date()) for i in starts if table.index[i].year >= 2019)
        out.append((f"{name} days", f"{on.mean():.1%}", f"{len(table)} days since 2012"))
        out.append((f"{name} switched on since 2019", dates, f"{len(starts)} since 2012"))
    labels = table.loc["2019":, "regime"].to_numpy()
    out.append(("changes of the label a month since 2019", changes(labels), f"{len(labels)} days"))
    out.append(("|5-day copper| above 5%", f"{(table['copper_change'].abs() > 0.05).mean():.1%} of days", "all days"))
    classic = regime.regimes(frames, days, made, "classic").set_index("as_of")
    shares = classic["regime"].value_counts(normalize=True)
    named = ("HIGH_VOL", "COPPER_SHOCK", "BCCH_INTERVENTION")
    out += [(f"classic {name} days", f"{shares.get(name, 0.0):.1%}", f"{len(classic)} days") for name in named]
    labels = classic.loc["2019":, "regime"].to_numpy()
    out.append(("classic changes of the label a month since 2019", changes(labels), f"{len(labels)} days"))
    dates = ("2019-11-20", "2020-03-19", "2022-07-13", "2022-07-15", "2022-09-05")
    out += [(f"classic on {date}", str(classic.loc[date, "regime"]), "") for date in dates]
    return out, replay, one


def synthetic_speed() -> tuple[float, float]:
    """Return the seconds of a replay of ten years and of one day, on a planted market."""
    rng, calendar = np.random.default_rng(0), calendar_for(["CL"])
    dates = calendar.sessions(np.datetime64("2013-01-02"), np.datetime64("2024-06-28"))
    known = (as_of_instants(dates) - np.timedelta64(4, "h")).astype("datetime64[us]")
    never = np.full(len(dates), np.datetime64("NaT", "us"))
    copper = t_returns(rng, len(dates), 0.014)
    price = 0.006 * (-0.4 * copper / 0.014) + t_returns(rng, len(dates), 0.0055)

    def made(name: str, unit: str, returns: Any) -> Observed:
        return Observed(name, unit, dates, 100 * np.exp(np.cumsum(returns)), known, never)

    frames = Frames("usdclp_close", SETTINGS.horizons, calendar, made("usdclp_close", "CLP per USD", price),
                    {"copper_comex": made("copper_comex", "USD per lb", copper)}, EVALUATION.empty())  # fmt: skip
    days = dates[-2500:]
    start = time.perf_counter()
    regime.regimes(frames, days, SETTINGS, "recommended")
    replay = time.perf_counter() - start
    start = time.perf_counter()
    regime.regimes(frames, days[-1:], SETTINGS, "recommended")
    return replay, time.perf_counter() - start


def main() -> None:
    """Measure, print and write."""
    rows = simulated()
    replay, one = synthetic_speed()
    rows += [("replay of 2,500 days", f"{replay:.2f} s", ""), ("one day", f"{one * 1000:.0f} ms", "")]
    folder = os.environ.get("FOREX_DATA_DIR")
    if folder:
        found, replay, one = real(folder)
        rows += [
            *found,
            ("replay of real history", f"{replay:.2f} s", ""),
            ("one real day", f"{one * 1000:.0f} ms", ""),
        ]
    print(pd.DataFrame(rows, columns=["what", "measured", "on"]).to_markdown(index=False))
    RESULTS.write_text(json.dumps([dict(zip(("what", "measured", "on"), row, strict=True)) for row in rows], indent=1))


if __name__ == "__main__":
    main()
