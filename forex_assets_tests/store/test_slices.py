"""The slice store keeps whole slices, says what is wrong, and gives back exactly what it was given."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from forex_assets.errors import DataError, StoreError, UnusableSliceError, ValidationError
from forex_assets.schemas import BARS, FORECAST, TABLES, Column, Table
from forex_assets.store.naming import is_plain_name
from forex_assets.store.reading import ScannedBatch, ScannedSlice
from forex_assets.store.slice_file import SliceWrite, Verdict
from forex_assets.store.slices import SliceStore
from forex_assets_tests.store.frames import bars, filled, forecast, same

NOW = dt.datetime(2025, 6, 13, 22, 45, tzinfo=dt.UTC)
DAY = ("2025-06-13",)


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SliceStore:
    roots = {
        "folder": lambda: str(tmp_path / "a store"),
        "memory": lambda: f"memory://{uuid.uuid4().hex}",
        "s3": lambda: f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}",
    }
    return SliceStore(roots[request.param](), clock=lambda: NOW)


@pytest.fixture
def local(tmp_path: Path) -> SliceStore:
    return SliceStore(tmp_path / "store", clock=lambda: NOW)


def path_of(store: SliceStore, table: Table, key: tuple[str, ...]) -> Path:
    return Path(store.info(table, "usdclp", key).path)


def only_batch(batches: Iterator[ScannedBatch]) -> tuple[list[ScannedSlice], pa.Table]:
    (batch,) = batches
    return list(batch.slices), batch.rows


# ---- contract, the same for every root ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_declared_table_comes_back_as_it_was_written(store: SliceStore, name: str) -> None:
    table = TABLES[name]
    frame = table.conform(filled(table, 4))
    store.write(table, "usdclp", DAY, frame)
    same(store.read(table, "usdclp", [DAY]), frame)
    same(store.verify(table, "usdclp"), frame)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_an_empty_slice_is_written_and_comes_back_empty_with_its_types(store: SliceStore, name: str) -> None:
    table = TABLES[name]
    info = store.write(table, "usdclp", DAY, table.empty())
    assert info.rows == 0
    assert store.keys(table, "usdclp") == [DAY]
    same(store.read(table, "usdclp"), table.empty())


def test_verdict_metadata_and_time_stand_in_the_footer(store: SliceStore) -> None:
    verdict = Verdict("unknown", ("n = 3 is thin", "señal: ±"))
    written = store.write(BARS, "usdclp", DAY, bars(), verdict=verdict, meta={"data_hash": "abc", "nota": "día"})
    read = store.info(BARS, "usdclp", DAY)
    assert read == written
    assert (read.verdict, read.meta) == (verdict, {"data_hash": "abc", "nota": "día"})
    assert (read.rows, read.schema_version, read.written_at) == (5, BARS.version, NOW)
    assert (read.table, read.pair, read.key) == ("bars", "usdclp", DAY)
    assert read.size_bytes > 0


def test_keys_are_sorted_and_belong_to_their_own_table_and_pair(store: SliceStore) -> None:
    for key in [("7d", "2025-06-13"), ("15d", "2025-06-12"), ("7d", "2025-06-12")]:
        store.write(FORECAST, "usdclp", key, forecast(key[1]))
    store.write(BARS, "usdclp", (), bars())
    store.write(BARS, "eurusd", DAY, bars())
    assert store.keys(FORECAST, "usdclp") == [("15d", "2025-06-12"), ("7d", "2025-06-12"), ("7d", "2025-06-13")]
    assert store.keys(BARS, "usdclp") == [()]
    assert store.keys(FORECAST, "eurusd") == []
    assert store.pairs() == ["eurusd", "usdclp"]
    assert store.exists(BARS, "usdclp", ())
    assert not store.exists(BARS, "usdclp", DAY)


def test_a_fresh_store_is_empty_not_an_error(store: SliceStore) -> None:
    assert store.pairs() == []
    assert store.keys(BARS, "usdclp") == []
    same(store.read(BARS, "usdclp"), BARS.empty())
    same(store.read(BARS, "usdclp", columns=["value", "pair"]), BARS.empty()[["value", "pair"]])


def test_many_slices_are_concatenated_in_the_order_of_the_keys_asked(store: SliceStore) -> None:
    days = [f"2025-06-{day:02d}" for day in range(1, 31)]
    infos = store.write_many(
        BARS, "usdclp", {(day,): (bars(2, as_of=day, value=float(i)), Verdict(), {}) for i, day in enumerate(days)}
    )
    assert [info.key for info in infos] == [(day,) for day in days]
    assert store.read(BARS, "usdclp")["value"].tolist() == [float(i) for i in range(30) for _ in range(2)]
    assert store.read(BARS, "usdclp", [(days[3],), (days[1],)])["value"].tolist() == [3.0, 3.0, 1.0, 1.0]


def test_a_generator_of_slices_is_consumed_in_batches(store: SliceStore) -> None:
    made = []

    def slices() -> Iterator[tuple[tuple[str, ...], SliceWrite]]:
        for i in range(150):
            if i % 10 == 0:  # to list an object store is slow
                made.append(i - len(store.keys(BARS, "usdclp")))
            yield (f"p{i:03d}",), SliceWrite(bars(1))

    assert len(store.write_many(BARS, "usdclp", slices())) == 150
    assert max(made) < 65  # never more than one batch of frames waits in memory


def test_only_the_columns_asked_for_are_read(store: SliceStore) -> None:
    store.write(BARS, "usdclp", DAY, bars())
    assert list(store.read(BARS, "usdclp", [DAY], columns=["value", "event_date"]).columns) == ["value", "event_date"]
    with pytest.raises(ValidationError, match="'bars' has no column 'close'"):
        store.read(BARS, "usdclp", [DAY], columns=["close"])


def test_only_the_rows_asked_for_are_read(store: SliceStore) -> None:
    frame = forecast(DAY[0])
    frame["model"] = ["random_walk"] + ["other"] * (len(frame) - 1)
    store.write(FORECAST, "usdclp", DAY, frame)
    chosen = store.read(FORECAST, "usdclp", columns=["model", "mean"], only={"model": ["random_walk", "nobody"]})
    assert chosen.to_dict("records") == [{"model": "random_walk", "mean": frame["mean"].iloc[0]}]
    assert store.read(FORECAST, "usdclp", only={"model": ["nobody"]}).empty


def test_the_state_of_a_table_changes_when_a_slice_is_written_or_added_and_only_then(store: SliceStore) -> None:
    assert store.state(BARS, "usdclp") == ()
    store.write(BARS, "usdclp", DAY, bars())
    first = store.state(BARS, "usdclp")
    store.write(FORECAST, "usdclp", DAY, forecast(DAY[0]))
    store.write(BARS, "eurusd", DAY, bars())
    assert store.state(BARS, "usdclp") == first
    store.write(BARS, "usdclp", DAY, bars(value=931.0))
    second = store.state(BARS, "usdclp")
    assert second != first
    store.write(BARS, "usdclp", ("2025-06-16",), bars(as_of="2025-06-16"))
    assert len(store.state(BARS, "usdclp")) == 2
    assert store.state(BARS, "usdclp") != second


def test_a_missing_slice_is_named(store: SliceStore) -> None:
    store.write(BARS, "usdclp", DAY, bars())
    with pytest.raises(StoreError, match="No slice 2025-06-16 of table 'bars' is stored for usdclp") as caught:
        store.read(BARS, "usdclp", [DAY, ("2025-06-16",)])
    assert "materialise" in caught.value.remedy
    with pytest.raises(StoreError, match=r"No slice \(whole table\)"):
        store.info(BARS, "usdclp", ())


def test_a_bad_verdict_is_refused_unless_asked_for_and_an_unknown_one_is_not(store: SliceStore) -> None:
    store.write(BARS, "usdclp", ("2025-06-12",), bars(), verdict=Verdict("unknown", ("thin",)))
    bad = store.write(BARS, "usdclp", DAY, bars(), verdict=Verdict("bad", ("jump of 9 sigma on 2025-06-13",)))
    assert len(store.read(BARS, "usdclp", [("2025-06-12",)])) == 5
    with pytest.raises(UnusableSliceError, match=r"1 of 2 slices .* first 2025-06-13: jump of 9 sigma"):
        store.read(BARS, "usdclp")
    assert len(store.read(BARS, "usdclp", allow_bad=True)) == 10
    with pytest.raises(UnusableSliceError, match="jump of 9 sigma"):
        bad.require_usable()
    store.info(BARS, "usdclp", ("2025-06-12",)).require_usable()


@pytest.mark.capability("L05")
def test_writing_the_same_slice_again_changes_nothing(store: SliceStore) -> None:
    frame = bars(40)
    first = store.write(BARS, "usdclp", DAY, frame)
    before = store.read(BARS, "usdclp", [DAY])
    assert store.write(BARS, "usdclp", DAY, frame) == first
    same(store.read(BARS, "usdclp", [DAY]), before)
    store.write(BARS, "usdclp", DAY, before)
    same(store.read(BARS, "usdclp", [DAY]), before)
    assert store.keys(BARS, "usdclp") == [DAY]


def test_a_scan_yields_rows_of_good_slices_and_the_reason_for_the_others(store: SliceStore) -> None:
    store.write(BARS, "usdclp", ("2025-06-12",), bars(3))
    store.write(BARS, "usdclp", DAY, bars(), verdict=Verdict("bad", ("unit looks wrong",)))
    ((good, bad), rows) = only_batch(store.scan(BARS, "usdclp"))
    assert (good.key, good.problem, rows.num_rows) == (("2025-06-12",), None, 3)
    assert (bad.key, bad.problem) == (DAY, "unit looks wrong")
    ((missing,), nothing) = only_batch(store.scan(BARS, "usdclp", [("2025-06-20",)]))
    assert missing.info is None
    assert "No slice 2025-06-20" in str(missing.problem)
    assert (nothing.num_rows, nothing.schema) == (0, BARS.arrow_schema())
    assert list(store.scan(BARS, "usdclp", [])) == []


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        ("..",),
        ("../x",),
        ("a/b",),
        ("a\\b",),
        ("",),
        (".hidden",),
        ("-rf",),
        ("a b",),
        ("día",),
        ("a\0b",),
        ("a\n",),
        ("x.parquet",),
        ("x.",),
        ("a..b",),
        ("all",),
        ("x" * 129,),
        ("a", "b", "c", "d", "e"),
        (7,),
        ("a;b",),
        ("$(id)",),
    ],
)
@pytest.mark.capability("B04")
def test_a_partition_key_outside_the_rule_is_refused_everywhere(store: SliceStore, key: tuple[str, ...]) -> None:
    for action in (
        lambda: store.write(BARS, "usdclp", key, bars()),
        lambda: store.read(BARS, "usdclp", [key]),
        lambda: store.info(BARS, "usdclp", key),
        lambda: store.exists(BARS, "usdclp", key),
    ):
        with pytest.raises(ValidationError, match="breaks the rule"):
            action()
    assert store.pairs() == []


@pytest.mark.parametrize("pair", ["../etc", "USDCLP", "", "usd/clp", "usdclp\n", "a", None, "ñandu"])
def test_a_pair_id_outside_the_rule_is_refused(store: SliceStore, pair: str) -> None:
    with pytest.raises(ValidationError, match="does not match"):
        store.write(BARS, pair, DAY, bars())
    with pytest.raises(ValidationError, match="does not match"):
        store.keys(BARS, pair)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="value"), "missing ['value']"),
        (lambda f: f.assign(extra=1), "unexpected ['extra']"),
        (lambda f: f.assign(value="n/a"), "Column 'value'"),
        (lambda f: f.assign(value=float("nan")), "'value' of table 'bars' is empty in 5 of 5 rows"),
        (lambda f: f.assign(source=None), "'source' of table 'bars' is empty"),
        (lambda f: f.assign(source=3), "Column 'source'"),
        (lambda f: pd.concat([f, f]), "more than one row for key"),
        (lambda f: f.assign(available_at=f["available_at"].dt.tz_localize(None)), "time zone"),
        (lambda f: f.assign(event_date=f["event_date"].dt.tz_localize("UTC")), "time zone"),
    ],
)
def test_a_frame_that_is_not_of_its_table_is_refused_and_what_was_stored_stays(
    store: SliceStore, change: object, message: str
) -> None:
    store.write(BARS, "usdclp", DAY, bars())
    with pytest.raises(DataError, match=re.escape(message)):
        store.write(BARS, "usdclp", DAY, change(bars()))  # type: ignore[operator]
    same(store.read(BARS, "usdclp", [DAY]), BARS.conform(bars()))


def test_metadata_must_be_text(store: SliceStore) -> None:
    with pytest.raises(ValidationError, match="not text to text"):
        store.write(BARS, "usdclp", DAY, bars(), meta={"n": 3})  # type: ignore[dict-item]


def test_a_verdict_is_one_of_three_states() -> None:
    with pytest.raises(ValidationError, match="'fine' is not one of good, bad, unknown"):
        Verdict("fine")  # type: ignore[arg-type]


def test_an_unusable_root_is_refused_with_a_remedy() -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        SliceStore("nosuchprotocol://x")
    with pytest.raises(StoreError, match="empty"):
        SliceStore("  ")


def test_every_way_to_name_a_local_folder_gives_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SliceStore(tmp_path / "s").write(BARS, "usdclp", DAY, bars())
    monkeypatch.chdir(tmp_path)
    roots = [tmp_path / "s", str(tmp_path / "s"), "s", f"file://{tmp_path}/s", UPath(tmp_path / "s")]
    stores = [SliceStore(root) for root in [*roots, UPath(f"file://{tmp_path}/s")]]
    monkeypatch.chdir("/")
    assert {Path(store.root) for store in stores} == {tmp_path / "s"}
    assert all(store.keys(BARS, "usdclp") == [DAY] for store in stores)


# ---- damaged, foreign and newer files ----------------------------------------------------------------------------


def test_an_empty_file_is_named_as_damaged_by_every_reader(local: SliceStore) -> None:
    local.write(BARS, "usdclp", DAY, bars())
    path = path_of(local, BARS, DAY)
    path.write_bytes(b"")
    for action in (lambda: local.read(BARS, "usdclp", [DAY]), lambda: local.info(BARS, "usdclp", DAY)):
        with pytest.raises(StoreError, match="is not a whole Parquet file") as caught:
            action()
        assert str(path) in caught.value.message
        assert "materialise its partition again" in caught.value.remedy
    local.write(BARS, "usdclp", DAY, bars())
    assert len(local.read(BARS, "usdclp")) == 5


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_never_read_as_data(local: SliceStore, share: float) -> None:
    path = Path(local.write(BARS, "usdclp", DAY, bars(300)).path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(StoreError, match="not a whole Parquet file"):
        local.read(BARS, "usdclp", [DAY])
    with pytest.raises(StoreError, match="not a whole Parquet file"):
        local.info(BARS, "usdclp", DAY)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_among_the_rows_is_never_read_as_data(local: SliceStore, place: float, bit: int) -> None:
    frame = BARS.conform(bars(60).assign(value=np.arange(60) + 900.5))
    path = Path(local.write(BARS, "usdclp", DAY, frame).path)
    data = bytearray(path.read_bytes())
    footer = int.from_bytes(data[-8:-4], "little") + 8
    data[4 + int(place * (len(data) - footer - 4))] ^= 1 << bit
    path.write_bytes(data)
    rows = None
    with contextlib.suppress(StoreError):  # the usual case: the page's checksum does not match
        rows = local.read(BARS, "usdclp", [DAY])
    if rows is not None:  # a bit that no reader uses
        same(rows, frame)


def _rewritten(path: Path, rows: pa.Table | None = None, **footer: str | None) -> None:
    stored = pq.read_table(path)
    metadata = dict(stored.schema.metadata)
    for name, value in footer.items():
        if value is None:
            del metadata[f"forex.{name}".encode()]
        else:
            metadata[f"forex.{name}".encode()] = value.encode()
    pq.write_table((stored if rows is None else rows).replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("footer", "message"),
    [
        ({"schema_version": str(BARS.version + 1)}, "this program knows"),
        ({"schema_version": "0"}, "old schema version 0"),
        ({"schema_version": "one"}, "cannot be understood"),
        ({"verdict": "{}"}, "cannot be understood"),
        ({"verdict": '{"state": "superb", "reasons": []}'}, "cannot be understood"),
        ({"verdict": "not json"}, "cannot be understood"),
        ({"written_at": "yesterday"}, "cannot be understood"),
        ({"verdict": None}, "lacks forex.verdict"),
        ({"table": "drivers"}, "it holds usdclp/drivers/2025-06-13, not what its name says"),
        ({"pair": "eurusd"}, "it holds eurusd/bars"),
        ({"key": '["2025-06-12"]'}, "it holds usdclp/bars/2025-06-12"),
    ],
)
def test_a_footer_of_another_version_or_origin_is_refused(
    local: SliceStore, footer: dict[str, str | None], message: str
) -> None:
    path = Path(local.write(BARS, "usdclp", DAY, bars()).path)
    _rewritten(path, **footer)
    for action in (lambda: local.read(BARS, "usdclp", [DAY]), lambda: local.info(BARS, "usdclp", DAY)):
        with pytest.raises(StoreError, match=re.escape(message)) as caught:
            action()
        assert str(path) in caught.value.message


def test_columns_that_are_not_the_declared_ones_are_refused_on_read(local: SliceStore) -> None:
    path = Path(local.write(BARS, "usdclp", DAY, bars()).path)
    _rewritten(path, pq.read_table(path).drop_columns(["open"]))
    with pytest.raises(StoreError, match="columns are not those of table 'bars' version 1"):
        local.read(BARS, "usdclp", [DAY])


def test_a_parquet_file_from_elsewhere_is_refused(local: SliceStore) -> None:
    path = Path(local.write(BARS, "usdclp", DAY, bars()).path)
    bars().to_parquet(path)
    with pytest.raises(StoreError, match="was not written by this store: its footer lacks"):
        local.read(BARS, "usdclp", [DAY])
    ((scanned,), _) = only_batch(local.scan(BARS, "usdclp"))
    assert "was not written by this store" in str(scanned.problem)


def test_verify_finds_rows_that_break_the_schema_though_the_file_is_whole(local: SliceStore) -> None:
    table = Table("bars", "doc", (Column("x", "float", "x"), Column("k", "int", "k")), ("k",))
    path = Path(local.write(table, "usdclp", (), pd.DataFrame({"x": [1.0, 2.0], "k": [1, 2]})).path)
    rows = pa.table({"x": [1.0, 2.0], "k": [1, 1]}, schema=table.arrow_schema())
    _rewritten(path, rows)
    with pytest.raises(DataError, match="break its schema"):
        local.verify(table, "usdclp")


def test_listing_leaves_out_temporary_hidden_and_foreign_names(local: SliceStore) -> None:
    folder = Path(local.write(BARS, "usdclp", DAY, bars()).path).parent
    for name in [".2025-06-16.parquet.77.ab12cd34.tmp", "notes.txt", "a b.parquet", ".x.parquet", "x.parquet.tmp"]:
        (folder / name).write_bytes(b"half")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.parquet").write_bytes(b"half")
    assert local.keys(BARS, "usdclp") == [DAY]
    (Path(local.root) / "Not A Pair").mkdir()
    (Path(local.root) / "file").write_text("")
    assert local.pairs() == ["usdclp"]


def test_sweep_deletes_only_temporary_files_older_than_the_age_given(local: SliceStore) -> None:
    folder = Path(local.write(BARS, "usdclp", DAY, bars()).path).parent
    old, young = folder / ".a.parquet.1.00000000.tmp", folder / ".b.parquet.2.00000000.tmp"
    for path, age_h in ((old, 2.0), (young, 0.5)):
        path.write_bytes(b"half")
        stamp = NOW.timestamp() - age_h * 3600
        os.utime(path, (stamp, stamp))
    assert local.sweep(older_than=dt.timedelta(hours=1), now=NOW) == [str(old)]
    assert not old.exists()
    assert young.exists()
    assert local.keys(BARS, "usdclp") == [DAY]
    with pytest.raises(ValidationError, match="negative"):
        local.sweep(older_than=dt.timedelta(hours=-1), now=NOW)
    assert SliceStore("memory://sweep").sweep(older_than=dt.timedelta(0), now=NOW) == []


# ---- what the operating system refuses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "call", "remedy"),
    [
        (errno.EROFS, "open", "mount it read-write"),
        (errno.EACCES, "open", "write permission"),
        (errno.ENOSPC, "write", "free disk space"),
        (errno.EDQUOT, "write", "free disk quota"),
        (errno.EIO, "fsync", "forex doctor"),
        (errno.EACCES, "replace", "write permission"),
    ],
)
def test_a_refusal_at_any_step_keeps_the_old_slice_and_leaves_no_rest(
    local: SliceStore, monkeypatch: pytest.MonkeyPatch, code: int, call: str, remedy: str
) -> None:
    local.write(BARS, "usdclp", DAY, bars(value=900.0))
    folder = path_of(local, BARS, DAY).parent
    real = getattr(os, call)

    def refuse(*args: object, **kwargs: object) -> object:
        if call == "open" and not int(str(args[1])) & os.O_CREAT:
            return real(*args, **kwargs)
        if call == "write":
            real(args[0], bytes(args[1])[:1000])  # type: ignore[arg-type]  # a disk fills up half-way
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(StoreError, match=re.escape(os.strerror(code))) as caught:
            local.write(BARS, "usdclp", DAY, bars(value=950.0))
    assert str(folder) in caught.value.message
    assert "What was stored before is untouched" in caught.value.message
    assert remedy in caught.value.remedy
    assert [path.name for path in folder.iterdir()] == ["2025-06-13.parquet"]
    same(local.read(BARS, "usdclp", [DAY]), BARS.conform(bars(value=900.0)))
    local.write(BARS, "usdclp", DAY, bars(value=950.0))
    assert set(local.read(BARS, "usdclp", [DAY])["value"]) == {950.0}


def test_a_short_write_is_continued(local: SliceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:777])))
    local.write(BARS, "usdclp", DAY, bars(50))
    same(local.read(BARS, "usdclp", [DAY]), BARS.conform(bars(50)))


def test_a_file_where_the_root_or_a_folder_belongs_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("I am a file")
    store = SliceStore(tmp_path / "store")
    with pytest.raises(StoreError, match="Cannot write") as caught:
        store.write(BARS, "usdclp", DAY, bars())
    assert "a file stands where a folder belongs" in caught.value.remedy
    with pytest.raises(StoreError, match="Cannot list"):
        store.pairs()
    assert (tmp_path / "store").read_text() == "I am a file"


def test_a_folder_where_a_slice_belongs_is_named(local: SliceStore) -> None:
    (Path(local.root) / "usdclp" / "bars" / "2025-06-13.parquet").mkdir(parents=True)
    with pytest.raises(StoreError, match="Cannot write"):
        local.write(BARS, "usdclp", DAY, bars())
    with pytest.raises(StoreError, match="Cannot read"):
        local.read(BARS, "usdclp", [DAY])


def test_a_folder_that_vanishes_in_mid_write_is_named_and_the_next_write_works(
    local: SliceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.write(BARS, "usdclp", ("2025-06-12",), bars())
    real = os.fsync

    def vanish(descriptor: int) -> None:
        real(descriptor)
        shutil.rmtree(local.root, ignore_errors=True)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", vanish)
        with pytest.raises(StoreError, match="No such file") as caught:
            local.write(BARS, "usdclp", DAY, bars())
    assert "went away" in caught.value.remedy
    local.write(BARS, "usdclp", DAY, bars())
    assert local.keys(BARS, "usdclp") == [DAY]


# ---- properties --------------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
_DATES = st.datetimes(pd.Timestamp("1970-01-01"), pd.Timestamp("2100-01-01")).map(lambda t: pd.Timestamp(t).normalize())
_MOMENTS = st.datetimes(pd.Timestamp("1970-01-01"), pd.Timestamp("2100-01-01")).map(
    lambda t: pd.Timestamp(t).tz_localize("UTC")
)
_BY_KIND = {
    "date": _DATES,
    "instant": _MOMENTS,
    "float": st.floats(allow_nan=False),
    "int": st.integers(-(2**53), 2**53),
    "str": _TEXT,
    "bool": st.booleans(),
}


@st.composite
def frames(draw: st.DrawFn, table: Table) -> pd.DataFrame:
    rows = draw(st.integers(0, 6))
    columns = {}
    for column in table.columns:
        values: st.SearchStrategy[object] = _BY_KIND[column.kind]
        if column.nullable:
            values = values | st.none()
        drawn = draw(st.lists(values, min_size=rows, max_size=rows))
        series = pd.Series(drawn, dtype=object)
        if column.kind in ("date", "instant"):
            series = pd.to_datetime(series, utc=column.kind == "instant")
        elif column.kind in ("float", "int"):
            series = series.astype(float if column.nullable or column.kind == "float" else int)
        columns[column.name] = series
    return pd.DataFrame(columns).drop_duplicates(list(table.key))


@pytest.mark.parametrize("name", ["observations", "bars", "drivers", "source_status"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_frame_of_a_table_survives_the_disk_exactly(name: str, data: st.DataObject) -> None:
    table = TABLES[name]
    frame = data.draw(frames(table))
    with tempfile.TemporaryDirectory() as folder:
        store = SliceStore(folder)
        store.write(table, "usdclp", DAY, frame)
        back = store.verify(table, "usdclp")
    same(back, table.conform(frame))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_keys_written_are_the_keys_listed(data: st.DataObject) -> None:
    part = st.from_regex(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,12}", fullmatch=True).filter(
        lambda text: is_plain_name(text) and not text.endswith(".parquet")
    )
    keys = data.draw(st.lists(st.tuples(part) | st.tuples(part, part), max_size=6, unique=True))
    keys = [key for key in keys if key != ("all",)]
    store = SliceStore(f"memory://{uuid.uuid4().hex}")
    store.write_many(BARS, "usdclp", {key: SliceWrite(BARS.empty()) for key in keys})
    assert store.keys(BARS, "usdclp") == sorted(keys)
