"""Dagster's SQLite event log with its connections kept open.

The stock storage builds a new SQLAlchemy engine for every event, so each one pays for connecting and for compiling the
same statements again: three quarters of what one materialised partition costs (benchmarks/bench_event_log.py).
The files, tables and semantics are the stock ones; either class can open what the other wrote.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import _check as check
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

_OPEN_SHARDS = 8
# Connections that came across a fork: never used, and never closed, since closing them would act on the parent's files.
_INHERITED: list[OrderedDict[str, Engine]] = []


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """Keeps one connection to each of the most recently used shards (the index and the newest runs)."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._pid = os.getpid()
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
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

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
