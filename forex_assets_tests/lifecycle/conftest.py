"""What the tests of the life cycle share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def unflushed() -> Iterator[None]:
    """Leave out the disk's flushes, for tests that kill processes hundreds of times.

    What a killed process gave to the kernel is there for the next one, flushed or not; only a power cut would tell. The
    call itself stays, and with it the place where a kill or a full disk may come.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
