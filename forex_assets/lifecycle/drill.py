"""The restore drill: damage a copy of everything the life cycle keeps, restore it, and measure how long that takes.

It runs in a sandbox that is deleted afterwards; what is deployed is never touched.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from forex_assets.errors import ForexError, StoreError
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.pointers import Pointers
from forex_assets.lifecycle.promotion import Deployer
from forex_assets.lifecycle.store import FOLDER, LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion, Quantity
from forex_assets.settings.deployment import DeploymentSettings


@dataclass(frozen=True, slots=True)
class DrillStep:
    """One thing damaged and restored: whether it was, in how many seconds, and what was seen."""

    name: str
    restored: bool
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class DrillReport:
    """A whole drill."""

    subject: Subject
    planted: bool
    steps: tuple[DrillStep, ...]
    passed: bool
    restore_s: float
    entry: str


def drill(home: Path, policy: DeploymentSettings, *, subject: Subject, now: dt.datetime) -> DrillReport:
    """Run the drill on a copy of what is stored, and record it in the real ledger.

    Where the subject has no earlier version to go back to, two versions are planted in the sandbox.

    Raises
    ------
    StoreError
        When the sandbox cannot be made.
    """
    real = LifecycleStore(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".drill.", dir=home) as name:
            sandbox = Path(name)
            if real.root.exists():
                shutil.copytree(real.root, sandbox / FOLDER)
            planted, steps = _run(sandbox, policy, subject, now)
    except OSError as error:
        raise StoreError(
            f"The drill cannot make its sandbox in {home}: {error.strerror or error}.",
            remedy="free disk space for a copy of the life cycle's folder, and run the drill again.",
        ) from error
    slowest = max(step.seconds for step in steps)
    passed = all(step.restored for step in steps) and slowest <= policy.drill.max_restore_s
    failed = [f"{step.name}: {step.detail}" for step in steps if not step.restored]
    late = [f"{step.name} took {step.seconds:.2f} s" for step in steps if step.seconds > policy.drill.max_restore_s]
    reasons = [*failed, *late] or [f"every damage was restored, the slowest in {slowest:.3f} s"]
    outcome = {"passed": passed, "restore_s": slowest, "planted": planted, "steps": [asdict(step) for step in steps]}
    entry = real.ledger.append(Decision("drill", subject, outcome, reasons), now=now)
    return DrillReport(subject, planted, tuple(steps), passed, slowest, entry.id)


def _run(sandbox: Path, policy: DeploymentSettings, subject: Subject, now: dt.datetime) -> tuple[bool, list[DrillStep]]:
    deployer = Deployer(LifecycleStore(sandbox), policy)
    planted = _plant(deployer, subject, now)
    steps = [
        ("version file damaged", lambda: _version_file(sandbox, subject)),
        ("pointers damaged", lambda: _pointers(sandbox, subject, policy, now)),
        ("ledger edited by hand", lambda: _ledger(sandbox)),
        ("rollback", lambda: _rollback(sandbox, subject, policy, now)),
        ("version lost with its copy", lambda: _lost(sandbox, subject)),
    ]
    return planted, [_timed(name, work) for name, work in steps]


def _timed(name: str, work: Callable[[], tuple[bool, str]]) -> DrillStep:
    started = time.perf_counter()
    try:
        restored, detail = work()
    except ForexError as error:
        restored, detail = False, str(error)
    return DrillStep(name, restored, time.perf_counter() - started, detail)


def _plant(deployer: Deployer, subject: Subject, now: dt.datetime) -> bool:
    """Put two versions into the sandbox's pointers when there are not two; True when it did."""
    store = deployer.store
    if any(name != SETTINGS for name in store.of(subject).earlier):
        return False
    for number in (1, 2):
        version = ConfigVersion(
            subject=subject,
            model="champion_zero",
            parameters={"drill": Quantity(number, "1")},
            data_hash="drill",
            data_cutoff=dt.date(2000, 1, 1),
            code_version="drill",
            model_id="drill",
            parents=(),
            metrics={},
            search={"engine": "drill"},
            created_at=now,
            approver="drill",
        )
        store.versions.put(version)
        state = store.state(subject.scope)
        span = deployer._span(state, subject, version.hash, now.date(), now, "promotion")
        changed: dict[str, Pointers] = {subject.key: state.of(subject).promote(version.hash, span)}
        entry = deployer._record(
            subject, {"action": "promote", "reasons": ["drill"]}, {}, state, changed, changed, now, "drill", now.date()
        )
        deployer._move(state, changed, [entry], now)
    return True


def _version_file(sandbox: Path, subject: Subject) -> tuple[bool, str]:
    store = LifecycleStore(sandbox)
    current = store.of(subject).current
    path = store.versions.folder / f"{current}.json"
    path.write_bytes(path.read_bytes()[:-40])
    found = LifecycleStore(sandbox).resolve(subject)
    mended = store.versions.mend(current)
    good = found.version is not None and found.version.hash == current and mended and not store.versions.damaged()
    return good, f"version {current} read from its copy and mended" if good else f"{path.name} was not restored"


def _pointers(sandbox: Path, subject: Subject, policy: DeploymentSettings, now: dt.datetime) -> tuple[bool, str]:
    store = LifecycleStore(sandbox)
    before = store.of(subject)
    newest = store.pointers.generations(subject.scope)[-1]
    store.pointers.path(subject.scope, newest).write_bytes(b"{")
    deployer = Deployer(LifecycleStore(sandbox), policy)
    found = deployer.store.of(subject)
    deployer.repair(subject.scope, now=now)
    after = LifecycleStore(sandbox).state(subject.scope)
    good = found == before and after.of(subject) == before and not after.damage
    return good, "recomputed from the ledger" if good else "; ".join(after.damage) or "other pointers came out"


def _ledger(sandbox: Path) -> tuple[bool, str]:
    store = LifecycleStore(sandbox)
    data = store.ledger.path.read_bytes()
    lines = data.splitlines(keepends=True)
    line = len(lines) // 2
    edited = [*lines[:line], lines[line].replace(b'"reasons":["', b'"reasons":["Not ', 1), *lines[line + 1 :]]
    store.ledger.path.write_bytes(b"".join(edited))
    found = store.ledger.verify()
    store.ledger.path.write_bytes(data)
    located = [fault.line for fault in found.faults] == [line + 1]
    good = located and store.ledger.verify().intact
    return good, f"the edited line {line + 1} was found" if good else f"found lines {[f.line for f in found.faults]}"


def _rollback(sandbox: Path, subject: Subject, policy: DeploymentSettings, now: dt.datetime) -> tuple[bool, str]:
    deployer = Deployer(LifecycleStore(sandbox), policy)
    target = deployer.store.of(subject).previous
    move = deployer.rollback(subject, why=["drill"], as_of=now.date(), now=now, actor="drill")
    found = LifecycleStore(sandbox).resolve(subject)
    good = move.version == target and (found.version.hash if found.version else SETTINGS) == target
    return good, f"back to {target}" if good else f"came to {move.version}, not {target}"


def _lost(sandbox: Path, subject: Subject) -> tuple[bool, str]:
    store = LifecycleStore(sandbox)
    current = store.of(subject).current
    for folder in (store.versions.folder, store.versions.copies):
        (folder / f"{current}.json").unlink(missing_ok=True)
    found = LifecycleStore(sandbox).resolve(subject)
    if current == SETTINGS:
        return found.version is None, "the settings' model needs no file"
    good = found.version is None or found.version.hash != current
    used = found.version.hash if found.version else "the settings' model"
    return good and bool(found.notes), f"{used} is used instead, and the loss is reported"
