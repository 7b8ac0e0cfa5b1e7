"""Hashes that trace a row: equal content gives equal hashes, whatever order or process it comes from."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets import __version__
from forex_assets.provenance import HASH_LENGTH, code_version, combine_hashes, content_hash

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.capability("E09")
@given(body=st.dictionaries(st.text(max_size=5), _JSON, max_size=6), data=st.data())
def test_a_hash_does_not_depend_on_key_order(body: dict[str, Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(list(body)))
    assert content_hash({key: body[key] for key in order}) == content_hash(body)
    assert re.fullmatch(rf"[0-9a-f]{{{HASH_LENGTH}}}", content_hash(body))


@given(left=_JSON, right=_JSON)
def test_different_content_has_different_hashes(left: Any, right: Any) -> None:
    # 1 == 1.0 == True in Python, and -0.0 == 0.0, but they are not the same content: representations are compared.
    assert (content_hash(left) == content_hash(right)) == (_canonical(left) == _canonical(right))


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return ("object", sorted((key, _canonical(item)) for key, item in value.items()).__repr__())
    if isinstance(value, list):
        return ("list", [_canonical(item) for item in value])
    return repr(value)


@pytest.mark.capability("E09")
def test_hashes_are_the_same_in_every_process() -> None:
    body = {"pair": "usdclp", "start": dt.date(2005, 1, 3), "levels": [0.025, 0.5], "ñ": None}
    code = (
        "import datetime as dt; from forex_assets.provenance import *\n"
        "print(content_hash({'ñ': None, 'levels': [0.025, 0.5], 'start': dt.date(2005, 1, 3), 'pair': 'usdclp'}),"
        " code_version())"
    )
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split() == [content_hash(body), code_version.__wrapped__()]


@pytest.mark.capability("E09")
def test_combined_hashes_change_with_any_part_and_with_its_name() -> None:
    whole = combine_hashes({"bars": "a", "drivers": "b"})
    assert whole == combine_hashes({"drivers": "b", "bars": "a"})
    assert len({whole, combine_hashes({"bars": "b", "drivers": "a"}), combine_hashes({"bars": "a"})}) == 3


@pytest.mark.capability("E09")
def test_the_code_version_names_the_release_and_the_source() -> None:
    assert re.fullmatch(rf"{re.escape(__version__)}\+[0-9a-f]{{8}}", code_version())
