"""GARCH(1,1)-t, GJR-t and EGARCH-t for thousands of origins at once.

:mod:`.kernels` holds the arithmetic (compiled by numba at first use), :mod:`.engine` the refit schedule, the states at
every origin and the terminal distributions, :mod:`.reference` the same fit by the ``arch`` package.
"""

from __future__ import annotations

GARCH, GJR, EGARCH = 0, 1, 2
"""Kinds of recursion."""
