"""What a provider answered: the bytes as JSON, text or a file, and the web pages that stand where data should."""

from __future__ import annotations

import datetime as dt
import functools
import json
from dataclasses import dataclass
from typing import Any, Literal

from forex_assets.errors import SourceError
from forex_assets.market.http.failures import LATER, TransientError

Kind = Literal["json", "text", "bytes"]

_NAMES = {"json": "JSON", "text": "a table", "bytes": "a file"}


@dataclass(frozen=True, slots=True)
class Payload:
    """An answer, the SHA-256 of its bytes, when it was fetched, whether from the disk cache, and its validators."""

    body: Any
    sha256: str
    retrieved_at: dt.datetime
    from_cache: bool = False
    etag: str | None = None
    last_modified: str | None = None


def parse_payload(raw: bytes, label: str, kind: Kind) -> Any:
    """Return the bytes of an answer as JSON, text or bytes; an empty, HTML or broken one is a typed error."""
    if not raw.strip():
        raise TransientError(f"{label}: the answer is empty.", remedy=LATER)
    if looks_like_html(raw[:64].decode("utf-8", errors="replace")):
        raise SourceError(
            f"{label}: the answer is HTML instead of {_NAMES[kind]}.",
            remedy="the provider shows an error or maintenance page; try again later, or check its address.",
        )
    if kind == "bytes":
        return raw
    text = raw.decode("utf-8-sig", errors="replace")
    if kind == "text":
        return text
    try:
        return json.loads(text, object_pairs_hook=functools.partial(_object, label=label))
    except ValueError:
        raise TransientError(f"{label}: the answer of {len(raw)} bytes is not whole JSON.", remedy=LATER) from None


def _object(pairs: list[tuple[str, Any]], *, label: str) -> dict[str, Any]:
    """Return a JSON object; one that names something twice contradicts itself, whichever is the right one."""
    body = dict(pairs)
    if len(body) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(
            f"{label}: the answer names {twice[:40]!r} twice.", remedy="try again later; the next source serves."
        )
    return body


def looks_like_html(text: str) -> bool:
    """Return whether an answer is a web page: an error or maintenance page instead of data."""
    return text.lstrip("\ufeff \t\r\n")[:1] == "<"
