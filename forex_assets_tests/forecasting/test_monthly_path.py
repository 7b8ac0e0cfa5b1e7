"""A horizon of twelve months: configured by name, with a path that steps from month to month to the same target."""

from __future__ import annotations

import numpy as np
import pytest

from forex_assets.errors import ConfigError
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.settings.platform import month_days
from forex_assets.simulation.worlds import random_walk_world


@pytest.fixture(scope="module")
def history() -> PriceHistory:
    world = random_walk_world(4, 900)
    return PriceHistory.from_bars(world.bars, world.calendar)


def test_the_path_of_a_year_has_a_row_a_month_and_ends_on_the_daily_paths_target(history: PriceHistory) -> None:
    day = history.event_date[-1:]
    models = ["random_walk", "rw_blend"]
    monthly = make_forecast(history, day, 365, models, "rw_blend", monthly=True)
    daily = make_forecast(history, day, 365, models, "rw_blend")
    of_model = monthly[monthly["model"] == "rw_blend"]
    assert 12 <= len(of_model) <= 13
    assert of_model["is_target"].tolist() == [False] * (len(of_model) - 1) + [True]
    gaps = np.diff(of_model["step_date"].to_numpy().astype("datetime64[D]").astype(int))
    assert (gaps[:-1] >= 25).all()
    assert (gaps <= 37).all()
    merged = monthly.merge(daily, on=["model", "step"], suffixes=("", "_daily"))
    assert len(merged) == len(monthly)
    np.testing.assert_array_equal(merged["q975"], merged["q975_daily"])


def test_a_path_shorter_than_a_month_has_its_target_alone(history: PriceHistory) -> None:
    made = make_forecast(history, history.event_date[-1:], 7, ["random_walk"], "random_walk", monthly=True)
    assert made["is_target"].tolist() == [True]


def test_months_as_horizons_have_their_days() -> None:
    assert [month_days(n) for n in (1, 3, 6, 12)] == [30, 91, 182, 365]


@pytest.mark.parametrize(("name", "days", "fine"), [("12m", 365, True), ("12m", 360, False), ("365x", 365, False)])
def test_a_horizon_in_months_is_checked_at_load(tmp_path, name: str, days: int, fine: bool) -> None:  # type: ignore[no-untyped-def]
    import shutil

    import yaml

    from forex_assets.settings import load_settings, packaged_config_dir

    folder = tmp_path / "configs"
    shutil.copytree(packaged_config_dir(), folder)
    path = folder / "platform.yaml"
    body = yaml.safe_load(path.read_text())
    body["horizons"][name] = days
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    if fine:
        assert load_settings(folder, {}).horizons["12m"] == 365
    else:
        with pytest.raises(ConfigError, match="must"):
            load_settings(folder, {})
