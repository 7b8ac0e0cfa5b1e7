"""``forex doctor --deep``: every stored file read to its last byte, and said to be whole or damaged by name."""

from __future__ import annotations

import datetime as dt

from forex_assets.errors import StoreError, ValidationError
from forex_assets.ops.doctor.findings import Finding, listed
from forex_assets.settings import Settings

_AREA = "deep"
_NAMED = 20
_REPAIR = "`forex doctor --repair` makes observations again from kept payloads and moves the others aside."


def deep_findings(settings: Settings, *, now: dt.datetime) -> list[Finding]:
    """Return what reading everything below the home folder's store, archive and warehouse shows."""
    return [*_slices(settings, now), *_archive(settings), _warehouse(settings)]


def _slices(settings: Settings, now: dt.datetime) -> list[Finding]:
    from forex_assets.store.damage import inspect_store
    from forex_assets.store.slices import SliceStore

    try:
        seen = inspect_store(SliceStore(settings.store_root), now=now)
    except (StoreError, ValidationError) as error:
        return [Finding(_AREA, "slices", "fail", error.message, error.remedy)]
    found = [Finding(_AREA, "slices", "ok", f"{seen.whole} slices are whole")]
    for item in seen.damaged[:_NAMED]:
        label = "/".join((item.pair, item.table, *item.key))
        found.append(Finding(_AREA, label, "fail", item.reason, _REPAIR))
    if len(seen.damaged) > _NAMED:
        more = len(seen.damaged) - _NAMED
        found.append(Finding(_AREA, "more", "fail", f"{more} more slices are damaged", _REPAIR))
    if seen.ahead:
        found.append(
            Finding(
                _AREA,
                "clock",
                "warn",
                f"{len(seen.ahead)} slices were written later than it is now: {listed(seen.ahead)}",
                "the clock stepped back (or was ahead): set it right; what is stored does not depend on it.",
            )
        )
    for name, files, rule, remedy in (
        ("strange files", seen.strange, "no slices of a declared table", "move them away."),
        ("unfinished", seen.unfinished, "left by writers that were killed", "nothing: they are never read, and swept."),
        ("moved aside", seen.aside, "from repairs before", "delete them once nobody needs them."),
    ):
        if files:
            found.append(Finding(_AREA, name, "warn", f"{len(files)} files, {rule}: {listed(files)}", remedy))
    return found


def _archive(settings: Settings) -> list[Finding]:
    from forex_assets.market.vintages.archive import RawArchive

    archive = RawArchive(settings.home)
    try:
        problems = archive.verify()
        packs = len(list(archive.packs()))
    except OSError as error:
        return [Finding(_AREA, "payloads", "unknown", f"cannot be read: {error.strerror or error}", "check the disk.")]
    if problems:
        remedy = "restore those packs from a copy; observations stored keep their values."
        return [Finding(_AREA, "payloads", "fail", text, remedy) for text in problems[:_NAMED]]
    return [Finding(_AREA, "payloads", "ok", f"{packs} archives, every payload rebuilt and its hash compared")]


def _warehouse(settings: Settings) -> Finding:
    import duckdb

    path = settings.home / "warehouse.duckdb"
    if not path.exists():
        return Finding(_AREA, "warehouse", "ok", "not published yet")
    publish = "delete it and run `forex run`: it is a copy of the slices."
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
            rows = 0
            for name in names:
                quoted = '"' + str(name).replace('"', '""') + '"'
                # Every column of every row is read, so that every block's checksum is compared.
                counted = connection.execute(f"SELECT count(*), sum(hash(t)) FROM {quoted} t")  # noqa: S608  # nosec B608
                rows += (counted.fetchone() or (0,))[0]
    except (duckdb.Error, OSError) as error:
        return Finding(_AREA, "warehouse", "fail", f"{path} cannot be read: {error}", publish)
    return Finding(_AREA, "warehouse", "ok", f"{len(names)} tables, {rows} rows read")
