"""The smallest partitioned asset with a check, for tests of the event log (also run in other processes)."""

import warnings

import dagster as dg

PARTITIONS = dg.StaticPartitionsDefinition([f"p{number}" for number in range(6)])

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
    def numbers(context: dg.AssetExecutionContext) -> None:
        for key in context.partition_keys:
            context.add_asset_metadata({"length": len(key)}, asset_key=context.asset_key, partition_key=key)


@dg.asset_check(asset=numbers)
def fine() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"seen": len(PARTITIONS.get_partition_keys())})


DEFINITIONS = dg.Definitions(assets=[numbers], asset_checks=[fine])
RANGE = {"dagster/asset_partition_range_start": "p0", "dagster/asset_partition_range_end": "p5"}


def materialise(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Materialise all six partitions in one run."""
    job = DEFINITIONS.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, tags=RANGE)
