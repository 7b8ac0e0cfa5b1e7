"""From store and settings to the life cycle up to the gate, without Dagster: trigger, search, judge.

The assets in :mod:`forex_assets.defs.optimization` and ``forex optimize run`` call the same functions; what follows an
approval is :mod:`forex_assets.deployment`.
"""
