"""The card of a checkpoint we trained: what it learned from, until when, how it did; JSON, and Markdown for people."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from forex_assets.errors import DataError

CARD_FILE = "forex_card.json"
MARKDOWN_FILE = "MODEL_CARD.md"


@dataclass(frozen=True)
class Card:
    """What a training run leaves beside its weights.

    Attributes
    ----------
    family:
        ``t5``, ``bolt`` or ``chronos2``.
    data_through:
        Last day of any value that training or early stopping looked at: no earlier origin may be forecast.
    trained_through:
        Last day of a value that a gradient saw; validation windows are later.
    data_hash:
        Hash of every series, date and value.
    """

    family: str
    data_through: dt.date
    trained_through: dt.date
    data_hash: str
    series: dict[str, int]
    first_day: dt.date
    seed: int
    steps: int
    seconds: float
    stopped_by: str
    validation_loss: float
    first_validation_loss: float
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    parameters: int = 0

    def write(self, folder: Path) -> None:
        """Write both files."""
        body = {**asdict(self), **{name: str(getattr(self, name)) for name in _DAYS}}
        (folder / CARD_FILE).write_text(json.dumps(body, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (folder / MARKDOWN_FILE).write_text(self.markdown(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Card | None:
        """Return the card in a folder, or None where there is none (a checkpoint trained elsewhere).

        Raises
        ------
        DataError
            When there is one that cannot be read: what it was trained on is then unknown.
        """
        path = folder / CARD_FILE
        if not path.is_file():
            return None
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**body, **{name: dt.date.fromisoformat(body[name]) for name in _DAYS}})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"The card {path} cannot be read: {error}.",
                remedy="train the checkpoint again (forex chronos train), or restore its folder.",
            ) from error

    def markdown(self) -> str:
        """Return the card for people."""
        rows = "\n".join(f"| {name} | {count:,} |" for name, count in sorted(self.series.items()))
        options = "\n".join(f"- {name}: {value}" for name, value in sorted(self.options.items()))
        return (
            f"# Chronos {self.family}, trained on returns\n\n"
            f"- Learns: log returns of {len(self.series)} series, {self.first_day} to {self.data_through}; never price "
            "levels.\n"
            f"- Gradients saw nothing after {self.trained_through}; early stopping looked at {self.trained_through} to "
            f"{self.data_through}.\n"
            f"- **Not to be used for origins before {self.data_through}**: the platform refuses them.\n"
            f"- Parameters: {self.parameters:,}. Steps: {self.steps:,} in {self.seconds:.0f} s, stopped by "
            f"{self.stopped_by}.\n"
            f"- Validation loss: {self.first_validation_loss:.4f} before, {self.validation_loss:.4f} after.\n"
            f"- Data hash: `{self.data_hash}`. Seed: {self.seed}.\n"
            f"- Made with {', '.join(f'{name} {version}' for name, version in sorted(self.versions.items()))}.\n\n"
            f"## Options\n\n{options}\n\n## Series\n\n| Series | returns |\n|---|---|\n{rows}\n\n"
            "## Limits\n\nA small network trained on exchange rates alone. Its forecasts are judged against a random "
            "walk like any other model's; it is no market advice.\n"
        )


_DAYS = ("data_through", "trained_through", "first_day")


def weights_hash(folder: Path) -> str:
    """Return a hash of the configuration and weights in a folder: the model id that results can name."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("config.json"), *folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        digest.update(path.name.encode())
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]
