"""Payloads go in once and come out as they went in, whatever happens to the file between."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import StoreError, ValidationError
from forex_assets.market.vintages.archive import Asked, RawArchive
from forex_assets.market.vintages.pack import MARKER, append, read_pack, verify
from forex_assets.market.vintages.recording import Taken, masked, note, note_cached, recording

DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
T0 = dt.datetime(2025, 6, 13, 22, tzinfo=dt.UTC)


def taken(raw: bytes, label: str = "fred x") -> Taken:
    return Taken(label, hashlib.sha256(raw).hexdigest(), raw)


def answer(rows: int) -> bytes:
    return "\n".join(["date,value", *(f"2001-01-{i:05d},{(i * 7919) % 1000 / 7:.4f}" for i in range(rows))]).encode()


def asked(raw: bytes, day: int = 0, source: str = "fred", series: str = "x") -> Asked:
    item = taken(raw, f"{source} {series}")
    return Asked(source, series, T0 + dt.timedelta(days=day), (item,), item.sha256)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(min_size=1, max_size=400)), min_size=1, max_size=25))
def test_every_payload_comes_back(tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, bytes]]) -> None:
    path = tmp_path_factory.mktemp("pack") / "x.pack"
    for label, raw in items:
        append(path, [taken(raw, label)], [])
    contents = read_pack(path)
    assert verify(contents) == []
    assert len(contents.payloads) == len({raw for _, raw in items}), "each content is stored once"
    for _, raw in items:
        assert contents.payload(hashlib.sha256(raw).hexdigest()) == raw


@pytest.mark.capability("E03")
def test_a_daily_answer_that_grows_by_a_row_costs_what_changed(tmp_path: Path) -> None:
    archive = RawArchive(tmp_path)
    for day in range(120):
        archive.keep([asked(answer(2000 + day), day)])
    assert archive.size_bytes() < 1.5 * len(answer(2120))
    assert len(archive.retrievals("fred", "x")) == 120
    before = archive.size_bytes()
    for day in range(120, 150):
        archive.keep([asked(answer(2119), day)])
    assert archive.size_bytes() - before < 30 * 40, "an answer seen before costs a note of the time"
    retrieved = archive.retrievals("fred", "x")[60]
    assert archive.payload("fred", "x", retrieved.members[0]) == answer(2060)
    assert retrieved.retrieved_at == T0 + dt.timedelta(days=60)


def test_a_file_read_again_unchanged_is_no_retrieval(tmp_path: Path) -> None:
    archive = RawArchive(tmp_path)
    archive.keep([asked(answer(10), 0, "folder"), asked(answer(10), 0, "embedded")])
    assert archive.keep([asked(answer(10), 1, "folder")]) == 0
    assert archive.keep([asked(answer(11), 2, "folder")]) > 0
    assert list(archive.packs()) == [("folder", "x")], "what is part of the package is not copied"
    assert len(archive.retrievals("folder", "x")) == 2


@pytest.mark.capability("B02", "L05")
def test_an_append_cut_off_at_any_byte_loses_nothing_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    append(path, [taken(answer(50))], [])
    whole = path.read_bytes()
    append(path, [taken(answer(51))], [])
    longer = path.read_bytes()
    for cut in range(len(whole) + 1, len(longer)):
        path.write_bytes(longer[:cut])
        contents = read_pack(path)
        assert contents.payload(taken(answer(50)).sha256) == answer(50)
        assert len(contents.payloads) == 1
        assert "cut off" in verify(contents)[0]
    append(path, [taken(answer(52))], [])
    assert read_pack(path).payload(taken(answer(52)).sha256) == answer(52), "what follows the torn end is read"


@pytest.mark.capability("L05")
def test_a_damaged_payload_is_named_and_kept_whole_when_it_comes_again(tmp_path: Path) -> None:
    archive = RawArchive(tmp_path)
    for day in range(4):
        archive.keep([asked(answer(50 + day), day)])
    path = tmp_path / "raw" / "fred" / "x.pack"
    whole = bytearray(path.read_bytes())
    whole[60] ^= 0xFF
    path.write_bytes(whole)
    found = archive.verify()
    assert any("a stretch is damaged" in text and str(path) in text for text in found)
    assert any("is damaged" in text or "lost" in text for text in found)
    with pytest.raises(StoreError, match=r"no payload|damaged"):
        archive.payload("fred", "x", taken(answer(50)).sha256)
    archive.keep([asked(answer(50), 9), asked(answer(53), 10)])
    assert archive.payload("fred", "x", taken(answer(50)).sha256) == answer(50)
    assert archive.payload("fred", "x", taken(answer(53)).sha256) == answer(53)


def test_a_marker_inside_a_payload_starts_no_record(tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    raw = MARKER * 20
    append(path, [taken(raw)], [])
    assert verify(read_pack(path)) == []
    assert read_pack(path).payload(taken(raw).sha256) == raw


ODD = [True, 0, 1.0, None, b"x", "x\n", "x\x00", "..", "../x", "a/b", "A", "", "x;rm", "con", "nul", "a" * 65]
ODD += ["café", "\u017f", "x\u202e"]


@pytest.mark.capability("B04")
@settings(max_examples=60, deadline=None)
@given(
    name=st.one_of(
        st.sampled_from(ODD),
        st.text(max_size=70),
        st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True),
        st.integers(),
        st.booleans(),
        st.binary(max_size=8),
    ),
    as_series=st.booleans(),
)
def test_whatever_a_source_or_series_is_called_stays_below_the_archive_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: Any, as_series: bool
) -> None:
    archive = RawArchive(tmp_path_factory.getbasetemp() / "archive")
    names = ("fred", name) if as_series else (name, "x")
    is_name = isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]{0,63}", name) is not None
    if is_name and name not in DEVICES:
        assert archive.contents(*names).retrievals == []
        return
    for ask in (archive.contents, lambda *given: archive.keep([asked(answer(2), 0, *given)])):
        with pytest.raises(ValidationError, match=r"is no name|device"):
            ask(*names)
    assert not archive.root.exists()


@pytest.mark.capability("B04")
def test_a_link_that_leads_out_of_the_archive_is_not_followed(tmp_path: Path) -> None:
    archive = RawArchive(tmp_path / "home")
    archive.keep([asked(answer(2))])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.pack").write_bytes(b"theirs")
    (archive.root / "bis").symlink_to(outside)
    (archive.root / "fred" / "y.pack").symlink_to(outside / "x.pack")
    (archive.root / "fred" / "z.pack").symlink_to(archive.root / "fred" / "z.pack")
    for source, series in (("bis", "x"), ("bis", "new"), ("fred", "y"), ("fred", "z")):
        with pytest.raises(ValidationError, match=r"outside|cannot be resolved"):
            archive.keep([asked(answer(2), 0, source, series)])
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"x.pack": b"theirs"}
    assert len(archive.retrievals("fred", "x")) == 1


def test_outside_a_record_nothing_is_noted() -> None:
    note("x", b"1")
    note_cached("x", "00")
    with recording() as items:
        note("x", b"1")
        note_cached("y", "00")
    assert [(item.label, item.raw) for item in items] == [("x", b"1"), ("y", None)]


@pytest.mark.capability("L19")
@pytest.mark.parametrize(
    "raw",
    [
        b'{"echo": "p\\u00e4ss w&rd"}',
        '{"echo": "päss w&rd"}'.encode(),
        b"url?pass=p%C3%A4ss%20w%26rd",
        b"cMOkc3MgdyZyZA==",
    ],
)
def test_a_payload_that_repeats_a_credential_is_kept_masked(raw: bytes) -> None:
    kept = masked(raw, ["päss w&rd"])
    assert kept is not None
    assert b"***" in kept
    assert b"rd" not in kept
    assert b"cMOk" not in kept
    assert masked(b'{"a": 1}', ["päss w&rd"]) == b'{"a": 1}'


@pytest.mark.capability("L19")
def test_a_payload_that_hides_a_credential_is_not_kept() -> None:
    assert masked(b'{"echo": "\\u0070w0rd"}', ["pw0rd"]) is None
