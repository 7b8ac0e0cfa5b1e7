"""Whether a horizon may be relied on, judged from evidence.

:mod:`.evidence` judges heartbeats, planted faults, matured forecasts, coverage, skill and freshness; :mod:`.selftest`
plants the faults; :mod:`.classic` has the five checks of SPEC 2.1.
"""
