"""How fast are the slice store and the warehouse, and do they grow linearly? Tables on stdout, JSON beside.

Everything happens in a temporary folder (``--folder`` to measure another disk), every write with its fsync. The last
table is why slices are compressed with lz4 and why the full pandera check is a call of its own (``verify``).

    python benchmarks/bench_store.py [--repeats 15] [--folder DIR] [--out benchmarks/results/store.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forex_assets.schemas import BARS, FORECAST, Table
from forex_assets.store.slice_file import SliceWrite
from forex_assets.store.slices import SliceStore
from forex_assets.store.warehouse import publish

HISTORY_ROWS = 6_300
FORECAST_ROWS = 20
SIZES = (250, 1000, 3000)
GOALS = {"write one history": 6.0, "read small slices, each": 2.0}


class Times(NamedTuple):
    """Shortest and median wall time, shortest processor time (waiting for the disk is not in it)."""

    shortest: float
    median: float
    processor: float


def rows(table: Table, count: int) -> pd.DataFrame:
    """Return ``count`` rows of a table with plausible contents."""
    rng = np.random.default_rng(7)
    days = pd.bdate_range(end="2025-06-13", periods=count)
    kinds: dict[str, Any] = {
        "date": days,
        "instant": days.tz_localize("UTC"),
        "float": 930.0 + rng.normal(0.0, 5.0, count).cumsum(),
        "int": np.arange(count),
        "str": "a text of usual length",
        "bool": np.arange(count) % 2 == 0,
    }
    return pd.DataFrame({column.name: kinds[column.kind] for column in table.columns}).assign(pair="usdclp")


def milliseconds(run: Callable[[], Any], repeats: int, per: int = 1) -> Times:
    """Return the wall and processor time of a call, in milliseconds per item."""
    wall, processor = [], []
    for _ in range(repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        run()
        wall.append(1000.0 * (time.perf_counter() - start) / per)
        processor.append(1000.0 * (time.process_time() - start_processor) / per)
    return Times(min(wall), statistics.median(wall), min(processor))


def slices(frame: pd.DataFrame, count: int) -> Iterator[tuple[tuple[str, ...], SliceWrite]]:
    """Yield forecasts of ``count`` days."""
    for day in pd.bdate_range("2013-01-01", periods=count):
        yield ("7d", f"{day:%Y-%m-%d}"), SliceWrite(frame.assign(as_of=day), meta={"data_hash": "0123456789abcdef"})


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "store.json")
    options = parser.parse_args()
    results: dict[str, Any] = {"goals_ms": GOALS, "ms": {}, "scaling": [], "compression": []}

    def show(label: str, times: Times) -> None:
        results["ms"][label] = times._asdict()
        goal = GOALS.get(label, "")
        print(f"{label:<32}{times.shortest:>10.2f}{times.median:>10.2f}{times.processor:>12.2f}{goal:>8}")

    history, small = rows(BARS, HISTORY_ROWS), rows(FORECAST, FORECAST_ROWS)
    print(f"{'ms':<32}{'shortest':>10}{'median':>10}{'processor':>12}{'goal':>8}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        store = SliceStore(Path(folder) / "history")
        key = ("2025-06-13",)
        store.write(BARS, "usdclp", key, history)  # imports and first touches
        store.verify(BARS, "usdclp")
        show("write one history", milliseconds(lambda: store.write(BARS, "usdclp", key, history), options.repeats))
        show("read one history", milliseconds(lambda: store.read(BARS, "usdclp", [key]), options.repeats))
        show("its footer only", milliseconds(lambda: store.info(BARS, "usdclp", key), options.repeats))

        few = max(2, options.repeats // 5)
        scaling = []
        for count in SIZES:
            store = SliceStore(Path(folder) / str(count))
            warehouse = Path(folder) / f"{count}.duckdb"
            made = list(slices(small, count))
            written = milliseconds(lambda s=store, m=made: s.write_many(FORECAST, "usdclp", m), 1, count)
            read = milliseconds(lambda s=store: s.read(FORECAST, "usdclp"), few, count)
            listed = milliseconds(lambda s=store: s.keys(FORECAST, "usdclp"), few, count)
            published = milliseconds(lambda s=store, p=warehouse: publish(s, p), few)
            scaling.append((count, written, read, listed, published))
            if count == 1000:
                show("write small slices, each", written)
                show("read small slices, each", read)
                show(
                    "verify them (pandera), each",
                    milliseconds(lambda s=store: s.verify(FORECAST, "usdclp"), few, count),
                )

    print(f"\n{'slices':>8}{'write ms each':>16}{'read ms each':>15}{'list µs each':>15}{'publish s':>12}")
    for count, written, read, listed, published in scaling:
        line = {
            "slices": count,
            "write_ms_each": written[0],
            "read_ms_each": read[0],
            "list_us_each": 1000 * listed[0],
            "publish_s": published[0] / 1000,
        }
        results["scaling"].append(line)
        print(f"{count:>8,}{written[0]:>16.2f}{read[0]:>15.2f}{1000 * listed[0]:>15.1f}{published[0] / 1000:>12.2f}")

    print(f"\n{'compression':<14}{'rows':>8}{'bytes':>10}{'write ms':>11}{'read ms':>10}")
    for table, frame in ((FORECAST, small), (BARS, history)):
        arrow = table.to_arrow(frame)
        for codec in ("none", "lz4", "zstd"):

            def write(arrow: pa.Table = arrow, codec: str = codec) -> pa.Buffer:
                sink = pa.BufferOutputStream()
                pq.write_table(arrow, sink, compression=codec, write_page_checksum=True)
                return sink.getvalue()

            data = write()
            wrote = milliseconds(write, options.repeats).shortest
            back = milliseconds(
                lambda d=data: pq.ParquetFile(pa.BufferReader(d), page_checksum_verification=True).read(
                    use_threads=False
                ),
                options.repeats,
            ).shortest
            results["compression"].append(
                {"codec": codec, "rows": arrow.num_rows, "bytes": data.size, "write_ms": wrote, "read_ms": back}
            )
            print(f"{codec:<14}{arrow.num_rows:>8,}{data.size:>10,}{wrote:>11.2f}{back:>10.2f}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
