"""Files a desk added with ``forex data add``: ``<home>/added/series.yaml`` on top of the configuration.

The files themselves stand in ``<home>/added/files`` and are the source ``added``, first in the chain of every series
that has an address there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forex_assets.errors import ConfigError
from forex_assets.settings.fields import Strict
from forex_assets.settings.reading import parse, read_yaml

SOURCE = "added"


class Added(Strict):
    """``<home>/added/series.yaml``.

    Parameters
    ----------
    addresses:
        Series of the catalogue → where they stand in an added file.
    series:
        Series of the desk's own → their declaration, with an address at ``added``.
    pairs:
        Pairs of the desk's own → what a file of ``configs/pairs`` holds.
    """

    addresses: dict[str, dict[str, Any]] = {}
    series: dict[str, dict[str, Any]] = {}
    pairs: dict[str, dict[str, Any]] = {}

    def with_chains(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a pair's file in which every series that has an added file asks it first."""
        chains = body.get("chains")
        if not isinstance(chains, dict):
            return dict(body)
        first = {
            name: [SOURCE, *(source for source in chain if source != SOURCE)] if name in self.addresses else chain
            for name, chain in chains.items()
            if isinstance(chain, list)
        }
        return {**body, "chains": {**chains, **first}}

    def into(self, catalogue: dict[str, Any], path: Path) -> None:
        """Put the addresses and the desk's own series into the catalogue.

        Raises
        ------
        ConfigError
            When an address is of a series that does not exist, or a series is declared twice.
        """
        for name, body in self.series.items():
            if name in catalogue:
                raise ConfigError(
                    f"{path}: series {name!r} is already declared.", remedy="give it another id, or delete it there."
                )
            catalogue[name] = body
        for name, address in self.addresses.items():
            declared = catalogue.get(name)
            if not isinstance(declared, dict):
                raise ConfigError(
                    f"{path}: there is no series {name!r}.", remedy=f"delete `addresses.{name}` there, or correct it."
                )
            catalogue[name] = {**declared, "addresses": {**declared.get("addresses", {}), SOURCE: address}}


def added_dir(home: Path) -> Path:
    """Return the folder of what was added."""
    return home / "added"


def read_added(home: Path) -> Added:
    """Return what was added under a home; nothing where there is no such file.

    Raises
    ------
    ConfigError
        When the file is malformed.
    """
    path = added_dir(home) / "series.yaml"
    return parse(Added, read_yaml(path), path) if path.is_file() else Added()
