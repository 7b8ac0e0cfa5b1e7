"""Two-sample statistics of a recent window against the one before it, for every end at once.

Functions take windows as rows, shape (w, m), and return one number a row. They agree with scipy's and statsmodels'
single-window functions (tests hold them equal); 2,500 windows of ten features take a fraction of a second.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats, Ints


def window_pairs(values: Floats, baseline: int, recent: int, ends: Ints) -> tuple[Floats, Floats]:
    """Return the ``recent`` values up to each end and the ``baseline`` values before them.

    Parameters
    ----------
    values:
        Shape (n,).
    baseline, recent:
        Lengths.
    ends:
        How many values are known, each at least ``baseline + recent``; shape (w,).
    """
    whole = np.lib.stride_tricks.sliding_window_view(values, baseline + recent)[ends - baseline - recent]
    return whole[:, :baseline], whole[:, baseline:]


def ks_distance(x: Floats, y: Floats) -> Floats:
    """Return the largest distance between two empirical distribution functions, row by row."""
    n1, n2 = x.shape[1], y.shape[1]
    both = np.concatenate([x, y], axis=1)
    order = np.argsort(both, axis=1)
    step = np.where(order < n1, 1.0 / n1, -1.0 / n2)
    height = np.cumsum(step, axis=1)
    ordered = np.take_along_axis(both, order, axis=1)
    # Between equal values the functions have not finished stepping.
    done = np.ones(both.shape, dtype=bool)
    done[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
    return np.asarray(np.abs(np.where(done, height, 0.0)).max(axis=1), dtype=np.float64)


def ks_exact_p(distance: Floats, n1: int, n2: int) -> Floats:
    """Return the exact two-sided p-value of each distance between samples of ``n1`` and ``n2`` values."""
    lattice = math.lcm(n1, n2)
    heights = np.rint(distance * lattice).astype(np.int64)
    unique, back = np.unique(heights, return_inverse=True)
    return np.array([_ks_tail(int(height), n1, n2) for height in unique])[back]


@functools.lru_cache(maxsize=4096)
def _ks_tail(height: int, n1: int, n2: int) -> float:
    """Return P(D·lcm >= height): the share of lattice paths that leave the band."""
    if height <= 0:
        return 1.0
    lattice = math.lcm(n1, n2)
    up, across = lattice // n1, lattice // n2
    inside = np.zeros(n2 + 1)
    for i in range(n1 + 1):
        for j in range(n2 + 1):
            if i == 0 and j == 0:
                inside[0] = 1.0
            elif abs(i * up - j * across) >= height:
                inside[j] = 0.0
            else:
                # Weights of a uniformly random path, so that the numbers stay of order one.
                left = inside[j - 1] * j / (i + j) if j else 0.0
                below = inside[j] * i / (i + j) if i else 0.0
                inside[j] = left + below
    return float(min(1.0, max(0.0, 1.0 - inside[n2])))


def ks_effective_p(distance: Floats, n1: Floats, n2: Floats) -> Floats:
    """Return the limiting p-value of a distance for effective sample sizes, with Stephens' small-sample correction."""
    from scipy.special import kolmogorov

    root = np.sqrt(n1 * n2 / (n1 + n2))
    return np.asarray(kolmogorov((root + 0.12 + 0.11 / root) * distance), dtype=np.float64)


def welch_p(x: Floats, y: Floats) -> Floats:
    """Return the two-sided p-value of Welch's t test, row by row."""
    from scipy.special import stdtr

    n1, n2 = x.shape[1], y.shape[1]
    a, b = x.var(axis=1, ddof=1) / n1, y.var(axis=1, ddof=1) / n2
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (x.mean(axis=1) - y.mean(axis=1)) / np.sqrt(a + b)
        freedom = (a + b) ** 2 / (a**2 / (n1 - 1) + b**2 / (n2 - 1))
        return np.asarray(2.0 * stdtr(freedom, -np.abs(t)), dtype=np.float64)


def levene_p(x: Floats, y: Floats) -> Floats:
    """Return the p-value of Levene's test about medians (Brown-Forsythe), row by row."""
    from scipy.special import fdtrc

    n1, n2 = x.shape[1], y.shape[1]
    a, b = np.abs(x - np.median(x, axis=1)[:, None]), np.abs(y - np.median(y, axis=1)[:, None])
    mean_a, mean_b = a.mean(axis=1), b.mean(axis=1)
    grand = (n1 * mean_a + n2 * mean_b) / (n1 + n2)
    between = n1 * (mean_a - grand) ** 2 + n2 * (mean_b - grand) ** 2
    within = ((a - mean_a[:, None]) ** 2).sum(axis=1) + ((b - mean_b[:, None]) ** 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(fdtrc(1.0, n1 + n2 - 2.0, (n1 + n2 - 2) * between / within), dtype=np.float64)


def ljung_box_p(x: Floats, lags: int) -> Floats:
    """Return the p-value of the Ljung-Box test of no autocorrelation up to ``lags``, row by row."""
    from scipy.special import chdtrc

    n = x.shape[1]
    centred = x - x.mean(axis=1)[:, None]
    total = (centred**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        q = np.zeros(len(x))
        for lag in range(1, lags + 1):
            q += ((centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / total) ** 2 / (n - lag)
        return np.asarray(chdtrc(lags, n * (n + 2) * q), dtype=np.float64)


class Rolling:
    """Sums over windows of one series, each read off cumulated sums: the cost does not grow with the window.

    Missing values count as zero in every sum and are counted apart.
    """

    def __init__(self, values: Floats) -> None:
        self.missing = _cumulated(np.isnan(values).astype(np.float64))
        self.values = np.nan_to_num(values, nan=0.0)
        self.total = _cumulated(self.values)
        self.changes = _cumulated(
            np.concatenate([[0.0], (np.diff(self.values) != 0.0).astype(np.float64)])[: len(values)]
        )
        self._products: dict[int, Floats] = {}

    def products(self, lag: int) -> Floats:
        """Return cumulated sums of each value times the one ``lag`` before it."""
        if lag not in self._products:
            product = np.zeros(len(self.values))
            product[lag:] = self.values[lag:] * self.values[: len(self.values) - lag]
            self._products[lag] = _cumulated(product)
        return self._products[lag]

    def mean(self, first: Ints, last: Ints) -> Floats:
        """Return the mean of the values from ``first`` up to, not including, ``last``."""
        return np.asarray((self.total[last] - self.total[first]) / (last - first), dtype=np.float64)

    def missing_share(self, first: Ints, last: Ints) -> Floats:
        """Return the share of missing values in each window."""
        return np.asarray((self.missing[last] - self.missing[first]) / (last - first), dtype=np.float64)

    def is_constant(self, first: Ints, last: Ints) -> npt.NDArray[np.bool_]:
        """Return whether no value of a window differs from the one before it."""
        return np.asarray(self.changes[last] == self.changes[np.minimum(first + 1, last)], dtype=np.bool_)

    def autocovariance(self, first: Ints, last: Ints, lag: int) -> Floats:
        """Return the sum of centred products at a lag within each window."""
        mean = self.mean(first, last)
        products = self.products(lag)
        later, sooner = self.total[last] - self.total[first + lag], self.total[last - lag] - self.total[first]
        return np.asarray(
            products[last] - products[first + lag] - mean * (later + sooner) + (last - first - lag) * mean**2
        )

    def lag_one(self, first: Ints, last: Ints) -> Floats:
        """Return the lag-1 autocorrelation of each window."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.autocovariance(first, last, 1) / self.autocovariance(first, last, 0))

    def dependence(self, first: Ints, last: Ints, lags: int) -> Floats:
        """Return by how much autocorrelation inflates the variance of each window's mean: Bartlett's 1 + 2 Σ w ρ.

        Never below 1.
        """
        out = np.ones(len(first))
        with np.errstate(invalid="ignore", divide="ignore"):
            total = self.autocovariance(first, last, 0)
            for lag in range(1, lags + 1):
                out += 2.0 * (1.0 - lag / (lags + 1)) * self.autocovariance(first, last, lag) / total
        return np.asarray(np.maximum(np.nan_to_num(out, nan=1.0), 1.0), dtype=np.float64)


def _cumulated(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def benjamini_hochberg(p: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Return which hypotheses are rejected in each column of p-values at a false discovery share.

    Parameters
    ----------
    p:
        Shape (k, d): k hypotheses on d days; NaN is not tested.
    share:
        Share of the rejected that may be false.
    """
    k = np.isfinite(p).sum(axis=0)
    ordered = np.sort(np.where(np.isfinite(p), p, np.inf), axis=0)
    rank = np.arange(1, len(p) + 1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        good = ordered <= share * rank / k
    last = np.where(good.any(axis=0), len(p) - 1 - np.argmax(good[::-1], axis=0), -1)
    cut = np.where(last >= 0, np.take_along_axis(ordered, np.maximum(last, 0)[None], axis=0)[0], -1.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(p <= cut[None, :], dtype=np.bool_)
