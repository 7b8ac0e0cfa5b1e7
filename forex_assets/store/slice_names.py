"""Where a slice stands below the root: ``<pair>/<table>/<partition…>.parquet``, and which names are slices at all."""

from __future__ import annotations

from collections.abc import Sequence

from forex_assets.errors import ValidationError
from forex_assets.schemas import Table
from forex_assets.settings import PAIR_ID
from forex_assets.store.naming import is_plain_name
from forex_assets.store.slice_file import Key

ASIDE = ".damaged"
"""Folder below the root where damaged files are moved; hidden names are no slices."""
SUFFIX = ".parquet"
_LONGEST_PART = 128
_WHOLE_TABLE = "all"
_MAX_PARTITIONS = 4


def slice_name(table: Table, pair: str, key: Key) -> str:
    """Return the name of a slice's file below the root.

    Raises
    ------
    ValidationError
        When the pair or the partition key breaks its rule.
    """
    if not _is_key(key):
        raise ValidationError(
            f"Partition key {key!r} of table '{table.name}' breaks the rule: at most {_MAX_PARTITIONS} plain names "
            f"(ASCII letters, digits, '_', '.', '-') of at most {_LONGEST_PART} characters, not ending in '{SUFFIX}', "
            f"and not the reserved ('{_WHOLE_TABLE}',).",
            remedy="use the partition keys of the asset graph, for example ('7d', '2025-06-13').",
        )
    return f"{_checked_pair(pair)}/{table.name}/{'/'.join(key) if key else _WHOLE_TABLE}{SUFFIX}"


def folder_name(table: Table, pair: str) -> str:
    """Return the name of the folder of a table's slices below the root.

    Raises
    ------
    ValidationError
        When the pair breaks its rule.
    """
    return f"{_checked_pair(pair)}/{table.name}"


def key_of(name: str, folder: str) -> Key | None:
    """Return the partition key of a file below a table's folder; ``None`` when its name is no slice's."""
    parts = tuple(name[len(folder) + 1 : -len(SUFFIX)].split("/"))
    if parts == (_WHOLE_TABLE,):
        return ()
    return parts if _is_key(parts) else None


def is_pair(name: str) -> bool:
    """Tell whether a folder's name is a pair's."""
    return PAIR_ID.fullmatch(name) is not None and is_plain_name(name)


def _is_key(parts: Sequence[object]) -> bool:
    return (
        len(parts) <= _MAX_PARTITIONS
        and tuple(parts) != (_WHOLE_TABLE,)
        and all(
            is_plain_name(part) and len(str(part)) <= _LONGEST_PART and not str(part).endswith(SUFFIX) for part in parts
        )
    )


def _checked_pair(pair: str) -> str:
    if not isinstance(pair, str) or not is_pair(pair):
        raise ValidationError(
            f"Pair id {pair!r} does not match {PAIR_ID.pattern}, or is a device name on Windows.",
            remedy="use the id of a configured pair.",
        )
    return pair
