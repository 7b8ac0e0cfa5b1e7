"""What was ever tried on a pair and tenor: every configuration a backtest or a search scored, and on which origins.

The best of many looks good by chance. A comparison therefore allows for all configurations whose scores were seen on
the same origins, also those of earlier runs and of searches, not only for those in its own table. One Parquet file per
pair and tenor under ``<home>/trials`` keeps them; nothing is ever taken out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.forecasting.registry import YARDSTICK, ModelChoice, get_model, resolve_parameters
from forex_assets.provenance import content_hash
from forex_assets.store.naming import validate_horizon

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("key", "model", "parameters", "first_origin", "last_origin", "how")
LOCK_TIMEOUT_S = 60.0


def path_of(home: Path, pair_id: str, horizon: str) -> Path:
    """Return the file of a pair and tenor."""
    return home / "trials" / f"{pair_id}_{validate_horizon(horizon)}.parquet"


def key_of(choice: ModelChoice) -> str:
    """Return the hash of a model with every parameter it runs with: defaults written out are no new trial."""
    return content_hash([choice.model, resolve_parameters(get_model(choice.model), choice.parameters)])


def record(
    home: Path, pair_id: str, horizon: str, choices: Iterable[ModelChoice], first: Any, last: Any, *, how: str
) -> int:
    """Keep that configurations were scored on origins from ``first`` to ``last``; return how many were new.

    A configuration seen before has its origins extended. The file is read and replaced under its lock.

    Raises
    ------
    StoreError
        When the file is damaged or its lock is not had in time; what it holds stays.
    """
    import pandas as pd

    from forex_assets.store.locks import ParquetFileLock

    wanted = {key_of(choice): choice for choice in choices}
    yardstick = key_of(ModelChoice(YARDSTICK))
    fresh = pd.DataFrame(
        [
            (key, choice.model, json.dumps(dict(choice.parameters), sort_keys=True, default=str))
            for key, choice in wanted.items()
            if key != yardstick
        ],
        columns=list(COLUMNS[:3]),
    ).assign(first_origin=pd.Timestamp(first).normalize(), last_origin=pd.Timestamp(last).normalize(), how=how)
    if fresh.empty:
        return 0
    path = path_of(home, pair_id, horizon)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ParquetFileLock(path, timeout=LOCK_TIMEOUT_S) as file:
        held = file.read()
        merged = fresh if held is None else pd.concat([held, fresh], ignore_index=True)
        merged = merged.groupby("key", sort=False, as_index=False).agg(
            {"model": "first", "parameters": "first", "first_origin": "min", "last_origin": "max", "how": "first"}
        )
        if held is None or not merged.equals(held):
            file.write(merged[list(COLUMNS)])
        return len(merged) - (0 if held is None else len(held))


def tried(home: Path, pair_id: str, horizon: str) -> pd.DataFrame:
    """Return what was ever tried on a pair and tenor; reading leaves no trace.

    Raises
    ------
    StoreError
        When the file is damaged.
    """
    import pandas as pd

    from forex_assets.errors import StoreError

    path = path_of(home, pair_id, horizon)
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise StoreError(
            f"{path} cannot be read: {error}.",
            remedy="restore it from a backup; without it comparisons would allow for too few trials.",
        ) from error


def count(frame: pd.DataFrame, first: Any, last: Any) -> int:
    """Return how many configurations were scored on any origin of a period."""
    import pandas as pd

    if frame.empty:
        return 0
    overlap = (frame["first_origin"] <= pd.Timestamp(last)) & (frame["last_origin"] >= pd.Timestamp(first))
    return int(np.count_nonzero(overlap))
