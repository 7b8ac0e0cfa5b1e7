"""Evaluating configurations on a Dask cluster (extra ``dask``): the same losses as here, in the same order.

The cluster is one of this machine's processes, or one that is named (``dask.scheduler``); its workers need this package
in the same version. What is proposed never depends on the workers: how many configurations are proposed together is a
setting of its own. A cluster that cannot be reached, or is lost on the way, costs time, not results: the search goes on
here and says so. A configuration that takes its worker down several times scores infinity.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from forex_assets.errors import ConfigError
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.search.engines import Evaluate, Problem, Trial
from forex_assets.settings.optimization import DaskSettings

Told = Callable[[str], None]
#: How often a task is given to another worker after its worker died.
WORKER_LOSSES = 2
_POLL_S = 0.5
#: Dask serves its state page somewhere whatever it is told; loopback, any free port.
NO_DASHBOARD = "127.0.0.1:0"


@contextlib.contextmanager
def dask_evaluation(
    problem: Problem,
    settings: DaskSettings,
    *,
    memory_mib: int,
    told: Told = lambda text: None,
    deadline: Callable[[], None] = lambda: None,
) -> Iterator[Evaluate | None]:
    """Yield a function that evaluates a batch on the cluster's workers, or None when there is no cluster.

    Parameters
    ----------
    problem:
        What is searched; sent to every worker once.
    settings:
        Where the cluster is, or how large one of this machine's is.
    memory_mib:
        What each worker of this machine's cluster may hold.
    told:
        Called with a sentence when the search goes on here instead, and why.
    deadline:
        Called while results are waited for; what it raises ends the wait, and what was asked for is cancelled.

    Raises
    ------
    ConfigError
        When Dask is not installed.
    """
    try:
        import dask
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigError(
            "optimization.search.distributed is 'dask', but dask is not installed.",
            remedy="install the extra: pip install 'forex-assets[dask]', or set it to none.",
        ) from error
    quiet = {
        "distributed.scheduler.allowed-failures": WORKER_LOSSES,
        "distributed.comm.timeouts.connect": f"{settings.connect_timeout_s}s",
        "logging.distributed": "critical",
    }
    with contextlib.ExitStack() as held:
        held.enter_context(dask.config.set(quiet))
        try:
            address: Any = settings.scheduler
            if not address:
                address = held.enter_context(
                    LocalCluster(  # type: ignore[no-untyped-call]
                        n_workers=settings.workers,
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address=NO_DASHBOARD,
                        memory_limit=f"{memory_mib}MiB",
                        silence_logs=50,
                    )
                )
            client = held.enter_context(
                Client(address, timeout=settings.connect_timeout_s, set_as_default=False)  # type: ignore[no-untyped-call]
            )
            if not client.scheduler_info().get("workers"):
                raise OSError("it has no workers")
            # A task and not scattered data: those would be lost with the last worker that holds them.
            shared = client.submit(_same, problem, pure=False)
        except (OSError, RuntimeError, ValueError) as error:
            where = settings.scheduler or "of this machine"
            told(
                f"the Dask cluster {where} cannot be used ({_first_line(error)}); every configuration is evaluated here"
            )
            held.close()
            yield None
            return
        yield _Cluster(problem, client, shared, told, deadline, settings.connect_timeout_s)


class _Cluster:
    """Evaluates batches on a cluster; here from the moment it is lost."""

    def __init__(
        self,
        problem: Problem,
        client: Any,
        shared: Any,
        told: Told,
        deadline: Callable[[], None],
        patience_s: float,
    ) -> None:
        self.problem, self.client, self.shared = problem, client, shared
        self.told, self.deadline, self.patience_s = told, deadline, patience_s
        self.lost = False

    def __call__(self, choices: Sequence[ModelChoice]) -> list[Trial]:
        """Return the trials of a batch, in its order."""
        if self.lost:
            return self.problem.trials(choices)
        plain = [(choice.model, dict(choice.parameters)) for choice in choices]
        futures = [self.client.submit(_trial, self.shared, *item, pure=False) for item in plain]
        try:
            self._wait(futures)
        except BaseException:
            self.client.cancel(futures)
            raise
        return [self._result(future, choice) for future, choice in zip(futures, choices, strict=True)]

    def _wait(self, futures: Sequence[Any]) -> None:
        """Return when every future is decided, the cluster is lost, or its last worker has been gone for too long."""
        from dask.distributed import wait
        from distributed.client import FuturesCancelledError

        seen = time.monotonic()
        while any(future.status == "pending" for future in futures):
            try:
                with self.client.as_current():
                    wait(futures, timeout=_POLL_S)  # type: ignore[no-untyped-call]
            except FuturesCancelledError:
                return
            except TimeoutError:
                self.deadline()
                if self.client.scheduler_info().get("workers"):
                    seen = time.monotonic()
                elif time.monotonic() - seen > self.patience_s:
                    return

    def _result(self, future: Any, choice: ModelChoice) -> Trial:
        from dask.distributed import KilledWorker

        if future.status == "finished":
            result: Trial = future.result()
            return result
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                return Trial(choice, math.inf, error="ended its worker each time it was tried")
            raise error
        if not self.lost:
            self.lost = True
            self.told("the Dask cluster was lost; the search goes on here")
        return self.problem.trial(choice)


def _same(problem: Problem) -> Problem:
    return problem


def _trial(problem: Problem, model: str, parameters: Mapping[str, Any]) -> Trial:
    return problem.trial(ModelChoice(model, parameters))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
