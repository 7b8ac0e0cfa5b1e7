"""The store under fire and at size: 8 processes × 200 slices with readers throughout, and 100,000 slices.

Fire: every writer also replaces one slice that all share; readers list and read all the while, and check that each
slice is whole. Size: slices of ``forecast`` (3 rows) are laid down without a flush each (untimed), then listed, read
and published as always.

    python benchmarks/bench_store_scale.py [--slices 100000] [--out benchmarks/results/store_scale.json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from forex_assets.errors import StoreError
from forex_assets.schemas import FORECAST
from forex_assets.store import reading
from forex_assets.store.files import make_folder
from forex_assets.store.slice_file import SliceWrite
from forex_assets.store.slices import SliceStore
from forex_assets.store.warehouse import publish

WRITERS, ROUNDS, READERS = 8, 200, 2
SHARED = ("shared",)


def rows(value: float, count: int = 3) -> pd.DataFrame:
    """Return rows of table ``forecast`` that carry one number throughout."""
    day, instant = pd.Timestamp("2025-06-13"), pd.Timestamp("2025-06-13T20:00", tz="UTC")
    made: dict[str, Any] = {}
    for column in FORECAST.columns:
        made[column.name] = {
            "float": [value] * count,
            "int": [int(value) % 90 + 1] * count,
            "date": [day] * count,
            "instant": [instant] * count,
            "str": ["usdclp" if column.name == "pair" else f"{column.name}"] * count,
            "bool": [True] * count,
        }[column.kind]
    for name in FORECAST.key:
        if isinstance(made[name][0], pd.Timestamp):
            made[name] = [day + pd.Timedelta(days=step) for step in range(count)]
    return pd.DataFrame(made)


def write(root: str, writer: int, errors: Any) -> None:
    """Write 200 slices, each also as the shared one."""
    store = SliceStore(root)
    try:
        for turn in range(ROUNDS):
            frame = rows(1000.0 * writer + turn)
            store.write_many(
                FORECAST, "usdclp", {(f"w{writer}", f"{turn:03d}"): SliceWrite(frame), SHARED: SliceWrite(frame)}
            )
    except StoreError as error:
        errors.put(error.message)


def read(root: str, stop: Any, errors: Any, seen: Any) -> None:
    """List and read whatever is there until told to stop; every slice must be of one writer's turn."""
    store, count = SliceStore(root), 0
    try:
        while not stop.is_set():
            for key in store.keys(FORECAST, "usdclp")[-40:]:
                values = store.read(FORECAST, "usdclp", [key])["mean"]
                count += 1
                if values.nunique() != 1:
                    errors.put(f"{key} is a mixture")
    except StoreError as error:
        errors.put(error.message)
    seen.put(count)


def fire(folder: Path) -> dict[str, Any]:
    """Return slices lost, errors, and how long it took."""
    spawn = mp.get_context("spawn")
    errors, seen, stop = spawn.Queue(), spawn.Queue(), spawn.Event()
    root = str(folder / "fire")
    readers = [spawn.Process(target=read, args=(root, stop, errors, seen)) for _ in range(READERS)]
    writers = [spawn.Process(target=write, args=(root, writer, errors)) for writer in range(WRITERS)]
    started = time.perf_counter()
    for process in (*readers, *writers):
        process.start()
    for process in writers:
        process.join()
    seconds = time.perf_counter() - started
    stop.set()
    counts = [seen.get(timeout=120) for _ in readers]
    for process in readers:
        process.join()
    store = SliceStore(root)
    lost = 0
    for writer in range(WRITERS):
        for turn in range(ROUNDS):
            key = (f"w{writer}", f"{turn:03d}")
            kept = store.exists(FORECAST, "usdclp", key)
            lost += not (kept and store.read(FORECAST, "usdclp", [key])["mean"].eq(1000.0 * writer + turn).all())
    told = []
    while not errors.empty():
        told.append(errors.get())
    return {
        "writers": WRITERS,
        "slices_each": ROUNDS,
        "reads": sum(counts),
        "lost": lost,
        "errors": told,
        "exit_codes": [process.exitcode for process in (*writers, *readers)],
        "seconds": seconds,
    }


def size(folder: Path, count: int) -> dict[str, Any]:
    """Return what listing, reading one and publishing cost with so many slices."""
    store = SliceStore(folder / "size")
    frame = rows(900.0)
    days = pd.bdate_range("1900-01-01", periods=(count + 3) // 4).strftime("%Y-%m-%d")
    laid = time.perf_counter()
    keys = [(("7d", "15d", "30d", "90d")[number % 4], days[number // 4]) for number in range(count)]
    for start in range(0, count, 1000):
        batch = [(key, SliceWrite(frame)) for key in keys[start : start + 1000]]
        for name, data, _ in store._serialise(FORECAST, "usdclp", batch):
            path = folder / "size" / name
            if not path.parent.exists():
                make_folder(path.parent)
            path.write_bytes(data)
    print(f"{count:,} slices laid down in {time.perf_counter() - laid:.0f} s")

    def processor() -> float:
        own = psutil.Process()
        return sum(sum(process.cpu_times()[:2]) for process in (own, *own.children(recursive=True)))

    def timed(action: Any, times: int) -> tuple[float, float]:
        taken = []
        for _ in range(times):
            begin, cpu = time.perf_counter(), processor()
            action()
            taken.append((time.perf_counter() - begin, processor() - cpu))
        return min(taken)[0], min(used for _, used in taken)

    listed = timed(lambda: store.keys(FORECAST, "usdclp"), 3)
    keys = store.keys(FORECAST, "usdclp")
    rng = np.random.default_rng(1)
    picks = [keys[int(place)] for place in rng.integers(0, len(keys), 200)]
    one = timed(lambda: [store.read(FORECAST, "usdclp", [key]) for key in picks], 3)
    published = timed(lambda: publish(store, folder / "w.duckdb", [FORECAST]), 1)
    reading.MANY = len(keys) + 1
    alone = timed(lambda: publish(store, folder / "w.duckdb", [FORECAST]), 1)
    return {
        "slices": len(keys),
        "list_s": listed[0],
        "read_one_ms": 1000 * one[0] / len(picks),
        "publish_s": published[0],
        "publish_by_one_process_s": alone[0],
        "list_cpu_s": listed[1],
        "read_one_cpu_ms": 1000 * one[1] / len(picks),
        "publish_cpu_s": published[1],
        "publish_by_one_process_cpu_s": alone[1],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "store_scale.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-store-") as name:
        under = fire(Path(name))
        print(
            f"{WRITERS} × {ROUNDS} slices, {READERS} readers: {under['lost']} lost, {len(under['errors'])} errors, "
            f"{under['reads']:,} reads beside, {under['seconds']:.1f} s"
        )
        at_size = size(Path(name), options.slices)
    goals = {"list_s": 1.0, "read_one_ms": 10.0, "publish_s": 60.0}
    for field, goal in goals.items():
        used = at_size["_cpu_".join(field.rsplit("_", 1))]
        print(f"{field:<12}{at_size[field]:>10.2f}  goal {goal:g}  (processor {used:.2f})")
    print(f"published by one process: {at_size['publish_by_one_process_s']:.1f} s")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"fire": under, "size": at_size}, indent=2) + "\n", encoding="utf-8")
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
