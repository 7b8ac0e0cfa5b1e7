"""Typed settings, loaded from ``configs/*.yaml`` and the environment. Nothing else reads either.

Environment
-----------
``FOREX_HOME``
    The one folder everything is written under (default ``./.forex``).
``FOREX_CONFIG_DIR``
    A configuration folder instead of the packaged one.
``FOREX_DATA_DIR``
    A folder of market data (see docs/data-sources.md).
``FOREX_PAIRS``
    Comma-separated pair ids to load; default: every pair configured.
``FOREX_OFFLINE``
    ``1`` asks no live provider.
``FOREX_STORE_ROOT``
    Root of the slice store when it is not ``<home>/store`` (any universal_pathlib URL).
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from forex_assets.errors import ConfigError
from forex_assets.provenance import content_hash

#: Calendars of :mod:`forex_assets.clock` (a test holds the two equal).
CALENDARS = ("CL", "US", "TARGET", "FX", "ALL")
PAIR_ID = re.compile(r"^[a-z][a-z0-9_]{2,31}$")
# Strict: neither True nor "3" is a number.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
PositiveInt = Annotated[int, Field(gt=0, strict=True)]
_M = TypeVar("_M", bound=BaseModel)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"time zone {name!r} is not an IANA name such as America/Santiago") from error
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublicationRule(_Strict):
    """When a value dated ``t`` can first be known (see :mod:`forex_assets.market.publication`)."""

    rule: Literal["previous_business_day", "same_day", "business_days_after", "uf", "month_after"]
    time: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    zone: Zone
    days: int = 0
    months: int = 0
    day: int = 1


class ReferenceSeries(_Strict):
    """Another series that describes the same thing, ``shift_business_days`` later."""

    series: str
    shift_business_days: int = 0


class SeriesQuality(_Strict):
    """Which quality rules apply to a series (see :mod:`forex_assets.market.quality`)."""

    jump: bool = True
    stale: bool = True
    high_low: bool = True
    calendar: Literal["sessions", "weekdays", "any"] = "sessions"


class SeriesSpec(_Strict):
    """One series of the catalogue: its meaning, unit, publication and addresses."""

    id: str
    label: str
    unit: str
    calendar: str
    frequency: Literal["daily", "monthly"] = "daily"
    publication: PublicationRule
    range: tuple[float, float]
    max_age_business_days: PositiveInt
    basis: Literal["close", "fixing", "value"] = "value"
    change: Literal["log", "diff"] = "log"
    quality: SeriesQuality = SeriesQuality()
    reference: ReferenceSeries | None = None
    addresses: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _ordered_range(self) -> Self:
        if not self.range[0] < self.range[1]:
            raise ValueError(f"series {self.id}: range must be [low, high] with low < high, got {list(self.range)}")
        return self


class Target(_Strict):
    """What a pair's forecasts are about: one series, declared as a fixing or a close."""

    series: str
    kind: Literal["fixing", "close"]


class PairSpec(_Strict):
    """One pair: target, calendar, source chains and drivers."""

    id: str
    label: str
    base: str = Field(pattern=r"^[A-Z]{3}$")
    quote: str = Field(pattern=r"^[A-Z]{3}$")
    target: Target
    calendars: list[str] = Field(min_length=1)
    history_start: dt.date
    chains: dict[str, list[str]]
    drivers: list[str] = []
    owners: list[str] = []
    enabled: bool = True
    series: dict[str, dict[str, Any]] = {}
    active_model: str | None = None

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not PAIR_ID.match(value):
            raise ValueError(f"pair id {value!r} must match {PAIR_ID.pattern}")
        return value

    @property
    def unit(self) -> str:
        """Unit of the target, for example ``CLP per USD``."""
        return f"{self.quote} per {self.base}"

    @property
    def all_series(self) -> list[str]:
        """The target series first, then the drivers, each once."""
        reference = [name for name in self.chains if name not in (self.target.series, *self.drivers)]
        return list(dict.fromkeys([self.target.series, *self.drivers, *reference]))


class HttpSettings(_Strict):
    """Time-outs, retries and cache of every HTTP provider."""

    connect_timeout_s: Positive
    read_timeout_s: Positive
    attempts: PositiveInt
    backoff_initial_s: Positive
    backoff_max_s: Positive
    cache_hours_open_year: Positive
    max_response_mb: Positive = 16
    retry_after_max_s: Positive = 5.0
    circuit_open_s: Positive = 60.0
    circuit_open_max_s: Positive = 3600.0

    @model_validator(mode="after")
    def _ordered_circuit(self) -> Self:
        if not self.circuit_open_s <= self.circuit_open_max_s:
            raise ValueError(
                f"providers.http.circuit_open_s ({self.circuit_open_s}) must not be above circuit_open_max_s "
                f"({self.circuit_open_max_s})"
            )
        return self


class LiveProvider(_Strict):
    """A live provider: whether it is asked, its address, how often, and a shorter time-out where it has one."""

    enabled: bool = True
    base_url: str
    max_requests_per_s: Positive
    read_timeout_s: Positive | None = None


class SieteSettings(_Strict):
    """BCCh SIETE; credentials come from ``BCCH_USER`` and ``BCCH_PASS`` only."""

    base_url: str
    max_requests_per_s: Positive


class FredSettings(LiveProvider):
    """FRED: ``base_url`` is the graph's CSV; the API needs ``FRED_API_KEY``."""

    api_url: str


class EcbLiveSettings(LiveProvider):
    """ECB: ``base_url`` is the SDMX service, ``archive_url`` the zip of the whole history."""

    archive_url: str


class YahooSettings(LiveProvider):
    """Yahoo's chart service and its second host; it refuses clients that do not look like a browser."""

    other_urls: list[str] = []
    user_agent: str


class ProviderSettings(_Strict):
    """Live providers."""

    http: HttpSettings
    mindicador: LiveProvider
    findic: LiveProvider
    siete: SieteSettings
    fred: FredSettings
    ecb_live: EcbLiveSettings
    bis: LiveProvider
    yahoo: YahooSettings
    stooq: LiveProvider
    alphavantage: LiveProvider
    xe: LiveProvider

    def addresses(self) -> dict[str, str]:
        """Return the address of every live provider by its name in the chains."""
        return {name: getattr(self, name).base_url for name in type(self).model_fields if name != "http"}


class QualitySettings(_Strict):
    """Limits of the quality rules (log units are natural logarithms of price ratios)."""

    jump_gross_log: Positive
    jump_robust_sigma: Positive
    spike_log: Positive
    spike_reversal_share: Annotated[float, Field(gt=0, le=1)]
    stale_run_length: Annotated[int, Field(ge=2)]
    cross_source_tolerance_log: Positive
    cross_source_robust_sigma: Annotated[float, Field(ge=0)]
    spike_robust_sigma: Positive
    unit_tolerance_log: Annotated[float, Field(gt=0, lt=1)]
    ohlc_tolerance_log: Annotated[float, Field(ge=0, lt=0.1)]
    volatility_window_rows: Annotated[int, Field(ge=20)]
    volatility_fast_rows: Annotated[int, Field(ge=5)]
    future_tolerance_hours: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.spike_log < self.jump_gross_log:
            raise ValueError(
                f"quality.spike_log ({self.spike_log}) must be below quality.jump_gross_log ({self.jump_gross_log}): "
                "both are log price ratios, so 0.05 is about 5%"
            )
        if self.jump_gross_log > 1:
            raise ValueError(f"quality.jump_gross_log is a log ratio, {self.jump_gross_log} looks like a percentage")
        if not self.cross_source_tolerance_log < self.spike_log:
            raise ValueError(
                f"quality.cross_source_tolerance_log ({self.cross_source_tolerance_log}) must be below "
                f"quality.spike_log ({self.spike_log}): both are log price ratios, so 0.01 is about 1%"
            )
        return self


class ForecastSettings(_Strict):
    """Which models run and which one is deployed."""

    profile: str
    active_model: str
    models: list[str] = Field(min_length=1)
    max_last_value_age_business_days: PositiveInt
    seed: int


class BacktestSettings(_Strict):
    """Origins of the walk-forward backtest."""

    start: dt.date
    every_business_days: PositiveInt


class RunSettings(_Strict):
    """Defaults of ``forex run``."""

    days: Annotated[int, Field(ge=1, le=365, strict=True)]


class AlertSettings(_Strict):
    """Where alerts are queued, relative to the home folder, and how long one silences its repeats."""

    outbox: str
    cooldown_hours: Annotated[float, Field(ge=0)]

    @field_validator("outbox")
    @classmethod
    def _inside_home(cls, value: str) -> str:
        path = Path(value)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"outbox {value!r} must be a path inside the home folder")
        return value


class ScheduleSettings(_Strict):
    """Cron expressions in the desk's zone."""

    timezone: Zone
    daily_run: str
    dashboard: str
    weekly_validation: str
    daily_check: str


class PlatformSettings(_Strict):
    """``platform.yaml``."""

    schema_version: Literal[1]
    horizons: dict[str, PositiveInt]
    forecast: ForecastSettings
    backtest: BacktestSettings
    run: RunSettings
    quality: QualitySettings
    providers: ProviderSettings
    alerts: AlertSettings
    schedules: ScheduleSettings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        days = list(self.horizons.values())
        if days != sorted(set(days)):
            raise ValueError(f"horizons must grow and not repeat, got {days}")
        for name, value in self.horizons.items():
            if name != f"{value}d":
                raise ValueError(f"horizon {name!r} must be named '{value}d'")
        if self.forecast.active_model not in self.forecast.models:
            raise ValueError(
                f"forecast.active_model {self.forecast.active_model!r} is not among forecast.models "
                f"{self.forecast.models}"
            )
        if "random_walk" not in self.forecast.models:
            raise ValueError("forecast.models must hold random_walk, the yardstick beside every forecast")
        return self


class CoverageBand(_Strict):
    """Tolerance of the 95% interval's coverage."""

    level_nominal_share: Annotated[float, Field(gt=0, lt=1)]
    band_low_share: Annotated[float, Field(gt=0, lt=1)]
    band_high_share: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.band_low_share < self.level_nominal_share < self.band_high_share:
            raise ValueError(
                "coverage needs band_low_share < level_nominal_share < band_high_share, got "
                f"{self.band_low_share}, {self.level_nominal_share}, {self.band_high_share}"
            )
        return self


class BiasBand(_Strict):
    """Tolerance of the mean error in the model's own standard deviations."""

    band_abs_sigma: Positive


class RecommendedProfile(_Strict):
    """``profiles/recommended.yaml``."""

    name: Literal["recommended"]
    coverage: CoverageBand
    bias: BiasBand
    min_effective_n: Positive


class ClassicCoverage(_Strict):
    """A17."""

    min_share: Annotated[float, Field(gt=0, lt=1)]


class ClassicBias(_Strict):
    """A18."""

    max_abs_quote_units: Positive


class ClassicProfile(_Strict):
    """``profiles/classic.yaml``."""

    name: Literal["classic"]
    coverage: ClassicCoverage
    bias: ClassicBias


class Settings(_Strict):
    """Everything the platform is configured with, resolved once."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, ignored_types=(cached_property,)
    )

    config_dir: Path
    home: Path
    store_root: str
    data_dir: Path | None
    offline: bool
    platform: PlatformSettings
    recommended: RecommendedProfile
    classic: ClassicProfile
    series: dict[str, SeriesSpec]
    pairs: dict[str, PairSpec]

    @property
    def horizons(self) -> dict[str, int]:
        """Horizon name → calendar days, in growing order."""
        return self.platform.horizons

    def pair(self, pair_id: str) -> PairSpec:
        """Return a pair by id.

        Raises
        ------
        ConfigError
            When no such pair is configured.
        """
        try:
            return self.pairs[pair_id]
        except KeyError:
            if not PAIR_ID.match(pair_id):
                raise ConfigError(
                    f"Pair {pair_id!r} is no pair id: {PAIR_ID.pattern}.",
                    remedy=f"use one of {', '.join(self.pairs)}.",
                ) from None
            raise ConfigError(
                f"Pair {pair_id!r} is not configured; configured: {', '.join(self.pairs) or 'none'}.",
                remedy=f"use one of those, or add {self.config_dir / 'pairs'}/{pair_id}.yaml (docs/add-a-pair.md).",
            ) from None

    def active_model(self, pair_id: str) -> str:
        """Return the model a pair deploys until a configuration earns its place."""
        return self.pair(pair_id).active_model or self.platform.forecast.active_model

    def config_hash(self, pair_id: str) -> str:
        """Return the hash of everything that decides a pair's numbers: pair, target, series, models, quality."""
        return content_hash(self.config_content(pair_id))

    def config_content(self, pair_id: str) -> dict[str, Any]:
        """Return what :meth:`config_hash` is the hash of, as plain values."""
        pair = self.pair(pair_id)
        return {
            "pair": pair.model_dump(mode="json", exclude={"owners", "label", "enabled"}),
            "series": {name: self.series[name].model_dump(mode="json") for name in sorted(pair.all_series)},
            "forecast": self.platform.forecast.model_dump(mode="json"),
            "active_model": self.active_model(pair_id),
            "backtest": self.platform.backtest.model_dump(mode="json"),
            "quality": self.platform.quality.model_dump(mode="json"),
            "horizons": self.platform.horizons,
        }


def packaged_config_dir() -> Path:
    """Return the configuration shipped with the package, or the one of a source checkout."""
    package = Path(__file__).resolve().parent
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


def load_settings(config_dir: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Load settings from a configuration folder and the environment.

    Raises
    ------
    ConfigError
        When a file is missing, malformed, or breaks a rule; names file, value and rule.
    """
    env = os.environ if environ is None else environ
    folder = Path(config_dir or env.get("FOREX_CONFIG_DIR") or packaged_config_dir()).expanduser().resolve()
    home = Path(env.get("FOREX_HOME") or ".forex").expanduser().resolve()
    raw_data = env.get("FOREX_DATA_DIR")
    data_dir = Path(raw_data).expanduser().resolve() if raw_data else None
    if data_dir is not None and not data_dir.is_dir():
        raise ConfigError(
            f"FOREX_DATA_DIR points to {data_dir}, which is not a folder.",
            remedy="set it to an existing folder of market data, or unset it.",
        )
    catalogue = _read_yaml(folder / "series.yaml").get("series")
    if not isinstance(catalogue, dict):
        raise ConfigError(
            f"{folder / 'series.yaml'} has no mapping under 'series:'.", remedy="list each series there by its id."
        )
    pair_files = sorted((folder / "pairs").glob("*.yaml"))
    if not pair_files:
        raise ConfigError(f"No pair is configured in {folder / 'pairs'}.", remedy="add one YAML file per pair.")
    pairs: dict[str, PairSpec] = {}
    declared_in = dict.fromkeys(catalogue, folder / "series.yaml")
    for path in pair_files:
        spec = _parse(PairSpec, _read_yaml(path), path)
        if spec.id != path.stem:
            raise ConfigError(
                f"{path} declares the pair id {spec.id!r}.", remedy=f"name the file {spec.id}.yaml, or correct the id."
            )
        if spec.enabled:
            pairs[spec.id] = spec
            _add_series(catalogue, spec, path, declared_in)
    series: dict[str, SeriesSpec] = {}
    for name, body in catalogue.items():
        if not isinstance(body, dict):
            raise ConfigError(
                f"{declared_in[name]}: series {name!r} holds {body!r}, not its fields.",
                remedy="give it label, unit, calendar, publication, range and addresses.",
            )
        series[name] = _parse(SeriesSpec, {"id": name, **body}, declared_in[name])
        _check_calendars([series[name].calendar], f"{declared_in[name]}: series {name!r}")
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
        platform=_parse(PlatformSettings, _read_yaml(folder / "platform.yaml"), folder / "platform.yaml"),
        recommended=_parse(
            RecommendedProfile,
            _read_yaml(folder / "profiles" / "recommended.yaml"),
            folder / "profiles" / "recommended.yaml",
        ),
        classic=_parse(
            ClassicProfile, _read_yaml(folder / "profiles" / "classic.yaml"), folder / "profiles" / "classic.yaml"
        ),
        series=series,
        pairs={name: pairs[name] for name in (wanted or order)},
    )


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


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error, instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse repeated keys, then build the mapping as usual."""
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigError(f"Cannot read {path}: {why}.", remedy="restore the file or its permissions.") from error
    try:
        body = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506  # nosec B506
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.", remedy="correct the file.") from error
    if not isinstance(body, dict):
        raise ConfigError(
            f"{path} must hold a mapping, it holds {type(body).__name__}.", remedy="see docs/architecture.md."
        )
    return body


def _parse(model: type[_M], body: Mapping[str, Any], path: Path) -> _M:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        lines = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']} (got {item.get('input')!r:.80})"
            for item in error.errors()
        )
        where = f"{path} ({body.get('id', 'settings')})"
        raise ConfigError(f"{where}: {lines}.", remedy="correct the values named.") from error
