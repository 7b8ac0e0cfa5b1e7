"""Refit schedule, states at every origin and terminal distributions, shared by the origins of one series.

A fit belongs to an *end*: it sees the first ``end`` values of a series and nothing else. The schedule is a function of
the values' dates alone: ``MIN_VALUES_TO_FIT`` values, then the first value of each week or month, or every value. The
first fit of each calendar year starts from fixed values, the later ones from the fit before, so that any origin's fit
follows from its own past in at most a year of refits, whatever else is asked for.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import OriginRandom
from forex_assets.forecasting.garch import EGARCH, kept, recursion
from forex_assets.forecasting.garch.recursion import PARAMETERS, fitting
from forex_assets.forecasting.models._common import LEVELS
from forex_assets.forecasting.models.rw_blend import shape_scores
from forex_assets.forecasting.price_history import KnownSeries
from forex_assets.forecasting.volatility import horizon_variance_factor
from forex_assets.levels import MEDIAN_INDEX
from forex_assets.provenance import content_hash

MIN_VALUES_TO_FIT = 250
TOLERANCE = 0.005
"""Log likelihood a further step must promise: a tenth of a standard error of one parameter."""
CLIP_SIGMA = 6.0
CLIP_DECAY = 0.94
CLIP_FLOOR_PERCENT = 1e-5
"""Returns beyond six EWMA standard deviations are cut: a wrong value or a broken peg must not set the parameters."""
CEILING = 50.0
"""No expected daily variance exceeds this multiple of the window's own."""
MOVE_CLIP = 5.0
SHRINKAGE_TENORS = 60.0
MIN_MOVES = 120
PERCENT = 100.0

GROWTH_SESSIONS = 70


def _reverting_variance(states: Floats, rows: Floats, steps: Ints, ceilings: Floats) -> Floats:
    """Return GARCH's and GJR's variance of the sum of the next returns, shape (m, k): each reverts to its level."""
    memory = (0.5 * (rows[:, 1] + rows[:, 2]) + rows[:, 3])[:, None]
    level = rows[:, 0][:, None] / (1.0 - memory)
    excess = (states[:, None] - level) * (1.0 - memory**steps) / (1.0 - memory)
    return np.asarray(np.minimum(steps * level + excess, steps * ceilings[:, None]))


class GarchEngine:
    """Fits and distributions of one recursion on one series, computed once and kept in the series' cache.

    Parameters
    ----------
    series:
        Values; only prefixes are looked at.
    kind:
        ``GARCH``, ``GJR`` or ``EGARCH`` of this package.
    engine:
        ``bulk`` (numba) or ``arch`` (the package, for reference).
    window:
        Returns a fit looks back on.
    refit:
        ``month``, ``week`` or ``value``.
    """

    def __init__(self, series: KnownSeries, kind: int, engine: str, window: int, refit: str) -> None:
        self.series = series
        self.kind = kind
        self.engine = engine
        self.window = window
        self.refit = refit
        self.returns = scaled_returns(series)
        self.fits: dict[int, Floats] = {}
        self.shapes: dict[tuple[int, int], tuple[Floats, float]] = {}
        self.windows: dict[int, tuple[Floats, Floats]] = {}
        self.growths: dict[int, Floats] = {}
        self._squares = np.concatenate([[0.0], np.cumsum(self.returns**2)])

    @classmethod
    def of(cls, series: KnownSeries, kind: int, params: Mapping[str, Any]) -> GarchEngine:
        """Return the engine of a series for these parameters, the same one each time."""
        key = ("garch", kind, params["engine"], params["window"], params["refit"])
        if key not in series.cache:
            series.cache[key] = cls(series, kind, params["engine"], params["window"], params["refit"])
        made: GarchEngine = series.cache[key]
        return made

    def fitted(self, ends: Ints, refit: str | None = None) -> tuple[Ints, Floats]:
        """Return, for each end, the end its fit was made at and the fit: (m,) and (m, 8)."""
        schedule, anchor = refit_schedule(self.series, self.refit)
        serving = refit_schedule(self.series, refit)[0] if refit else schedule
        at = serving[np.searchsorted(serving, ends, side="right") - 1]
        wanted = np.array([end for end in np.unique(at) if int(end) not in self.fits], dtype=np.int64)
        for first, last in _chains(np.searchsorted(schedule, wanted), anchor):
            chain = schedule[first : last + 1]
            mine = wanted[(wanted >= chain[0]) & (wanted <= chain[-1])]
            if not self._recall(chain, mine):
                self._run_chain(chain)
                self._keep(chain, mine)
        return at, np.array([self.fits[int(end)] for end in at])

    def _recall(self, chain: Ints, ends: Ints) -> bool:
        """Take fits that were kept; tell whether all were there."""
        fits = kept.current()
        if fits is None or self.engine != "bulk":
            return False
        rows = {int(end): fits.read(self._address(chain, int(end))) for end in ends}
        self.fits.update({end: row for end, row in rows.items() if row is not None})
        return all(row is not None for row in rows.values())

    def _keep(self, chain: Ints, ends: Ints) -> None:
        fits = kept.current()
        if fits is not None and self.engine == "bulk":
            for end in ends:
                fits.write(self._address(chain, int(end)), self.fits[int(end)])

    def _address(self, chain: Ints, end: int) -> str:
        """Return a hash of all a fit follows from: its chain, the returns any of it sees, and the recipe."""
        first = max(0, int(chain[0]) - 1 - self.window)
        chained = chain[chain <= end] - first
        recipe = [_arithmetic(), self.kind, self.window, TOLERANCE, chained.tolist()]
        return content_hash([recipe, hashlib.sha256(self.returns[first : end - 1].tobytes()).hexdigest()])

    def _run_chain(self, chain: Ints) -> None:
        from forex_assets.forecasting.garch import kernels, reference

        done = next((i for i, end in enumerate(chain) if int(end) not in self.fits), len(chain))
        if done == len(chain):
            return
        if self.engine == "arch":
            for end in chain[done:]:
                start = max(0, int(end) - 1 - self.window)
                self.fits[int(end)] = reference.fit(self.kind, self.returns, start, int(end) - 1)
            return
        theta = self.fits[int(chain[done - 1])][:PARAMETERS].copy() if done else np.zeros(PARAMETERS)
        rows = kernels.fit_chain(self.kind, self.returns, chain[done:], self.window, theta, done == 0, TOLERANCE)
        for end, row in zip(chain[done:], rows, strict=True):
            self.fits[int(end)] = row

    def sigma(self, ends: Ints) -> Floats:
        """Return the forecast standard deviation of the next session's log return at each end, shape (m,)."""
        at, rows = self.fitted(ends)
        states = self._states(at, ends, rows)
        variance = np.exp(states) if self.kind == EGARCH else states
        return np.asarray(np.sqrt(variance) / PERCENT)

    def variances(self, ends: Ints, steps: Ints) -> Floats:
        """Return the forecast variance of the log return over each number of sessions, shape (m, k)."""
        at, rows = self.fitted(ends)
        states = self._states(at, ends, rows)
        if self.kind != EGARCH:
            return np.asarray(_reverting_variance(states, rows, steps, self._ceilings(at)) / PERCENT**2)
        from forex_assets.forecasting.garch import kernels

        out = np.empty(steps.shape)
        for end in np.unique(at):
            mine = np.flatnonzero(at == end)
            theta = rows[mine[0], :PARAMETERS]
            growth = self._growth(int(end), rows[mine[0]], int(steps[mine].max()))
            ceiling = float(self._ceilings(np.array([end]))[0])
            for step in np.unique(steps[mine]):
                values = kernels.growing_variance(states[mine], theta, growth, int(step), ceiling)
                i, k = np.nonzero(steps[mine] == step)
                out[mine[i], k] = values[i]
        return np.asarray(out / PERCENT**2)

    def _states(self, at: Ints, ends: Ints, rows: Floats) -> Floats:
        """Return the state at each end, filtered on from the fit made at ``at``, shape (m,)."""
        who = fitting(int(np.sum(ends - at)), self.kind)
        return np.asarray(who.states_at(self.kind, self.returns, at, ends, rows))

    def _ceilings(self, ends: Ints) -> Floats:
        """Return the largest daily variance a fit may expect, in squared percent, shape (m,)."""
        total = self._squares
        first = np.maximum(ends - 1 - self.window, 0)
        return np.asarray(CEILING * np.maximum((total[ends - 1] - total[first]) / (ends - 1 - first), 1e-12))

    def _window_states(self, end: int, row: Floats) -> tuple[Floats, Floats]:
        """Return the states of the window behind a fit (one more than returns) and its standardised residuals."""
        if end not in self.windows:
            start = max(0, end - 1 - self.window)
            who = fitting(end - 1 - start, self.kind)
            states = who.window_states(self.kind, self.returns, start, end - 1, row[:PARAMETERS])
            sigma = np.exp(0.5 * states[:-1]) if self.kind == EGARCH else np.sqrt(states[:-1])
            self.windows[end] = (states, self.returns[start : end - 1] / sigma)
        return self.windows[end]

    def _growth(self, end: int, row: Floats, steps: int) -> Floats:
        """Return EGARCH's growth of the expected variance over the next sessions (longer than asked for)."""
        from forex_assets.forecasting.garch import kernels

        held = self.growths.get(end)
        if held is None or len(held) < steps:
            z = self._window_states(end, row)[1]
            z = z / max(float(np.sqrt(np.mean(z * z))), 1e-3)
            held = kernels.log_growth(row[:PARAMETERS], z, max(steps, GROWTH_SESSIONS))
            self.growths[end] = held
        return held

    def log_quantiles(self, ends: Ints, steps: Ints) -> Floats:
        """Return quantiles of the log return: forecast variance × the shape of past moves, shape (m, k, 13).

        The shape of a tenor is that of past moves of as many values, each over the standard deviation forecast at its
        start, in the window of the month's first fit. It leans on Student's t with 8 degrees of freedom, widened by
        the horizon's own variance, where the window holds few non-overlapping tenors.
        """
        scale = np.sqrt(self.variances(ends, steps))
        at, rows = self.fitted(ends, "month")
        plain = np.sqrt(horizon_variance_factor(self.series, ends, steps))[:, :, None] * shape_scores()
        out = np.empty((*steps.shape, len(LEVELS)))
        for end in np.unique(at):
            mine = np.flatnonzero(at == end)
            for step in np.unique(steps[mine]):
                unit, weight = self._shape(int(end), rows[mine[0]], int(step))
                i, k = np.nonzero(steps[mine] == step)
                out[mine[i], k] = weight * unit + (1.0 - weight) * plain[mine[i], k]
        return np.asarray(out * scale[:, :, None])

    def _shape(self, end: int, row: Floats, step: int) -> tuple[Floats, float]:
        key = (end, step)
        if key not in self.shapes:
            states, _ = self._window_states(end, row)
            x, elapsed = self.series.log_value, _elapsed(self.series)
            start = end - len(states)  # states[i] is known with the first start + i + 1 values
            count = end - start - step
            unit, weight = np.zeros(len(LEVELS)), 0.0
            if count >= MIN_MOVES:
                begin = np.arange(start, start + count)
                ceiling = self._ceilings(np.array([end]))
                if self.kind == EGARCH:
                    from forex_assets.forecasting.garch import kernels

                    growth = self._growth(end, row, step)
                    theta = row[:PARAMETERS]
                    variance = kernels.growing_variance(states[:count], theta, growth, step, float(ceiling[0]))
                else:
                    variance = _reverting_variance(states[:count], row[None, :], np.array([[step]]), ceiling)[:, 0]
                spans = elapsed[begin + step] - elapsed[begin]
                moves = PERCENT * (x[begin + step] - x[begin]) / np.sqrt(variance * spans / step)
                unit = np.quantile(np.clip(moves, -MOVE_CLIP, MOVE_CLIP), LEVELS, method="weibull")
                unit = unit - unit[MEDIAN_INDEX]
                weight = count / step / (count / step + SHRINKAGE_TENORS)
            self.shapes[key] = (unit, weight)
        return self.shapes[key]

    def simulated_log_quantiles(
        self, ends: Ints, steps: Ints, days: npt.NDArray[np.datetime64], samples: int, rng: OriginRandom
    ) -> Floats:
        """Return quantiles by filtered historical simulation, shape (m, k, 13).

        Innovations are the standardised residuals of the fit's own window, drawn with the origin's seed; all tenors of
        an origin share its paths. The spread is widened by the horizon's own variance, which independent draws lack.
        """
        from forex_assets.forecasting.garch import kernels

        at, rows = self.fitted(ends)
        states = self._states(at, ends, rows)
        factor = np.sqrt(horizon_variance_factor(self.series, ends, steps))
        out = np.empty((*steps.shape, len(LEVELS)))
        for i in range(len(ends)):
            z = self._window_states(int(at[i]), rows[i])[1]
            ceiling = float(self._ceilings(at[i : i + 1])[0])
            deepest = int(steps[i].max())
            seed = np.uint64(rng.seed_of(days[i]))
            theta = rows[i, :PARAMETERS]
            sums = kernels.simulate(self.kind, states[i], theta, z - z.mean(), seed, deepest, samples, ceiling)
            unit = np.quantile(sums[steps[i] - 1], LEVELS, axis=1, method="weibull").T
            out[i] = (unit - unit[:, MEDIAN_INDEX : MEDIAN_INDEX + 1]) * factor[i][:, None] / PERCENT
        return _apart(out)


@functools.cache
def _arithmetic() -> str:
    """Return a hash of the code a fit's numbers come from: fits kept by other code are not used."""
    folder = Path(__file__).parent
    return content_hash([(folder / name).read_text(encoding="utf-8") for name in ("kernels.py", "recursion.py")])


def _apart(quantiles: Floats) -> Floats:
    """Return quantiles that grow strictly even where a sample repeats one value."""
    width = np.maximum(quantiles[..., -1:] - quantiles[..., :1], 1e-8)
    return quantiles + 1e-6 * width * shape_scores()


def scaled_returns(series: KnownSeries) -> Floats:
    """Return log returns in percent per root session, clipped at six EWMA standard deviations, shape (n - 1,)."""
    key = "garch_returns"
    if key not in series.cache:
        raw = PERCENT * series.log_return / np.sqrt(series.sessions)
        series.cache[key] = clipped(raw, CLIP_DECAY, CLIP_SIGMA, CLIP_FLOOR_PERCENT)
    return np.asarray(series.cache[key])


def clipped(raw: Floats, decay: float, multiple: float, floor: float) -> Floats:
    """Return returns clipped at ``multiple`` EWMA standard deviations known before each, shape (n,)."""
    who = fitting(len(raw))
    fed = raw if who is not recursion else raw.tolist()  # plain Python is quicker on its own numbers
    return np.asarray(who.clip_returns(fed, decay, multiple, floor), dtype=np.float64)


def _elapsed(series: KnownSeries) -> Floats:
    key = "elapsed_sessions"
    if key not in series.cache:
        series.cache[key] = np.concatenate([[0.0], np.cumsum(series.sessions)])
    return np.asarray(series.cache[key])


def refit_schedule(series: KnownSeries, refit: str) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return the ends fits are made at, growing, and which of them start from fixed values.

    Element i of the schedule depends on the dates up to it alone.
    """
    key = ("refit_schedule", refit)
    if key not in series.cache:
        ends = np.arange(MIN_VALUES_TO_FIT, len(series) + 1)
        dates = series.event_date[ends - 1]
        before = series.event_date[ends - 2]
        if refit == "month":
            new = dates.astype("datetime64[M]") != before.astype("datetime64[M]")
        elif refit == "week":
            new = (dates.astype(np.int64) + 3) // 7 != (before.astype(np.int64) + 3) // 7
        else:
            new = np.ones(len(ends), dtype=bool)
        new |= dates.astype("datetime64[M]") != before.astype("datetime64[M]")
        new[:1] = True
        ends, dates = ends[new], dates[new]
        years = dates.astype("datetime64[Y]")
        anchor = np.ones(len(ends), dtype=bool)
        anchor[1:] = years[1:] != years[:-1]
        series.cache[key] = (ends.astype(np.int64), anchor)
    schedule, anchors = series.cache[key]
    return schedule, anchors


def _chains(needed: Ints, anchor: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (anchor, last needed) index pairs of the schedule that cover the needed indices."""
    first = np.maximum.accumulate(np.where(anchor, np.arange(len(anchor)), 0))[needed]
    return [
        (int(start), max(int(i) for _, i in group))
        for start, group in itertools.groupby(zip(first, needed, strict=True), key=lambda pair: pair[0])
    ]
