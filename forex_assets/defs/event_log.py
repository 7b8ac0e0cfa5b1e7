"""Dagster's SQLite event log with its connections kept open.

The stock storage builds a new SQLAlchemy engine for every event, so each one pays for connecting and for compiling the
same statements again: three quarters of what one materialised partition costs (benchmarks/bench_event_log.py).
The files, tables and semantics are the stock ones; either class can open what the other wrote. A run's file, which the
stock storage makes table by table with a migration stamp, is copied from the first one made by this version of Dagster.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import __version__ as dagster_version
from dagster import _check as check
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

_OPEN_SHARDS = 8
# Connections that came across a fork: never used, and never closed, since closing them would act on the parent's files.
_INHERITED: list[OrderedDict[str, Engine]] = []


def is_whole_database(content: bytes) -> bool:
    """Tell whether bytes are a SQLite file as long as its header says."""
    if len(content) < 100 or not content.startswith(b"SQLite format 3\x00"):
        return False
    page = int.from_bytes(content[16:18], "big")
    return len(content) == (65536 if page == 1 else page) * int.from_bytes(content[28:32], "big")


def place_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, whole or not at all.

    Raises
    ------
    FileExistsError
        When it is there; it is left as it is.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """Keeps one connection to each of the most recently used shards (the index and the newest runs)."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._pid = os.getpid()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        """No configuration: the log stands where the stock one does, under DAGSTER_HOME."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        """Build the storage under ``$DAGSTER_HOME/history/runs``."""
        return cls(os.path.join(os.environ["DAGSTER_HOME"], "history", "runs"), inst_data)  # noqa: PTH118

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            check.str_param(shard, "shard")
            fresh = shard not in self._initialized_dbs and self._copy_empty(shard)
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                if not fresh:
                    self._create(shard, engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Tell whether the index has a table; asked once a table, since none ever goes away."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _empty_run(self) -> Path:
        """Return the file that holds a run's log without events, as this version of Dagster makes it."""
        return Path(self._base_dir, f".empty-run-{dagster_version}")

    def _copy_empty(self, shard: str) -> bool:
        """Put an empty log in place for a run that has none; False where there is none to copy, or one is there."""
        if shard == INDEX_SHARD_NAME or Path(self.path_for_shard(shard)).exists():
            return False
        # Where there is nothing to copy, another process just made the file, or it cannot be linked: the stock way.
        with contextlib.suppress(OSError):
            content = self._empty_run().read_bytes()
            if is_whole_database(content):
                place_new(Path(self.path_for_shard(shard)), content)
                return True
        return False

    def _create(self, shard: str, engine: Engine) -> None:
        """Make a shard as the stock storage does, and keep a new run's empty one for the runs to come."""
        new = shard != INDEX_SHARD_NAME and not Path(self.path_for_shard(shard)).exists()
        self._initdb(engine)
        if new and not self._empty_run().exists():
            connection = engine.raw_connection()
            try:
                content: bytes = connection.driver_connection.serialize()  # type: ignore[union-attr]
            finally:
                connection.close()
            with contextlib.suppress(OSError):  # another process was faster, or files cannot be linked here
                place_new(self._empty_run(), content)

    def _engine(self, shard: str) -> Engine:
        engines = self._own_engines()
        if shard in engines:
            engines.move_to_end(shard)
            return engines[shard]
        engine = create_engine(
            self.conn_string_for_shard(shard),
            # One connection per shard; every use is under the storage's own lock, whichever thread it is.
            poolclass=StaticPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def _pragmas(connection: Any, record: Any) -> None:
            # Safe with the write-ahead log: a power cut may lose the newest events, never the file's integrity.
            connection.execute("PRAGMA synchronous=NORMAL")

        engines[shard] = engine
        while len(engines) > _OPEN_SHARDS:
            engines.popitem(last=False)[1].dispose()
        return engine

    def _own_engines(self) -> OrderedDict[str, Engine]:
        """Return this process's engines, newest use last; after a fork there are none yet."""
        if self._pid != os.getpid():
            _INHERITED.append(self._engines)
            self._engines, self._pid = OrderedDict(), os.getpid()
        return self._engines

    def delete_events(self, run_id: str) -> None:
        """Delete a run's events; its connection is closed first."""
        engine = self._own_engines().pop(run_id, None)
        if engine is not None:
            engine.dispose()
        super().delete_events(run_id)

    def dispose(self) -> None:
        """Close every connection."""
        engines = self._own_engines()
        while engines:
            engines.popitem()[1].dispose()
        super().dispose()
