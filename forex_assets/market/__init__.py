"""Market data: sources, publication times, ingestion, quality, and what was known at any moment.

What lives here: one :class:`~forex_assets.market.contract.Source` contract and its adapters, the rules that say when a
value could be known, the fallback chains, the merge that never loses what is stored, and the point-in-time views
:func:`~forex_assets.market.asof.bars_as_of` and :func:`~forex_assets.market.asof.drivers_as_of`. What does not:
storage, models, and any clock of its own (``now`` is an argument). Start at :func:`forex_assets.market.ingest.ingest`.
"""
