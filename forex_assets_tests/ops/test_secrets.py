"""Secrets come from the environment or private files, and never leave the process in clear."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.errors import ConfigError
from forex_assets.ops import secrets
from forex_assets.ops.secrets import (
    MASK,
    RedactingFilter,
    check_private_file,
    install_redaction,
    is_configured,
    redact,
    secret,
)

PASSWORD = "c0rrect-h0rse/bat&tery"


@pytest.fixture(autouse=True, scope="module")
def _forget_the_secrets_of_these_tests() -> Iterator[None]:
    """What is read here must not be masked in the output of other tests."""
    before = set(secrets._read_values)
    yield
    secrets._read_values.intersection_update(before)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "bcch.pass"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.capability("L19")
def test_a_secret_is_read_from_the_environment_or_from_a_private_file(secret_file: Path) -> None:
    assert secret("BCCH_PASS", {"BCCH_PASS": PASSWORD}) == PASSWORD
    assert secret("BCCH_PASS", {"BCCH_PASS_FILE": str(secret_file)}) == PASSWORD
    assert secret("BCCH_PASS", {}) is None
    assert is_configured("BCCH_PASS", {"BCCH_PASS_FILE": str(secret_file)})
    assert not is_configured("BCCH_PASS", {"BCCH_PASS": "  "})


@pytest.mark.capability("L19")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o700])
def test_a_secret_file_others_could_use_is_refused_with_its_mode_and_the_remedy(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:03o}") as caught:
        secret("BCCH_PASS", {"BCCH_PASS_FILE": str(secret_file)})
    assert caught.value.remedy == f"chmod 600 {secret_file}"
    assert PASSWORD not in str(caught.value)
    with pytest.raises(ConfigError, match=f"mode {mode:03o}"):
        check_private_file(secret_file, "forex.env")


def test_a_secret_in_two_places_is_refused(secret_file: Path) -> None:
    with pytest.raises(ConfigError, match="one place"):
        secret("BCCH_PASS", {"BCCH_PASS": PASSWORD, "BCCH_PASS_FILE": str(secret_file)})


def test_a_missing_empty_or_foreign_secret_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(ConfigError, match="cannot be read"):
        secret("X_TOKEN", {"X_TOKEN_FILE": str(missing)})
    with pytest.raises(ConfigError, match="cannot be read"):
        check_private_file(missing, "forex.env")
    empty = tmp_path / "empty"
    empty.touch(0o600)
    empty.chmod(0o600)
    with pytest.raises(ConfigError, match="empty"):
        secret("X_TOKEN", {"X_TOKEN_FILE": str(empty)})
    empty.write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(ConfigError, match="UTF-8"):
        secret("X_TOKEN", {"X_TOKEN_FILE": str(empty)})
    with pytest.raises(ConfigError, match="regular file"):
        check_private_file(tmp_path, "forex.env")


@pytest.mark.capability("L19")
def test_every_form_of_a_secret_that_was_read_is_masked() -> None:
    secret("BCCH_PASS", {"BCCH_PASS": PASSWORD})
    for form in (PASSWORD, "c0rrect-h0rse%2Fbat%26tery", "c0rrect-h0rse/bat%26tery"):
        assert redact(f"before {form} after") == f"before {MASK} after"


@pytest.mark.capability("L19")
def test_an_environment_variable_named_like_a_secret_is_masked_before_anything_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "zq81-unread")
    monkeypatch.setenv("BCCH_USER", "desk@example.org")
    monkeypatch.setenv("SOME_TOKEN_FILE", "a/harmless/path")
    monkeypatch.setenv("MONKEY_BUSINESS", "harmless")
    text = "zq81-unread of desk@example.org (desk%40example.org), a/harmless/path, harmless"
    assert redact(text) == f"{MASK} of {MASK} ({MASK}), a/harmless/path, harmless"


@pytest.mark.capability("L19")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /ws?user=a@b.cl&pass=hunter2&firstdate=2020-01-01", "GET /ws?user=***&pass=***&firstdate=2020-01-01"),
        ("url?api_key=abc#part", "url?api_key=***#part"),
        ("url?key=abc&sig=def&x=1", "url?key=***&sig=***&x=1"),
        ("password='a b' next", "password=*** next"),
        ('{"token": "ab\\"c", "n": 1}', '{"token": "***", "n": 1}'),
        ("{'client_secret': 'x'}", "{'client_secret': \"***\"}"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("postgresql://me:pw@host/db", "postgresql://***@host/db"),
    ],
)
def test_credentials_in_urls_headers_and_json_are_masked_whatever_their_value(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text", ["", "usdclp 933.42", "cache key=7d", "https://mindicador.cl/api/dolar/2025", "users=3"]
)
def test_text_without_credentials_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.capability("L19")
@given(
    value=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_no_secret_survives_redaction(value: str, before: str, after: str) -> None:
    secret("PROPERTY_TOKEN", {"PROPERTY_TOKEN": value})
    clean = redact(f"{before}{value}{after}")
    assert value not in clean or value in MASK
    assert redact(clean) == clean


def _record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("room", logging.INFO, __file__, 1, message, arguments, None)


@pytest.mark.capability("L19")
def test_the_log_filter_masks_message_arguments_and_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCCH_PASS", PASSWORD)
    record = _record("asked %s for %d rows with pass=%s", "https://x/?user=me", 7, "unknown-value")
    try:
        raise RuntimeError(f"refused {PASSWORD}")
    except RuntimeError as error:
        record.exc_info = (RuntimeError, error, error.__traceback__)
    assert RedactingFilter().filter(record)
    text = logging.Formatter().format(record)
    assert "asked https://x/?user=*** for 7 rows with pass=***" in text
    assert "refused ***" in text
    assert PASSWORD not in text
    named = _record("asked %(url)s", {"url": "https://x/?token=abc"})
    RedactingFilter().filter(named)
    assert named.getMessage() == "asked https://x/?token=***"


def test_a_record_without_secrets_keeps_its_arguments_for_the_formatter() -> None:
    record = _record("%s - %d", "127.0.0.1", 200)
    RedactingFilter().filter(record)
    assert record.args == ("127.0.0.1", 200)


@pytest.mark.capability("L19")
def test_installed_redaction_reaches_every_logger(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    previous = logging.getLogRecordFactory()
    monkeypatch.setenv("BCCH_PASS", PASSWORD)
    try:
        install_redaction()
        once = logging.getLogRecordFactory()
        install_redaction()
        assert logging.getLogRecordFactory() is once
        with caplog.at_level(logging.INFO):
            logging.getLogger("some.library.deep.down").info("GET %s", f"https://x/?pass={PASSWORD}")
    finally:
        logging.setLogRecordFactory(previous)
    assert caplog.messages == ["GET https://x/?pass=***"]
