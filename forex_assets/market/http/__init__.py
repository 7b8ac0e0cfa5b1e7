"""Asking live providers over HTTP, so that no failure of theirs harms a run and no credential leaves it.

The one entry point is :class:`~forex_assets.market.http.gateway.HttpGateway`. Behind it: one request and its answer
(:mod:`.exchange`), what the answer holds (:mod:`.answers`), how asking fails (:mod:`.failures`), rate limits
(:mod:`.limits`), hosts that are down and for how long (:mod:`.circuits`), looking hosts up before they are asked
(:mod:`.reach`) and answers kept on disk (:mod:`.cache`). What an answer means is told by the sources.
"""
