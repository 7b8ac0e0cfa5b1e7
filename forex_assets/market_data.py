"""The market data of a home: asked for, judged, stored, put back, and made again from what was kept."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from forex_assets import schemas
from forex_assets.errors import DataError, StoreError
from forex_assets.last_made import LastMade
from forex_assets.provenance import content_hash, stamped
from forex_assets.schemas import PROVENANCE
from forex_assets.settings import Settings
from forex_assets.store.slices import SliceStore
from forex_assets.verdicts import judge_slice

if TYPE_CHECKING:
    from concurrent.futures import Future

    from forex_assets.market.contract import Source


@dataclass(frozen=True)
class _Answered:
    """The frames of an ingestion that is not stored yet, and which slice of observations they go on from."""

    stored: Any
    frames: dict[str, pd.DataFrame]


class MarketData:
    """Observations of every pair, with what their sources said and what was put in quarantine.

    Parameters
    ----------
    settings, store:
        Whose market data, and where they are stored.
    memory:
        Keeps the slice read last.
    """

    def __init__(self, settings: Settings, store: SliceStore, memory: LastMade) -> None:
        self._settings = settings
        self._store = store
        self._memory = memory
        self._asked: dict[str, Future[_Answered]] = {}
        self._sources: Mapping[str, Source] | None = None
        self._looked_up: dict[str, pd.DataFrame] = {}

    def stored_observations(self, pair_id: str) -> pd.DataFrame | None:
        """Return the pair's stored observations, or None when nothing was ingested yet."""
        if not self._store.exists(schemas.OBSERVATIONS, pair_id, ()):
            return None
        return self._memory.slice_of(self._store, schemas.OBSERVATIONS, pair_id, ())

    def other_observations(self, pair_id: str) -> list[pd.DataFrame]:
        """Return the stored observations of every other pair; one that is damaged is told where it is ingested."""
        frames = []
        for other in self._settings.pairs:
            if other != pair_id:
                with contextlib.suppress(StoreError):
                    frames.append(self.stored_observations(other))
        return [frame for frame in frames if frame is not None]

    def look_up(self, pair_id: str, *, now: pd.Timestamp) -> pd.DataFrame:
        """Return the pair's observations without storing anything: the stored ones, else what the sources have.

        What the sources answered is remembered, so that a forecast made on the spot sees the same drivers as one made
        from the store.
        """
        stored = self.stored_observations(pair_id)
        if stored is not None:
            return stored
        if pair_id not in self._looked_up:
            self._looked_up[pair_id] = self.ingest(pair_id, now=now)["observations"]
        return self._looked_up[pair_id]

    def looked_up(self, pair_id: str) -> pd.DataFrame | None:
        """Return the observations that :meth:`look_up` remembers of a pair, or None."""
        return self._looked_up.get(pair_id)

    def known_observations(self, pair_id: str) -> pd.DataFrame | None:
        """Return the stored observations, else those looked up without being stored, else None."""
        stored = self.stored_observations(pair_id)
        return stored if stored is not None else self._looked_up.get(pair_id)

    def ingest(
        self, pair_id: str, *, now: pd.Timestamp, merge: bool = True, keep_raw: bool = True, **shared: Any
    ) -> dict[str, pd.DataFrame]:
        """Ask the sources, merge with what is stored (unless told not to), judge quality.

        ``keep_raw`` keeps what the sources sent in the archive under the home folder. ``shared`` are a gateway and
        sources that several pairs use together. Returns the frames of ``observations``, ``source_status`` and
        ``quarantine``.
        """
        from forex_assets.market.ingest import ingest
        from forex_assets.market.vintages.archive import RawArchive

        stored = self.stored_observations(pair_id) if merge else None
        if stored is not None:
            stored = stored.drop(columns=list(PROVENANCE))
        result = ingest(
            self._settings,
            pair_id,
            now=now,
            stored=stored,
            archive=RawArchive(self._settings.home) if keep_raw else None,
            releases=self.releases(pair_id),
            **shared,
        )
        return self._observed(pair_id, result.observations, source_status=result.source_status)

    def _observed(self, pair_id: str, observations: pd.DataFrame, **beside: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Return the frames of ``observations``, ``quarantine`` and what goes beside them, stamped alike."""
        from forex_assets.market.asof import quarantine

        hashes = {"config_hash": self._settings.config_hash(pair_id), "data_hash": observations_hash(observations)}
        frames = {"observations": observations, "quarantine": quarantine(observations), **beside}
        return {name: stamped(frame, **hashes) for name, frame in frames.items()}

    def _write(self, pair_id: str, frames: Mapping[str, pd.DataFrame]) -> None:
        for name, frame in frames.items():
            table = schemas.TABLES[name]
            self._store.write(table, pair_id, (), frame, verdict=judge_slice(table, frame))

    def releases(self, pair_id: str) -> pd.DataFrame | None:
        """Return the values a person put back, or None when there were none."""
        if not self._store.exists(schemas.QUARANTINE_RELEASE, pair_id, ()):
            return None
        return self._store.read(schemas.QUARANTINE_RELEASE, pair_id, [()])

    def release(
        self, pair_id: str, *, series: str, day: dt.date, who: str, why: str, now: pd.Timestamp
    ) -> pd.DataFrame:
        """Put a quarantined value back, store it and the record of who did it, and return that record."""
        from forex_assets.market.vintages.releases import release

        with self._observations_lock(pair_id):
            stored = self.stored_observations(pair_id)
            if stored is None:
                raise StoreError(
                    f"No observations of {pair_id} are stored.", remedy=f"run `forex data ingest --pair {pair_id}`."
                )
            observations, record = release(
                stored.drop(columns=list(PROVENANCE)), series=series, day=day, who=who, why=why, now=now
            )
            frames = self._observed(pair_id, observations, record=record)
            record = frames.pop("record")
            earlier = self.releases(pair_id)
            records = record if earlier is None else pd.concat([earlier, record], ignore_index=True)
            # The record first: a value that stands without one would be withdrawn again by the next ingestion.
            self._store.write(schemas.QUARANTINE_RELEASE, pair_id, (), records)
            self._write(pair_id, frames)
        return record

    def _observations_lock(self, pair_id: str) -> Any:
        from forex_assets.store.locks import ParquetFileLock

        lock_path = self._settings.home / "locks" / f"{pair_id}_observations"
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        return ParquetFileLock(lock_path, timeout=120.0)

    def write_ingest(self, pair_id: str, *, now: pd.Timestamp) -> dict[str, pd.DataFrame]:
        """Ingest under the pair's lock and store the three tables together.

        Inside :meth:`asking_together` the sources were asked already; else they are asked now.
        """
        with self._observations_lock(pair_id):
            frames = self._answered(pair_id)
            if frames is None:
                frames = self.ingest(pair_id, now=now)
            self._write(pair_id, frames)
        return frames

    @contextlib.contextmanager
    def asking_together(self, pair_ids: Sequence[str], *, now: pd.Timestamp) -> Iterator[None]:
        """Ask the sources for several pairs at once, in the background, so that waits for providers do not add up.

        :meth:`write_ingest` inside the block takes what was answered for its pair, as of ``now``; a pair that failed
        fails there and nowhere else. They share one client: a series that several pairs have is asked for once, a dead
        host is found out once, and every provider's rate limit holds for all of them together.
        """
        from concurrent.futures import ThreadPoolExecutor

        from forex_assets.market.ingest import shared_sources

        def one(pair_id: str) -> _Answered:
            stored = self._observations_info(pair_id)
            return _Answered(stored, self.ingest(pair_id, now=now, sources=sources))

        # Offline there is nothing to wait for: what was read would only lie in memory until its turn.
        names = [] if self._settings.offline else list(dict.fromkeys(pair_ids))
        pool = ThreadPoolExecutor(max_workers=max(1, len(names)), thread_name_prefix="pair")
        with shared_sources(self._settings, now=now.to_pydatetime()) as sources:
            try:
                self._sources, self._asked = sources, {name: pool.submit(one, name) for name in names}
                yield
            finally:
                self._sources, self._asked = None, {}
                pool.shutdown(cancel_futures=True)

    @contextlib.contextmanager
    def sources(self, *, now: pd.Timestamp) -> Iterator[Mapping[str, Source]]:
        """Give the sources: inside :meth:`asking_together` those of all pairs, else some of their own."""
        from forex_assets.market.ingest import shared_sources

        if self._sources is not None:
            yield self._sources
            return
        with shared_sources(self._settings, now=now.to_pydatetime()) as sources:
            yield sources

    def _answered(self, pair_id: str) -> dict[str, pd.DataFrame] | None:
        """Return what was answered for a pair, once; None where nobody asked, or the pair was written since."""
        asked = self._asked.pop(pair_id, None)
        if asked is None:
            return None
        answered = asked.result()
        return answered.frames if answered.stored == self._observations_info(pair_id) else None

    def _observations_info(self, pair_id: str) -> Any:
        """Return which slice of observations is stored, or None."""
        if not self._store.exists(schemas.OBSERVATIONS, pair_id, ()):
            return None
        return self._store.info(schemas.OBSERVATIONS, pair_id, ())

    def write_ingests(
        self, pair_ids: Sequence[str], *, now: pd.Timestamp
    ) -> dict[str, dict[str, pd.DataFrame] | DataError | StoreError]:
        """Ingest several pairs, asking for all of them at once; who fails is told, not raised."""
        from concurrent.futures import ThreadPoolExecutor

        def one(pair_id: str) -> dict[str, pd.DataFrame] | DataError | StoreError:
            try:
                return self.write_ingest(pair_id, now=now)
            except (DataError, StoreError) as error:
                return error

        with (
            self.asking_together(pair_ids, now=now),
            ThreadPoolExecutor(max_workers=max(1, len(pair_ids)), thread_name_prefix="write") as pool,
        ):
            return dict(zip(pair_ids, pool.map(one, pair_ids), strict=True))

    def rebuild_observations(self, pair_id: str, *, now: pd.Timestamp) -> int | None:
        """Make the pair's observations again from the payloads that were kept, and store the three tables.

        Returns how many rows came from the archive, or None where it holds nothing of the pair: then the sources that
        can be asked now were asked.
        """
        from forex_assets.market.vintages.archive import RawArchive
        from forex_assets.market.vintages.replay import replay

        with self._observations_lock(pair_id):
            made = replay(self._settings, pair_id, RawArchive(self._settings.home), releases=self.releases(pair_id))
            if made is None:
                frames = self.ingest(pair_id, now=now, merge=False)
            else:
                frames = self._observed(pair_id, made.observations, source_status=made.source_status)
            self._write(pair_id, frames)
        return None if made is None else len(made.observations)


def observations_hash(observations: pd.DataFrame) -> str:
    """Return a hash of the values known, whatever their retrieval times."""
    columns = observations[["series", "event_time", "available_at", "value", "source", "withdrawn_at"]]
    return content_hash([len(columns), int(pd.util.hash_pandas_object(columns, index=False).sum())])
