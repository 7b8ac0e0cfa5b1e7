"""Immutable configurations, stored under the hash of their content, each twice: the second copy mends the first."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forex_assets.errors import StoreError, ValidationError
from forex_assets.lifecycle.canonical import canonical, differences, digest, instant_text, plain
from forex_assets.lifecycle.subject import Subject
from forex_assets.store.files import explain, write_file

SCHEMA = 1
#: Stands for the model of the settings: what is current before anything was promoted.
SETTINGS = "settings"
_HASH = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with its unit; a pure number has the unit ``1``, a name the unit ``name``."""

    value: Any
    unit: str

    def __post_init__(self) -> None:
        if not isinstance(self.unit, str) or not self.unit.strip():
            raise ValidationError(
                f"Quantity {self.value!r} has no unit.", remedy="give one; a pure number has the unit '1'."
            )
        object.__setattr__(self, "value", plain(self.value))


@dataclass(frozen=True)
class ConfigVersion:
    """A configuration that may be deployed for one subject.

    Parameters
    ----------
    subject:
        What it is for.
    model:
        Name in the model registry (or of the strategy's rule set).
    parameters:
        The model's parameters, with units.
    data_hash, data_cutoff:
        Hash of the data it was tuned on, and the last as_of day of them. Forecasts before that day never use it.
    code_version:
        Package version and source hash that made it.
    model_id:
        Identity of the weights or fitted artefact behind the model; the model's name where there is none.
    parents:
        Hashes of the versions it came from (the incumbent first); ``settings`` when that was the settings' model.
    metrics:
        What was measured for it, with units (``validation_rmse`` …).
    search:
        How it was found: engine, iterations, seconds, seed.
    created_at:
        When, zone-aware.
    approver:
        The policy (``policy:auto``) or person under whose authority it was proposed; who approved the promotion
        itself stands in the ledger and in the pointers' history.
    """

    subject: Subject
    model: str
    parameters: Mapping[str, Quantity]
    data_hash: str
    data_cutoff: dt.date
    code_version: str
    model_id: str
    parents: tuple[str, ...]
    metrics: Mapping[str, Quantity]
    search: Mapping[str, Any]
    created_at: dt.datetime
    approver: str
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        for name in ("model", "data_hash", "code_version", "model_id", "approver"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise ValidationError(
                    f"Version field {name} is {getattr(self, name)!r}; it must be a text.", remedy="give it a value."
                )
        for parent in self.parents:
            check_hash(parent)
        object.__setattr__(self, "parameters", MappingProxyType(dict(sorted(self.parameters.items()))))
        object.__setattr__(self, "metrics", MappingProxyType(dict(sorted(self.metrics.items()))))
        object.__setattr__(self, "search", MappingProxyType(plain(self.search, "search")))
        object.__setattr__(self, "created_at", dt.datetime.fromisoformat(instant_text(self.created_at)))
        object.__setattr__(self, "hash", digest(self.as_dict()))

    @property
    def label(self) -> str:
        """Name its rows carry in the ``model`` column: model and hash, so that two versions never share one."""
        return f"{self.model}@{self.hash[:8]}"

    @property
    def parameter_values(self) -> dict[str, Any]:
        """The parameters without their units, as a model takes them."""
        return {name: item.value for name, item in self.parameters.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return the content: plain values, what the hash is taken of."""
        return {
            "schema": SCHEMA,
            "subject": self.subject.key,
            "model": self.model,
            "parameters": _quantities(self.parameters),
            "data_hash": self.data_hash,
            "data_cutoff": self.data_cutoff.isoformat(),
            "code_version": self.code_version,
            "model_id": self.model_id,
            "parents": list(self.parents),
            "metrics": _quantities(self.metrics),
            "search": plain(self.search),
            "created_at": instant_text(self.created_at),
            "approver": self.approver,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> ConfigVersion:
        """Return the version of a content mapping.

        Raises
        ------
        ValidationError
            When a key is missing, unknown, or holds something else than declared.
        """
        try:
            rest = dict(body)
            if rest.pop("schema") != SCHEMA:
                raise ValueError(f"schema {body['schema']!r} is not {SCHEMA}")
            return cls(
                subject=Subject.parse(rest.pop("subject")),
                parameters={name: Quantity(**item) for name, item in rest.pop("parameters").items()},
                metrics={name: Quantity(**item) for name, item in rest.pop("metrics").items()},
                parents=tuple(rest.pop("parents")),
                data_cutoff=dt.date.fromisoformat(rest.pop("data_cutoff")),
                created_at=dt.datetime.fromisoformat(rest.pop("created_at")),
                **rest,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValidationError(
                f"This is no configuration version: {type(error).__name__} {error}.",
                remedy="restore the file from its copy beside it, or promote again.",
            ) from error

    def diff(self, other: ConfigVersion | None) -> list[str]:
        """Return what changes from ``other`` (None: the settings' model) to this one, one line each."""
        if other is None:
            values = ", ".join(f"{name}={item.value}" for name, item in self.parameters.items())
            return [f"model: settings → {self.model!r}" + (f" ({values})" if values else "")]
        keys = ("model", "parameters", "model_id", "data_cutoff")
        mine, theirs = self.as_dict(), other.as_dict()
        return differences({key: theirs[key] for key in keys}, {key: mine[key] for key in keys})


class DamagedVersionError(StoreError):
    """A version's file and its copy are both missing, torn or edited."""


class VersionStore:
    """Version files below a folder: ``versions/<hash>.json`` and the copy ``versions/copies/<hash>.json``."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "versions"
        self.copies = self.folder / "copies"

    def put(self, version: ConfigVersion) -> str:
        """Store a version; storing it again changes nothing. Durable when this returns.

        Raises
        ------
        StoreError
            When the disk refuses; nothing is referenced by a half-written version.
        """
        body = json.dumps({"hash": version.hash, **version.as_dict()}, indent=2, sort_keys=True).encode() + b"\n"
        for path in (self.copies / f"{version.hash}.json", self.folder / f"{version.hash}.json"):
            if self._whole(path) is None:
                try:
                    write_file(path, body)
                    path.chmod(0o644)
                except OSError as error:
                    raise explain(error, "write", path) from error
        return version.hash

    def get(self, name: str) -> ConfigVersion:
        """Return a version whose content matches its hash, from its file or else its copy.

        Raises
        ------
        DamagedVersionError
            When neither is whole.
        """
        found = self._whole(self.folder / f"{check_hash(name)}.json") or self._whole(self.copies / f"{name}.json")
        if found is None:
            raise DamagedVersionError(
                f"Version {name} is missing or damaged, and so is its copy ({self.folder / (name + '.json')}).",
                remedy="restore either file from a backup; until then the last known good version is used.",
            )
        return found

    def find(self, name: str) -> ConfigVersion | None:
        """Return a version, or None when it is missing or damaged beyond its copy."""
        with contextlib.suppress(DamagedVersionError):
            return self.get(name)
        return None

    def mend(self, name: str) -> bool:
        """Write back whichever of file and copy is damaged from the other; True when something was mended."""
        version = self.get(name)
        torn = [p for p in (self.folder, self.copies) if self._whole(p / f"{name}.json") is None]
        self.put(version)
        return bool(torn)

    def hashes(self) -> list[str]:
        """Return the hashes of all stored versions."""
        names = {path.stem for folder in (self.folder, self.copies) for path in folder.glob("*.json")}
        return sorted(name for name in names if _HASH.fullmatch(name))

    def damaged(self) -> dict[str, str]:
        """Return each damaged or missing file and what is wrong: ``mended by its copy`` or ``lost``."""
        out = {}
        for name in self.hashes():
            paths = [folder / f"{name}.json" for folder in (self.folder, self.copies)]
            torn = [path for path in paths if self._whole(path) is None]
            for path in torn:
                out[str(path)] = "lost" if len(torn) == 2 else "can be mended from its copy"
        return out

    @staticmethod
    def _whole(path: Path) -> ConfigVersion | None:
        try:
            body = json.loads(path.read_bytes())
            name = body.pop("hash")
            version = ConfigVersion.from_dict(body)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
            return None
        return (
            version if version.hash == name == path.stem and canonical(body) == canonical(version.as_dict()) else None
        )


def check_hash(name: str) -> str:
    """Return a version hash (or ``settings``) that has the form of one.

    Raises
    ------
    ValidationError
        When it has not.
    """
    if name != SETTINGS and not (isinstance(name, str) and _HASH.fullmatch(name)):
        raise ValidationError(
            f"Version {name!r} is not 16 hexadecimal digits.", remedy="list versions with `forex optimize history`."
        )
    return name


def _quantities(items: Mapping[str, Quantity]) -> dict[str, dict[str, Any]]:
    return {name: {"value": item.value, "unit": item.unit} for name, item in items.items()}
