"""Reading one YAML file into one settings model, with errors that name file, value and rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from forex_assets.errors import ConfigError

try:  # six times as fast: every command loads the configuration before it does anything
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_M = TypeVar("_M", bound=BaseModel)
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_QUERY = re.compile(r"(?<=[a-z0-9/])\?[^'\s]*")


class _UniqueKeyLoader(_SafeLoader):
    """Safe YAML in which a key given twice is an error, instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse repeated keys, then build the mapping as usual."""
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping a YAML file holds.

    Raises
    ------
    ConfigError
        When it cannot be read, is not YAML, repeats a key, or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigError(f"Cannot read {path}: {why}.", remedy="restore the file or its permissions.") from error
    try:
        body = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506  # nosec B506
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.", remedy="correct the file.") from error
    if not isinstance(body, dict):
        raise ConfigError(
            f"{path} must hold a mapping, it holds {type(body).__name__}.", remedy="see docs/architecture.md."
        )
    return body


def shown(value: object) -> str:
    """Return a value for a message: short, and without what an address may hold of credentials."""
    return _CREDENTIALS.sub("//***@", _QUERY.sub("?***", repr(value)))[:80]


def parse(model: type[_M], body: Mapping[str, Any], path: Path) -> _M:
    """Return ``body`` as a settings model; a ConfigError names file, key, rule and value of every fault."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        lines = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']} (got {shown(item.get('input'))})"
            for item in error.errors()
        )
        where = f"{path} ({body.get('id', 'settings')})"
        raise ConfigError(f"{where}: {lines}.", remedy="correct the values named.") from error
