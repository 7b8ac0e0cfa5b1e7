"""Classic files, git and mail: told of every change, in order; a sink that fails blocks nothing and is tried again."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from forex_assets.errors import ConfigError, StoreError
from forex_assets.lifecycle.sinks import Sinks, Told, classic_backup, git_hash, smtp_credentials
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import Quantity
from forex_assets.settings.deployment import SinkSettings
from forex_assets_tests.lifecycle.factory import (
    AS_OF,
    CLEAR,
    NOW,
    SUBJECT,
    deployer,
    policy,
    promote,
    proposal,
    rollback,
    version,
)

CLASSIC_KEYS = [
    "horizon",
    "context_length",
    "num_samples",
    "temperature",
    "validation_rmse",
    "validation_mape",
    "validation_mae",
    "search_iterations",
    "optimization_time_seconds",
    "timestamp",
]


def _sinks(home: Path, *, mail: dict[str, Any] | None = None, **changes: Any) -> Sinks:
    body = policy().sinks.model_dump()
    body = {**body, **changes, "mail": {**body["mail"], **(mail or {})}}
    return Sinks(home, SinkSettings.model_validate(body), main_pair="usdclp")


def _tell(sinks: Sinks, **options: Any) -> list[Told]:
    return sinks.tell(SUBJECT.scope, now=NOW, **options)


def _promote_chronos(home: Path) -> None:
    made = deployer(home, high_risk_models=[], guards={**policy().guards.model_dump(), "readiness_models": []})
    candidate = version(
        1,
        model="chronos_t5",
        parameters={
            "context_length": Quantity(180, "observations"),
            "num_samples": Quantity(100, "paths"),
            "temperature": Quantity(1.0, "1"),
        },
    )
    made.propose([proposal(candidate, made.store.of(SUBJECT).current)], CLEAR, as_of=AS_OF, now=NOW)


# ---- classic files ----------------------------------------------------------------------------------------------


@pytest.mark.capability("A27", "A28", "A33")
def test_the_classic_file_has_the_ten_keys_with_their_values_and_modes(tmp_path: Path) -> None:
    _promote_chronos(tmp_path)
    _tell(_sinks(tmp_path))
    path = tmp_path / "configs" / "chronos_7d.json"
    body = json.loads(path.read_text())
    assert list(body) == CLASSIC_KEYS
    assert body == {
        "horizon": "7d",
        "context_length": 180,
        "num_samples": 100,
        "temperature": 1.0,
        "validation_rmse": 8.45,
        "validation_mape": 0.89,
        "validation_mae": 6.73,
        "search_iterations": 27,
        "optimization_time_seconds": 142.3,
        "timestamp": "2025-06-15T02:00:00",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.capability("A28", "A33", "J15", "A21")
def test_every_deployment_leaves_a_backup_of_its_own_even_within_one_second(tmp_path: Path) -> None:
    sinks, made = _sinks(tmp_path), deployer(tmp_path)
    contents = []
    for number in range(1, 5):
        candidate = version(number, metrics={"validation_rmse": Quantity(float(number), "CLP per USD")})
        made.propose([proposal(candidate, made.store.of(SUBJECT).current)], CLEAR, as_of=AS_OF, now=NOW)
        told = _tell(sinks)
        contents.append((tmp_path / "configs" / "chronos_7d.json").read_bytes())
    folder = tmp_path / "configs" / "backups"
    kept = sorted(folder.iterdir())
    assert [path.read_bytes() for path in kept] == contents[:-1]
    assert all(re.fullmatch(r"chronos_7d_\d{8}_\d{6}\.json", path.name) for path in kept)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert Path(classic_backup(told)) == kept[-1]


@pytest.mark.capability("A21", "A28")
def test_backups_of_different_files_never_collide(tmp_path: Path) -> None:
    sinks = _sinks(tmp_path)
    path = tmp_path / "configs" / "chronos_7d.json"
    promote(tmp_path, 1)
    _tell(sinks)
    for number, foreign in ((2, b"one"), (3, b"two"), (4, b"one")):
        path.write_bytes(foreign)
        promote(tmp_path, number)
        (told,) = _tell(sinks)
        assert Path(told.detail).read_bytes() == foreign
    assert len(list((tmp_path / "configs" / "backups").iterdir())) == 2


@pytest.mark.capability("A22")
def test_a_backup_that_fails_stops_before_the_file_is_replaced_and_is_tried_again(tmp_path: Path) -> None:
    sinks = _sinks(tmp_path)
    promote(tmp_path, 1)
    _tell(sinks)
    path = tmp_path / "configs" / "chronos_7d.json"
    path.write_bytes(b"mine")
    backups = tmp_path / "configs" / "backups"
    backups.write_bytes(b"a file where the folder belongs")
    promote(tmp_path, 2, days=1)
    (told,) = _tell(sinks)
    assert told.state == "failed"
    assert path.read_bytes() == b"mine"
    store = LifecycleStore(tmp_path)
    assert store.of(SUBJECT).current == version(2).hash  # the truth stands
    assert [entry.outcome["state"] for entry in store.ledger.entries(kinds=["sink"])] == ["failed"]
    _tell(sinks)
    assert len(store.ledger.entries(kinds=["sink"])) == 1  # the same failure is one line
    backups.unlink()
    (told,) = _tell(sinks)
    assert told.state == "told"
    assert json.loads(path.read_text())["horizon"] == "7d"
    assert [entry.outcome["state"] for entry in store.ledger.entries(kinds=["sink"])] == ["failed", "told"]
    assert sinks.behind(SUBJECT.scope) == {"classic": 0}


def test_other_pairs_have_a_folder_and_the_settings_model_has_no_file(tmp_path: Path) -> None:
    other = Subject.forecast("eurusd", "7d")
    promote(tmp_path, 1, other)
    sinks = _sinks(tmp_path)
    sinks.tell(other.scope, now=NOW)
    path = tmp_path / "configs" / "eurusd" / "chronos_7d.json"
    assert json.loads(path.read_text())["num_samples"] is None
    rollback(tmp_path, other, days=1)
    sinks.tell(other.scope, now=NOW)
    assert not path.exists()
    assert len(list((path.parent / "backups").iterdir())) == 1


def test_a_place_that_cannot_be_read_tells_again_rather_than_not_at_all(tmp_path: Path) -> None:
    sinks = _sinks(tmp_path)
    promote(tmp_path, 1)
    assert len(_tell(sinks)) == 1
    assert _tell(sinks) == []
    for damage in (b"{", b'{"classic": "x"}'):
        (tmp_path / "lifecycle" / "sinks.json").write_bytes(damage)
        assert [item.state for item in _tell(sinks)] == ["told"]


# ---- git --------------------------------------------------------------------------------------------------------


def _git(folder: Path, *arguments: str) -> str:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environ |= {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository on a branch of its own."""
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=deployed")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message=start")
    return folder


@pytest.mark.capability("A29", "A34", "L01")
def test_each_deployment_is_a_commit_in_the_classic_form(tmp_path: Path, repository: Path) -> None:
    _promote_chronos(tmp_path)
    sinks = _sinks(tmp_path, git_repository=str(repository), classic_folder=None)
    told = _tell(sinks)
    assert git_hash(told) == _git(repository, "rev-parse", "HEAD")
    assert _git(repository, "log", "-1", "--format=%an <%ae>") == "Model Optimizer <optimizer@forex-system.com>"
    assert _git(repository, "log", "-1", "--format=%s") == "Deploy optimized config for 7d"
    lines = _git(repository, "log", "-1", "--format=%b").splitlines()
    wanted = ["RMSE: 8.45", "Context: 180d", "Samples: 100", "Temperature: 1.0", "Optimized: 2025-06-15T02:00:00"]
    assert lines[:5] == wanted
    rollback(tmp_path, days=1)
    _tell(sinks)
    assert _git(repository, "log", "-1", "--format=%s") == "Roll back config for 7d"
    assert _git(repository, "rev-list", "--count", "HEAD") == "3"


@pytest.mark.capability("A34", "J12")
def test_what_else_is_changed_or_staged_in_the_repository_stays_as_it_is(tmp_path: Path, repository: Path) -> None:
    (repository / "staged.txt").write_text("mine")
    _git(repository, "add", "staged.txt")
    (repository / "loose.txt").write_text("mine too")
    promote(tmp_path, 1)
    _tell(_sinks(tmp_path, git_repository=str(repository)))
    assert _git(repository, "show", "--name-only", "--format=") == "chronos_7d.json"
    assert set(_git(repository, "status", "--porcelain").splitlines()) == {"A  staged.txt", "?? loose.txt"}


@pytest.mark.parametrize("fault", ["missing", "locked", "no repository", "protected", "hook"])
@pytest.mark.capability("A24", "A22", "J12", "A34")
def test_git_that_fails_warns_keeps_the_deployment_and_is_tried_again(
    tmp_path: Path, repository: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(tmp_path, 1)
    folder = repository
    with monkeypatch.context() as patch:
        if fault == "missing":
            patch.setenv("PATH", str(tmp_path / "nothing"))
        if fault == "locked":
            (repository / ".git" / "index.lock").touch()
        if fault == "no repository":
            (repository / ".git").rename(repository / "git-away")
            patch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
        if fault == "protected":
            _git(repository, "checkout", "--quiet", "-b", "main")
        if fault == "hook":
            hook = repository / ".git" / "hooks" / "pre-commit"
            hook.parent.mkdir(exist_ok=True)
            hook.write_text("#!/bin/sh\nexit 1\n")
            hook.chmod(0o755)
        sinks = _sinks(tmp_path, git_repository=str(folder))
        told = {item.sink: item for item in _tell(sinks)}
    assert told["classic"].state == "told"
    assert told["git"].state == "failed"
    words = {"missing": "not installed", "protected": "is protected", "locked": "index.lock", "hook": "failed"}
    assert words.get(fault, "failed") in told["git"].detail
    assert LifecycleStore(tmp_path).of(SUBJECT).current == version(1).hash
    assert LifecycleStore(tmp_path).ledger.verify().intact
    if fault == "locked":
        (repository / ".git" / "index.lock").unlink()
    if fault == "no repository":
        (repository / "git-away").rename(repository / ".git")
    if fault == "protected":
        _git(repository, "checkout", "--quiet", "deployed")
    if fault == "hook":
        (repository / ".git" / "hooks" / "pre-commit").unlink()
    (again,) = _tell(sinks)
    assert (again.sink, again.state) == ("git", "told")


def test_a_sink_behind_a_failure_waits_its_turn_and_loses_nothing(tmp_path: Path, repository: Path) -> None:
    lock = repository / ".git" / "index.lock"
    sinks = _sinks(tmp_path, git_repository=str(repository), classic_folder=None)
    lock.touch()
    promote(tmp_path, 1)
    promote(tmp_path, 2, days=1)
    assert [item.state for item in _tell(sinks)] == ["failed", "waiting"]
    assert sinks.behind(SUBJECT.scope) == {"git": 2}
    lock.unlink()
    assert [item.state for item in _tell(sinks)] == ["told", "told"]
    assert _git(repository, "rev-list", "--count", "HEAD") == "3"


def test_git_that_hangs_is_stopped(tmp_path: Path, repository: Path) -> None:
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexec sleep 5 >/dev/null 2>&1 <&-\n")
    hook.chmod(0o755)
    promote(tmp_path, 1)
    sinks = _sinks(tmp_path, git_repository=str(repository), classic_folder=None, git_timeout_s=0.3)
    (told,) = _tell(sinks)
    assert "longer than 0.3 s" in told.detail or "failed" in told.detail


# ---- mail -------------------------------------------------------------------------------------------------------


class _Kept(Message):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)


@pytest.fixture
def server() -> Iterator[tuple[Controller, _Kept]]:
    """A real SMTP server on the loopback."""
    kept = _Kept()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    yield controller, kept
    controller.stop()


MAIL = {"mode": "smtp", "recipients": ["desk@example.org"], "host": "127.0.0.1", "timeout_s": 5.0}


@pytest.mark.capability("A20")
def test_a_deployment_is_mailed_once_with_what_changed_and_where_to_read_more(
    tmp_path: Path, server: tuple[Controller, _Kept]
) -> None:
    controller, kept = server
    promote(tmp_path, 1)
    sinks = _sinks(tmp_path, mail={**MAIL, "port": controller.port})
    assert {item.state for item in _tell(sinks)} == {"told"}
    assert _tell(sinks) == []
    (message,) = kept.messages
    assert message["To"] == "desk@example.org"
    assert f"now version {version(1).hash}" in message["Subject"].replace("\n", "")
    text = message.get_payload()
    assert "validation_rmse: 8.45 CLP per USD" in text
    assert "forex ledger show 000001-" in text


@pytest.mark.capability("J12", "A22")
def test_a_mail_server_that_is_down_warns_and_gets_the_note_when_it_is_back(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    promote(tmp_path, 1)
    sinks = _sinks(tmp_path, mail={**MAIL, "port": port}, classic_folder=None)
    (told,) = _tell(sinks)
    assert told.state == "failed"
    assert "refused the note" in told.detail
    assert LifecycleStore(tmp_path).of(SUBJECT).current == version(1).hash
    kept = _Kept()
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        assert [item.state for item in _tell(sinks)] == ["told"]
    finally:
        controller.stop()
    assert len(kept.messages) == 1


def test_a_note_as_a_file_holds_the_same(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    rollback(tmp_path, days=1)
    _tell(_sinks(tmp_path, mail={"mode": "file", "recipients": ["desk@example.org"]}))
    notes = sorted((tmp_path / "mail").glob("*.eml"))
    assert len(notes) == 2
    assert "the settings' model" in notes[1].read_text()


def test_credentials_come_in_twos_and_a_bad_one_fails_the_sink_only(tmp_path: Path) -> None:
    assert smtp_credentials({}) is None
    both = {"FOREX_SMTP_USER": "u", "FOREX_SMTP_PASSWORD": "p"}
    assert smtp_credentials(both) == ("u", "p")
    with pytest.raises(StoreError, match="Only one"):
        smtp_credentials({"FOREX_SMTP_USER": "u"})

    def broken() -> None:
        raise ConfigError("the secret's file is readable by others", remedy="chmod 600")

    promote(tmp_path, 1)
    body = policy().sinks.model_dump()
    settings = SinkSettings.model_validate({**body, "mail": {**body["mail"], **MAIL}})
    sinks = Sinks(tmp_path, settings, main_pair="usdclp", credentials=broken)
    assert {item.sink: item.state for item in _tell(sinks)} == {"classic": "told", "mail": "failed"}
