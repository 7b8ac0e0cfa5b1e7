"""Writing down what a file is: a copy in ``<home>/added/files`` and its lines in ``<home>/added/series.yaml``."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import yaml

from forex_assets.errors import ValidationError
from forex_assets.market.vintages.archive import Asked, RawArchive
from forex_assets.market.vintages.recording import Taken
from forex_assets.settings import SeriesSpec
from forex_assets.settings.added import SOURCE, Added, added_dir, read_added
from forex_assets.settings.addresses import TableAddress
from forex_assets.store.files import LocalFiles
from forex_assets.store.locks import FileLock

_HEAD = """# Written by `forex data add`: files of your own, on top of the configuration.
# `addresses`: series of the catalogue; `series` and `pairs`: your own. Delete an entry to take it out again.
"""


def declare(
    home: Path,
    raw: bytes,
    address: TableAddress,
    series: str,
    *,
    now: dt.datetime,
    new: SeriesSpec | None = None,
    pair: dict[str, Any] | None = None,
) -> Path:
    """Keep a file and say what it is; return the YAML written.

    The file that stood there before, if any, is kept in the archive of payloads, like every one after it.

    Parameters
    ----------
    home:
        The home folder.
    raw:
        The file.
    address:
        How to read it; ``address.file`` is the name it gets.
    series:
        The series it holds.
    now:
        When it was added.
    new:
        Declaration of the series, where it is the desk's own.
    pair:
        A pair on that series, where one is wanted: the content of a pair's file.

    Raises
    ------
    ConfigError
        When the YAML there is malformed.
    StoreError
        When nothing can be written.
    ValidationError
        When the pair exists with another content.
    """
    folder = added_dir(home)
    (home / "locks").mkdir(parents=True, exist_ok=True)
    with FileLock(home / "locks" / "added"):
        held = read_added(home)
        body = address.model_dump(exclude_defaults=True)
        addresses, declared, pairs = dict(held.addresses), dict(held.series), dict(held.pairs)
        if new is None:
            addresses[series] = body
        else:
            content = new.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)
            declared[series] = {**content, "addresses": {SOURCE: body}}
        if pair is not None:
            name = str(pair["id"])
            content = {key: value for key, value in pair.items() if key != "id"}
            if pairs.get(name, content) != content:
                raise ValidationError(
                    f"The pair {name!r} is declared in {folder / 'series.yaml'} already, differently.",
                    remedy="choose another --as-pair, or delete it there.",
                )
            pairs[name] = content
        merged = Added(addresses=addresses, series=declared, pairs=pairs)
        _archive(home, folder / "files" / address.file, series, raw, now)
        text = _HEAD + yaml.safe_dump(merged.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True)
        # The file first: an address without one would only say "not configured".
        LocalFiles(folder).write_all([(f"files/{address.file}", raw), ("series.yaml", text.encode())])
    return folder / "series.yaml"


def _archive(home: Path, path: Path, series: str, raw: bytes, now: dt.datetime) -> None:
    payloads = [path.read_bytes()] if path.is_file() else []
    archive = RawArchive(home)
    for payload in [*payloads, raw]:
        digest = hashlib.sha256(payload).hexdigest()
        taken = Taken(f"{SOURCE} file {path.name}", digest, payload)
        archive.keep([Asked(SOURCE, series, now, (taken,), digest)])
