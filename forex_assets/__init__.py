"""forex_assets: a Dagster asset-graph platform that forecasts FX tenors with honest intervals.

The rooms (`clock`, `market`, `forecasting`, `evaluation`, `store`, `reporting`, `ops`) are a plain library;
only `defs` and `definitions` know about Dagster. See docs/architecture.md.
"""

__version__ = "0.1.0"
