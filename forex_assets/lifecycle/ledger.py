"""Every decision of the life cycle, one line each: append-only, hash-chained, with what it was decided from.

A line is one JSON object whose first field is the hash of the line before and whose last field is the hash of all
that stands before it, so that a changed, missing or inserted line is found where it is. Beside the file stands an
anchor with the newest line's hash, so that lines cut off at the end are missed too.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forex_assets.errors import StoreError, ValidationError
from forex_assets.lifecycle.canonical import HASH_DIGITS, digest, instant_text, plain, sha256, spelled
from forex_assets.lifecycle.subject import Subject
from forex_assets.provenance import code_version
from forex_assets.store.files import explain, write_file
from forex_assets.store.locks import FileLock

KINDS = (
    "trigger",
    "search",
    "gate",
    "staging",
    "approval",
    "promotion",
    "probation",
    "rollback",
    "incident",
    "acknowledgement",
    "sink",
    "guard",
    "repair",
    "drill",
)
GENESIS = "0" * 64
_TAIL = b',"hash":"'
_TAIL_LENGTH = len(_TAIL) + 64 + 2  # the hash, its closing quote and the brace
_HEAD_LENGTH = len(b'{"prev":"') + 64
INLINE_BYTES = 6_000
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, before it has a place in the ledger.

    Parameters
    ----------
    kind:
        One of :data:`KINDS`.
    subject:
        What it is about, or None when it is about the whole platform.
    outcome:
        The decision itself, plain values; what a replay must come to again.
    reasons:
        Sentences a person reads, most important first.
    function:
        Name of the registered pure function that decides (:mod:`forex_assets.lifecycle.decisions`); empty for an act
        of a person or a record of a fact, which cannot be replayed.
    inputs:
        What that function was given, plain values. Large inputs are kept in a file of their own, by hash.
    policy:
        The rules it was decided by; part of what the function is given.
    actor:
        Who decided: ``automation``, or a person's name.
    as_of:
        Day whose data it was decided from.
    """

    kind: str
    subject: Subject | None
    outcome: Mapping[str, Any]
    reasons: Sequence[str]
    function: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    actor: str = "automation"
    as_of: dt.date | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValidationError(
                f"Ledger entry kind {self.kind!r} is not one of {', '.join(KINDS)}.", remedy="use one of those."
            )
        if not self.reasons or not all(isinstance(item, str) and item.strip() for item in self.reasons):
            raise ValidationError(
                f"The {self.kind} entry gives no reason; every decision must say why.", remedy="pass its reasons."
            )


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    id: str
    number: int
    at: dt.datetime
    kind: str
    subject: Subject | None
    actor: str
    as_of: dt.date | None
    outcome: Mapping[str, Any]
    reasons: tuple[str, ...]
    function: str
    input_hash: str
    policy_hash: str
    inputs: Mapping[str, Any] | None
    policy: Mapping[str, Any] | None
    code_version: str
    prev: str
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as plain values, inputs and policy left out where they are kept apart."""
        body = {name: getattr(self, name) for name in self.__slots__}
        return dict(plain({**body, "subject": self.subject.key if self.subject else None}))


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the ledger: the line (from 1; 0: none in particular), the entry, and what."""

    line: int
    entry: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What :meth:`Ledger.verify` found."""

    lines: int
    head: str
    faults: tuple[Fault, ...]

    @property
    def intact(self) -> bool:
        """Whether every line is what was written, in order, none missing."""
        return not self.faults


class Ledger:
    """The ledger below a folder: ``ledger.jsonl``, its anchor ``ledger.head`` and large inputs in ``inputs/``."""

    def __init__(self, root: Path, *, lock_timeout_s: float = 10.0) -> None:
        self.path = root / "ledger.jsonl"
        self.anchor = root / "ledger.head"
        self.inputs = root / "inputs"
        self._lock = FileLock(root / "ledger.lock", lock_timeout_s)

    def append(self, decision: Decision, *, now: dt.datetime) -> Entry:
        """Write a decision as the newest line; on disk when this returns.

        The time of an entry never runs backwards: when the clock did, the newest entry's time is taken, and the
        clock's is kept beside it.

        Raises
        ------
        StoreError
            When the disk refuses; the ledger is as before.
        """
        clock = instant_text(now)
        try:
            input_hash, inputs = self._kept(plain(decision.inputs, "inputs"))
            policy_hash, policy = self._kept(plain(decision.policy, "policy"))
            with self._lock:
                size, last = self._tail()
                number = last.number + 1 if last else 1
                at = max(clock, instant_text(last.at)) if last else clock
                body: dict[str, Any] = {
                    "prev": last.hash if last else GENESIS,
                    "number": number,
                    "at": at,
                    **({"clock": clock} if clock != at else {}),
                    "kind": decision.kind,
                    "subject": decision.subject.key if decision.subject else None,
                    "actor": decision.actor,
                    "as_of": decision.as_of.isoformat() if decision.as_of else None,
                    "outcome": plain(decision.outcome, "outcome"),
                    "reasons": list(decision.reasons),
                    "function": decision.function,
                    "input_hash": input_hash,
                    "policy_hash": policy_hash,
                    "inputs": inputs,
                    "policy": policy,
                    "code_version": code_version(),
                }
                text = json.dumps(body, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()[:-1]
                line = text + _TAIL + sha256(text).encode() + b'"}'
                self._write(line + b"\n", size)
                return _entry(line)
        except OSError as error:
            raise explain(error, "append to the ledger", self.path) from error

    def entries(
        self, *, subject: Subject | None = None, kinds: Sequence[str] = (), limit: int | None = None
    ) -> list[Entry]:
        """Return the entries, oldest first: those of a subject, of some kinds, the newest ``limit`` of them.

        A line that is no entry is left out here; :meth:`verify` reports it.
        """
        return list(itertools.islice(self.newest_first(subject=subject, kinds=kinds), limit))[::-1]

    def newest_first(self, *, subject: Subject | None = None, kinds: Sequence[str] = ()) -> Iterator[Entry]:
        """Yield the entries of a subject and of some kinds, newest first; nothing older is read than is asked for."""
        needle = b'"subject":"%b"' % subject.key.encode() if subject else b""
        wanted = [b'"kind":"%b"' % kind.encode() for kind in kinds]
        for line in self._lines_newest_first(wanted):
            # Only lines that can be meant are parsed: the ledger grows, what is asked for stays rare.
            if (needle and needle not in line) or (wanted and not any(kind in line for kind in wanted)):
                continue
            entry = _try_entry(line)
            if entry is None or (kinds and entry.kind not in kinds) or (subject and entry.subject != subject):
                continue
            yield entry

    def find(self, name: str) -> Entry:
        """Return the entry of an id, or of its beginning when only one has it.

        Raises
        ------
        ValidationError
            When there is none, or more than one.
        """
        needle = str(name).encode()
        found = {e.id: e for line in self._lines() if (e := _try_entry(line)) and e.id.encode().startswith(needle)}
        if name in found:
            return found[name]
        if len(found) != 1 or not name:
            raise ValidationError(
                f"{'No' if not found or not name else 'More than one'} ledger entry has the id {name!r}.",
                remedy="list the ids with `forex ledger show`.",
            )
        return next(iter(found.values()))

    def given(self, entry: Entry) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return inputs and policy of an entry, checked against the hashes it carries.

        Raises
        ------
        StoreError
            When a file with large inputs is missing or was changed.
        """
        found = []
        for what, value, hashed in (
            ("inputs", entry.inputs, entry.input_hash),
            ("policy", entry.policy, entry.policy_hash),
        ):
            path = self.inputs / f"{hashed}.json"
            if value is None:
                with contextlib.suppress(OSError, ValueError):
                    value = json.loads(path.read_bytes())
            if not isinstance(value, Mapping) or digest(value) != hashed:
                raise StoreError(
                    f"The {what} of ledger entry {entry.id} are missing or were changed ({path}).",
                    remedy="restore that file from a backup; without it the decision cannot be recomputed.",
                )
            found.append(value)
        return found[0], found[1]

    def verify(self, ids: Collection[str] = ()) -> Verification:
        """Check every line against its hash and the line before, and that the newest one and ``ids`` are there."""
        from forex_assets.lifecycle.ledger_check import verify

        found = verify(self.path, self.anchor, ids)
        if found.intact:
            return found
        with self._lock:  # what looked torn may have been a line in the making
            return verify(self.path, self.anchor, ids)

    def is_intact(self, ids: Collection[str] = ()) -> bool:
        """Tell what :meth:`verify` would, reading line by line only what was appended since it was last told.

        Raises
        ------
        StoreError
            When the checkpoint cannot be written.
        """
        from forex_assets.lifecycle.ledger_check import still_intact

        try:
            with self._lock:
                return still_intact(self.path, self.anchor, self.path.with_name("ledger.checked"), ids)
        except OSError as error:
            raise explain(error, "check the ledger", self.path) from error

    # ---- the file ----------------------------------------------------------------------------------------------

    def _kept(self, value: Any) -> tuple[str, Any]:
        """Return a plain value's hash, and the value when it is small; else it goes into a file named by its hash."""
        data = spelled(value)
        name = sha256(data)[:HASH_DIGITS]
        if len(data) <= INLINE_BYTES:
            return name, value
        path = self.inputs / f"{name}.json"
        if not path.exists() or path.read_bytes() != data:
            write_file(path, data)
        return name, None

    def _tail(self) -> tuple[int, Entry | None]:
        """Return the length of the whole lines, and the newest one; a torn end (never acknowledged) is cut away."""
        try:
            descriptor = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return 0, None
        try:
            size = os.fstat(descriptor).st_size
            block = b""
            start = size
            while start and block.count(b"\n") < 2:
                start = max(0, start - _BLOCK)
                block = os.pread(descriptor, size - start, start)
            whole = block.rfind(b"\n") + 1
            if whole < len(block):
                size = start + whole
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not size:
            return 0, None
        last = block[:whole].rstrip(b"\n").rsplit(b"\n", 1)[-1]
        entry = _try_entry(last)
        if entry is None:
            raise StoreError(
                f"The newest line of the ledger {self.path} is no entry; nothing can be chained to it.",
                remedy="run `forex ledger verify` to see what was changed, and restore the file from a backup.",
            )
        return size, entry

    def _write(self, line: bytes, size: int) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            try:
                os.lseek(descriptor, size, os.SEEK_SET)
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):  # the first error is the one to report; a torn end is cut next time
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        with contextlib.suppress(OSError):  # the ledger itself is on disk
            self._remember(line[-_TAIL_LENGTH + len(_TAIL) - 1 : -3] + b"\n")

    def _remember(self, newest: bytes) -> None:
        """Remember the newest line's hash: one write in place, not synced, so that an append waits for one flush only.

        After a crash the anchor may name an older line, never a newer one.
        """
        descriptor = os.open(self.anchor, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            os.write(descriptor, newest)
            if os.fstat(descriptor).st_size != len(newest):
                os.ftruncate(descriptor, len(newest))
        finally:
            os.close(descriptor)

    def _lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                for line in file:
                    yield line.rstrip(b"\n")
        except FileNotFoundError:
            return

    def _lines_newest_first(self, needles: Sequence[bytes] = ()) -> Iterator[bytes]:
        """Yield the lines, newest first; with needles, blocks that hold none of them are passed over whole."""
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                rest = b""
                while end:
                    start = max(0, end - _BLOCK * 16)
                    file.seek(start)
                    block = file.read(end - start) + rest
                    end = start
                    if needles and not any(needle in block for needle in needles):
                        # A needle may lie across the border: the first line goes with the block before.
                        cut = block.find(b"\n")
                        rest = b"" if not start else block[:cut] if cut >= 0 else block
                        continue
                    lines = block.split(b"\n")
                    rest = lines[0]
                    yield from (line for line in reversed(lines[1:]) if line)
                if rest.strip():
                    yield rest.rstrip(b"\n")
        except FileNotFoundError:
            return


def _entry(line: bytes) -> Entry:
    body = json.loads(line)
    return Entry(
        id=f"{body['number']:06d}-{body['hash'][:8]}",
        number=body["number"],
        at=dt.datetime.fromisoformat(body["at"]),
        kind=body["kind"],
        subject=Subject.parse(body["subject"]) if body["subject"] else None,
        actor=body["actor"],
        as_of=dt.date.fromisoformat(body["as_of"]) if body["as_of"] else None,
        outcome=body["outcome"],
        reasons=tuple(body["reasons"]),
        function=body["function"],
        input_hash=body["input_hash"],
        policy_hash=body["policy_hash"],
        inputs=body["inputs"],
        policy=body["policy"],
        code_version=body["code_version"],
        prev=body["prev"],
        hash=body["hash"],
    )


def _try_entry(line: bytes) -> Entry | None:
    try:
        return _entry(line)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return None
