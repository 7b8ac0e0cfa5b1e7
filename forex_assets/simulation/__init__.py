"""Worlds with planted truth: prices whose volatility, averaging and tails are known, as point-in-time ``bars``.

What lives here is made, never fetched; no number from here is ever shown as a market fact.
"""
