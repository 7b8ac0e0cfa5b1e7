"""Making observations again from the archive: the ingestions that were, with the payloads that came.

Each ingestion of the past is run once more at its own instant; a provider that answered then answers the same bytes,
one that did not is not configured. What comes out depends on today's parsers, rules and publication times only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from forex_assets.errors import SourceError, StoreError
from forex_assets.market.contract import FetchRequest, FetchResult, Source
from forex_assets.market.http.answers import Payload, parse_payload
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.ingest import Ingest, ingest
from forex_assets.market.sources import build_sources
from forex_assets.market.sources.folder import FolderSource
from forex_assets.market.vintages.archive import READ_WHOLE, SHIPPED, RawArchive
from forex_assets.market.vintages.pack import Contents, Retrieval
from forex_assets.market.vintages.releases import release_again
from forex_assets.ops.secrets import KNOWN_SECRETS
from forex_assets.settings import SeriesSpec, Settings

_NOT_ASKED = "not asked in that ingestion"
_CREDENTIALS = dict.fromkeys(KNOWN_SECRETS, "no-credential-is-needed-to-replay")


def replay(
    settings: Settings, pair_id: str, archive: RawArchive, *, releases: pd.DataFrame | None = None
) -> Ingest | None:
    """Return the pair's ingestion as the archive's payloads give it again, or None when nothing was archived.

    Parameters
    ----------
    settings:
        As for an ingestion.
    pair_id:
        The pair.
    archive:
        Where the payloads are.
    releases:
        Table ``quarantine_release`` of the pair.

    Raises
    ------
    StoreError
        When a pack cannot be read. A payload that is damaged is an answer that is missing.
    """
    pair = settings.pair(pair_id)
    held = {
        (source, series): archive.contents(source, series)
        for series in pair.all_series
        for source in pair.chains[series]
        if source not in SHIPPED
    }
    moments = sorted({item.retrieved_at for contents in held.values() for item in contents.retrievals})
    made: Ingest | None = None
    for moment, following in zip(moments, [*moments[1:], None], strict=False):
        sources = _sources_at(settings, held, moment)
        stored = None if made is None else made.observations
        made = ingest(settings, pair_id, now=moment, stored=stored, sources=sources, releases=releases)
        if releases is not None and len(releases):
            decided = releases["released_at"]
            mine = (decided >= moment) & ((decided < following) if following is not None else True)
            made = replace(made, observations=release_again(made.observations, releases[mine]))
    return made


class _Recorded(HttpGateway):
    """Answers from one retrieval of the archive instead of the network."""

    def __init__(self, settings: Settings, contents: Contents, retrieval: Retrieval, now: dt.datetime) -> None:
        super().__init__(settings.platform.providers.http, cache_dir=None, now=now)
        self._contents = contents
        self._members = retrieval.members
        self._at = now

    def get(self, url: str, *, label: str, kind: Any = "json", **_: Any) -> Payload:
        """Return the payload that answered the same question then."""
        del url
        stream = zlib.crc32(label.encode())
        for member in reversed(self._members):
            index = self._contents.by_hash.get(member)
            if index is None or self._contents.payloads[index].stream != stream:
                continue
            try:
                raw = self._contents.payload(member)
            except StoreError as error:
                raise SourceError(error.message, remedy=error.remedy) from error
            return Payload(parse_payload(raw, label, kind), hashlib.sha256(raw).hexdigest(), self._at)
        raise SourceError(f"{label}: {_NOT_ASKED}.", remedy="nothing: another source served.")


@dataclass(frozen=True)
class _Replayed:
    """A source with, per series, what it was built on when it was asked."""

    name: str
    is_local: bool
    by_series: Mapping[str, Source]

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why nothing was asked of it then, or None."""
        return None if series.id in self.by_series else _NOT_ASKED

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return what it answered then."""
        return self.by_series[request.series.id].fetch(request)


def _sources_at(settings: Settings, held: Mapping[tuple[str, str], Contents], moment: dt.datetime) -> dict[str, Source]:
    live = settings.model_copy(update={"offline": False})
    by_source: dict[str, dict[str, Source]] = {}
    for (name, series), contents in held.items():
        asked = [item for item in contents.retrievals if item.retrieved_at <= moment]
        if not asked or (asked[-1].retrieved_at != moment and name not in READ_WHOLE):
            continue
        gateway = _Recorded(live, contents, asked[-1], moment)
        built = build_sources(live, now=moment, gateway=gateway, environ=_CREDENTIALS)[name]
        if isinstance(built, FolderSource):
            built = _ReplayedFile(name, contents, asked[-1].members[-1], moment)
        by_source.setdefault(name, {})[series] = built
    nobody = HttpGateway(live.platform.providers.http, cache_dir=None, now=moment)
    plain = build_sources(live, now=moment, gateway=nobody, environ={})
    return {
        name: source if name in SHIPPED else _Replayed(name, source.is_local, by_source.get(name, {}))
        for name, source in plain.items()
    }


@dataclass(frozen=True)
class _ReplayedFile:
    """A folder's file as it was when it was read."""

    name: str
    contents: Contents
    member: str
    now: dt.datetime
    is_local: bool = True

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return None: it was there."""
        del series
        return None

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the rows of the file of then."""
        try:
            raw = self.contents.payload(self.member)
        except StoreError as error:
            raise SourceError(error.message, remedy=error.remedy) from error
        address = request.series.addresses[self.name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / str(address["file"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
            result = FolderSource(Path(folder), now=self.now, name=self.name).fetch(request)
        return replace(result, payload_hash=self.member)
