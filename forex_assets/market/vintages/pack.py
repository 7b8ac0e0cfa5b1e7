"""One append-only file of payloads: each stored once, as its difference from an earlier one of the same stream.

Payload *k* of a stream (all answers to one question) is compressed with payload ``k & (k - 1)`` as the dictionary, so
that a daily answer that grew by a line costs a few dozen bytes, and any payload is rebuilt from at most ``log2 k``
others. Every record carries a marker and a checksum: an append that was cut off, or a damaged stretch, costs what it
covers and what builds on it, and the next payload is kept whole.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forex_assets.errors import StoreError
from forex_assets.market.vintages.recording import Taken
from forex_assets.store.files import explain, make_folder

if TYPE_CHECKING:
    import zstandard

MARKER = b"\xf1RAW"
_PAYLOAD, _RETRIEVAL = 1, 2
_HEAD = struct.Struct("<4sBI")
_CHECK = struct.Struct("<I")
_PAYLOAD_HEAD = struct.Struct("<IIII32s")
_RETRIEVAL_HEAD = struct.Struct("<qBH")
_NO_BASE = 0xFFFFFFFF
_LEVEL = 9
_MAX_WINDOW_LOG = 27
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One retrieval: when, the hash its rows carry, and the payloads it read."""

    retrieved_at: dt.datetime
    result_hash: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stored:
    index: int
    base: int | None
    stream: int
    size: int
    sha256: str
    data: memoryview


@dataclass
class Contents:
    """What a pack holds, and what is wrong with it."""

    path: Path
    payloads: dict[int, _Stored] = field(default_factory=dict)
    by_hash: dict[str, int] = field(default_factory=dict)
    streams: dict[int, list[int]] = field(default_factory=dict)
    retrievals: list[Retrieval] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    size_bytes: int = 0
    next_index: int = 0
    _rebuilt: dict[int, bytes] = field(default_factory=dict)

    def payload(self, sha256: str) -> bytes:
        """Return a payload by its SHA-256.

        Raises
        ------
        StoreError
            When it is not held, or it or one it builds on is damaged.
        """
        index = self.by_hash.get(sha256)
        if index is None:
            raise StoreError(
                f"{self.path} holds no payload {sha256[:16]}.",
                remedy="run `forex data check`; restore the file from a backup if it is damaged.",
            )
        return self._rebuild(index)

    def _rebuild(self, index: int) -> bytes:
        chain: list[_Stored] = []
        at: int | None = index
        while at is not None and at not in self._rebuilt:
            stored = self.payloads.get(at)
            if stored is None:
                raise self._damaged(index, f"payload {at} it builds on is lost")
            chain.append(stored)
            at = stored.base
        raw = self._rebuilt[at] if at is not None else b""
        for stored in reversed(chain):
            raw = self._decode(stored, raw if stored.base is not None else b"")
            if hashlib.sha256(raw).hexdigest() != stored.sha256:
                raise self._damaged(stored.index, "its content is not what was stored")
            if len(self._rebuilt) > 64:
                self._rebuilt.clear()
            self._rebuilt[stored.index] = raw
        return raw

    def _decode(self, stored: _Stored, base: bytes) -> bytes:
        import zstandard

        decoder = zstandard.ZstdDecompressor(
            dict_data=_dictionary(base), format=zstandard.FORMAT_ZSTD1_MAGICLESS, max_window_size=1 << _MAX_WINDOW_LOG
        )
        try:
            return decoder.decompress(bytes(stored.data), max_output_size=max(stored.size, 1))
        except zstandard.ZstdError as error:
            raise self._damaged(stored.index, str(error)) from error

    def _damaged(self, index: int, why: str) -> StoreError:
        stored = self.payloads.get(index)
        name = stored.sha256[:16] if stored else f"number {index}"
        return StoreError(
            f"{self.path}: payload {name} is damaged ({why}).",
            remedy="restore the file from a backup; the rows read from it stay in the store, and the next retrieval is "
            "kept whole.",
        )


def read_pack(path: Path) -> Contents:
    """Return the index of a pack; a missing file is an empty pack.

    Raises
    ------
    StoreError
        When the file cannot be read.
    """
    contents = Contents(path)
    try:
        data = memoryview(path.read_bytes())
    except FileNotFoundError:
        return contents
    except OSError as error:
        raise explain(error, "read", path) from error
    contents.size_bytes = len(data)
    whole = bytes(data)
    at = 0
    while at < len(data):
        end = _record_end(data, at)
        if end is None:
            following = _next_record(whole, data, at + 1)
            until = len(data) if following is None else following
            what = "an append was cut off" if following is None else "a stretch is damaged"
            contents.problems.append(f"{path}: {what} at byte {at} ({until - at} bytes)")
            at = until
            continue
        _take(contents, data[at:end])
        at = end
    return contents


def append(path: Path, taken: Sequence[Taken], retrievals: Sequence[Retrieval]) -> int:
    """Add payloads that are not held yet, and retrievals; return the bytes written, durable when this returns.

    The caller holds the pack's lock.

    Raises
    ------
    StoreError
        When the file cannot be read or written; what it held stays readable.
    """
    contents = read_pack(path)
    out: list[bytes] = []
    for item in taken:
        if item.raw is None:
            continue
        digest = item.kept_hash
        if digest in contents.by_hash and _is_sound(contents, digest):
            continue
        record = _encode(contents, item.label, digest, item.raw)
        out.append(record)
        _take(contents, memoryview(record))
    out += [_retrieval(contents, retrieval) for retrieval in retrievals]
    if not out:
        return 0
    data = b"".join(out)
    try:
        is_new = not path.exists()
        make_folder(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            rest = memoryview(data)
            while len(rest):
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new and os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise explain(error, "append to", path) from error
    return len(data)


def verify(contents: Contents) -> list[str]:
    """Rebuild every payload; return what is damaged or missing, by name."""
    found = list(contents.problems)
    for stored in contents.payloads.values():
        try:
            contents._rebuild(stored.index)
        except StoreError as error:
            found.append(error.message)
    for retrieval in contents.retrievals:
        found += [
            f"{contents.path}: the payload {member[:16]} retrieved at {retrieval.retrieved_at:%Y-%m-%d %H:%M} is lost"
            for member in retrieval.members
            if member.startswith("lost")
        ]
    return found


def _is_sound(contents: Contents, digest: str) -> bool:
    try:
        contents.payload(digest)
    except StoreError:
        return False  # it is kept again, whole
    return True


def _encode(contents: Contents, label: str, digest: str, raw: bytes) -> bytes:
    import zstandard

    stream = zlib.crc32(label.encode())
    earlier = contents.streams.get(stream, [])
    base: int | None = None
    content = b""
    position = len(earlier)
    if position:
        base = earlier[position & (position - 1)]
        try:
            content = contents._rebuild(base)
        except StoreError:
            base, content = None, b""
    window = min(max((len(content) + len(raw)).bit_length(), 10), _MAX_WINDOW_LOG)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL,
        source_size=len(raw),
        dict_size=len(content),
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        window_log=window,
        write_content_size=0,
        write_checksum=0,
        write_dict_id=0,
    )
    coder = zstandard.ZstdCompressor(dict_data=_dictionary(content), compression_params=parameters)
    body = _PAYLOAD_HEAD.pack(
        contents.next_index, _NO_BASE if base is None else base, stream, len(raw), bytes.fromhex(digest)
    )
    return _record(_PAYLOAD, body + coder.compress(raw))


def _dictionary(content: bytes) -> zstandard.ZstdCompressionDict | None:
    import zstandard

    if not content:
        return None
    return zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _retrieval(contents: Contents, retrieval: Retrieval) -> bytes:
    indexes = [contents.by_hash[member] for member in retrieval.members if member in contents.by_hash]
    told = bool(indexes) and contents.payloads[indexes[-1]].sha256 == retrieval.result_hash
    moment = (retrieval.retrieved_at.astimezone(dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)
    body = _RETRIEVAL_HEAD.pack(moment, int(told), len(indexes))
    body += b"" if told else bytes.fromhex(retrieval.result_hash)
    return _record(_RETRIEVAL, body + struct.pack(f"<{len(indexes)}I", *indexes))


def _record(kind: int, body: bytes) -> bytes:
    head = _HEAD.pack(MARKER, kind, len(body))
    return head + body + _CHECK.pack(zlib.crc32(head + body))


def _record_end(data: memoryview, at: int) -> int | None:
    """Return where the record at ``at`` ends, or None where there is no whole, sound record."""
    if at + _HEAD.size > len(data):
        return None
    marker, kind, length = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if marker != MARKER or kind not in (_PAYLOAD, _RETRIEVAL) or end + _CHECK.size > len(data):
        return None
    (check,) = _CHECK.unpack_from(data, end)
    return end + _CHECK.size if zlib.crc32(data[at:end]) == check else None


def _next_record(whole: bytes, data: memoryview, at: int) -> int | None:
    while (at := whole.find(MARKER, at)) >= 0:
        if _record_end(data, at) is not None:
            return at
        at += 1
    return None


def _take(contents: Contents, record: memoryview) -> None:
    _, kind, length = _HEAD.unpack_from(record)
    body = record[_HEAD.size : _HEAD.size + length]
    if kind == _PAYLOAD:
        index, base, stream, size, digest = _PAYLOAD_HEAD.unpack_from(body)
        stored = _Stored(
            index, None if base == _NO_BASE else base, stream, size, digest.hex(), body[_PAYLOAD_HEAD.size :]
        )
        contents.payloads[index] = stored
        contents.by_hash[stored.sha256] = index
        contents.streams.setdefault(stream, []).append(index)
        contents.next_index = max(contents.next_index, index + 1)
        return
    moment, told, count = _RETRIEVAL_HEAD.unpack_from(body)
    at = _RETRIEVAL_HEAD.size + (0 if told else 32)
    members = tuple(
        contents.payloads[index].sha256 if index in contents.payloads else f"lost payload {index}"
        for index in struct.unpack_from(f"<{count}I", body, at)
    )
    result = members[-1] if told else bytes(body[_RETRIEVAL_HEAD.size : at]).hex()
    contents.retrievals.append(Retrieval(_EPOCH + dt.timedelta(microseconds=moment), result, members))
