"""Profiles are data: wrong units, wrong order and unknown keys are refused at load, with file, key and value."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forex_assets.errors import ConfigError
from forex_assets.settings import load_settings, packaged_config_dir


def load_with(folder: Path, file: str, old: str, new: str) -> None:
    """Load the packaged configuration with one text of a profile, or of the platform's file, changed."""
    configs = folder / "configs"
    shutil.copytree(packaged_config_dir(), configs)
    path = configs / (f"{file}.yaml" if file == "platform" else f"profiles/{file}.yaml")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    load_settings(configs, environ={"FOREX_HOME": str(folder / "home")})


@pytest.mark.capability("J06", "B17")
@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("classic", "alpha: 0.05", "alpha: 5", "alpha"),
        ("platform", "max_missing_share: 0.05", "max_missing_share: 5", "max_missing_share"),
        ("classic", "degraded_share: 0.15", "degraded_share: 15", "degraded_share"),
        ("classic", "critical_share: 0.30", "critical_share: 0.10", "must be below critical_share"),
        ("classic", "high_p: 0.001", "high_p: 0.02", "high_p < medium_p"),
        ("classic", "recent_days: 14", "recent_days: 90", "must be below baseline_days"),
        ("recommended", "critical: 75.0}", "critical: 40.0}", "grows with"),
        ("recommended", "recent_obs: 60", "recent_obs: 600", "must be below baseline_obs"),
        ("recommended", "persistence: 0.91", "persistence: 0.95", "must be below 1"),
        ("recommended", "skill_excess_share: 0.09", "skill_excess_share: 9", "skill_excess_share"),
        ("recommended", "quiet_business_days: 20", "quiet_business_days: 20\n  mood: good", "mood"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_with(tmp_path, file, old, new)
    assert words in str(refused.value)
    assert f"{file}.yaml" in str(refused.value)


@pytest.mark.capability("A04", "A05", "B10", "B11", "B17")
def test_the_classic_profile_holds_the_numbers_of_the_catalogue() -> None:
    classic = load_settings(environ={"FOREX_HOME": "/nowhere"}).classic
    performance, drift = classic.performance, classic.drift
    assert (performance.baseline_days, performance.recent_days) == (60, 14)
    assert (performance.degraded_share, performance.critical_share, performance.excellent_share) == (0.15, 0.30, -0.05)
    assert (performance.degraded_p, performance.critical_p) == (0.05, 0.01)
    assert (performance.min_baseline_rows, performance.min_recent_rows) == (10, 5)
    assert (drift.baseline_obs, drift.recent_obs, drift.alpha, drift.ljung_box_lags) == (90, 30, 0.05, 10)
    assert (drift.volatility_ratio, drift.high_p, drift.medium_p) == (1.5, 0.001, 0.01)
    assert (drift.ks_high_p, drift.ks_high_distance, drift.ks_medium_distance) == (0.01, 0.3, 0.2)
