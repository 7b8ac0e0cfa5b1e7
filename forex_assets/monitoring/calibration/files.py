"""Calibration files: immutable versions below ``<home>/calibration/<pair>``, each with a hash and, with a key, signed.

The hash shows damage; the signature (HMAC-SHA256 under a key from the environment) shows that somebody with the key
wrote it. Where a key is set, a file without its signature is refused. Nothing is ever rewritten: a new calibration is a
new version, and a day's monitors use the newest version whose calibration date is not after it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError as ModelError

from forex_assets.errors import StoreError, ValidationError
from forex_assets.settings.calibration import Calibration

FOLDER = "calibration"
KEY_NAME = "FOREX_CALIBRATION_KEY"
_NAME = re.compile(r"v(\d{4})_(\d{4}-\d{2}-\d{2})_([0-9a-f]{12})\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stored:
    """A calibration as kept: its version, where, what it is worth as evidence of its author."""

    version: int
    path: Path
    calibration: Calibration
    sha256: str
    signed: bool
    verified: bool


def encode(calibration: Calibration, key: str | None) -> bytes:
    """Return the file of a calibration: body, hash of the body, and signature where there is a key."""
    body = calibration.model_dump(mode="json")
    text = _canonical(body)
    seal: dict[str, Any] = {"sha256": hashlib.sha256(text).hexdigest()}
    if key:
        seal["hmac_sha256"] = hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
    return (json.dumps({"seal": seal, "calibration": body}, indent=2, sort_keys=True) + "\n").encode()


def decode(path: Path, key: str | None) -> Stored:
    """Return the calibration in a file.

    Raises
    ------
    StoreError
        When it cannot be read, is damaged, not signed with the key there is, or breaks a rule of the format.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise StoreError(
            f"{path} is no calibration file: names are v0001_<date>_<hash>.json.", remedy="move it out of the folder."
        )
    try:
        content = json.loads(path.read_bytes())
        seal, body = content["seal"], content["calibration"]
        found = str(seal["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"The calibration {path} cannot be read: {error}.",
            remedy="restore it from a backup, or write a new version: `forex calibrate update-config`.",
        ) from error
    text = _canonical(body)
    digest = hashlib.sha256(text).hexdigest()
    if not (hmac.compare_digest(digest, found) and digest.startswith(match[3])):
        raise StoreError(
            f"The calibration {path} is not what was written: its hash is {digest[:12]}, its seal says {found[:12]}.",
            remedy="restore it from a backup, or write a new version: `forex calibrate update-config`.",
        )
    signature = seal.get("hmac_sha256")
    if key:
        expected = hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
        if not isinstance(signature, str) or not hmac.compare_digest(expected, signature):
            raise StoreError(
                f"The calibration {path} is {'signed with another key' if signature else 'not signed'}, and "
                f"{KEY_NAME} is set.",
                remedy=f"write a new version under the key (`forex calibrate update-config`), or correct {KEY_NAME}.",
            )
    try:
        calibration = Calibration.model_validate(body)
    except ModelError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise StoreError(
            f"The calibration {path} breaks a rule at {where}: {first['msg']}.",
            remedy="write a new version: `forex calibrate update-config`.",
        ) from error
    return Stored(int(match[1]), path, calibration, digest, bool(signature), bool(key))


def save(home: Path, calibration: Calibration, key: str | None) -> Stored:
    """Write a new version and return it; one equal to the newest is not written again."""
    from forex_assets.store.files import LocalFiles, make_folder
    from forex_assets.store.locks import FileLock

    folder = _folder(home, calibration.metadata.pair)
    make_folder(folder)
    data = encode(calibration, key)
    digest = hashlib.sha256(_canonical(calibration.model_dump(mode="json"))).hexdigest()
    with FileLock(folder / "lock", 10.0):
        known = versions(home, calibration.metadata.pair)
        if known and known[-1].name.endswith(f"_{digest[:12]}.json") and known[-1].read_bytes() == data:
            return decode(known[-1], key)
        number = 1 + max((int(path.name[1:5]) for path in known), default=0)
        name = f"v{number:04d}_{calibration.metadata.calibration_date}_{digest[:12]}.json"
        LocalFiles(folder).write_all([(name, data)])
    return decode(folder / name, key)


def versions(home: Path, pair: str) -> list[Path]:
    """Return the files of a pair, oldest version first."""
    folder = _folder(home, pair)
    return sorted(path for path in folder.glob("v*.json") if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def current(home: Path, pair: str, as_of: dt.date | None, key: str | None) -> Stored | None:
    """Return the newest version calibrated on data up to ``as_of`` (None: the newest), or None where there is none.

    Raises
    ------
    StoreError
        When that version is damaged or not to be trusted; an older one never takes its place silently.
    """
    for path in reversed(versions(home, pair)):
        match = _NAME.fullmatch(path.name)
        if match and (as_of is None or dt.date.fromisoformat(match[2]) <= as_of):
            return decode(path, key)
    return None


def _folder(home: Path, pair: str) -> Path:
    from forex_assets.settings.fields import PAIR_ID

    if not PAIR_ID.fullmatch(pair):
        raise ValidationError(f"Pair {pair!r} is no pair id: {PAIR_ID.pattern}.", remedy="use a configured pair.")
    return home / FOLDER / pair


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
