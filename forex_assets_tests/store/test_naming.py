"""Names, paths and limits from outside are refused when they could do harm, and returned unchanged when they cannot."""

from __future__ import annotations

import os
import string
import tempfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from forex_assets.errors import ValidationError
from forex_assets.store.naming import (
    sanitize_filename,
    sanitize_path,
    validate_days,
    validate_horizon,
    validate_limit,
    validate_positive_integer,
    validate_severity,
)

ATTACKS = [
    "../../../etc/passwd",
    "file; rm -rf /",
    "file$(whoami).txt",
    "file\0.txt",
    "..\\windows\\system32",
    "..\\",
    "a;b",
    "a|b",
    "a`id`b",
    "a$(id)b",
    "..",
    "a/../../b",
    "ｆｉｌｅ.txt",
    "dólar.txt",
    "a\u202egnp.exe",
    "..\u2215etc",
    "\uff0e\uff0e\uff0fetc",
    "cafe\u0301.txt",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "C:file",
    "\\\\server\\share",
    "~/secrets",
    "-rf",
    ".bashrc",
    "a\nb",
    "a\tb",
    "a b",
    "a&b",
    "a>b",
    "a<b",
    "a*b",
    "a?b",
    "a'b",
    'a"b',
    "a{b}",
    "a[b]",
    "a!b",
    "a#b",
    "a%2e%2e",
    "",
    "con",
    "NUL.txt",
    "com1.log",
    "name.",
    "x" * 256,
]
_SAFE = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}(\.[A-Za-z0-9]{1,5})?", fullmatch=True).filter(
    lambda name: (
        name.split(".")[0].lower() not in {"con", "prn", "aux", "nul"} and name[:3].lower() not in {"com", "lpt"}
    )
)
_FORBIDDEN = sorted(set(map(chr, range(128))) - set(string.ascii_letters + string.digits + "_.-"))


@pytest.mark.capability("B04", "B03")
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_as_a_file_name(attack: str) -> None:
    with pytest.raises(ValidationError) as caught:
        sanitize_filename(attack)
    assert caught.value.exit_code == 2
    assert caught.value.remedy


@pytest.mark.capability("B04", "B03")
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("prefix", ["", "reports/"])
def test_an_attack_is_refused_as_a_path_or_a_part_of_one(tmp_path: Path, attack: str, prefix: str) -> None:
    if prefix and attack in ("", "/etc/passwd"):  # below a folder these are a plain path
        assert sanitize_path(prefix + attack, tmp_path).is_relative_to(tmp_path.resolve())
        return
    with pytest.raises(ValidationError):
        sanitize_path(prefix + attack, tmp_path)


@pytest.mark.capability("B04", "J14")
@given(before=_SAFE, after=_SAFE, bad=st.sampled_from(_FORBIDDEN) | st.characters(min_codepoint=128))
def test_one_forbidden_character_anywhere_is_enough(before: str, after: str, bad: str) -> None:
    for name in (before + bad + after, bad + after, before + bad):
        with pytest.raises(ValidationError):
            sanitize_filename(name)
        if bad != "/":
            with pytest.raises(ValidationError):
                sanitize_path(name, "data")


@pytest.mark.capability("B03")
@given(name=_SAFE)
def test_a_plain_name_is_returned_unchanged(name: str) -> None:
    assert sanitize_filename(name) == name


@pytest.mark.capability("J14")
def test_a_relative_path_resolves_against_its_base_not_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sanitize_path("data.txt", base_dir="data") == tmp_path / "data" / "data.txt"
    monkeypatch.chdir("/")
    assert sanitize_path("data.txt", base_dir=tmp_path) == tmp_path / "data.txt"


@pytest.mark.capability("J14", "B03")
@given(parts=st.lists(_SAFE, min_size=1, max_size=4))
def test_a_path_of_plain_names_stays_below_its_base(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="a base ") as folder:
        base = Path(folder).resolve()
        for path in ("/".join(parts), PurePosixPath(*parts), "./" + "/".join(parts)):
            assert sanitize_path(path, base) == base.joinpath(*parts)


@pytest.mark.capability("J14", "B04")
@given(text=st.text(max_size=30))
def test_whatever_is_accepted_lies_below_the_base(text: str) -> None:
    base = Path(tempfile.gettempdir()).resolve()
    try:
        path = sanitize_path(text, base)
    except ValidationError:
        return
    assert path.is_relative_to(base)
    assert path != base


@pytest.mark.capability("B04", "J14")
def test_a_symbolic_link_out_of_the_base_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    base, outside = tmp_path / "base", tmp_path / "outside"
    (base / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (base / "link").symlink_to(outside)
    (base / "file").symlink_to(outside / "secret.txt")
    (base / "good").symlink_to(base / "inner")
    for path in ("link/secret.txt", "link", "file", "link/new.txt"):
        with pytest.raises(ValidationError, match="outside"):
            sanitize_path(path, base)
    assert sanitize_path("good/x.txt", base) == (base / "inner" / "x.txt").resolve()


@pytest.mark.capability("B04")
def test_a_sibling_that_shares_the_base_name_as_a_prefix_is_outside(tmp_path: Path) -> None:
    (tmp_path / "data-private").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").symlink_to(tmp_path / "data-private")
    with pytest.raises(ValidationError, match="outside"):
        sanitize_path("x", tmp_path / "data")


@pytest.mark.capability("B04")
def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(ValidationError):
        sanitize_path("a/x.txt", tmp_path)


@pytest.mark.capability("J14")
def test_a_base_that_is_a_link_itself_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "base").symlink_to(tmp_path / "real")
    assert sanitize_path("x.txt", tmp_path / "base") == (tmp_path / "real" / "x.txt").resolve()


@pytest.mark.parametrize("path", [None, b"data.txt", 7, True, ["data.txt"], ".", "./", "//x"])
def test_what_is_no_path_to_a_file_is_refused(tmp_path: Path, path: object) -> None:
    with pytest.raises(ValidationError):
        sanitize_path(path, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [None, b"data.txt", 7, True])
def test_what_is_no_text_is_refused_as_a_file_name(name: object) -> None:
    with pytest.raises(ValidationError, match="must be text"):
        sanitize_filename(name)  # type: ignore[arg-type]


def test_a_base_that_holds_a_nul_is_refused() -> None:
    with pytest.raises(ValidationError, match="cannot be resolved"):
        sanitize_path("x.txt", "da\0ta")


@pytest.mark.capability("B03")
@pytest.mark.parametrize("value", ["7d", "15d", "30d", "90d"])
def test_a_configured_horizon_is_accepted(value: str) -> None:
    assert validate_horizon(value) == value


@pytest.mark.capability("B03")
@pytest.mark.parametrize("value", ["low", "medium", "high", "critical"])
def test_a_severity_of_the_list_is_accepted(value: str) -> None:
    assert validate_severity(value) == value


@pytest.mark.capability("B03")
@given(
    value=st.text(max_size=10) | st.integers() | st.none() | st.sampled_from(["7D", " 7d", "7d\n", "٧d", "1d", "HIGH"])
)
def test_anything_off_the_whitelists_is_refused_with_the_list(value: object) -> None:
    assume(value not in ("7d", "15d", "30d", "90d", "low", "medium", "high", "critical"))
    with pytest.raises(ValidationError, match="7d, 15d, 30d, 90d"):
        validate_horizon(value)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="low, medium, high, critical"):
        validate_severity(value)  # type: ignore[arg-type]


@pytest.mark.capability("B05")
@given(value=st.integers(-1000, 1000))
def test_days_run_from_1_to_365_and_limits_from_1_to_100(value: int) -> None:
    for check, high in ((validate_days, 365), (validate_limit, 100)):
        if 1 <= value <= high:
            assert check(value) == value
        else:
            with pytest.raises(ValidationError, match=f"from 1 to {high}") as caught:
                check(value)
            assert repr(value) in caught.value.message


@pytest.mark.capability("J14", "B05")
@pytest.mark.parametrize("value", [True, False, np.True_, 5.0, float("nan"), "5", b"5", None, [5], np.float64(5)])
def test_what_only_looks_like_an_integer_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="days"):
        validate_positive_integer(value, 1, 365, "days")


@pytest.mark.capability("B05")
def test_numpy_integers_and_the_ends_of_the_range_are_accepted() -> None:
    assert validate_positive_integer(np.int64(5), 1, 365, "days") == 5
    assert type(validate_positive_integer(np.int32(5), 1, 365, "days")) is int
    assert [validate_positive_integer(n, 1, 365, "days") for n in (1, 365)] == [1, 365]
    assert validate_positive_integer(10**30, 1, None, "n") == 10**30


@pytest.mark.parametrize("limits", [(0, 5), (-1, None), (6, 5)])
def test_limits_that_make_no_sense_are_a_programming_error(limits: tuple[int, int | None]) -> None:
    with pytest.raises(ValidationError, match="1 <= min <= max"):
        validate_positive_integer(3, *limits, param_name="n")


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ValidationError) as caught:
        sanitize_filename("x" * 5000)
    assert len(caught.value.message) < 400


def test_a_path_object_is_taken_as_its_text(tmp_path: Path) -> None:
    assert sanitize_path(Path("a") / "b.txt", os.fspath(tmp_path)) == (tmp_path / "a" / "b.txt").resolve()
