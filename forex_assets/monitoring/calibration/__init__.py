"""The market calibration of a pair: what its own history says about sizes that are ordinary and sizes that are not.

:mod:`.estimates` has the statistics, :mod:`.analysis` puts them together into a
:class:`~forex_assets.settings.calibration.Calibration`, :mod:`.files` signs, keeps and finds them.
"""
