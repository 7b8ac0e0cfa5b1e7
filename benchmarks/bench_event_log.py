"""What one materialised partition costs in Dagster's bookkeeping: the stock SQLite event log beside ours, in one run.

python benchmarks/bench_event_log.py [--partitions 250] [--repeats 3] [--out benchmarks/results/event_log.json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

STOCK = "telemetry: {enabled: false}\nnux: {enabled: false}\n"
POOLED = (
    STOCK + "event_log_storage:\n  module: forex_assets.defs.event_log\n"
    "  class: PooledSqliteEventLogStorage\n  config: {}\n"
)
CHILD = """
import sys, time, warnings
warnings.simplefilter("ignore")
import dagster as dg
count = int(sys.argv[1])
keys = [f"k{i:05d}" for i in range(count)]
@dg.asset(partitions_def=dg.StaticPartitionsDefinition(keys), backfill_policy=dg.BackfillPolicy.single_run())
def nothing(context) -> None: ...
defs = dg.Definitions(assets=[nothing], jobs=[dg.define_asset_job("job", selection=[nothing])],
                      executor=dg.in_process_executor)
quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
with dg.DagsterInstance.get() as instance:
    job = defs.resolve_job_def("job")
    def run(first, last):
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        job.execute_in_process(instance=instance, run_config=quiet, tags=tags)
    run(keys[0], keys[0])
    start = time.perf_counter()
    run(keys[0], keys[-1])
    print((time.perf_counter() - start) / count * 1000)
"""


def once(config: str, partitions: int) -> float:
    """Return milliseconds per partition of a single-run backfill on a fresh instance."""
    with tempfile.TemporaryDirectory() as home:
        Path(home, "dagster.yaml").write_text(config, encoding="utf-8")
        env = {**os.environ, "DAGSTER_HOME": home}
        command = [sys.executable, "-c", CHILD, str(partitions)]
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, cwd=home)
        return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure alternately, so that both meet the same machine, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "event_log.json")
    options = parser.parse_args()
    pairs = [(once(STOCK, options.partitions), once(POOLED, options.partitions)) for _ in range(options.repeats)]
    stock, pooled = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    print(f"stock   {stock:6.2f} ms a partition\npooled  {pooled:6.2f} ms a partition\nratio   {stock / pooled:6.2f}")
    result = {"partitions": options.partitions, "stock_ms": stock, "pooled_ms": pooled, "ratio": stock / pooled}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
