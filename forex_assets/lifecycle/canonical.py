"""JSON that has one spelling: what is hashed, stored and compared in the life cycle."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from forex_assets.errors import ValidationError

#: Hexadecimal digits of the hash that names a value.
HASH_DIGITS = 16


def plain(value: Any, where: str = "value") -> Any:
    """Return ``value`` as plain JSON values: mappings, lists, texts, finite numbers, booleans, None.

    Dates and instants become ISO text, tuples lists, numpy scalars Python numbers; a number that is not finite becomes
    its name (``"nan"``, ``"inf"``, ``"-inf"``), because JSON has none and dropping it would lose what was known.

    Raises
    ------
    ValidationError
        When something has no such form; names where it is.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dt.datetime):
        return instant_text(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(items)]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return plain(value.item(), where)
    raise ValidationError(
        f"{where} is a {type(value).__name__}, which has no JSON form.",
        remedy="pass plain values: texts, numbers, booleans, lists, mappings.",
    )


def canonical(value: Any) -> bytes:
    """Return the one spelling of a value: sorted keys, no blanks, ASCII."""
    return spelled(plain(value))


def spelled(value: Any) -> bytes:
    """Return the one spelling of a value that is plain already."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return the first :data:`HASH_DIGITS` hexadecimal digits of the SHA-256 of a value's one spelling."""
    return sha256(canonical(value))[:HASH_DIGITS]


def instant_text(instant: dt.datetime) -> str:
    """Return an instant as ISO text in UTC with microseconds.

    Raises
    ------
    ValidationError
        When it has no time zone.
    """
    if instant.utcoffset() is None:
        raise ValidationError(f"Time {instant!r} has no zone.", remedy="pass an aware datetime.")
    return instant.astimezone(dt.UTC).isoformat(timespec="microseconds")


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Return where two plain values differ, one ``path: left → right`` each; empty when they are equal."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        found = []
        for key in sorted({*left, *right}):
            where = f"{path}.{key}" if path else str(key)
            if key not in left or key not in right:
                found.append(f"{where}: {left.get(key, 'absent')!r} → {right.get(key, 'absent')!r}")
            else:
                found.extend(differences(left[key], right[key], where))
        return found
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [
            line for i, pair in enumerate(zip(left, right, strict=True)) for line in differences(*pair, f"{path}[{i}]")
        ]
    return [] if left == right else [f"{path or 'value'}: {left!r} → {right!r}"]
