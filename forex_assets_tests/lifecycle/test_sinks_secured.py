"""Commits signed with a local key, and mail over STARTTLS with a password: on a real git and a real server."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult

from forex_assets.lifecycle.git_sink import EMAIL
from forex_assets.lifecycle.sinks import Sinks, Told
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.settings.deployment import SinkSettings
from forex_assets_tests.lifecycle.factory import NOW, SUBJECT, policy, promote, version


def _tell(home: Path, *, credentials: tuple[str, str] | None = None, **changes: Any) -> dict[str, Told]:
    mail = {**policy().sinks.mail.model_dump(), **changes.pop("mail", {})}
    settings = SinkSettings.model_validate(
        {**policy().sinks.model_dump(), "classic_folder": None, **changes, "mail": mail}
    )
    sinks = Sinks(home, settings, main_pair="usdclp", credentials=lambda: credentials)
    return {item.sink: item for item in sinks.tell(SUBJECT.scope, now=NOW)}


# ---- git ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def signing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that signs with an ssh key of its own, and knows whose key that is."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    folder, key = tmp_path / "repository", tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", EMAIL, "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"{EMAIL} {key.with_suffix('.pub').read_text()}")
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=deployed")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingkey", key),
        ("gpg.ssh.allowedSignersFile", tmp_path / "signers"),
    ):
        _git(folder, "config", name, str(value))
    return folder


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.capability("A29", "A34")
def test_a_signed_commit_verifies_as_the_optimizers_and_an_unsigned_one_does_not(tmp_path: Path, signing: Path) -> None:
    promote(tmp_path, 1)
    told = _tell(tmp_path, git_repository=str(signing), git_sign=True)["git"]
    assert told.state == "told", told.detail
    assert _git(signing, "log", "-1", "--format=%G? %GS %H") == f"G {EMAIL} {told.detail}"
    subprocess.run(["git", "-C", str(signing), "verify-commit", "HEAD"], check=True, capture_output=True)
    promote(tmp_path, 2, days=1)
    _tell(tmp_path, git_repository=str(signing), git_sign=False)
    assert _git(signing, "log", "-1", "--format=%G?") == "N"


@pytest.mark.capability("A24", "A29", "J12")
def test_without_the_key_nothing_is_committed_unsigned_and_it_is_tried_again(tmp_path: Path, signing: Path) -> None:
    key = tmp_path / "key"
    key.rename(tmp_path / "away")
    promote(tmp_path, 1)
    told = _tell(tmp_path, git_repository=str(signing), git_sign=True)["git"]
    assert (told.state, "git commit" in told.detail) == ("failed", True)
    assert subprocess.run(["git", "-C", str(signing), "rev-parse", "HEAD"], capture_output=True).returncode
    assert LifecycleStore(tmp_path).of(SUBJECT).current == version(1).hash
    (tmp_path / "away").rename(key)
    assert _tell(tmp_path, git_repository=str(signing), git_sign=True)["git"].state == "told"
    assert _git(signing, "log", "-1", "--format=%G?") == "G"


# ---- mail --------------------------------------------------------------------------------------------------------


class _Kept(Message):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)


USER = ("optimizer", "a long secret")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Controller, _Kept, Path]]:
    """An SMTP server on the loopback that insists on STARTTLS and a password, and its self-signed certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "server.key", tmp_path / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", str(key), "-out", str(certificate)),
            *("-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    kept = _Kept()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login.decode(), data.password.decode()) == USER, handled=False)

    controller = Controller(
        kept,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
    )
    controller.start()
    yield controller, kept, certificate
    controller.stop()


@pytest.mark.capability("A20", "A22", "J12")
def test_a_note_goes_over_starttls_with_a_password_and_only_to_a_server_that_can_be_trusted(
    tmp_path: Path, server: tuple[Controller, _Kept, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, kept, certificate = server
    mail = {
        "mode": "smtp",
        "recipients": ["desk@example.org"],
        "host": "127.0.0.1",
        "port": controller.port,
        "timeout_s": 5.0,
    }
    promote(tmp_path, 1)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    plain = _tell(tmp_path, mail=mail, credentials=USER)["mail"]
    assert (plain.state, kept.messages) == ("failed", [])  # the server takes nothing in the clear
    unknown = _tell(tmp_path, mail={**mail, "starttls": True}, credentials=USER)["mail"]
    assert "certificate verify failed" in unknown.detail
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    wrong = _tell(tmp_path, mail={**mail, "starttls": True}, credentials=("optimizer", "guess"))["mail"]
    assert (wrong.state, "535" in wrong.detail, "guess" in wrong.detail) == ("failed", True, False)
    told = _tell(tmp_path, mail={**mail, "starttls": True}, credentials=USER)["mail"]
    assert told.state == "told", told.detail
    (message,) = kept.messages
    assert version(1).hash in message["Subject"].replace("\n", "")
    assert LifecycleStore(tmp_path).ledger.verify().intact
    assert USER[1] not in (tmp_path / "lifecycle" / "ledger.jsonl").read_text()
