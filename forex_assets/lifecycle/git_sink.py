"""Each deployment as a commit of its classic file, in a repository of the user's (A29, A34).

Only that file is committed, whatever else is staged or changed there; nothing is pushed, nothing is forced, and a
protected branch is refused.
"""

from __future__ import annotations

import os
import subprocess  # nosec B404
from pathlib import Path

from forex_assets.errors import StoreError
from forex_assets.lifecycle import classic_files
from forex_assets.lifecycle.change import Change
from forex_assets.settings.deployment import SinkSettings
from forex_assets.store.files import explain, write_file

NAME, EMAIL = "Model Optimizer", "optimizer@forex-system.com"


def message(change: Change) -> str:
    """Return the commit message (A29): subject, then what was found."""
    if change.version is None:
        return f"Roll back config for {change.subject.part}\n\nThe settings' model is current again.\n"
    body = change.classic() or {}
    action = "Roll back" if "rollback" in change.span.cause else "Deploy optimized"
    lines = {
        "RMSE": body["validation_rmse"],
        "Context": None if body["context_length"] is None else f"{body['context_length']}d",
        "Samples": body["num_samples"],
        "Temperature": body["temperature"],
        "Optimized": body["timestamp"],
        "Version": change.version.hash,
        "Ledger": change.span.entry,
    }
    text = "\n".join(f"{name}: {value}" for name, value in lines.items() if value is not None)
    return f"{action} config for {change.subject.part}\n\n{text}\n"


def deliver(change: Change, settings: SinkSettings, main_pair: str) -> str:
    """Write the classic file into the repository and commit it; return the commit's hash.

    Raises
    ------
    StoreError
        When git is missing, refuses, takes too long, the branch is protected, or the file was changed by hand.
    """
    folder = Path(str(settings.git_repository)).expanduser()
    git = _Git(folder, settings.git_timeout_s)
    path = classic_files.folder_of(change, folder, main_pair) / change.classic_name
    name = str(path.relative_to(folder))
    branch, state = _look(git, name)
    _check_branch(branch, folder, settings)
    data = classic_files.content(change)
    _check_nothing_is_lost(path, state, data)
    try:
        if data is not None:
            write_file(path, data)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise explain(error, "write", path) from error
    _, state = _look(git, name)
    if not state:
        return git("rev-parse", "HEAD")
    if state == "??":
        git("add", "--", name)
    sign = ["--gpg-sign"] if settings.git_sign else ["--no-gpg-sign"]
    author = f"{NAME} <{EMAIL}>"
    git("commit", "--quiet", *sign, f"--author={author}", f"--message={message(change)}", "--only", "--", name)
    return git("rev-parse", "HEAD")


def _look(git: _Git, name: str) -> tuple[str, str]:
    """Return the branch and the state of one file: empty when committed, ``??`` when unknown to git."""
    head, *rest = git("status", "--porcelain", "--branch", "--untracked-files=all", "--", name).splitlines()
    branch = head.removeprefix("## ").removeprefix("No commits yet on ").split("...")[0]
    return branch, rest[0][:2] if rest else ""


def _check_nothing_is_lost(path: Path, state: str, data: bytes | None) -> None:
    """Refuse to overwrite what somebody wrote there and did not commit; what a failed commit left is the same bytes."""
    if state and path.exists() and path.read_bytes() != data:
        raise StoreError(
            f"{path} holds a change that is not committed; it is not overwritten.",
            remedy="commit it, or put the committed file back (git restore); the commit is retried.",
        )


def _check_branch(branch: str, folder: Path, settings: SinkSettings) -> None:
    if branch in settings.git_protected_branches or branch.startswith("HEAD "):
        raise StoreError(
            f"{folder} has no branch checked out; nothing is committed there."
            if branch.startswith("HEAD ")
            else f"Branch {branch!r} of {folder} is protected; nothing is committed there.",
            remedy="check out a branch for deployed configurations, or take it from git_protected_branches.",
        )


class _Git:
    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    def __call__(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._folder), *arguments]
        environ = {
            **os.environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_COMMITTER_NAME": NAME,
            "GIT_COMMITTER_EMAIL": EMAIL,
            "LC_ALL": "C",
        }
        try:
            done = subprocess.run(  # nosec B603
                command, env=environ, capture_output=True, text=True, timeout=self._timeout_s, check=True
            )
        except FileNotFoundError as error:
            raise StoreError(
                "git is not installed, so the deployment is not committed.",
                remedy="install git; the commit is retried.",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise StoreError(
                f"git {arguments[0]} in {self._folder} took longer than {self._timeout_s:g} s.",
                remedy="see what holds the repository; the commit is retried.",
            ) from error
        except subprocess.CalledProcessError as error:
            why = (error.stderr or error.stdout or "no message").strip().splitlines()
            raise StoreError(
                f"git {arguments[0]} in {self._folder} failed: {why[0] if why else 'no message'}.",
                remedy="correct it there (a stale index.lock, a hook, a missing repository); the commit is retried.",
            ) from error
        return done.stdout.strip()
