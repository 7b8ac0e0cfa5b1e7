"""Loading the settings from a configuration folder and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forex_assets.errors import ConfigError
from forex_assets.settings.added import added_dir, read_added
from forex_assets.settings.catalogue import PairSpec, SeriesSpec
from forex_assets.settings.deployment import DeploymentSettings
from forex_assets.settings.fields import CALENDARS
from forex_assets.settings.optimization import OptimizationSettings
from forex_assets.settings.platform import PlatformSettings
from forex_assets.settings.profiles import ClassicProfile, RecommendedProfile
from forex_assets.settings.reading import parse, read_yaml
from forex_assets.settings.resolved import Settings


def packaged_config_dir() -> Path:
    """Return the configuration shipped with the package, or the one of a source checkout."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "configs", package.parent / "configs"):
        if (candidate / "platform.yaml").is_file():
            return candidate
    raise ConfigError(
        f"No configuration found beside the package at {package}.",
        remedy="reinstall forex_assets, or set FOREX_CONFIG_DIR to a folder holding platform.yaml.",
    )


def calendars_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of calendar tables: that of ``FOREX_CONFIG_DIR`` when it has one, else the packaged one."""
    env = os.environ if environ is None else environ
    configured = env.get("FOREX_CONFIG_DIR")
    if configured:
        folder = Path(configured).expanduser().resolve() / "calendars"
        if folder.is_dir():
            return folder
    return packaged_config_dir() / "calendars"


def home_dir(environ: Mapping[str, str]) -> Path:
    """Return the home folder: FOREX_HOME, else ``.forex`` in the working folder."""
    return Path(environ.get("FOREX_HOME") or ".forex").expanduser().resolve()


def load_settings(config_dir: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Load settings from a configuration folder and the environment.

    Raises
    ------
    ConfigError
        When a file is missing, malformed, or breaks a rule; names file, value and rule.
    """
    env = os.environ if environ is None else environ
    folder = Path(config_dir or env.get("FOREX_CONFIG_DIR") or packaged_config_dir()).expanduser().resolve()
    home = home_dir(env)
    raw_data = env.get("FOREX_DATA_DIR")
    data_dir = Path(raw_data).expanduser().resolve() if raw_data else None
    if data_dir is not None and not data_dir.is_dir():
        raise ConfigError(
            f"FOREX_DATA_DIR points to {data_dir}, which is not a folder.",
            remedy="set it to an existing folder of market data, or unset it.",
        )
    catalogue = read_yaml(folder / "series.yaml").get("series")
    if not isinstance(catalogue, dict):
        raise ConfigError(
            f"{folder / 'series.yaml'} has no mapping under 'series:'.", remedy="list each series there by its id."
        )
    added, added_path = read_added(home), added_dir(home) / "series.yaml"
    pair_files = sorted((folder / "pairs").glob("*.yaml"))
    if not pair_files:
        raise ConfigError(f"No pair is configured in {folder / 'pairs'}.", remedy="add one YAML file per pair.")
    pairs: dict[str, PairSpec] = {}
    declared_in = dict.fromkeys(catalogue, folder / "series.yaml")
    for path in pair_files:
        spec = parse(PairSpec, added.with_chains(read_yaml(path)), path)
        if spec.id != path.stem:
            raise ConfigError(
                f"{path} declares the pair id {spec.id!r}.", remedy=f"name the file {spec.id}.yaml, or correct the id."
            )
        if spec.enabled:
            pairs[spec.id] = spec
            _add_series(catalogue, spec, path, declared_in)
    for name, body in added.pairs.items():
        if name in pairs:
            raise ConfigError(f"{added_path}: pair {name!r} is already configured.", remedy="delete it there.")
        pairs[name] = parse(PairSpec, {**body, "id": name}, added_path)
    added.into(catalogue, added_path)
    declared_in |= dict.fromkeys(added.series, added_path)
    series: dict[str, SeriesSpec] = {}
    for name, body in catalogue.items():
        if not isinstance(body, dict):
            raise ConfigError(
                f"{declared_in[name]}: series {name!r} holds {body!r}, not its fields.",
                remedy="give it label, unit, calendar, publication, range and addresses.",
            )
        series[name] = parse(SeriesSpec, {"id": name, **body}, declared_in[name])
        _check_calendars([series[name].calendar], f"{declared_in[name]}: series {name!r}")
    for name, each in series.items():
        _check_references(each, series, f"{declared_in[name]}: series {name!r}")
    for spec in pairs.values():
        _check_pair(spec, series, folder / "pairs" / f"{spec.id}.yaml")
    wanted = [name.strip() for name in env.get("FOREX_PAIRS", "").split(",") if name.strip()]
    for name in wanted:
        if name not in pairs:
            raise ConfigError(
                f"FOREX_PAIRS names {name!r}, which is not configured; configured: {', '.join(pairs)}.",
                remedy="correct FOREX_PAIRS, or add the pair.",
            )
    order = sorted(pairs, key=lambda name: (name != "usdclp", name))
    return Settings(
        config_dir=folder,
        home=home,
        store_root=env.get("FOREX_STORE_ROOT") or str(home / "store"),
        data_dir=data_dir,
        offline=_flag(env.get("FOREX_OFFLINE"), "FOREX_OFFLINE"),
        dry_run=_flag(env.get("FOREX_DRY_RUN"), "FOREX_DRY_RUN"),
        platform=parse(PlatformSettings, _platform(folder, env), folder / "platform.yaml"),
        deployment=parse(DeploymentSettings, read_yaml(folder / "deployment.yaml"), folder / "deployment.yaml"),
        optimization=parse(OptimizationSettings, read_yaml(folder / "optimization.yaml"), folder / "optimization.yaml"),
        recommended=parse(
            RecommendedProfile,
            read_yaml(folder / "profiles" / "recommended.yaml"),
            folder / "profiles" / "recommended.yaml",
        ),
        classic=parse(
            ClassicProfile, read_yaml(folder / "profiles" / "classic.yaml"), folder / "profiles" / "classic.yaml"
        ),
        series=series,
        pairs={name: pairs[name] for name in (wanted or order)},
    )


def _platform(folder: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """Return ``platform.yaml``, with the models of the classic profile where it asks for them.

    The checkpoints of ``FOREX_CHRONOS_PATH`` stand in place of its own.
    """
    body = read_yaml(folder / "platform.yaml")
    if (body.get("forecast") or {}).get("profile") == "classic":
        path = folder / "profiles" / "classic.yaml"
        classic = parse(ClassicProfile, read_yaml(path), path).forecast.model_dump()
        backtest = classic.pop("backtest")
        body = {**body, "forecast": {**body["forecast"], **classic}, "backtest": backtest}
    named = [item for item in env.get("FOREX_CHRONOS_PATH", "").split(os.pathsep) if item.strip()]
    if named:
        body = {**body, "chronos": {**(body.get("chronos") or {}), "locations": named}}
    return body


def _add_series(catalogue: dict[str, Any], spec: PairSpec, path: Path, declared_in: dict[str, Path]) -> None:
    """Add a pair's own series to the catalogue; an id has one meaning everywhere."""
    for name, body in spec.series.items():
        if name in catalogue:
            raise ConfigError(
                f"{path}: series {name!r} is already declared in {declared_in[name]}.",
                remedy="give the pair's own series another id, or use the one declared.",
            )
        catalogue[name] = body
        declared_in[name] = path


def _check_calendars(names: Sequence[str], where: str) -> None:
    for name in names:
        if name not in CALENDARS:
            raise ConfigError(
                f"{where} names the calendar {name!r}; there are {', '.join(CALENDARS)}.", remedy="use one of those."
            )


def _check_references(spec: SeriesSpec, series: Mapping[str, SeriesSpec], where: str) -> None:
    """Refuse a reference nobody declared: what is checked against it would be refused day after day."""
    named = {"reference": None if spec.reference is None else spec.reference.series}
    for source, body in spec.addresses.items():
        check = body.get("check")
        named[f"addresses.{source}.check"] = check.get("series") if isinstance(check, dict) else None
    for key, name in named.items():
        if name is not None and name not in series:
            raise ConfigError(
                f"{where}: {key} names the series {name!r}, which is not declared.",
                remedy="declare it in series.yaml, or name one of its series.",
            )


def _check_pair(spec: PairSpec, series: Mapping[str, SeriesSpec], path: Path) -> None:
    _check_calendars(spec.calendars, str(path))
    for name in spec.all_series:
        if name not in series:
            raise ConfigError(
                f"{path}: series {name!r} is not in the catalogue.",
                remedy="add it to series.yaml, or to `series:` in the pair's file.",
            )
        if not spec.chains.get(name):
            raise ConfigError(
                f"{path}: series {name!r} has no source chain.", remedy=f"add `{name}: [source, …]` under `chains:`."
            )
        for source in spec.chains[name]:
            if source not in series[name].addresses:
                raise ConfigError(
                    f"{path}: series {name!r} lists source {source!r} but has no address there.",
                    remedy=f"add `addresses.{source}` to the series, or take the source out of the chain.",
                )
    if series[spec.target.series].unit != spec.unit:
        raise ConfigError(
            f"{path}: target series {spec.target.series!r} is in {series[spec.target.series].unit!r}, "
            f"the pair in {spec.unit!r}.",
            remedy="declare base, quote and target so that the units agree.",
        )


def _flag(value: str | None, name: str) -> bool:
    text = (value or "").strip().lower()
    if text in ("", "0", "false", "no", "off"):
        return False
    if text in ("1", "true", "yes", "on"):
        return True
    raise ConfigError(f"{name}={value!r} is neither true nor false.", remedy=f"set {name} to 1 or 0.")
