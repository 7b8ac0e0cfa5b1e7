"""Fits of past months kept on disk, so that a day's forecast filters on from them instead of fitting anew.

A fit follows from its inputs alone, so it is kept under a hash of them: what is read back is what would be computed,
to the last bit. Only code inside :func:`using` keeps fits; a backtest's thousands stay in memory.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.forecasting.panel.shipped import InForce
from forex_assets.provenance import content_hash
from forex_assets.store.files import write_file

_LOG = logging.getLogger(__name__)


class KeptFits:
    """One small file per fit below a folder; unusable files and folders cost time, never a forecast.

    Parameters
    ----------
    folder:
        Where the files lie; made on the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, address: str) -> Floats | None:
        """Return the fit kept under an address, or None; a damaged file is named in the log and made again."""
        path = self.folder / f"{address}.json"
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            row = [float.fromhex(value) for value in body["fit"]]
            if body["hash"] != content_hash([address, body["fit"]]):
                raise ValueError("its hash is another")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _LOG.warning("The kept fit %s is unusable (%s); it is made again.", path, error)
            return None
        return np.array(row)

    def write(self, address: str, fit: Floats) -> None:
        """Keep a fit; where that cannot be done the log says why and the next run fits again."""
        values = [float(value).hex() for value in fit]
        body = json.dumps({"fit": values, "hash": content_hash([address, values])})
        try:
            write_file(self.folder / f"{address}.json", body.encode())
        except OSError as error:
            _LOG.warning("A fit cannot be kept in %s (%s).", self.folder, error)


_in_use: InForce[KeptFits | None] = InForce("garch_fits", lambda: None)
current = _in_use.current
using = _in_use.using
