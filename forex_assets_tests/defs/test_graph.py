"""A snapshot of the whole graph: an unwanted change shows in review, a wanted one is one command.

Regenerate with ``FOREX_UPDATE_SNAPSHOTS=1 python -m pytest forex_assets_tests/defs/test_graph.py``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.defs.build import build_definitions
from forex_assets.defs.reports import WRITTEN_BY_PEOPLE
from forex_assets.pooled import stored as pooled_stored
from forex_assets.settings import Settings, load_settings, packaged_config_dir
from forex_assets_tests.defs.world import World, edit_yaml, settings_of

SNAPSHOT = Path(__file__).with_name("graph.json")
UPDATE = "FOREX_UPDATE_SNAPSHOTS"
TABLE_ASSETS = {name for name in schemas.TABLES if name != "desk_report"}


@pytest.fixture(scope="module")
def settings() -> Settings:
    """The packaged configuration with every pair."""
    return load_settings(environ={"FOREX_HOME": "/nowhere"})


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build_definitions(settings)


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions, settings: Settings) -> dict[str, Any]:
    return describe(definitions, settings)


def describe(definitions: dg.Definitions, settings: Settings) -> dict[str, Any]:
    """Return the graph as plain values, each pair's part with ``{pair}`` for its id."""
    whole: dict[str, Any] = {
        "assets": _assets(definitions),
        "jobs": _jobs(definitions),
        "schedules": _schedules(definitions),
        "sensors": _sensors(definitions),
        "executor": getattr(definitions.executor, "name", None),
    }
    parts = {pair: _of_pair(whole, pair, settings) for pair in settings.pairs}
    shared = {
        kind: {name: body for name, body in items.items() if not _owner(name, settings)}
        for kind, items in whole.items()
        if isinstance(items, dict)
    }
    first = next(iter(parts))
    return {
        "executor": whole["executor"],
        "shared": shared,
        "pairs": {pair: settings.pair(pair).unit for pair in parts},
        "sub_graph_of_every_pair": parts[first],
        "pairs_that_differ": {pair: part for pair, part in parts.items() if part != parts[first]},
    }


def _owner(name: str, settings: Settings) -> str | None:
    for pair in sorted(settings.pairs, key=len, reverse=True):
        if name.startswith((f"{pair}/", f"{pair}_")):
            return pair
    return None


def _of_pair(whole: dict[str, Any], pair: str, settings: Settings) -> dict[str, Any]:
    spec = settings.pair(pair)
    part = {
        kind: {name: body for name, body in items.items() if _owner(name, settings) == pair}
        for kind, items in whole.items()
        if isinstance(items, dict)
    }
    text = json.dumps(part, sort_keys=True, default=str, ensure_ascii=False)
    for concrete, general in ((spec.label, "{label}"), (spec.unit, "{unit}")):
        text = text.replace(concrete, general)
    text = re.sub(rf"\b{pair}(?=[/_\"])", "{pair}", text)
    text = re.sub(r'"exclusions": \d+', '"exclusions": "closures of the pair"', text)
    return dict(json.loads(text))


def _assets(definitions: dg.Definitions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    graph = definitions.resolve_asset_graph()
    checks: dict[str, list[str]] = {}
    for check in graph.asset_check_keys:
        checks.setdefault(check.asset_key.to_user_string(), []).append(check.name)
    for key in graph.get_all_asset_keys():
        node, name = graph.get(key), key.to_user_string()
        schema = node.metadata.get("dagster/column_schema")
        found[name] = {
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "owners": sorted(node.owners),
            "tags": {tag: value for tag, value in sorted(node.tags.items()) if not tag.startswith("dagster/")},
            "description": (node.description or "").split("\n")[0],
            "partitions": _partitions(node.partitions_def),
            "deps": {
                parent.to_user_string(): type(node.partition_mappings.get(parent)).__name__
                for parent in sorted(node.parent_keys, key=str)
            },
            "pools": sorted(node.pools or []),
            "backfill": node.backfill_policy.policy_type.name if node.backfill_policy else None,
            "checks": sorted(checks.get(name, [])),
            "columns": [column.name for column in schema.columns] if schema else None,
            "observable": node.is_observable,
            "retries": _retries(definitions, key),
            "has_code_version": node.code_version is not None,
        }
    return found


def _retries(definitions: dg.Definitions, key: dg.AssetKey) -> int:
    policy = getattr(definitions.resolve_assets_def(key).node_def, "retry_policy", None)
    return policy.max_retries if policy else 0


def _partitions(definition: dg.PartitionsDefinition[Any] | None) -> Any:
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return {d.name: _partitions(d.partitions_def) for d in definition.partitions_defs}
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return {
            "start": definition.start.date().isoformat(),
            "cron": definition.cron_schedule,
            "timezone": definition.timezone,
            "end_offset": definition.end_offset,
            "exclusions": len(definition.exclusions or []),
        }
    return definition.get_partition_keys() if definition is not None else None


def _jobs(definitions: dg.Definitions) -> dict[str, Any]:
    return {
        job.name: {
            "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys),
            "tags": dict(sorted(job.tags.items())),
            "description": job.description,
        }
        for job in definitions.resolve_all_job_defs()
        if not job.name.startswith("__")
    }


def _schedules(definitions: dg.Definitions) -> dict[str, Any]:
    return {
        schedule.name: {
            "cron": schedule.cron_schedule,
            "timezone": schedule.execution_timezone,
            "job": schedule.job_name,
            "status": schedule.default_status.name,
            "description": schedule.description,
        }
        for schedule in definitions.get_repository_def().schedule_defs
    }


def _sensors(definitions: dg.Definitions) -> dict[str, Any]:
    return {
        sensor.name: {
            "jobs": sorted(target.job_name for target in sensor.targets),
            "every_s": sensor.minimum_interval_seconds,
            "status": sensor.default_status.name,
            "description": sensor.description,
        }
        for sensor in definitions.get_repository_def().sensor_defs
    }


@pytest.mark.capability("A01")
def test_the_graph_is_the_one_in_the_snapshot(graph: dict[str, Any]) -> None:
    text = json.dumps(graph, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"
    if os.environ.get(UPDATE) == "1":
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        f"the graph changed; if that is wanted, run this test with {UPDATE}=1 and review the difference of graph.json"
    )


def test_every_asset_says_who_owns_it_what_it_is_and_in_which_unit(
    definitions: dg.Definitions, settings: Settings
) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description
        assert len(spec.description) > 20
        if spec.key.to_user_string() in ("warehouse",):
            continue
        if spec.key.path[0] == pooled_stored.PANEL:  # shared by all pairs
            assert set(spec.owners) == {owner for pair in settings.pairs.values() for owner in pair.owners}
            assert spec.metadata["unit"]
            continue
        pair = settings.pair(spec.key.path[0])
        assert spec.tags["pair"] == pair.id
        if spec.key.path[-1] != "active_config":
            assert set(pair.owners) == set(spec.owners)
            assert spec.metadata["unit"]


@pytest.mark.capability("E09")
def test_every_table_asset_documents_every_column_of_its_table(definitions: dg.Definitions) -> None:
    seen = set()
    for spec in definitions.resolve_all_asset_specs():
        name = str(spec.metadata.get("table", spec.key.path[-1]))
        if name not in schemas.TABLES:
            continue
        table = schemas.TABLES[name]
        columns = spec.metadata["dagster/column_schema"].columns
        assert [column.name for column in columns] == list(table.column_names)
        assert all(column.description and column.type for column in columns)
        assert {"config_hash", "data_hash", "code_version"} <= {column.name for column in columns}
        assert spec.code_version
        seen.add(table.name)
    assert seen == set(schemas.TABLES) - set(WRITTEN_BY_PEOPLE)


def test_every_pair_has_the_same_sub_graph_but_for_its_calendar(graph: dict[str, Any]) -> None:
    assert graph["pairs_that_differ"] == {}


def test_every_table_that_others_compute_from_has_a_schema_check(graph: dict[str, Any]) -> None:
    assets = graph["sub_graph_of_every_pair"]["assets"]
    judged = ("bars", "drivers", "backtest", "interval_calibration", "forecast", "evaluation", "performance_report")
    assert all("schema" in assets[f"{{pair}}/{name}"]["checks"] for name in judged)


def test_no_job_mixes_partition_families(definitions: dg.Definitions) -> None:
    assets = definitions.resolve_asset_graph()
    for job in definitions.resolve_all_job_defs():
        if job.name.startswith("__"):
            continue
        partitions = {assets.get(key).partitions_def for key in job.asset_layer.executable_asset_keys}
        assert len(partitions - {None}) <= 1


def test_every_job_of_the_snapshot_belongs_to_a_family(graph: dict[str, Any]) -> None:
    assert set(graph["sub_graph_of_every_pair"]["jobs"]) == {
        jobs.job_name("{pair}", family) for family in jobs.FAMILIES
    }


SEK_PAIR = {
    "id": "usdsek",
    "label": "USD/SEK (ECB reference rates)",
    "base": "USD",
    "quote": "SEK",
    "target": {"series": "usdsek_ecb", "kind": "fixing"},
    "calendars": ["TARGET"],
    "history_start": "2015-01-02",
    "chains": {"usdsek_ecb": ["ecb"], "fed_funds": ["embedded"]},
    "drivers": ["fed_funds"],
    "owners": ["team:fx-desk"],
}


def test_adding_a_pair_is_one_yaml_file(tmp_path: Path, graph: dict[str, Any]) -> None:
    config = tmp_path / "configs"
    shutil.copytree(packaged_config_dir(), config)
    model = load_settings(environ={}).series["usdzar_ecb"].model_dump(mode="json", exclude={"id"})
    series = {**model, "label": "USD/SEK", "unit": "SEK per USD", "range": [2, 40]}
    series["addresses"] = {"ecb": {**series["addresses"]["ecb"], "quote": "SEK"}}
    body = {**SEK_PAIR, "series": {"usdsek_ecb": series}}
    (config / "pairs" / "usdsek.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    edit_yaml(config / "platform.yaml", lambda platform: platform["backtest"].update(start="2019-01-02"))

    with dg.DagsterInstance.ephemeral() as instance:
        world = World(settings_of(config, tmp_path / "home", pairs="usdsek"), instance)
        added = describe(world.definitions, world.settings)
        assert added["sub_graph_of_every_pair"] == graph["sub_graph_of_every_pair"]
        for family, options in (
            (jobs.INGEST, {}),
            (jobs.SNAPSHOT, {"first": "2024-06-03", "last": "2024-06-03"}),
            (jobs.FORECAST, {"first": "2024-06-03|7d", "last": "2024-06-03|90d"}),
        ):
            world.runner.execute(jobs.job_name("usdsek", family), **options)
        rows = world.pipeline.store.read(schemas.FORECAST, "usdsek", None)
    assert sorted(rows["horizon"].unique()) == [7, 15, 30, 90]
    assert rows["q500"].between(8, 13).all()
