"""What was made last, kept in memory while what it was made from is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.schemas import Table
    from forex_assets.store.slice_file import Key
    from forex_assets.store.slices import SliceStore


class Same:
    """An object compared by identity: two are equal when they hold the very same one."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.held is other.held

    __hash__ = None  # type: ignore[assignment]


class LastMade:
    """The newest thing made under each name."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Any, Any]] = {}

    def kept(self, name: str, made_from: Any, make: Callable[[], Any]) -> Any:
        """Return what ``make`` gave last time under this name, if it was made from the same; else make it anew.

        One thing is kept per name: the steps of a run ask for the same snapshot once per horizon, never for many.
        Nobody may change what is kept, but for its maker, who may add to it.
        """
        held = self._made.get(name)
        if held is None or held[0] != made_from:
            held = (made_from, make())
            self._made[name] = held
        return held[1]

    def forget(self) -> None:
        """Let go of everything."""
        self._made.clear()

    def slice_of(self, store: SliceStore, table: Table, pair_id: str, key: Key) -> pd.DataFrame:
        """Return a slice, read again only when it was written since; refuses a bad one."""
        info = store.info(table, pair_id, key)
        info.require_usable()
        frame: pd.DataFrame = self.kept(table.name, info, lambda: store.read(table, pair_id, [key]))
        return frame
