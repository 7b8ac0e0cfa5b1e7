"""Small true parts for tests of the life cycle: versions, reports, facts, policies, and children that die on cue."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forex_assets.lifecycle.guards import GuardFacts
from forex_assets.lifecycle.promotion import Deployer, Proposal
from forex_assets.lifecycle.reports import Criterion, ValidationReport
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion, Quantity
from forex_assets.settings import packaged_config_dir
from forex_assets.settings.deployment import DeploymentSettings
from forex_assets.settings.reading import read_yaml

SUBJECT = Subject.forecast("usdclp", "7d")
OTHER = Subject.forecast("usdclp", "30d")
NOW = dt.datetime(2025, 6, 15, 6, 0, tzinfo=dt.UTC)
AS_OF = dt.date(2025, 6, 13)
CLEAR = GuardFacts((), False, NOW, 0, 10_000.0, "READY", ())


def policy(**changes: Any) -> DeploymentSettings:
    """Return the packaged policy with some keys replaced."""
    return DeploymentSettings.model_validate({**read_yaml(packaged_config_dir() / "deployment.yaml"), **changes})


def version(number: int = 1, subject: Subject = SUBJECT, *, model: str = "rw_blend", **changes: Any) -> ConfigVersion:
    """Return a version that differs by its number."""
    values: dict[str, Any] = {
        "subject": subject,
        "model": model,
        "parameters": {"window": Quantity(30 + number, "business days")},
        "data_hash": "d" * 16,
        "data_cutoff": dt.date(2025, 5, 30),
        "code_version": "1+test",
        "model_id": model,
        "parents": (SETTINGS,),
        "metrics": {
            "validation_rmse": Quantity(8.45, "CLP per USD"),
            "validation_mape": Quantity(0.89, "%"),
            "validation_mae": Quantity(6.73, "CLP per USD"),
        },
        "search": {"engine": "classic", "iterations": 27, "seconds": 142.3},
        "created_at": NOW,
        "approver": "policy:auto",
        **changes,
    }
    return ConfigVersion(**values)


def report(
    candidate: ConfigVersion, incumbent: str = SETTINGS, *, approved: bool = True, **changes: Any
) -> ValidationReport:
    """Return the gate's judgement of a candidate."""
    state = "met" if approved else "failed"
    values: dict[str, Any] = {
        "subject": candidate.subject,
        "as_of": AS_OF,
        "profile": "recommended",
        "candidate": candidate.hash,
        "incumbent": incumbent,
        "approved": approved,
        "metrics": {"crps": 5.1},
        "criteria": (Criterion("improvement", state, "CRPS lower", "-10%", "lower by 10%"),),
        "reasons": ("CRPS is 10% lower" if approved else "CRPS is not lower",),
        **changes,
    }
    return ValidationReport(**values)


def proposal(candidate: ConfigVersion, incumbent: str = SETTINGS, **changes: Any) -> Proposal:
    """Return a candidate with an approving report and passed checks."""
    values: dict[str, Any] = {
        "version": candidate,
        "report": report(candidate, incumbent),
        "checks": {"rows": True},
        **changes,
    }
    return Proposal(**values)


def deployer(home: Path, **changes: Any) -> Deployer:
    """Return a deployer on a home folder."""
    return Deployer(LifecycleStore(home), policy(**changes))


def promote(home: Path, number: int, subject: Subject = SUBJECT, *, days: int = 0, **changes: Any) -> ConfigVersion:
    """Promote a version over whatever is current; return it."""
    made = deployer(home, **changes)
    candidate = version(number, subject)
    moves = made.propose(
        [proposal(candidate, made.store.of(subject).current)],
        CLEAR,
        as_of=AS_OF + dt.timedelta(days=days),
        now=NOW + dt.timedelta(days=days),
    )
    assert moves[0].action == "promoted", moves
    return candidate


def rollback(home: Path, subject: Subject = SUBJECT, *, days: int = 0, **options: Any) -> str:
    """Roll a subject back; return the version now current."""
    options = {"why": ["the desk asked for it"], "actor": "Ana", **options}
    at = {"as_of": AS_OF + dt.timedelta(days=days), "now": NOW + dt.timedelta(days=days)}
    return deployer(home).rollback(subject, **at, **options).version


# ---- dying on cue -----------------------------------------------------------------------------------------------

_EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate", "os.chmod"}
_CALLS = ("write", "fsync", "ftruncate")


def _on_file_operation(act: Callable[[], None], under: Path) -> None:
    """Call ``act`` before every operation of this process that changes a file below a folder."""
    root = str(under)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and str(arguments[0]).startswith(root):
            reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not reads:
                act()

    sys.addaudithook(hook)
    for name in _CALLS:
        original = getattr(os, name)

        def call(*arguments: Any, _original: Any = original) -> Any:
            act()
            return _original(*arguments)

        setattr(os, name, call)


def killed_before(step: int, work: Callable[[], object], under: Path) -> bool:
    """Run ``work`` in a child that is killed (SIGKILL) before its file operation number ``step``; True when it was."""
    child = os.fork()
    if child == 0:
        count = 0

        def act() -> None:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            _on_file_operation(act, under)
            work()
        except BaseException:  # noqa: BLE001 - the child must not return into pytest
            import traceback

            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def fails_at(step: int, error: int, work: Callable[[], object], under: Path) -> int:
    """Run ``work`` in a child whose file operation number ``step`` and all later ones fail with an errno.

    Returns 0 when it never came to that operation, 1 when it ended in a ForexError, 3 for any other error.
    """
    from forex_assets.errors import ForexError

    child = os.fork()
    if child == 0:
        count = 0

        def act() -> None:
            nonlocal count
            count += 1
            if count >= step:
                raise OSError(error, os.strerror(error))

        try:
            _on_file_operation(act, under)
            work()
        except ForexError:
            os._exit(1)
        except BaseException:  # noqa: BLE001
            import traceback

            traceback.print_exc()
            os._exit(3)
        os._exit(0 if count < step else 2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
