"""The Dagster UI of `forex ui` on a home that a run made: its interface for programs, and its pages in a browser."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from forex_assets import schemas
from forex_assets.defs.partitions import DAY, HORIZON
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets.store.slices import SliceStore
from forex_assets_tests.e2e.browser import Page, browser, until
from forex_assets_tests.e2e.conftest import FOREX, Host, Made, copy_of, end_group

START_LIMIT_S = 180.0
RUN_LIMIT_S = 180.0
PAIR_GROUPS = {
    "market_data": {"observations", "source_status", "quarantine", "bars", "drivers"},
    "forecasts": {"active_config", "forecast", "interval_calibration", "calibration"},
    "backtest": {"backtest"},
    "evaluation": {"evaluation", "performance_report", "model_comparison", "reliability", "performance_slices"},
    "monitoring": {"findings", "drift_report", "regime_report", "readiness"},
    "optimization": {"trigger_report", "candidate_config", "validation_report", "loop_findings"},
    "deployment": {"deployed_config", "post_deployment_health"},
    "reports": {"desk_report", "weekly_validation"},
}
PANEL = {
    "bars", "volatility_index", "volatility_regression", "pair_widths", "error_shape", "ensemble_weights",
    "ensemble_corrections",
}  # fmt: skip
GROUPS = (*PAIR_GROUPS, "panel")
UPSTREAM_OF_REPORT = {
    "observations", "source_status", "quarantine", "bars", "drivers", "active_config", "forecast", "backtest",
    "evaluation", "performance_report", "desk_report",
}  # fmt: skip


@dataclass(frozen=True)
class Ui:
    """A running UI, the host it belongs to, and its process."""

    host: Host
    address: str
    process: subprocess.Popen[str]

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """Return the data of a GraphQL query."""
        answer = httpx.post(
            f"{self.address}/graphql",
            json={"query": text, "variables": variables},
            timeout=60,
            trust_env=False,
        )
        body = answer.raise_for_status().json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


LOCATION = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  __typename ... on RepositoryLocation { name repositories { name } } ... on PythonError { message } } } } } }"""


def _location(ui: Ui) -> dict[str, Any] | None:
    """Return the loaded code location, or None while the UI is still starting."""
    try:
        entries = ui.query(LOCATION)["workspaceOrError"].get("locationEntries") or []
    except httpx.TransportError:
        return None
    loaded = [entry for entry in entries if entry["loadStatus"] == "LOADED" and entry["locationOrLoadError"]]
    return loaded[0] if loaded else None


@pytest.fixture(scope="module")
def ui(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`forex ui` on a copy of the host: webserver, daemon and code location."""
    folder = tmp_path_factory.mktemp("ui")
    host = copy_of(made, folder / "host")
    port = _free_port()
    log = folder / "ui.log"
    with log.open("w") as handle:
        process = subprocess.Popen(
            [str(FOREX), "ui", "--port", str(port)], cwd=host.work, env=host.environment(), stdout=handle,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
    started = Ui(host, f"http://127.0.0.1:{port}", process)
    try:
        until(process, lambda: _location(started), START_LIMIT_S, f"the UI\n{log.read_text()[-2000:]}")
        yield started
    finally:
        end_group(process)


@pytest.mark.capability("J03")
def test_the_code_location_loads_and_is_served_on_loopback_only(ui: Ui) -> None:
    entry = _location(ui)
    assert entry
    assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
    port = int(ui.address.rsplit(":", 1)[1])
    outside = [
        info[4][0]
        for info in socket.getaddrinfo(socket.gethostname(), port, type=socket.SOCK_STREAM)
        if not str(info[4][0]).startswith(("127.", "::1"))
    ]
    for address in outside:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((str(address), port)) != 0


@pytest.mark.capability("E09")
def test_every_asset_is_there_with_group_description_columns_and_owner(ui: Ui) -> None:
    nodes = ui.query(
        """{ assetNodes { assetKey { path } groupName description isObservable owners { ... on TeamAssetOwner { team } }
          metadataEntries { label ... on TableSchemaMetadataEntry { schema { columns { name description } } } }
          dependencyKeys { path } } }"""
    )["assetNodes"]
    by_key = {tuple(node["assetKey"]["path"]): node for node in nodes}
    expected: dict[tuple[str, ...], str] = {
        (pair, name): group
        for pair in ("usdclp", "eurusd", "usdclp_close", "usdzar")
        for group, names in PAIR_GROUPS.items()
        for name in names
    }
    expected |= {("panel", name): "panel" for name in PANEL} | {("warehouse",): "reports"}
    assert {key: node["groupName"] for key, node in by_key.items()} == expected
    for key, node in by_key.items():
        assert node["description"], key
        if not node["isObservable"]:
            assert node["owners"] == [{"team": "fx-desk"}], key
        if len(key) == 2 and not node["isObservable"]:
            (schema,) = (
                entry["schema"] for entry in node["metadataEntries"] if entry["label"] == "dagster/column_schema"
            )
            assert schema["columns"], key
            assert all(column["description"] for column in schema["columns"]), key
    assert ["usdclp", "bars"] in [key["path"] for key in by_key["usdclp", "forecast"]["dependencyKeys"]]


@pytest.mark.capability("E09")
def test_materialisations_carry_partition_rows_and_hashes(ui: Ui) -> None:
    node = ui.query(
        """{ assetNodes(assetKeys: [{path: ["usdclp", "forecast"]}]) {
          assetMaterializations(partitions: ["2025-06-13|90d"], limit: 1) { partition metadataEntries { label
          ... on TextMetadataEntry { text } ... on IntMetadataEntry { intValue } } } } }"""
    )["assetNodes"][0]
    (newest,) = node["assetMaterializations"]
    assert newest["partition"] == "2025-06-13|90d"
    entries = {entry["label"]: entry.get("text") or entry.get("intValue") for entry in newest["metadataEntries"]}
    assert entries["dagster/partition_row_count"] > 100
    assert len(entries["data_hash"]) == len(entries["config_hash"]) == 16


CHECKS = """{ assetNodes(assetKeys: [{path: ["usdclp", "performance_report"]}]) { assetChecksOrError {
  ... on AssetChecks { checks { name executionForLatestMaterialization {
  status evaluation { success severity description } } } } } } }"""


@pytest.mark.capability("B10", "L18", "K08")
def test_check_results_show_expected_beside_actual(ui: Ui) -> None:
    checks = ui.query(CHECKS)["assetNodes"][0]["assetChecksOrError"]["checks"]
    by_name = {check["name"]: check["executionForLatestMaterialization"] for check in checks}
    assert {"interval_coverage", "bias", "interval_coverage_classic", "bias_classic", "schema"} <= set(by_name)
    coverage = by_name["interval_coverage"]["evaluation"]
    # Ten matured forecasts cannot tell: a warning that says so, neither passed nor an error.
    assert (coverage["success"], coverage["severity"]) == (False, "WARN")
    assert coverage["description"].startswith("unknown: ")
    assert "expected" in coverage["description"]
    assert "n 10, effective n" in coverage["description"]


LAUNCH = """mutation($parameters: ExecutionParams!) { launchPipelineExecution(executionParams: $parameters) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on RunConfigValidationInvalid { errors {
  message } } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status assetMaterializations { assetKey { path }
  partition } } } }"""


@pytest.mark.capability("A01", "J03")
def test_a_partition_launched_from_the_ui_is_materialised_by_the_daemon(ui: Ui) -> None:
    entry = _location(ui)
    assert entry
    location = entry["locationOrLoadError"]
    key, partition = ["usdclp", "forecast"], "2025-06-12|7d"
    launched = ui.query(
        LAUNCH,
        parameters={
            "selector": {
                "repositoryLocationName": location["name"],
                "repositoryName": location["repositories"][0]["name"],
                "jobName": "usdclp_forecast_job",
                "assetSelection": [{"path": key}],
            },
            "mode": "default",
            "executionMetadata": {
                "tags": [
                    {"key": "dagster/partition", "value": partition},
                    {"key": f"dagster/partition/{DAY}", "value": "2025-06-12"},
                    {"key": f"dagster/partition/{HORIZON}", "value": "7d"},
                ]
            },
        },
    )["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def ended() -> dict[str, Any] | None:
        run: dict[str, Any] = ui.query(RUN, id=run_id)["runOrError"]
        return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

    run = until(ui.process, ended, RUN_LIMIT_S, f"run {run_id}")
    assert run["status"] == "SUCCESS"
    assert run["assetMaterializations"] == [{"assetKey": {"path": key}, "partition": partition}]
    assert ui.host.left_elsewhere() == []


@pytest.fixture(scope="module")
def page(ui: Ui, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser beside the UI."""
    with browser(tmp_path_factory.mktemp("browser") / "profile") as tab:
        tab.size(1600, 1000)
        yield tab


def test_the_lineage_page_shows_the_groups(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.open(f"{ui.address}/asset-groups")
    text = page.text_with("Global asset lineage", *GROUPS)
    assert all(group in text for group in GROUPS)
    page.picture(tmp_path / "lineage.png")
    assert (tmp_path / "lineage.png").stat().st_size > 20_000


def test_every_asset_of_the_pair_is_drawn_upstream_of_its_report(ui: Ui, page: Page) -> None:
    page.open(f"{ui.address}/assets/usdclp/desk_report?view=lineage&lineageScope=upstream&lineageDepth=6")
    names = sorted(UPSTREAM_OF_REPORT)  # interval_calibration is drawn with an ellipsis
    text = page.text_with(*names)
    assert [name for name in names if name not in text] == []


@pytest.mark.capability("L18")
def test_the_checks_page_shows_what_was_expected_and_seen(ui: Ui, page: Page) -> None:
    page.open(f"{ui.address}/assets/usdclp/performance_report?view=checks&checkDetail=interval_coverage")
    text = page.text_with("interval_coverage", "unknown: ", "effective n")
    assert "unknown: " in text
    assert "n 10, effective n" in text


def test_the_forecast_page_shows_description_columns_and_partitions(ui: Ui, page: Page) -> None:
    page.open(f"{ui.address}/assets/usdclp/forecast?view=overview")
    words = ("USD/CLP (dólar observado), in CLP per USD", "q975", "fx-desk")
    text = page.text_with(*words)
    assert [word for word in words if word not in text] == []


def test_the_desk_report_page_shows_the_summary_table(ui: Ui, page: Page) -> None:
    page.open(f"{ui.address}/assets/usdclp/desk_report?view=partitions&partition=2025-06-13")
    rows = SliceStore(str(ui.host.home / "store")).read(schemas.FORECAST, "usdclp", [("90d", "2025-06-13")])
    (deployed,) = rows.loc[rows["is_target"] & rows["is_active"]].itertuples()
    words = ("Target date", "95% range", f"{deployed.q025:,.2f} to {deployed.q975:,.2f}", "Good", "fan_chart")
    text = page.text_with(*words)
    assert [word for word in words if word not in text] == []
    width = page.evaluate(
        """new Promise((done) => {
          const link = [...document.querySelectorAll("tr")].find((row) => row.innerText.startsWith("fan_chart"));
          link.querySelector("a").click();
          const end = Date.now() + 20000;
          const look = () => {
            const picture = [...document.images].find((image) => image.src.startsWith("data:image/png"));
            if ((picture && picture.naturalWidth) || Date.now() > end) done(picture ? picture.naturalWidth : 0);
            else setTimeout(look, 100);
          };
          look();
        })"""
    )
    assert width > 600


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("language", ["es", "en"])
def test_the_report_fits_the_window(made: Made, page: Page, width: int, language: str) -> None:
    settings = load_settings(environ={"FOREX_HOME": str(made.host.home), "FOREX_OFFLINE": "1"})
    day = Pipeline(settings).snapshot("usdclp").as_of
    page.size(width, 1000)
    page.open((made.host.home / "reports" / "usdclp" / str(day) / f"report_{language}.html").as_uri())
    words = ("930,25",) if language == "es" else ("930.25",)
    assert all(word in page.text_with(*words) for word in words)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
