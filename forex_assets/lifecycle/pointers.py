"""Which version each subject stages, uses, used before and last knew to be good; moved by compare-and-swap.

Every move writes a new generation: one file per set of subjects (``<scope>/<generation>.json``) that holds the
pointers of the whole set and their history, linked into place under the next number. The link fails when somebody else
took that number, so one of many concurrent movers wins and the others are told; nothing is ever overwritten, and a set
moves as a whole (L03).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forex_assets.errors import StoreError, ValidationError
from forex_assets.lifecycle.canonical import digest, instant_text
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, check_hash
from forex_assets.store.files import TEMPORARY_SUFFIX, explain, make_folder

SCHEMA = 1
_GENERATION = re.compile(r"(\d{8})\.json")


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of a subject's history: which version was current from an as_of day on, recorded when and why.

    Parameters
    ----------
    version:
        Hash, or ``settings`` for the settings' model.
    valid_from:
        First as_of day whose forecasts use it.
    recorded_at:
        When it was decided.
    generation, cause, entry, approvers:
        The move that made it: its number, ``promotion`` or ``rollback``, its ledger entry, and who approved.
    """

    version: str
    valid_from: dt.date
    recorded_at: dt.datetime
    generation: int
    cause: str
    entry: str
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pointers:
    """The pointers of one subject.

    Parameters
    ----------
    staged:
        Version waiting for approval or shadowing, or None.
    current:
        Version in use.
    earlier:
        Versions used before it, the newest last; a rollback goes back along them.
    last_known_good:
        Newest version that passed its probation; where an automatic rollback goes.
    probation:
        Whether ``current`` is still on probation.
    failed:
        Versions that were rolled back or withdrawn; they are not promoted again unless forced.
    incident:
        Ledger entry of an incident that nobody has acknowledged yet, or None.
    acknowledged_at:
        When a person last acknowledged one; automatic rollbacks before it no longer count.
    history:
        What was current when, oldest first.
    """

    staged: str | None = None
    current: str = SETTINGS
    earlier: tuple[str, ...] = ()
    last_known_good: str = SETTINGS
    probation: bool = False
    failed: tuple[str, ...] = ()
    incident: str | None = None
    acknowledged_at: dt.datetime | None = None
    history: tuple[Span, ...] = ()

    @property
    def previous(self) -> str | None:
        """The version before the current one, or None."""
        return self.earlier[-1] if self.earlier else None

    def at(self, as_of: dt.date | None = None, known_at: dt.datetime | None = None) -> Span | None:
        """Return what was current for an as_of day, as believed at an instant; None: the settings' model."""
        for span in reversed(self.history):
            if (as_of is None or span.valid_from <= as_of) and (known_at is None or span.recorded_at <= known_at):
                return span
        return None

    # ---- moves -------------------------------------------------------------------------------------------------

    def stage(self, version: str) -> Pointers:
        """Return the pointers with a version staged."""
        return replace(self, staged=check_hash(version))

    def unstage(self, *, failed: bool = False) -> Pointers:
        """Return the pointers without the staged version; ``failed`` remembers that it was found wanting."""
        return replace(self, staged=None, failed=_with(self.failed, self.staged) if failed else self.failed)

    def promote(self, version: str, span: Span) -> Pointers:
        """Return the pointers with a version current, on probation, the one before it kept to go back to."""
        return replace(
            self,
            staged=None if self.staged == version else self.staged,
            current=version,
            earlier=(*self.earlier, self.current),
            probation=True,
            failed=tuple(item for item in self.failed if item != version),
            history=(*self.history, span),
        )

    def confirm(self) -> Pointers:
        """Return the pointers with the current version known to be good."""
        return replace(self, last_known_good=self.current, probation=False)

    def rollback(self, target: str, span: Span) -> Pointers:
        """Return the pointers with an earlier version current again, and the abandoned ones remembered as failed.

        Raises
        ------
        ValidationError
            When the target was never current before.
        """
        if target not in self.earlier:
            raise ValidationError(
                f"Version {target} was not current before {self.current}; before it: "
                f"{', '.join(reversed(self.earlier)) or 'nothing'}.",
                remedy="roll back to one of those, or promote a version instead.",
            )
        place = len(self.earlier) - 1 - self.earlier[::-1].index(target)
        failed = self.failed
        for version in (*self.earlier[place + 1 :], self.current):
            failed = _with(failed, version)
        good = self.last_known_good
        return replace(
            self,
            current=target,
            earlier=self.earlier[:place],
            last_known_good=good if good in (*self.earlier[:place], target) else target,
            probation=False,
            failed=tuple(item for item in failed if item != target),
            history=(*self.history, span),
        )


def _with(items: tuple[str, ...], item: str | None) -> tuple[str, ...]:
    return items if item is None or item == SETTINGS or item in items else (*items, item)


@dataclass(frozen=True, slots=True)
class PointerState:
    """The pointers of a set of subjects at one generation; 0 is before the first move."""

    scope: str
    generation: int = 0
    recorded_at: dt.datetime | None = None
    entry: str = ""
    subjects: Mapping[str, Pointers] = field(default_factory=lambda: MappingProxyType({}))
    damage: tuple[str, ...] = ()

    def of(self, subject: Subject) -> Pointers:
        """Return the pointers of a subject; those of a new one when it was never moved."""
        return self.subjects.get(subject.key, Pointers())

    @property
    def hash(self) -> str:
        """Hash of what the pointers say."""
        return digest(encode_subjects(self.subjects))


class ConcurrentMoveError(StoreError):
    """Somebody else moved the pointers first; nothing was changed by this attempt."""


class PointerStore:
    """Generations of pointers below a folder."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "pointers"

    def generations(self, scope: str) -> list[int]:
        """Return the numbers of the stored generations, oldest first, whole or not."""
        try:
            with os.scandir(self.folder / scope) as entries:
                found = [int(match[1]) for entry in entries if (match := _GENERATION.fullmatch(entry.name))]
        except FileNotFoundError:
            return []
        return sorted(found)

    def scopes(self) -> list[str]:
        """Return the sets that have pointers."""
        try:
            with os.scandir(self.folder) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except FileNotFoundError:
            return []

    def path(self, scope: str, generation: int) -> Path:
        """Return the file of a generation."""
        return self.folder / scope / f"{generation:08d}.json"

    def whole(self, scope: str, generation: int) -> PointerState | None:
        """Return a generation, or None when its file is missing, torn or edited."""
        if generation == 0:
            return PointerState(scope)
        try:
            return decode(json.loads(self.path(scope, generation).read_bytes()), scope, generation)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
            return None

    def read(
        self, scope: str, recover: Callable[[str, int, PointerState], PointerState | None] | None = None
    ) -> PointerState:
        """Return the newest pointers.

        Damaged generations are recomputed by ``recover`` from the generation before (the ledger has every move). Where
        that fails too, subjects on probation in the last whole generation go to their last known good version: what
        the lost move was is unknown, and a version that may have been rolled back is not used. Either is reported in
        ``damage``.
        """
        numbers = self.generations(scope)
        newest = numbers[-1] if numbers else 0
        lost: list[int] = []
        state = self.whole(scope, newest)
        while state is None:
            lost.append(newest)
            newest -= 1
            state = self.whole(scope, newest)
        damage = []
        for generation in reversed(lost):
            mended = recover(scope, generation, state) if recover else None
            if mended is None:
                damage.append(
                    f"{self.path(scope, generation)} is damaged and the ledger does not hold its move; "
                    f"generation {state.generation} is used, on probation: the last known good versions"
                )
                state = _cautious(state)
                break
            damage.append(f"{self.path(scope, generation)} is damaged; recomputed from the ledger")
            state = mended
        return replace(state, damage=tuple(damage))

    def swap(
        self,
        state: PointerState,
        subjects: Mapping[str, Pointers],
        *,
        now: dt.datetime,
        entry: str,
        generation: int | None = None,
    ) -> PointerState:
        """Make ``subjects`` the pointers after ``state``; durable when this returns.

        Raises
        ------
        ConcurrentMoveError
            When somebody else moved the pointers after ``state`` was read.
        StoreError
            When the disk refuses; the pointers are as before.
        """
        recorded = max(now, state.recorded_at) if state.recorded_at else now
        number = generation or state.generation + 1
        made = PointerState(state.scope, number, recorded, entry, MappingProxyType({**state.subjects, **subjects}))
        path = self.path(state.scope, number)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
        try:
            make_folder(path.parent)
            _write_synced(temporary, encode(made))
            try:
                os.link(temporary, path)
            except FileExistsError as error:
                raise ConcurrentMoveError(
                    f"The pointers of {state.scope} were moved by somebody else (generation {number} is taken).",
                    remedy="look at `forex optimize status`, and repeat the command if it still applies.",
                ) from error
            _sync(path.parent)
        except OSError as error:
            raise explain(error, "move the pointers in", path) from error
        finally:
            with contextlib.suppress(OSError):  # left-overs are swept; the move itself is what counts
                temporary.unlink()
        return made


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    if os.name == "nt":  # Windows has no handle of a folder to flush
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cautious(state: PointerState) -> PointerState:
    def safe(pointers: Pointers) -> Pointers:
        if not pointers.probation or pointers.current == pointers.last_known_good:
            return pointers
        span = replace(pointers.history[-1], version=pointers.last_known_good, cause="damage")
        return replace(pointers, current=pointers.last_known_good, probation=False, history=(*pointers.history, span))

    return replace(state, subjects=MappingProxyType({key: safe(item) for key, item in state.subjects.items()}))


#: Stands in the pointers for the ledger entry that is about to be written.
OPEN = "open"


def stamped(changed: Mapping[str, Pointers], generation: int, entry: str) -> dict[str, Pointers]:
    """Return pointers with a ledger entry's id in the stretch of history and the incident that this move makes."""

    def stamp(pointers: Pointers) -> Pointers:
        history = tuple(
            replace(span, entry=entry) if span.generation == generation and not span.entry else span
            for span in pointers.history
        )
        return replace(pointers, history=history, incident=entry if pointers.incident == OPEN else pointers.incident)

    return {key: stamp(pointers) for key, pointers in changed.items()}


# ---- the file ---------------------------------------------------------------------------------------------------


def encode_subjects(subjects: Mapping[str, Pointers]) -> dict[str, Any]:
    """Return pointers as plain values."""
    return {
        key: {
            "staged": item.staged,
            "current": item.current,
            "previous": item.previous,
            "earlier": list(item.earlier),
            "last_known_good": item.last_known_good,
            "probation": item.probation,
            "failed": list(item.failed),
            "incident": item.incident,
            "acknowledged_at": instant_text(item.acknowledged_at) if item.acknowledged_at else None,
            "history": [
                {
                    "version": span.version,
                    "valid_from": span.valid_from.isoformat(),
                    "recorded_at": instant_text(span.recorded_at),
                    "generation": span.generation,
                    "cause": span.cause,
                    "entry": span.entry,
                    "approvers": list(span.approvers),
                }
                for span in item.history
            ],
        }
        for key, item in subjects.items()
    }


def decode_subjects(body: Mapping[str, Any]) -> dict[str, Pointers]:
    """Return the pointers of plain values; KeyError, TypeError or ValueError when they are none."""
    return {
        Subject.parse(key).key: Pointers(
            staged=item["staged"],
            current=check_hash(item["current"]),
            earlier=tuple(check_hash(name) for name in item["earlier"]),
            last_known_good=check_hash(item["last_known_good"]),
            probation=bool(item["probation"]),
            failed=tuple(item["failed"]),
            incident=item["incident"],
            acknowledged_at=dt.datetime.fromisoformat(item["acknowledged_at"]) if item["acknowledged_at"] else None,
            history=tuple(
                Span(
                    check_hash(span["version"]),
                    dt.date.fromisoformat(span["valid_from"]),
                    dt.datetime.fromisoformat(span["recorded_at"]),
                    int(span["generation"]),
                    span["cause"],
                    span["entry"],
                    tuple(span["approvers"]),
                )
                for span in item["history"]
            ),
        )
        for key, item in body.items()
    }


def encode(state: PointerState) -> bytes:
    """Return the bytes of a generation's file."""
    body = {
        "schema": SCHEMA,
        "scope": state.scope,
        "generation": state.generation,
        "recorded_at": instant_text(state.recorded_at) if state.recorded_at else None,
        "entry": state.entry,
        "subjects": encode_subjects(state.subjects),
    }
    return json.dumps({"hash": digest(body), **body}, indent=1, sort_keys=True).encode() + b"\n"


def decode(body: dict[str, Any], scope: str, generation: int) -> PointerState:
    """Return the state a generation's file holds; ValueError when it is not what was written."""
    rest = dict(body)
    stated = rest.pop("hash")
    if stated != digest(rest) or rest["schema"] != SCHEMA:
        raise ValueError("the content does not match its hash")
    if (rest["scope"], rest["generation"]) != (scope, generation):
        raise ValueError("the file belongs to another set or generation")
    return PointerState(
        scope,
        generation,
        dt.datetime.fromisoformat(rest["recorded_at"]),
        rest["entry"],
        MappingProxyType(decode_subjects(rest["subjects"])),
    )
