"""Settings are typed, carry their units, and are refused at load when they contradict each other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forex_assets import settings as settings_module
from forex_assets.clock import calendars
from forex_assets.errors import ConfigError
from forex_assets.settings import Settings, load_settings, packaged_config_dir

Edit = Callable[..., Settings]


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(packaged_config_dir(), tmp_path / "configs"))


@pytest.fixture
def load_with(config_dir: Path, tmp_path: Path) -> Edit:
    """Load the shipped configuration with one value changed: ``load_with("platform.yaml", "run", "days", 5)``."""

    def load(file: str, *path_and_value: Any, environ: dict[str, str] | None = None) -> Settings:
        *path, last, value = path_and_value
        body = yaml.safe_load((config_dir / file).read_text())
        place = body
        for part in path:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
        (config_dir / file).write_text(yaml.safe_dump(body, sort_keys=False))
        return load_settings(config_dir, environ or {"FOREX_HOME": str(tmp_path)})

    return load


def test_the_shipped_configuration_loads_usdclp_first(tmp_path: Path) -> None:
    settings = load_settings(environ={"FOREX_HOME": str(tmp_path)})
    assert next(iter(settings.pairs)) == "usdclp"
    assert settings.horizons == {"7d": 7, "15d": 15, "30d": 30, "90d": 90}
    assert settings.pair("usdclp").unit == "CLP per USD"
    assert (settings.home, settings.store_root, settings.offline) == (tmp_path, str(tmp_path / "store"), False)


@pytest.mark.capability("J06")
@pytest.mark.parametrize(
    ("file", "path", "percent"),
    [
        ("platform.yaml", ("quality", "jump_gross_log"), 25),
        ("platform.yaml", ("quality", "spike_log"), 5),
        ("platform.yaml", ("quality", "cross_source_tolerance_log"), 1),
        ("platform.yaml", ("quality", "spike_reversal_share"), 70),
        ("profiles/recommended.yaml", ("coverage", "level_nominal_share"), 95),
        ("profiles/recommended.yaml", ("coverage", "band_low_share"), 90),
        ("profiles/recommended.yaml", ("coverage", "band_high_share"), 99),
        ("profiles/classic.yaml", ("coverage", "min_share"), 90),
    ],
)
def test_a_percentage_where_a_fraction_is_meant_is_refused(
    load_with: Edit, file: str, path: tuple[str, ...], percent: int
) -> None:
    with pytest.raises(ConfigError, match=path[-1]) as caught:
        load_with(file, *path, percent)
    assert str(percent) in caught.value.message
    assert file in caught.value.message


@pytest.mark.capability("J06")
@pytest.mark.parametrize(
    ("file", "path", "value", "rule"),
    [
        ("platform.yaml", ("quality", "spike_log"), 0.3, "must be below quality.jump_gross_log"),
        ("platform.yaml", ("quality", "cross_source_tolerance_log"), 0.06, "must be below quality.spike_log"),
        ("profiles/recommended.yaml", ("coverage", "band_low_share"), 0.96, "band_low_share < level_nominal_share"),
        ("profiles/recommended.yaml", ("coverage", "band_high_share"), 0.94, "level_nominal_share < band_high_share"),
        ("platform.yaml", ("horizons",), {"15d": 15, "7d": 7}, "must grow"),
        ("platform.yaml", ("horizons",), {"7d": 8}, "must be named '8d'"),
        ("platform.yaml", ("forecast", "active_model"), "oracle", "not among forecast.models"),
        ("platform.yaml", ("forecast", "models"), ["ensemble"], "must hold random_walk"),
        ("series.yaml", ("series", "usdclp_fixing", "range"), [3000, 200], "low < high"),
    ],
)
def test_thresholds_out_of_order_are_refused_with_both_values(
    load_with: Edit, file: str, path: tuple[str, ...], value: Any, rule: str
) -> None:
    with pytest.raises(ConfigError, match=rule):
        load_with(file, *path, value)


@pytest.mark.capability("J06", "B26")
@pytest.mark.parametrize(
    ("file", "path", "value"),
    [
        ("platform.yaml", ("quality", "jump_gross"), 0.25),
        ("platform.yaml", ("run", "dayz"), 60),
        ("profiles/classic.yaml", ("coverage", "min_percent"), 90),
        ("series.yaml", ("series", "uf", "max_age_days"), 5),
        ("pairs/usdclp.yaml", ("horizon",), "7d"),
    ],
)
def test_an_unknown_key_is_refused_by_name(load_with: Edit, file: str, path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(ConfigError, match=path[-1]) as caught:
        load_with(file, *path, value)
    assert Path(file).name in caught.value.message


@pytest.mark.capability("J06", "J14")
@pytest.mark.parametrize("value", [True, "60", 0, -5, 1.5, 366])
def test_days_of_a_run_are_a_whole_number_from_1_to_365(load_with: Edit, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"run\.days"):
        load_with("platform.yaml", "run", "days", value)


@pytest.mark.capability("J06")
@pytest.mark.parametrize("value", [True, "0.25", 0, -0.1, float("nan"), float("inf")])
def test_a_limit_is_a_positive_finite_number(load_with: Edit, value: Any) -> None:
    with pytest.raises(ConfigError, match="jump_gross_log"):
        load_with("platform.yaml", "quality", "jump_gross_log", value)


@pytest.mark.parametrize(
    ("file", "path", "value", "said"),
    [
        ("series.yaml", ("series", "uf", "publication", "time"), "24:00", "time"),
        ("series.yaml", ("series", "uf", "publication", "time"), "9:00", "time"),
        ("series.yaml", ("series", "uf", "publication", "zone"), "America/Santigo", "IANA"),
        ("platform.yaml", ("schedules", "timezone"), "Santiago", "IANA"),
        ("platform.yaml", ("alerts", "outbox"), "/var/outbox.jsonl", "inside the home"),
        ("platform.yaml", ("alerts", "outbox"), "../outbox.jsonl", "inside the home"),
        ("platform.yaml", ("schema_version",), 2, "schema_version"),
        ("platform.yaml", ("quality",), None, "quality"),
        ("pairs/usdclp.yaml", ("base",), "usd", "base"),
        ("pairs/usdclp.yaml", ("id",), "USD CLP", "must match"),
        ("pairs/usdclp.yaml", ("id",), "usdpen", "name the file usdpen.yaml"),
        ("pairs/usdclp.yaml", ("drivers",), ["gold"], "'gold' is not in the catalogue"),
        ("pairs/usdclp.yaml", ("chains", "tpm"), [], "'tpm' has no source chain"),
        ("pairs/usdclp.yaml", ("chains", "tpm"), ["ecb"], "no address there"),
        ("pairs/usdclp.yaml", ("quote",), "PEN", "'CLP per USD'"),
        ("series.yaml", ("series",), ["uf"], "no mapping under 'series:'"),
        ("series.yaml", ("series", "uf"), "34000 CLP", "not its fields"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_at_load(
    load_with: Edit, file: str, path: tuple[str, ...], value: Any, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_with(file, *path, value)
    assert said in str(caught.value)
    assert caught.value.remedy


@pytest.mark.capability("B26")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"run: {days: 60", "not valid YAML"),
        (b"run:\n\t- tab", "not valid YAML"),
        (b"a: !!python/object/apply:os.system [true]", "not valid YAML"),
        (b"- a list", "must hold a mapping"),
        (b"", "must hold a mapping"),
        (b"\xff\xfe\x00", "Cannot read"),
        (b"schema_version: 1\nrun: {days: 1}\nrun: {days: 2}\n", "'run' is given twice"),
    ],
)
def test_a_malformed_file_is_named_with_its_fault(config_dir: Path, content: bytes, said: str) -> None:
    (config_dir / "platform.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load_settings(config_dir, {})
    assert "platform.yaml" in caught.value.message


@pytest.mark.capability("B26")
@pytest.mark.parametrize("file", ["platform.yaml", "series.yaml", "profiles/classic.yaml", "profiles/recommended.yaml"])
def test_a_missing_file_is_named(config_dir: Path, file: str) -> None:
    (config_dir / file).unlink()
    with pytest.raises(ConfigError, match=rf"Cannot read .*{Path(file).name}"):
        load_settings(config_dir, {})


def test_a_configuration_without_pairs_is_refused(config_dir: Path) -> None:
    shutil.rmtree(config_dir / "pairs")
    with pytest.raises(ConfigError, match="No pair is configured"):
        load_settings(config_dir, {})


def test_adding_a_pair_is_one_file(config_dir: Path) -> None:
    body = (config_dir / "pairs" / "usdzar.yaml").read_text().replace("usdzar", "usdzar_two", 1)
    body = body.replace("id: usdzar\n", "id: usdzar_two\n")
    (config_dir / "pairs" / "usdzar_two.yaml").write_text(body)
    assert "usdzar_two" in load_settings(config_dir, {}).pairs


def test_a_disabled_pair_is_left_out(load_with: Edit) -> None:
    assert "usdzar" not in load_with("pairs/usdzar.yaml", "enabled", False).pairs


@pytest.mark.capability("B26")
def test_the_environment_chooses_pairs_home_store_and_data(tmp_path: Path) -> None:
    settings = load_settings(
        environ={
            "FOREX_HOME": str(tmp_path / "h"),
            "FOREX_PAIRS": "eurusd, usdclp",
            "FOREX_STORE_ROOT": "memory://store",
            "FOREX_DATA_DIR": str(tmp_path),
            "FOREX_OFFLINE": "yes",
        }
    )
    assert list(settings.pairs) == ["eurusd", "usdclp"]
    assert (settings.home, settings.store_root) == (tmp_path / "h", "memory://store")
    assert (settings.data_dir, settings.offline) == (tmp_path, True)
    assert not (tmp_path / "h").exists(), "loading settings writes nothing"


@pytest.mark.capability("B26")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FOREX_PAIRS", "usdclp,usdpen", "'usdpen'"),
        ("FOREX_OFFLINE", "perhaps", "'perhaps' is neither true nor false"),
        ("FOREX_DATA_DIR", "/nowhere/at/all", "not a folder"),
        ("FOREX_CONFIG_DIR", "/nowhere/at/all", "Cannot read"),
    ],
)
def test_a_wrong_environment_is_refused_by_name_and_value(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(environ={name: value})


def test_an_unknown_pair_names_those_there_are(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"'usdpen' is not configured; configured: usdclp, ") as caught:
        load_settings().pair("usdpen")
    assert caught.value.exit_code == 2


def test_settings_cannot_be_changed_after_loading(home: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().platform.run.days = 5  # type: ignore[misc]


@pytest.mark.capability("E09")
def test_the_config_hash_changes_with_what_decides_a_number_and_with_nothing_else(load_with: Edit, home: Path) -> None:
    before = load_settings().config_hash("usdclp")
    assert load_settings().config_hash("usdclp_close") != before
    assert load_with("platform.yaml", "run", "days", 5).config_hash("usdclp") == before
    assert load_with("pairs/usdclp.yaml", "owners", ["team:other"]).config_hash("usdclp") == before
    assert load_with("pairs/eurusd.yaml", "active_model", "random_walk").config_hash("usdclp") == before
    changed = load_with("platform.yaml", "quality", "stale_run_length", 5).config_hash("usdclp")
    assert changed != before
    again = load_with("pairs/usdclp.yaml", "active_model", "random_walk")
    assert again.config_hash("usdclp") not in (before, changed)
    assert again.active_model("usdclp") == "random_walk"


def test_loading_settings_imports_no_heavy_library() -> None:
    heavy = ("pandas", "numpy", "dagster", "torch", "pyarrow")
    code = (
        "import sys, forex_assets.settings as s; s.load_settings(); import forex_assets.schemas;"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pair_cannot_redefine_a_series_of_the_catalogue(tmp_path: Path) -> None:
    folder = tmp_path / "configs"
    shutil.copytree(packaged_config_dir(), folder)
    body = yaml.safe_load((folder / "pairs" / "eurusd.yaml").read_text(encoding="utf-8"))
    catalogue = yaml.safe_load((folder / "series.yaml").read_text(encoding="utf-8"))["series"]
    body |= {"id": "eurusd_own", "series": {"eurusd_ecb": catalogue["eurusd_ecb"] | {"range": [0.1, 9]}}}
    (folder / "pairs" / "eurusd_own.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"eurusd_own\.yaml: series 'eurusd_ecb' is already declared in .*series\.yaml"
    ):
        load_settings(folder, {})


def test_an_unknown_calendar_is_refused_with_file_and_choices(tmp_path: Path) -> None:
    folder = tmp_path / "configs"
    shutil.copytree(packaged_config_dir(), folder)
    path = folder / "pairs" / "eurusd.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("[TARGET]", "[MARS]"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"eurusd\.yaml names the calendar 'MARS'; there are CL, US, TARGET, FX, ALL"):
        load_settings(folder, {})


def test_the_calendars_settings_know_are_those_of_the_clock() -> None:
    assert settings_module.CALENDARS == calendars.NAMES
