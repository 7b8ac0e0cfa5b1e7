"""What the rules catch, and leave alone, in real files: defects of one source, and the shocks that really happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forex_assets import market
from forex_assets.clock import calendar_for
from forex_assets.market.quality import apply_quality, observation_schema
from forex_assets.settings import QualitySettings, SeriesSpec, Settings
from forex_assets_tests.conftest import REPO
from forex_assets_tests.market.observed import MARKET, NOW, YAHOO, from_file

pytestmark = pytest.mark.capability("E03")


@pytest.fixture(scope="module")
def judged(market_data_dir: Path, configured: Settings) -> pd.DataFrame:
    """Every daily file of the catalogue, and Yahoo's and the market's USD/CLP, judged together."""
    specs = {**configured.series, YAHOO.id: YAHOO, MARKET.id: MARKET}
    frames = [
        from_file(market_data_dir, YAHOO, "usdclp_yahoo_raw_daily.csv"),
        from_file(market_data_dir, MARKET, "usdclp_market_daily.csv", ohlc=True),
        *(
            from_file(market_data_dir, spec, **file_of(spec))
            for spec in configured.series.values()
            if "folder" in spec.addresses and (market_data_dir / file_of(spec)["file"]).is_file()
        ),
    ]
    observations = pd.concat(frames, ignore_index=True)
    out = apply_quality(observations, specs, configured.platform.quality, now=NOW)
    return out.assign(date=out["event_time"].dt.strftime("%Y-%m-%d"), year=out["event_time"].dt.year)


def file_of(spec: SeriesSpec) -> dict[str, Any]:
    address = spec.addresses["folder"]
    return {"file": address["file"], "column": address.get("column", "value"), "ohlc": bool(address.get("ohlc"))}


def of(judged: pd.DataFrame, series: str) -> pd.DataFrame:
    return judged[judged["series"] == series].set_index("date")


@pytest.mark.parametrize(
    ("date", "value", "rule"),
    [("2014-04-10", 5.46, "unit"), ("2016-12-22", 5.00, "range"), ("2019-12-02", 857.71, "cross_source")],
)
def test_yahoos_wild_values_are_withdrawn_on_arrival(judged: pd.DataFrame, date: str, value: float, rule: str) -> None:
    row = of(judged, YAHOO.id).loc[date]
    assert row["value"] == pytest.approx(value, abs=0.005)
    assert row["rule"] == rule
    assert row["withdrawn_at"] == row["available_at"]


def test_yahoos_stale_runs_are_withdrawn_but_for_their_first_quote(judged: pd.DataFrame) -> None:
    yahoo = of(judged, YAHOO.id)
    run = yahoo["value"].ne(yahoo["value"].shift()).cumsum()
    length = run.map(run.value_counts())
    assert length.max() == 8  # seven quotes equal to the one before
    longest = yahoo[length == 8]
    assert longest["rule"].notna().sum() == 7
    assert longest["rule"].eq("stale").sum() == 4
    # Shorter runs cover holidays, when nothing trades; without those days they are two quotes long.
    assert set(yahoo[(length >= 4) & (length < 8)]["rule"].dropna()) == {"calendar"}


def test_yahoo_rows_far_from_the_session_average_are_withdrawn_as_its_defects_are_known(
    judged: pd.DataFrame, market_data_dir: Path, configured: Settings
) -> None:
    flat = configured.platform.quality.model_copy(update={"cross_source_robust_sigma": 0.0})
    fixing = configured.series["usdclp_fixing"]
    both = pd.concat(
        [
            from_file(market_data_dir, YAHOO, "usdclp_yahoo_raw_daily.csv"),
            from_file(market_data_dir, fixing, "usdclp_observado_daily.csv", "value"),
        ],
        ignore_index=True,
    )
    at_one_percent = apply_quality(both, {YAHOO.id: YAHOO, fixing.id: fixing}, flat, now=NOW)
    counts = at_one_percent[at_one_percent["rule"] == "cross_source"]["event_time"].dt.year.value_counts()
    # As the data's own description counts them: 87, 79 and 36.
    assert counts[2011] == pytest.approx(87, abs=4)
    assert counts[2016] == pytest.approx(79, abs=4)
    assert counts[2017] == pytest.approx(36, abs=4)
    # As configured, a volatile reference widens the tolerance.
    yahoo = of(judged, YAHOO.id)
    configured_counts = yahoo[yahoo["rule"] == "cross_source"]["year"].value_counts()
    assert configured_counts[2011] >= 70
    assert configured_counts[2016] >= 55
    assert configured_counts[2017] >= 35
    assert configured_counts.sum() >= 200


def test_days_without_a_chilean_session_are_refused(judged: pd.DataFrame, market_data_dir: Path) -> None:
    file = pd.read_csv(market_data_dir / "usdclp_market_daily.csv")
    holidays = set(file.loc[file["cl_holiday"] == 1, "date"])
    market = of(judged, MARKET.id)
    assert set(market.index[market["rule"] == "calendar"]) == holidays
    assert market["rule"].drop(list(holidays)).isna().all()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2019-10-01", "2019-11-30"),
        ("2020-03-01", "2020-03-31"),
        ("2022-07-01", "2022-07-31"),
        ("2025-04-01", "2025-04-30"),
    ],
)
@pytest.mark.parametrize("name", ["usdclp_market", "usdclp_close", "usdclp_fixing"])
def test_the_real_shocks_of_the_peso_stand(judged: pd.DataFrame, name: str, start: str, end: str) -> None:
    rows = of(judged, name).loc[start:end]
    rows = rows[rows["rule"] != "calendar"]
    assert len(rows) >= 18
    assert rows["rule"].isna().all()


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("wti", "2020-04-20"),
        ("brent", "2020-04-21"),
        ("vix", "2018-02-05"),
        ("vix", "2020-03-12"),
        ("vix", "2020-03-16"),
        ("sp500", "2020-03-12"),
        ("sp500", "2020-03-16"),
        ("sp500", "2025-04-09"),
        ("copper_comex", "2011-09-22"),
        ("copper_comex", "2011-10-20"),
        ("usdzar_ecb", "2001-12-20"),
        ("usdzar_ecb", "2008-10-23"),
    ],
)
def test_the_real_shocks_of_other_markets_stand(judged: pd.DataFrame, name: str, date: str) -> None:
    assert pd.isna(of(judged, name).loc[date, "rule"])


def test_clean_series_lose_at_most_two_rows_in_a_thousand(judged: pd.DataFrame) -> None:
    clean = judged[~judged["series"].isin([YAHOO.id, MARKET.id, "fed_funds"]) & (judged["date"] >= "2010-01-01")]
    lost = clean["rule"].notna().groupby(clean["series"]).mean()
    assert lost.max() <= 0.002
    assert lost.drop("usdclp_close").max() == 0
    # The close inherits one stale run of the source it was joined from.
    assert of(judged, "usdclp_close")["rule"].dropna().to_dict() == dict.fromkeys(
        ["2014-05-02", "2014-05-05", "2014-05-06", "2014-05-07"], "stale"
    )


def test_a_rate_given_for_every_calendar_day_stands_on_business_days_only(judged: pd.DataFrame) -> None:
    rate = of(judged, "fed_funds")
    days = rate.index.to_numpy().astype("datetime64[D]")
    np.testing.assert_array_equal(rate["rule"].eq("calendar").to_numpy(), ~calendar_for("US").is_open(days))
    assert rate["rule"].dropna().eq("calendar").all()


def test_judged_files_satisfy_the_schema_of_their_series(judged: pd.DataFrame, configured: Settings) -> None:
    specs = {**configured.series, YAHOO.id: YAHOO, MARKET.id: MARKET}
    for name, rows in judged.groupby("series"):
        observation_schema(specs[str(name)]).validate(rows, lazy=True)


COUNTED = ("calendar", "unit", "range", "cross_source", "stale")


def documented_row(name: str, rules: pd.Series[Any]) -> str:
    counts = rules.value_counts()
    other = int(rules.notna().sum() - counts.reindex(list(COUNTED), fill_value=0).sum())
    cells = [f"`{name}`", f"{len(rules):,}", *(str(counts.get(rule, 0)) for rule in COUNTED), str(other)]
    return "| " + " | ".join([*cells, f"{rules.notna().mean():.2%}"]) + " |"


def test_the_documented_table_is_what_the_rules_catch(judged: pd.DataFrame) -> None:
    text = (REPO / "docs" / "data-quality.md").read_text(encoding="utf-8")
    measured = [documented_row(str(name), rows["rule"]) for name, rows in judged.groupby("series")]
    assert [line for line in text.splitlines() if line in measured] == measured


@pytest.mark.capability("E11")
def test_every_ecb_cross_keeps_every_row_but_single_days_taken_back_whole(
    market_data_dir: Path, configured: Settings
) -> None:
    frames, specs = [], {}
    for path in sorted(market_data_dir.glob("fx_*_ecb_daily.csv")):
        values = pd.read_csv(path).iloc[:, -1]
        update = {"id": path.name.split("_")[1], "range": (values.min() / 2, values.max() * 2)}
        spec = configured.series["eurusd_ecb"].model_copy(update=update)
        specs[spec.id] = spec
        frames.append(from_file(market_data_dir, spec, path.name, "value"))
    assert len(frames) == 12
    out = apply_quality(pd.concat(frames, ignore_index=True), specs, configured.platform.quality, now=NOW)
    bad = out[out["rule"].notna()]
    dates = bad["event_time"].dt.strftime("%Y-%m-%d")
    # A pegged currency that leaves its peg for one day, and one 1.8% spike of the won: errors of the rates themselves.
    assert set(zip(bad["series"], dates, strict=True)) == {
        ("usdcny", "2009-03-26"),
        ("usdcny", "2009-03-30"),
        ("usdcny", "2011-04-21"),
        ("usdkrw", "2001-11-05"),
    }
    assert set(bad["rule"]) == {"outlier"}


def test_the_series_shipped_with_the_package_keep_every_row(configured: Settings) -> None:
    folder = Path(market.__file__).parent / "embedded"
    shipped = {spec.id: spec for spec in configured.series.values() if "embedded" in spec.addresses}
    assert len(shipped) >= 8
    frames = []
    for spec in shipped.values():
        address = spec.addresses["embedded"]
        rows = from_file(folder, spec, address["file"] + ".gz", address.get("column", "value"))
        if address.get("sessions_only"):
            days = rows["event_time"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
            rows = rows[calendar_for(spec.calendar).is_open(days)]
        frames.append(rows)
    out = apply_quality(pd.concat(frames, ignore_index=True), shipped, configured.platform.quality, now=NOW)
    assert out["rule"].isna().all()


def test_limits_are_ordered(limits: QualitySettings) -> None:
    assert limits.spike_log < limits.jump_gross_log
    assert limits.spike_robust_sigma < limits.jump_robust_sigma
