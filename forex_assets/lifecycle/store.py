"""Versions, pointers and ledger of one home folder together: what is current, and whether it can be trusted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from forex_assets.lifecycle.ledger import Ledger, Verification
from forex_assets.lifecycle.pointers import Pointers, PointerState, PointerStore, decode_subjects, stamped
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion, VersionStore

FOLDER = "lifecycle"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was current for a subject.

    Parameters
    ----------
    version:
        The version, or None for the settings' model.
    shadows:
        Versions that run beside it to be compared: the one before it while it is on probation, a staged one.
    notes:
        What was damaged and how it was got around; empty when all is well.
    """

    version: ConfigVersion | None
    shadows: tuple[ConfigVersion, ...] = ()
    notes: tuple[str, ...] = ()


class LifecycleStore:
    """Everything the life cycle keeps, below ``<home>/lifecycle``."""

    def __init__(self, home: Path) -> None:
        self.root = home / FOLDER
        self.versions = VersionStore(self.root)
        self.pointers = PointerStore(self.root)
        self.ledger = Ledger(self.root)
        self._cached: dict[str, tuple[object, PointerState]] = {}

    def state(self, scope: str) -> PointerState:
        """Return the newest pointers of a set; a damaged generation is recomputed from the ledger."""
        numbers = self.pointers.generations(scope)
        if not numbers:
            return PointerState(scope)
        try:
            stat = self.pointers.path(scope, numbers[-1]).stat()
            signature: object = (numbers[-1], stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            signature = None
        cached = self._cached.get(scope)
        if cached and signature and cached[0] == signature:
            return cached[1]
        state = self.pointers.read(scope, self._recover)
        if signature and not state.damage:
            self._cached[scope] = (signature, state)
        return state

    def of(self, subject: Subject) -> Pointers:
        """Return the pointers of a subject."""
        return self.state(subject.scope).of(subject)

    def resolve(
        self, subject: Subject, as_of: dt.date | None = None, *, known_at: dt.datetime | None = None
    ) -> Resolved:
        """Return what was current for an as_of day (None: the newest), as believed at an instant (None: now).

        A version whose file is lost beyond its copy is stepped over: the last known good, then the earlier ones,
        then the settings' model; ``notes`` says so.
        """
        state = self.state(subject.scope)
        pointers = state.of(subject)
        span = pointers.at(as_of, known_at)
        if span is None or span.version == SETTINGS:
            return Resolved(None, self._shadows(pointers, None, as_of), state.damage)
        wanted = [span.version, pointers.last_known_good, *reversed(pointers.earlier)]
        notes = list(state.damage)
        for name in dict.fromkeys(wanted):
            if name == SETTINGS:
                break
            version = self.versions.find(name)
            if version is not None and (as_of is None or version.data_cutoff <= as_of):
                shadows = self._shadows(pointers, name if span is pointers.history[-1] else None, as_of)
                return Resolved(version, shadows, tuple(notes))
            notes.append(f"version {name} cannot be read" if version is None else f"version {name} is newer than as_of")
        return Resolved(None, (), (*notes, "the settings' model is used"))

    def verify(self) -> Verification:
        """Check the ledger, and that it still holds every entry the pointers name.

        A ledger written anew with hashes that fit each other is found by the second.
        """
        return self.ledger.verify(self._named())

    def is_intact(self) -> bool:
        """Tell whether :meth:`verify` finds no fault; quick on a ledger that was found intact before."""
        return self.ledger.is_intact(self._named())

    def _named(self) -> set[str]:
        """Return the ids of the ledger entries that the pointers name."""
        return {
            span.entry
            for scope in self.pointers.scopes()
            for item in self.state(scope).subjects.values()
            for span in item.history
            if span.entry
        }

    def _shadows(self, pointers: Pointers, current: str | None, as_of: dt.date | None) -> tuple[ConfigVersion, ...]:
        """Return the versions that run beside the current one; none for a day before the data it was tuned on end."""
        names = [pointers.staged]
        if pointers.probation and current == pointers.current:
            names.append(pointers.previous)
        wanted = [name for name in names if name not in (None, SETTINGS, current)]
        found = (self.versions.find(name) for name in dict.fromkeys(wanted) if name)
        return tuple(item for item in found if item and (as_of is None or item.data_cutoff <= as_of))

    def _recover(self, scope: str, generation: int, before: PointerState) -> PointerState | None:
        """Return the generation a ledger entry says it made, or None when no entry does."""
        for entry in self.ledger.newest_first():
            move = entry.outcome.get("move")
            if isinstance(move, Mapping) and (move.get("scope"), move.get("generation")) == (scope, generation):
                subjects = {
                    **before.subjects,
                    **stamped(decode_subjects(move["subjects"]), generation, entry.id),
                }
                return replace(
                    before,
                    generation=generation,
                    recorded_at=entry.at,
                    entry=entry.id,
                    subjects=MappingProxyType(subjects),
                )
        return None
