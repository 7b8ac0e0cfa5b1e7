"""Models, intervals, calibration, walk-forward backtest and forecast, as pure functions of a point-in-time history.

Here live what was known when (:mod:`.price_history`, :mod:`.drivers`), the days to forecast from (:mod:`.origins`), the
contract of all models (:mod:`.contract`), the registry (:mod:`.registry`), the models themselves (:mod:`.models`), the
backtest (:mod:`.backtest`), the daily forecast (:mod:`.forecast`) and the width factors learned from matured errors
(:mod:`.calibration`). Scores and verdicts live in ``evaluation``, data in ``market``. The daily forecast and the
backtest are the same code with one origin or thousands.
"""
