"""Where results live: one Parquet file per partition slice, and the DuckDB warehouse published from them.

Here are files, locks, names and the warehouse; not what the tables mean (:mod:`forex_assets.schemas`) nor when they are
made (:mod:`forex_assets.defs`). The entry point is :class:`forex_assets.store.slices.SliceStore`.
"""
