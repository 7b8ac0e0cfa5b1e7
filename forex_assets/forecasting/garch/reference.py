"""The same fit by the ``arch`` package: slow, and what the bulk engine is held against."""

from __future__ import annotations

import warnings

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.errors import DataError
from forex_assets.forecasting.garch import EGARCH, GARCH, GJR, kernels


def fit(kind: int, returns: Floats, start: int, end: int) -> Floats:
    """Return ``[omega, a1, a2, beta, nu, state, log likelihood, evaluations]`` of the returns ``start:end``.

    Raises
    ------
    DataError
        When ``arch`` ends with parameters that are not finite.
    """
    from arch import arch_model

    window = np.ascontiguousarray(returns[start:end])
    volatility, asymmetry = {
        GARCH: ("GARCH", 0),
        GJR: ("GARCH", 1),
        EGARCH: ("EGARCH", 1),
    }[kind]
    model = arch_model(window, mean="Zero", vol=volatility, p=1, o=asymmetry, q=1, dist="t", rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is judged by the parameters below
        result = model.fit(disp="off", show_warning=False, backcast=kernels.backcast(window, 0, len(window)))
    found = {name: float(value) for name, value in result.params.items()}
    a1, gamma = found["alpha[1]"], found.get("gamma[1]", 0.0)
    a2 = gamma if kind == EGARCH else a1 + gamma
    theta = np.array([found["omega"], a1, a2, found["beta[1]"], found["nu"]])
    if not np.isfinite(theta).all():
        raise DataError(
            f"arch found no parameters for {len(window)} returns: {theta.tolist()}.",
            remedy="use engine: bulk, or a longer window.",
        )
    # At the edge of stationarity arch may end just outside the region the recursions are defined on.
    kernels.project(kind, theta, max(float(np.mean(window**2)), 1e-14))
    state = float(kernels.window_states(kind, returns, start, end, theta)[-1])
    return np.array([*theta, state, float(result.loglikelihood), float(result.optimization_result.nfev)])
