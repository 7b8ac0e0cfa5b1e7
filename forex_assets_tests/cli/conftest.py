"""The ``forex`` command in this process: exit code, stdout and stderr of one call."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from forex_assets.cli import main


class Said(NamedTuple):
    """What one call of the command did."""

    code: int
    out: str
    err: str


Forex = Callable[..., Said]


@pytest.fixture
def forex(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Forex:
    """Call ``forex`` with arguments against a fresh home, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    # A command points it at its home; set here, so that it is as before when the test ends.
    monkeypatch.setenv("MPLCONFIGDIR", str(home / "cache" / "matplotlib"))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    factory = logging.getLogRecordFactory()

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["forex", *arguments])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            logging.setLogRecordFactory(factory)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call
