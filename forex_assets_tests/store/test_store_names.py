"""The store takes no name that could lead anywhere else: every attack, as a pair and as a part of a key."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import ValidationError
from forex_assets.schemas import BARS
from forex_assets.settings import PAIR_ID
from forex_assets.store.naming import is_plain_name
from forex_assets.store.slices import SliceStore
from forex_assets_tests.store.frames import bars
from forex_assets_tests.store.test_naming import ATTACKS

OPERATIONS: dict[str, Callable[[SliceStore, str, tuple[str, ...]], object]] = {
    "write": lambda store, pair, key: store.write(BARS, pair, key, bars(3)),
    "read": lambda store, pair, key: store.read(BARS, pair, [key]),
    "info": lambda store, pair, key: store.info(BARS, pair, key),
    "exists": lambda store, pair, key: store.exists(BARS, pair, key),
    "verify": lambda store, pair, key: store.verify(BARS, pair, [key]),
    "scan": lambda store, pair, key: list(store.scan(BARS, pair, [key])),
}


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.capability("B04", "J14")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_attack_is_refused_as_a_pair_and_as_a_part_of_a_key(operation: str, tmp_path: Path) -> None:
    store, do = SliceStore(tmp_path / "store"), OPERATIONS[operation]
    for attack in (*ATTACKS, "usdclp\n", "Usdclp", "us"):
        with pytest.raises(ValidationError, match="does not match"):
            do(store, attack, ("2025-06-13",))
    for attack in ATTACKS:
        for key in ((attack,), ("7d", attack), (attack, "2025-06-13")):
            with pytest.raises(ValidationError, match="breaks the rule"):
                do(store, "usdclp", key)
    assert _files(tmp_path) == []


@pytest.mark.capability("B04", "J14", "B05")
@pytest.mark.parametrize("odd", [True, False, 7, 7.0, None, b"7d", ("7d",), np.True_, np.int64(7)])
def test_what_is_no_text_is_no_name(odd: object, tmp_path: Path) -> None:
    store = SliceStore(tmp_path)
    with pytest.raises(ValidationError):
        store.exists(BARS, odd, ("2025-06-13",))  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        store.exists(BARS, "usdclp", (odd,))  # type: ignore[arg-type]


@pytest.mark.capability("B04", "J14")
@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=12) | st.sampled_from(ATTACKS), prefix=st.sampled_from(["", "7d", "a/", "../"]))
def test_whatever_is_accepted_is_written_below_the_root_and_listed_under_its_name(text: str, prefix: str) -> None:
    name = prefix + text
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        store = SliceStore(root)
        try:
            store.write(BARS, "usdclp", (name,), bars(1))
        except ValidationError:
            assert _files(Path(folder)) == []
            assert not is_plain_name(name) or name == "all" or name.endswith(".parquet")
            return
        assert store.keys(BARS, "usdclp") == [(name,)]
        assert all(file.resolve().is_relative_to(root) for file in root.rglob("*"))


@pytest.mark.capability("B04")
@given(text=st.text(max_size=8))
def test_a_pair_id_is_lower_case_ascii_without_anything_else(text: str) -> None:
    assert (PAIR_ID.fullmatch(text) is not None) <= (text.isascii() and text.islower() and is_plain_name(text))


@pytest.mark.capability("B04")
def test_links_and_odd_names_that_lie_in_the_store_are_no_slices(tmp_path: Path) -> None:
    root, outside = tmp_path / "store", tmp_path / "outside"
    store = SliceStore(root)
    store.write(BARS, "usdclp", ("2025-06-13",), bars(3))
    outside.mkdir()
    folder = root / "usdclp" / "bars"
    for odd in (
        "2025 06 13.parquet",
        "dólar.parquet",
        "a;b.parquet",
        ".hidden.parquet",
        "x.parquet.tmp",
        "con.parquet",
    ):
        (folder / odd).write_bytes(b"")
    (root / "Not-a-pair").mkdir()
    (root / "loop").symlink_to(root)
    assert store.keys(BARS, "usdclp") == [("2025-06-13",)]
    assert store.pairs() == ["loop", "usdclp"]
