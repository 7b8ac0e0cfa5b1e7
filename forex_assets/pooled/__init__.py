"""The panel's steps, without Dagster: what is learned from many pairs together, and looked at beside one.

Prices of many pairs (:mod:`.prices`), their volatility index (:mod:`.index`), the pooled fits of a month
(:mod:`.fits`), and what a pair's models may look at beside its price (:mod:`.drivers`). All of it is stored under the
prefix ``panel`` (:mod:`.stored`): prices and index are one table each, point-in-time by ``available_at``; the fits of a
month are one slice that holds every row valid by its first day.
"""
