"""Evaluating configurations on a local Dask cluster (extra ``dask``): the same losses as here, in the same order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from forex_assets.errors import ConfigError
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.search.engines import Evaluate, Problem, Trial

WORKERS = 2


@contextlib.contextmanager
def dask_evaluation(problem: Problem, workers: int = WORKERS) -> Iterator[tuple[Evaluate, int]]:
    """Yield a function that evaluates a batch on the cluster's workers, and how many configurations make a batch.

    Raises
    ------
    ConfigError
        When Dask is not installed.
    """
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigError(
            "optimization.search.distributed is 'dask', but dask is not installed.",
            remedy="install the extra: pip install 'forex-assets[dask]', or set it to none.",
        ) from error
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        shared = client.scatter(problem, broadcast=True)

        def evaluate(choices: Sequence[ModelChoice]) -> list[Trial]:
            plain = [(choice.model, dict(choice.parameters)) for choice in choices]
            futures = [client.submit(_trial, shared, model, parameters, pure=False) for model, parameters in plain]
            return list(client.gather(futures))

        yield evaluate, workers


def _trial(problem: Problem, model: str, parameters: dict[str, object]) -> Trial:
    return problem.trial(ModelChoice(model, parameters))
