"""The asset graph: thin Dagster definitions over the library.

Entry point: :func:`forex_assets.defs.build.build_definitions`.

Here: assets, checks, partitions, I/O manager, jobs, schedules, sensors. Not here: any computation; see
:mod:`forex_assets.pipeline` for what each asset calls.
"""
