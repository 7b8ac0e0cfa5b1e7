"""Noting every payload a source reads while it is being asked, whatever becomes of it.

:func:`recording` opens a record for the current thread; the HTTP client and the file reader call :func:`note`.
Outside a record nothing is noted.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

MASK = b"***"


@dataclass(frozen=True, slots=True)
class Taken:
    """One payload as it came: what it answers to, its bytes (None where it came from the cache), and its SHA-256."""

    label: str
    sha256: str
    raw: bytes | None = field(repr=False)

    @property
    def kept_hash(self) -> str:
        """SHA-256 of what is kept: another one than the payload's where a credential was masked."""
        return self.sha256 if self.raw is None else hashlib.sha256(self.raw).hexdigest()


_CURRENT: ContextVar[list[Taken] | None] = ContextVar("forex_assets_recording", default=None)


@contextlib.contextmanager
def recording() -> Iterator[list[Taken]]:
    """Collect the payloads read inside the block, in order."""
    taken: list[Taken] = []
    token = _CURRENT.set(taken)
    try:
        yield taken
    finally:
        _CURRENT.reset(token)


def note(label: str, raw: bytes, *, secrets: Sequence[str] = ()) -> None:
    """Note a payload; one that repeats a credential is noted with the credential masked.

    Parameters
    ----------
    label:
        How the request is called in messages; tells streams of payloads apart and never holds a credential.
    raw:
        The bytes.
    secrets:
        Credentials of the request.
    """
    current = _CURRENT.get()
    if current is None:
        return
    digest = hashlib.sha256(raw).hexdigest()
    clean = masked(raw, secrets)
    if clean is not None:
        current.append(Taken(label, digest, clean))


def note_cached(label: str, sha256: str) -> None:
    """Note that a payload fetched earlier was read again."""
    current = _CURRENT.get()
    if current is not None:
        current.append(Taken(label, sha256, None))


def masked(raw: bytes, secrets: Sequence[str]) -> bytes | None:
    """Return a payload without credentials; None where one stays readable in a form that cannot be masked."""
    wanted = [text for text in secrets if text]
    for text in sorted(wanted, key=len, reverse=True):
        for form in _forms(text):
            raw = raw.replace(form, MASK)
    if not wanted or raw.lstrip()[:1] not in (b"{", b"["):
        return raw
    try:
        said = str(json.loads(raw))
    except ValueError:
        return raw
    return None if any(text in said for text in wanted) else raw


def _forms(text: str) -> list[bytes]:
    plain = text.encode()
    forms = {
        plain,
        json.dumps(text)[1:-1].encode(),
        json.dumps(text, ensure_ascii=False)[1:-1].encode(),
        quote(text).encode(),
        quote(text, safe="").encode(),
        quote_plus(text).encode(),
        base64.b64encode(plain),
    }
    return sorted(forms, key=len, reverse=True)
