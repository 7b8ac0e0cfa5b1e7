"""Checking a ledger: every line against its own hash, the line before, and its number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from forex_assets.lifecycle.ledger import _HEAD_LENGTH, _TAIL, _TAIL_LENGTH, GENESIS, Fault, Verification

_PREV = b'{"prev":"'
_BLOCK = 1 << 20


def verify(path: Path, anchor: Path, ids: Collection[str] = ()) -> Verification:
    """Return what is wrong with a ledger file, line by line, and which of some entries it does not hold."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    faults: list[Fault] = []
    lines = data.split(b"\n")
    del data
    torn = lines.pop()
    expected = GENESIS.encode()
    anchored = _read_anchor(anchor)
    hashes: set[bytes] = set()
    sha256, body_end, stated_from = hashlib.sha256, -_TAIL_LENGTH, -_TAIL_LENGTH + len(_TAIL)
    for number, line in enumerate(lines, start=1):
        stated = line[stated_from:-2]
        shaped = line[: len(_PREV)] == _PREV and line[body_end:stated_from] == _TAIL
        if not shaped or sha256(line[:body_end]).hexdigest().encode() != stated:
            faults.append(Fault(number, _name(line), "its content does not match its hash: the line was changed"))
        if shaped and line[len(_PREV) : _HEAD_LENGTH] != expected:
            problem = (
                "it does not follow the line before: a line between them was changed, removed or inserted"
                if number > 1
                else "it is not the first entry of a ledger: lines before it were removed"
            )
            faults.append(Fault(number, _name(line), problem))
        expected = stated
        hashes.add(stated)
    if torn:
        problem = "an unfinished line at the end: a write was cut short; the next append removes it"
        faults.append(Fault(len(lines) + 1, "", problem))
    if anchored and anchored not in hashes:
        known = anchored.decode(errors="replace")[:8]
        problem = f"the newest entry known ({known}…) is not among the lines: lines were removed at the end"
        faults.append(Fault(len(lines), "", problem))
    faults.extend(_missing(lines, ids))
    return Verification(len(lines), expected.decode(errors="replace"), tuple(faults))


def still_intact(path: Path, anchor: Path, checkpoint: Path, ids: Collection[str]) -> bool:
    """Tell whether a ledger is intact, looking line by line only at what was appended since it last was.

    The part verified before is compared as a whole, by one hash of all its bytes. Anything out of place, and any id
    that is not known to be there, leads to a full check. The checkpoint is a convenience: ``forex ledger verify``
    never uses it.
    """
    try:
        known = json.loads(checkpoint.read_bytes())
        size, stated, found = int(known["size"]), str(known["sha256"]), set(known["ids"])
        head, number = str(known["head"]).encode(), int(known["lines"])
        hashed, added = _split(path, size)
    except (OSError, ValueError, KeyError, TypeError):
        return _full(path, anchor, checkpoint, ids)
    same = hashed.hexdigest() == stated
    anchored = _read_anchor(anchor)
    names = set(ids) - found
    for line in added.split(b"\n")[:-1] if same else ():
        own = line[-_TAIL_LENGTH + len(_TAIL) : -2]
        number += 1
        same = (
            same
            and line[: len(_PREV)] == _PREV
            and line[len(_PREV) : _HEAD_LENGTH] == head
            and line[-_TAIL_LENGTH : -_TAIL_LENGTH + len(_TAIL)] == _TAIL
            and hashlib.sha256(line[:-_TAIL_LENGTH]).hexdigest().encode() == own
        )
        names -= {f"{number:06d}-{own[:8].decode(errors='replace')}"}
        head = own
    if not same or names or (added and not added.endswith(b"\n")) or (anchored and anchored != head):
        return _full(path, anchor, checkpoint, ids)
    if added or set(ids) - found:
        hashed.update(added)
        _keep(checkpoint, size + len(added), hashed.hexdigest(), head.decode(), number, found | set(ids))
    return True


def _split(path: Path, size: int) -> tuple[Any, bytes]:
    """Return the running hash of a file's first ``size`` bytes, and what comes after them.

    A block at a time: a long ledger is never held in memory as a whole.
    """
    hashed, left, block = hashlib.sha256(), size, bytearray(_BLOCK)
    view = memoryview(block)
    with path.open("rb", buffering=0) as file:
        while left and (count := file.readinto(view[: min(left, _BLOCK)])):
            hashed.update(view[:count])
            left -= count
        return hashed, file.read()


def _full(path: Path, anchor: Path, checkpoint: Path, ids: Collection[str]) -> bool:
    found = verify(path, anchor, ids)
    if found.intact and found.lines:
        data = path.read_bytes()
        if data.count(b"\n") == found.lines:
            _keep(checkpoint, len(data), hashlib.sha256(data).hexdigest(), found.head, found.lines, set(ids))
    return found.intact


def _keep(checkpoint: Path, size: int, sha256: str, head: str, lines: int, ids: set[str]) -> None:
    body = {"size": size, "sha256": sha256, "head": head, "lines": lines, "ids": sorted(ids)}
    # Not flushed to disk: after a crash a lost, torn or older checkpoint costs a full check, never a wrong answer.
    checkpoint.write_text(json.dumps(body), encoding="ascii")


def _missing(lines: list[bytes], ids: Collection[str]) -> list[Fault]:
    """Return a fault for each entry, by id, that the lines do not hold at its number."""
    faults = []
    for name in sorted(ids):
        number, _, start = name.partition("-")
        place = int(number)
        line = lines[place - 1] if 0 < place <= len(lines) else b""
        if line[-_TAIL_LENGTH + len(_TAIL) : -2][:8] != start.encode():
            faults.append(Fault(place, name, "the pointers name this entry, and the ledger does not hold it"))
    return faults


def _read_anchor(path: Path) -> bytes:
    try:
        found = path.read_bytes().strip()
    except FileNotFoundError:
        return b""
    return found if len(found) == 64 else b""


def _name(line: bytes) -> str:
    try:
        body = json.loads(line)
        return f"{body['number']:06d}-{body['hash'][:8]} ({body['kind']} {body['subject'] or 'platform'})"
    except (ValueError, KeyError, TypeError):
        return ""
