"""The life cycle of a deployed configuration: trigger → search → gate → stage → promote → probation → rollback.

Here: what is current for a subject and was current when (:func:`forex_assets.lifecycle.active.resolve`), immutable
versions, pointers, the decision ledger, promotion and rollback. Not here: how forecasts are made, how monitors judge.
Entry points: :class:`forex_assets.lifecycle.store.LifecycleStore` for what is stored,
:mod:`forex_assets.lifecycle.promotion` for what may be done to it.
"""
