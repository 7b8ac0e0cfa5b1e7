"""Content hashes that let every row be traced to its configuration, its data and the code that made it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forex_assets import __version__

if TYPE_CHECKING:
    import pandas as pd

HASH_LENGTH = 16


def content_hash(value: Any) -> str:
    """Return a short SHA-256 of a JSON-serialisable value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def combine_hashes(parts: Mapping[str, str]) -> str:
    """Return one hash for named hashes (for example the slices a result was computed from)."""
    return content_hash(dict(parts))


@functools.lru_cache(maxsize=1)
def code_version() -> str:
    """Return ``<version>+<hash of every Python file in the package>``."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:8]}"


def stamped(frame: pd.DataFrame, *, config_hash: str, data_hash: str | Sequence[str]) -> pd.DataFrame:
    """Return a frame with its provenance columns filled in; ``data_hash`` may differ by row."""
    return frame.assign(config_hash=config_hash, data_hash=data_hash, code_version=code_version())
