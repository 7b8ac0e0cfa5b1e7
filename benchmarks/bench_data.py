"""How fast are ingestion and as-of reads, and how does what is kept grow? Tables on stdout, JSON beside.

Everything happens in temporary folders. The series is a seeded walk of 25 years on the Chilean calendar; the providers
are one server on loopback that waits 200 ms before every answer.

    python benchmarks/bench_data.py [--retrievals 1000] [--out benchmarks/results/data.json]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import functools
import http.server
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import yaml

from forex_assets import schemas
from forex_assets.clock import AsOf, calendar_for
from forex_assets.errors import ForexError
from forex_assets.market.vintages.archive import RawArchive
from forex_assets.market.vintages.revisions import AS_OF_COLUMNS, known_as_of
from forex_assets.pipeline import Pipeline
from forex_assets.settings import Settings, load_settings

GOALS = {"ingest_25_years_s": 1.0, "daily_ingest_s": 3.0, "as_of_read_ms": 50.0, "storage_ratio": 3.0}
LATENCY_S = 0.2
NOW = dt.datetime(2025, 6, 14, 6, tzinfo=dt.UTC)
PAIR = "usdclp_close"


def walk(calendar: str = "CL", first: str = "2000-01-03", last: str = "2025-06-13", start: float = 900.0) -> pd.Series:
    """Return a seeded walk over the sessions of a calendar, by date."""
    days = calendar_for(calendar).sessions(first, last)
    steps = np.random.default_rng(7).normal(0, 0.004, len(days)).cumsum()
    return pd.Series(
        np.round(start * np.exp(steps - steps.mean()), 2), index=pd.DatetimeIndex(days.astype("datetime64[ns]"))
    )


def only_closes(settings: Settings) -> Settings:
    """Return settings in which the pair has one series, from the folder."""
    pair = settings.pair(PAIR).model_copy(update={"chains": {PAIR: ["folder"]}, "drivers": []})
    return settings.model_copy(update={"pairs": {PAIR: pair}})


def write_folder(folder: Path, values: pd.Series) -> bytes:
    """Write the closes as the catalogue's file; return its bytes."""
    lines = [f"{day:%Y-%m-%d},{value},market" for day, value in values.items()]
    raw = ("date,close,source\n" + "\n".join(lines) + "\n").encode()
    (folder / "usdclp_close_long_daily.csv").write_bytes(raw)
    return raw


def in_home(folder: Path, **more: str) -> Settings:
    """Return settings of a home of its own."""
    env = {"FOREX_HOME": str(folder / "home"), "FOREX_DATA_DIR": str(folder), "FOREX_OFFLINE": "1", **more}
    (folder / "home").mkdir(exist_ok=True)
    return load_settings(environ=env)


def one_series(repeats: int) -> dict[str, float]:
    """Time the ingestion of 25 years of one series, quality rules and archive included, nothing stored before."""
    seconds = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_folder(folder, walk())
            pipeline = Pipeline(only_closes(in_home(folder)))
            started = time.perf_counter()
            frames = pipeline.data.write_ingest(PAIR, now=pd.Timestamp(NOW))
            seconds.append(time.perf_counter() - started)
    return {"rows": len(frames["observations"]), "s": statistics.median(seconds[1:]), "first_s": seconds[0]}


def vintages(retrievals: int) -> dict[str, float]:
    """Ingest daily for years, a value more each day and a revision every tenth; measure what is kept, and reads."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = only_closes(in_home(folder))
        pipeline, values = Pipeline(settings), walk()
        first = len(values) - retrievals
        sizes: dict[str, int] = {}
        started = time.perf_counter()
        for day in range(retrievals):
            held = values.iloc[: first + day + 1].copy()
            for revised in range(0, day, 10):
                held.iloc[first + revised - 5] += 0.01 * (1 + revised % 3)
            raw = write_folder(folder, held)
            moment = pd.Timestamp(held.index[-1]).tz_localize("UTC") + pd.Timedelta(hours=30)
            pipeline.data.write_ingest(PAIR, now=moment)
            if day == 0:
                sizes["first"] = kept(pipeline)
                sizes["first_archive"] = RawArchive(settings.home).size_bytes()
        seconds = time.perf_counter() - started
        archive = RawArchive(settings.home).size_bytes()
        observations = pipeline.store.info(schemas.OBSERVATIONS, PAIR, ())
        moment = AsOf(NOW - dt.timedelta(days=700))

        def read() -> int:
            rows = pipeline.store.read(schemas.OBSERVATIONS, PAIR, [()], columns=AS_OF_COLUMNS)
            return len(known_as_of(rows, moment))

        return {
            "retrievals": retrievals,
            "ingest_each_ms": 1000 * seconds / retrievals,
            "payload_bytes": len(raw),
            "first_kept_bytes": sizes["first"],
            "kept_bytes": kept(pipeline),
            "archive_bytes": archive,
            "observations_bytes": observations.size_bytes,
            "rows": observations.rows,
            "ratio_to_one_retrieval": kept(pipeline) / sizes["first"],
            "archive_ratio_to_payload": archive / len(raw),
            "archive_ratio_to_first": archive / sizes["first_archive"],
            "as_of_read_ms": 1000 * shortest(read, 20),
            "archived_payload_ms": 1000 * shortest(lambda: one_payload(settings), 10),
        }


def one_payload(settings: Settings) -> int:
    """Rebuild the payload in the middle of the archive."""
    contents = RawArchive(settings.home).contents("folder", PAIR)
    return len(contents.payload(contents.retrievals[len(contents.retrievals) // 2].members[-1]))


def kept(pipeline: Pipeline) -> int:
    """Return the bytes of observations and archive together."""
    size = pipeline.store.info(schemas.OBSERVATIONS, PAIR, ()).size_bytes
    return size + RawArchive(pipeline.settings.home).size_bytes()


def shortest(run: Callable[[], Any], repeats: int) -> float:
    """Return the shortest time of a call, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


class Slow(http.server.BaseHTTPRequestHandler):
    """Answers for every provider, after a pause."""

    last = "2025-06-12"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Wait, then answer."""
        self.asked.append(self.path)
        time.sleep(LATENCY_S)
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = answer(parts.path.strip("/").split("/"), query, self.last)
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


LEVELS = {"dolar": 900.0, "tpm": 5.0, "uf": 39000.0, "libra_cobre": 4.4, "imacec": 2.0, "HG=F": 4.5, "DX-Y.NYB": 100.0,
          "^VIX": 18.0, "^GSPC": 5000.0, "EEM": 45.0, "CLP=X": 900.0, "DCOILWTICO": 70.0, "DCOILBRENTEU": 72.0,
          "DFF": 4.3, "DGS2": 4.0, "DGS10": 4.4, "VIXCLS": 18.0, "CHNLOLITOAASTSAM": 100.0, "ecb": 20.0}  # fmt: skip
MONTHLY = frozenset({"imacec", "CHNLOLITOAASTSAM"})


@functools.cache
def rows_of(name: str, last: str) -> pd.Series:
    """Return the values a provider has of a series."""
    if name in MONTHLY:
        days = pd.date_range("2014-01-01", last, freq="MS")
        return pd.Series(LEVELS[name] + 0.1 * np.sin(np.arange(len(days))), index=days).round(3)
    calendar = {"uf": "ALL", "ecb": "TARGET"}.get(name, "US")
    calendar = "CL" if name in ("dolar", "tpm", "libra_cobre", "CLP=X") else calendar
    start = LEVELS[name]
    values = walk(calendar, "2014-01-02", last, start)
    # The market of a session is what the next fixing averages.
    return values.shift(-1).dropna() if name == "CLP=X" else values


def answer(path: list[str], query: dict[str, str], last: str) -> Any:
    """Return one provider's answer, or None where it has none."""
    name = path[0]
    if name in ("mindicador", "findic") and len(path) == 3 and path[1] in LEVELS:
        values = rows_of(path[1], last)
        values = values[values.index.year == int(path[2])]
        serie = [{"fecha": f"{day:%Y-%m-%d}", "valor": value} for day, value in values.items()]
        return {"codigo": path[1], "serie": serie[::-1]}
    if name == "yahoo":
        symbol = unquote(path[-1])
        zone = {"CLP=X": "Europe/London", "^VIX": "America/Chicago"}.get(symbol, "America/New_York")
        low, high = (dt.datetime.fromtimestamp(int(query[key]), dt.UTC).date() for key in ("period1", "period2"))
        values = rows_of(symbol, last)
        values = values[(values.index.date >= low) & (values.index.date <= high)]
        midnight = [dt.datetime.combine(day.date(), dt.time(), tzinfo=ZoneInfo(zone)) for day in values.index]
        quote = {"close": values.tolist(), "open": values.tolist(), "high": values.tolist(), "low": values.tolist()}
        meta = {"currency": "CLP" if symbol == "CLP=X" else "USD", "symbol": symbol, "exchangeTimezoneName": zone,
                "gmtoffset": 0}  # fmt: skip
        result = {"meta": meta, "timestamp": [int(stamp.timestamp()) for stamp in midnight],
                  "indicators": {"quote": [quote], "adjclose": [{}]}}  # fmt: skip
        return {"chart": {"result": [result], "error": None}}
    if name == "fred" and len(path) == 1 and query.get("id") in LEVELS:
        values = rows_of(query["id"], last)
        values = values[values.index >= query.get("cosd", "1900-01-01")]
        lines = [f"{day:%Y-%m-%d},{value}" for day, value in values.items()]
        return "\n".join([f"observation_date,{query['id']}", *lines]) + "\n"
    if name == "ecb_live" and path[-1].startswith("D."):
        lines = ["CURRENCY,CURRENCY_DENOM,TIME_PERIOD,OBS_VALUE"]
        for currency in path[-1].split(".")[1].split("+"):
            values = rows_of("ecb", last)
            values = values[(values.index >= query["startPeriod"]) & (values.index <= query["endPeriod"])]
            lines += [f"{currency},EUR,{day:%Y-%m-%d},{value}" for day, value in values.items()]
        return "\n".join(lines) + "\n"
    return None


class Server(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as providers together do."""

    request_queue_size = 128


def serve(pipe: Any) -> None:
    """Serve on loopback; the last day there is anything of comes through the pipe, and back what was asked before."""
    server = Server(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(f"http://127.0.0.1:{server.server_address[1]}")
    while True:
        Slow.last = pipe.recv()
        for name in LEVELS:
            rows_of(name, Slow.last)
        pipe.send(list(Slow.asked))
        Slow.asked.clear()


@contextlib.contextmanager
def providers() -> Iterator[tuple[Settings, Any]]:
    """Give settings of a home of its own with all providers on loopback, and the pipe to their server."""
    # A process of its own: what the providers compute is none of our time.
    mine, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    base = mine.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configs = load_settings(environ={}).config_dir
        for path in configs.rglob("*.*"):
            target = folder / "configs" / path.relative_to(configs)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        body = yaml.safe_load((folder / "configs" / "platform.yaml").read_text())
        for provider, settings_of in body["providers"].items():
            if provider != "http":
                settings_of.update(
                    {key: f"{base}/{provider}" for key in ("base_url", "api_url", "archive_url") if key in settings_of}
                )
                settings_of.update({"other_urls": []} if "other_urls" in settings_of else {}, max_requests_per_s=1000)
        (folder / "configs" / "platform.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
        yield in_home(folder, FOREX_CONFIG_DIR=str(folder / "configs"), FOREX_OFFLINE="0"), mine
    server.terminate()
    server.join()


def publish(pipe: Any, moment: dt.datetime) -> list[str]:
    """Have the providers know everything up to the day before a moment; return what was asked of them until now."""
    pipe.send(f"{moment - dt.timedelta(days=1):%Y-%m-%d}")
    asked: list[str] = pipe.recv()
    return asked


def daily(repeats: int) -> dict[str, Any]:
    """Time the ingestion of a day of all series of all pairs from providers that take 200 ms an answer."""
    with providers() as (settings, pipe):
        pipeline = Pipeline(settings)
        seconds, states = [], pd.Series(dtype=int)
        for day in range(repeats + 1):
            moment = NOW - dt.timedelta(days=4 - day)
            publish(pipe, moment)
            started = time.perf_counter()
            made = pipeline.data.write_ingests(list(settings.pairs), now=pd.Timestamp(moment))
            seconds.append(time.perf_counter() - started)
            failed = [str(each) for each in made.values() if isinstance(each, ForexError)]
            if failed:
                raise SystemExit(f"not every pair was ingested: {failed}")
            asked = [frames["source_status"] for frames in made.values() if not isinstance(frames, ForexError)]
            states = pd.concat(asked)["state"].value_counts()
        return {
            "pairs": len(settings.pairs),
            "series": sum(len(pair.all_series) for pair in settings.pairs.values()),
            "history_s": seconds[0],
            "s": statistics.median(seconds[1:]),
            "states_of_the_last_day": {str(key): int(value) for key, value in states.items()},
        }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--retrievals", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "data.json")
    arguments = parser.parse_args()
    for name in ("FOREX_HOME", "FOREX_DATA_DIR", "FOREX_CONFIG_DIR", "FOREX_PAIRS"):
        os.environ.pop(name, None)
    single = one_series(arguments.repeats)
    print(
        f"25 years of one series ({single['rows']:,} rows): {single['s']:.2f} s warm, {single['first_s']:.2f} s first"
    )
    every = daily(3)
    print(
        f"a day of {every['series']} series of {every['pairs']} pairs, 200 ms an answer: {every['s']:.2f} s ({every})"
    )
    many = vintages(arguments.retrievals)
    for key, value in many.items():
        print(f"  {key:28} {value:,.2f}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"goals": GOALS, "one_series": single, "daily": every, "vintages": many}
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
