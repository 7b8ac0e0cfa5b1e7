"""Running the platform: secrets, the alert outbox, exported schedules, and the self-diagnosis behind ``forex doctor``.

What lives here: everything a person on duty touches that is neither data nor a number of the market. What does not: the
asset graph (``forex_assets.defs``), the command line, and any decision about forecasts. Start at
:func:`forex_assets.ops.doctor.diagnosis.diagnose`.
"""
