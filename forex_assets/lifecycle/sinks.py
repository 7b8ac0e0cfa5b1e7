"""Who is told about a deployment: classic files, git, mail. None of them is the truth, and none can undo it (L01).

Every change of a current version is handed to every sink in order, once. How far each sink has come is stored; one that
fails warns, keeps its place, and is tried again by the next call.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from forex_assets.errors import ForexError, StoreError
from forex_assets.lifecycle import classic_files, git_sink, mail_sink
from forex_assets.lifecycle.change import Change
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.settings.deployment import SinkSettings
from forex_assets.store.files import explain, write_file
from forex_assets.store.locks import FileLock

Deliver = Callable[[Change], str]
Credentials = Callable[[], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one change at one sink: ``told``, ``failed`` or ``waiting`` (behind one that failed)."""

    sink: str
    subject: Subject
    generation: int
    state: str
    detail: str


class Sinks:
    """The configured sinks of a home folder.

    Parameters
    ----------
    home:
        The platform's home folder.
    settings:
        The ``deployment.sinks`` settings.
    main_pair:
        Pair whose classic files stand in the folder itself; other pairs' in a folder of their own.
    credentials:
        Returns user and password of the SMTP server, or None; asked when a mail is sent.
    """

    def __init__(
        self, home: Path, settings: SinkSettings, *, main_pair: str, credentials: Credentials = lambda: None
    ) -> None:
        self._store = LifecycleStore(home)
        self._path = self._store.root / "sinks.json"
        self._sinks: dict[str, Deliver] = {}
        if settings.classic_folder is not None:
            folder = home / settings.classic_folder
            self._sinks["classic"] = lambda change: classic_files.deliver(change, folder, main_pair)
        if settings.git_repository is not None:
            self._sinks["git"] = lambda change: git_sink.deliver(change, settings, main_pair)
        if settings.mail.mode != "off":
            mail = settings.mail
            self._sinks["mail"] = lambda change: mail_sink.deliver(change, mail, home, credentials())

    def tell(self, scope: str, *, now: dt.datetime) -> list[Told]:
        """Hand every change that a sink has not been told of to it; never raises for a sink that fails.

        A failure is one ledger line (repeats of it are not), so is the success after it.
        """
        if not self._sinks:
            return []
        with FileLock(self._store.root / "sinks.lock", 30.0):
            places = self._places()
            changes = self._changes(scope, min(places.get(f"{name}:{scope}", 0) for name in self._sinks))
            told: list[Told] = []
            for name, deliver in self._sinks.items():
                told.extend(self._tell_one(name, deliver, changes, places, scope, now))
            return told

    def behind(self, scope: str) -> dict[str, int]:
        """Return how many changes each sink has not been told of."""
        places, changes = self._places(), self._changes(scope, 0)
        return {
            name: sum(change.generation > places.get(f"{name}:{scope}", 0) for change in changes)
            for name in self._sinks
        }

    def _tell_one(
        self, name: str, deliver: Deliver, changes: list[Change], places: dict[str, int], scope: str, now: dt.datetime
    ) -> list[Told]:
        place, told = f"{name}:{scope}", []
        failed = ""
        for change in changes:
            if change.generation <= places.get(place, 0):
                continue
            if failed:
                told.append(Told(name, change.subject, change.generation, "waiting", failed))
                continue
            last = not any(
                other.generation == change.generation and other.subject > change.subject for other in changes
            )
            try:
                detail, state = deliver(change), "told"
                if last:
                    places[place] = change.generation
                    self._remember(places)
            except (ForexError, OSError) as error:
                failed = detail = str(error)
                state = "failed"
            told.append(self._noted(Told(name, change.subject, change.generation, state, detail), places, now))
        return told

    def _noted(self, told: Told, places: dict[str, int], now: dt.datetime) -> Told:
        """Record a failure once, and the success that ends it; return what is to be shown."""
        mark = f"failed:{told.sink}:{told.subject.key}"
        if (told.state == "failed") == (places.get(mark) == told.generation):
            return told
        if told.state == "told" and mark not in places:
            return told
        outcome = {"sink": told.sink, "generation": told.generation, "state": told.state}
        try:
            self._store.ledger.append(Decision("sink", told.subject, outcome, [told.detail or told.state]), now=now)
            if told.state == "failed":
                places[mark] = told.generation
            else:
                del places[mark]
            self._remember(places)
        except StoreError as error:
            return replace(told, detail=f"{told.detail} (not recorded: {error.message})")
        return told

    def _changes(self, scope: str, after: int) -> list[Change]:
        state = self._store.state(scope)
        found = []
        for key, pointers in state.subjects.items():
            before = SETTINGS
            for span in pointers.history:
                if span.generation > after:
                    version = None if span.version == SETTINGS else self._store.versions.find(span.version)
                    found.append(Change(Subject.parse(key), version, span, before))
                before = span.version
        return sorted(found, key=lambda change: (change.generation, change.subject))

    def _places(self) -> dict[str, int]:
        try:
            body = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            body = None
        if not isinstance(body, Mapping) or not all(isinstance(item, int) for item in body.values()):
            # Telling twice is harmless, not telling is not.
            return {}
        return dict(body)

    def _remember(self, places: Mapping[str, int]) -> None:
        try:
            write_file(self._path, json.dumps(places, sort_keys=True).encode() + b"\n")
        except OSError as error:
            raise explain(error, "write", self._path) from error


def classic_backup(told: list[Told]) -> str:
    """Return the path of the newest classic backup among what was told, or an empty text."""
    return next((item.detail for item in reversed(told) if item.sink == "classic" and item.state == "told"), "")


def git_hash(told: list[Told]) -> str:
    """Return the newest commit among what was told, or an empty text."""
    return next((item.detail for item in reversed(told) if item.sink == "git" and item.state == "told"), "")


def smtp_credentials(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the SMTP user and password of the environment, or None when neither is set.

    Raises
    ------
    StoreError
        When only one of them is set.
    """
    from forex_assets.ops.secrets import secret

    user, password = secret("FOREX_SMTP_USER", environ), secret("FOREX_SMTP_PASSWORD", environ)
    if bool(user) != bool(password):
        raise StoreError("Only one of FOREX_SMTP_USER and FOREX_SMTP_PASSWORD is set.", remedy="set both, or neither.")
    return (user, password) if user and password else None
