"""The Bank's meetings: eight a year, felt the next business day, and known no earlier than they could be."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.clock import AsOf, as_of_instants, bcch, calendar_for, classic, santiago_dates
from forex_assets.errors import ConfigError
from forex_assets.settings import calendars_dir

OUTCOME = ["tpm_before", "tpm_after", "change_bp", "evidence"]


@pytest.mark.capability("K13")
def test_the_bank_holds_eight_regular_meetings_a_year() -> None:
    table = bcch.meetings()
    regular = table[table["kind"] == "regular"]
    assert regular.groupby(regular["announcement_date"].dt.year).size().to_dict() == dict.fromkeys(range(2018, 2027), 8)
    assert table.loc[table["kind"] == "special", "announcement_date"].dt.date.tolist() == [dt.date(2020, 3, 16)]


@pytest.mark.capability("K13")
def test_the_third_tuesday_is_not_when_the_bank_meets() -> None:
    meetings = bcch.meetings()["announcement_date"].to_numpy().astype("datetime64[D]")
    tuesdays = classic.third_tuesdays("2018-01-01", "2026-12-31")
    assert len(tuesdays) == 108
    assert np.isin(tuesdays, meetings).sum() == 9
    missed = classic.nearest_within(meetings, tuesdays, days=3) == -1
    assert missed.sum() == 57
    assert not np.isin(np.datetime64("2025-03-21"), tuesdays)


@pytest.mark.capability("K13")
def test_the_statement_comes_after_the_close_so_the_market_reacts_the_next_business_day() -> None:
    table = bcch.meetings().set_index("announcement_date")
    announced = table["announced_at"].dt.tz_convert("America/Santiago")
    assert set(announced.dt.time) == {dt.time(18, 0)}
    assert (announced.dt.date == table.index.date).all()
    assert (santiago_dates(table["announced_at"]) == table.index.to_numpy().astype("datetime64[D]")).all()
    # Summer and winter time differ in UTC; holidays are skipped (16 July, 8 December, 27 October).
    assert table.loc["2025-01-28", "announced_at"] == pd.Timestamp("2025-01-28T21:00Z")
    assert table.loc["2025-07-29", "announced_at"] == pd.Timestamp("2025-07-29T22:00Z")
    assert table.loc["2020-07-15", "reaction_date"] == pd.Timestamp("2020-07-17")
    assert table.loc["2020-12-07", "reaction_date"] == pd.Timestamp("2020-12-09")
    assert table.loc["2023-10-26", "reaction_date"] == pd.Timestamp("2023-10-30")
    days = table.index.to_numpy().astype("datetime64[D]")
    assert np.array_equal(table["reaction_date"].to_numpy().astype("datetime64[D]"), calendar_for("CL").add(days, 1))


@pytest.mark.capability("K13")
def test_the_policy_rate_changes_on_the_reaction_date_of_a_meeting(market_data_dir: Path) -> None:
    series = pd.read_csv(market_data_dir / "bcch_tpm_daily.csv", parse_dates=["date"]).set_index("date")["value"]
    steps = series.diff().loc["2018-01-01":]
    changed = steps[steps.abs() > 1e-9]
    table = bcch.meetings()
    moved = table[table["change_bp"].fillna(0) != 0].set_index("reaction_date")["change_bp"]
    assert sorted(changed.index) == sorted(moved.index)
    assert np.allclose(moved.loc[changed.index], changed * 100)


def test_rates_chain_from_meeting_to_meeting() -> None:
    table = bcch.meetings().dropna(subset=["tpm_after"])
    assert np.allclose(table["tpm_before"].iloc[1:], table["tpm_after"].iloc[:-1])
    assert np.allclose((table["tpm_after"] - table["tpm_before"]) * 100, table["change_bp"])


@pytest.mark.capability("K13", "K14")
def test_dates_of_a_year_are_known_from_october_of_the_year_before() -> None:
    assert bcch.meetings_known("2024-09-30")["announcement_date"].max() == pd.Timestamp("2024-12-17")
    assert bcch.meetings_known("2024-10-01")["announcement_date"].max() == pd.Timestamp("2025-12-16")


@pytest.mark.capability("K14")
def test_a_special_meeting_is_not_known_before_it_is_announced() -> None:
    special = pd.Timestamp("2020-03-16")
    assert special not in set(bcch.meetings_known("2020-03-15")["announcement_date"])
    assert special not in set(bcch.meetings_known("2020-03-16T17:59:00-03:00")["announcement_date"])
    assert special in set(bcch.meetings_known("2020-03-16T18:00:00-03:00")["announcement_date"])


@pytest.mark.capability("K14")
def test_a_decision_is_not_known_before_its_statement() -> None:
    before = bcch.meetings_known("2024-10-17T17:59:59-03:00").set_index("announcement_date")
    after = bcch.meetings_known("2024-10-17").set_index("announcement_date")
    assert before.loc["2024-10-17", OUTCOME].isna().all()
    assert after.loc["2024-10-17", "change_bp"] == -25


@given(st.dates(dt.date(2017, 9, 1), dt.date(2026, 12, 31)))
@pytest.mark.capability("K14")
def test_nothing_that_became_known_later_changes_what_was_known(day: dt.date) -> None:
    moment = pd.Timestamp(AsOf.parse(day).instant)
    known = bcch.meetings_known(day)
    assert (known["known_from"] <= moment).all()
    assert known.loc[known["announced_at"] > moment, OUTCOME].isna().all().all()
    programmes = bcch.interventions_known(day)
    assert (programmes["known_from"] <= moment).all()
    assert not (programmes["end"] > pd.Timestamp(day)).any()
    # The same question asked later about the same decisions gets the same answer.
    later = bcch.meetings_known(day + dt.timedelta(days=400))
    decided = known["announced_at"] <= moment
    pd.testing.assert_frame_equal(known[decided], later.iloc[: len(known)][decided])


@pytest.mark.capability("K13")
def test_an_intervention_is_not_a_policy_meeting() -> None:
    programmes = bcch.interventions()
    sales = programmes[programmes["kind"] == "sell_usd"]
    assert sales["announcement_date"].dt.date.tolist() == [dt.date(2019, 11, 28), dt.date(2022, 7, 14)]
    assert sales["size_usd_million"].tolist() == [20000, 25000]
    assert not set(sales["announcement_date"]) & set(bcch.meetings()["announcement_date"])
    days = programmes["announcement_date"].to_numpy().astype("datetime64[D]")
    assert np.array_equal(
        programmes["known_from"].dt.tz_convert(None).to_numpy().astype("datetime64[us]"), as_of_instants(days)
    )


def test_how_a_programme_ended_is_known_once_it_has() -> None:
    running = bcch.interventions_known("2022-08-01").set_index("announcement_date").loc["2022-07-14"]
    ended = bcch.interventions_known("2022-09-30").set_index("announcement_date").loc["2022-07-14"]
    assert pd.isna(running["end"])
    assert pd.isna(running["note"])
    assert ended["end"] == pd.Timestamp("2022-09-30")
    assert "6,150" in ended["note"]


def test_tables_cannot_be_changed_by_their_readers() -> None:
    for table, column in ((bcch.meetings(), "change_bp"), (bcch.interventions(), "kind")):
        table[column] = None
    assert (bcch.meetings()["change_bp"] == -100).any()
    assert (bcch.interventions()["kind"] == "sell_usd").any()


HEADER = "announcement_date,reaction_date,kind,tpm_before,tpm_after,change_bp,evidence\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "2025-06-17,2025-06-19,regular,,,,press\n", "next Chilean business day is 2025-06-18"),
        (HEADER + "2025-06-17,2025-06-18,secret,,,,press\n", "'secret' is no kind of meeting"),
        (HEADER + "17/06/2025,2025-06-18,regular,,,,press\n", "YYYY-MM-DD"),
        (HEADER + ",2025-06-18,regular,,,,press\n", "no announcement_date"),
        ("date,kind\n2025-06-17,regular\n", "must have the columns"),
        (None, "Cannot read the table"),
    ],
)
def test_a_wrong_table_is_named(
    text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "calendars"
    folder.mkdir()
    (folder / "cl.csv").write_bytes((calendars_dir({}) / "cl.csv").read_bytes())
    if text is not None:
        (folder / "bcch_meetings.csv").write_text(text, encoding="utf-8")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match=message):
        bcch.meetings()
