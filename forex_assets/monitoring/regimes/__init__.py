"""Which regime the market is in: volatility, copper, the central bank's calendar, appetite for risk.

What lives here: the recommended detector (:mod:`.detect`), the classic one (:mod:`.classic`), and width factors by
regime learned from past errors (:mod:`.factors`). The entry points are ``detect.scan_regimes`` and
``classic.scan_classic``; the monitor is :mod:`forex_assets.monitoring.regime`.
"""
