"""The life cycle of a deployed configuration. Entry point: :func:`forex_assets.lifecycle.active.resolve`.

Here: which configuration was current for a pair and horizon at an instant. Not here: how forecasts are made.
"""
