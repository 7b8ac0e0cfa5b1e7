"""Ingestion: what is taken from where, when it was known, and that nothing stored is ever lost."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forex_assets.errors import ConfigError, DataError, ValidationError
from forex_assets.market.asof import bars_as_of, quarantine
from forex_assets.market.ingest import Ingest, ingest
from forex_assets.schemas import OBSERVATIONS, SOURCE_STATUS
from forex_assets.settings import Settings, load_settings, packaged_config_dir
from forex_assets_tests.market.provider_server import Provider, Reply, Request, on_loopback
from forex_assets_tests.market.test_chain import Scripted, sessions

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
PROVENANCE = ("config_hash", "data_hash", "code_version")
DAY = dt.timedelta(days=1)


@pytest.fixture
def offline(home: Path) -> Settings:
    return load_settings()


def served(result: Ingest, series: str) -> dict[str, str]:
    rows = result.source_status[result.source_status["series"] == series]
    return dict(zip(rows["source"], rows["state"], strict=True))


def only(settings: Settings, *names: str) -> Settings:
    """Settings whose usdclp has only these series."""
    pair = settings.pair("usdclp")
    small = pair.model_copy(update={"chains": {name: pair.chains[name] for name in names}, "drivers": list(names[1:])})
    return settings.model_copy(update={"pairs": {"usdclp": small}})


@pytest.mark.capability("A01")
def test_usdclp_works_from_the_shipped_series_without_a_network(offline: Settings) -> None:
    result = ingest(offline, "usdclp", now=NOW)
    assert served(result, "usdclp_fixing") == {
        "siete": "not_configured",
        "mindicador": "not_configured",
        "findic": "not_configured",
        "folder": "not_configured",
        "embedded": "answered",
        "bis": "not_configured",
    }
    status = result.source_status
    assert set(status.loc[status["source"].isin(["siete", "mindicador"]), "reason"]) == {"offline"}
    target = result.observations[result.observations["series"] == "usdclp_fixing"]
    assert len(target) == 6343
    assert target["event_time"].max() == pd.Timestamp("2025-06-13", tz="UTC")
    assert (target["retrieved_at"] == pd.Timestamp(NOW)).all()
    result.require("usdclp_fixing")


def test_frames_are_the_declared_tables(offline: Settings) -> None:
    result = ingest(offline, "eurusd", now=NOW)
    for frame, table in ((result.observations, OBSERVATIONS), (result.source_status, SOURCE_STATUS)):
        stamped = frame.assign(**dict.fromkeys(PROVENANCE, "x"))
        pd.testing.assert_frame_equal(table.conform(stamped), stamped)
        assert list(stamped.columns) == list(table.column_names)


def test_without_a_network_is_stated_once_per_source(offline: Settings) -> None:
    notes = ingest(offline, "usdclp", now=NOW).notes
    assert len([note for note in notes if note.startswith("siete")]) == 1
    told = "mindicador: offline (usdclp_fixing, tpm, uf, imacec_yoy, copper_lme)"
    assert len([note for note in notes if note.startswith(told)]) == 1


@pytest.mark.capability("A01")
def test_folder_takes_over_and_the_record_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, market_data_dir: Path
) -> None:
    monkeypatch.setenv("FOREX_DATA_DIR", str(market_data_dir))
    result = ingest(load_settings(), "usdclp", now=NOW)
    assert served(result, "usdclp_fixing")["folder"] == "answered"
    assert served(result, "usdclp_fixing")["embedded"] == "not_needed"
    assert set(result.observations["source"]) == {"folder"}
    assert served(result, "vix") == {"folder": "answered", "fred": "not_configured", "yahoo": "not_configured"}


def test_market_close_needs_a_folder_and_says_what_is_missing(offline: Settings) -> None:
    result = ingest(offline, "usdclp_close", now=NOW)
    with pytest.raises(DataError, match=r"folder: not_configured \(FOREX_DATA_DIR is not set\)"):
        result.require("usdclp_close")


def test_market_close_from_the_folder(home: Path, monkeypatch: pytest.MonkeyPatch, market_data_dir: Path) -> None:
    monkeypatch.setenv("FOREX_DATA_DIR", str(market_data_dir))
    result = ingest(load_settings(), "usdclp_close", now=NOW)
    result.require("usdclp_close")
    assert not (result.observations["value"].isna()).any()


@pytest.mark.capability("K17")
def test_macro_values_carry_the_instant_of_their_publication(offline: Settings) -> None:
    rows = ingest(offline, "usdclp", now=NOW).observations
    cpi = rows[(rows["series"] == "ipc_yoy") & (rows["event_time"] == pd.Timestamp("2025-05-01", tz="UTC"))].iloc[0]
    assert cpi["available_at"] == pd.Timestamp("2025-06-09 09:00", tz="America/Santiago")
    activity = rows[(rows["series"] == "imacec_yoy") & (rows["event_time"] == pd.Timestamp("2025-04-01", tz="UTC"))]
    assert activity["available_at"].iloc[0] == pd.Timestamp("2025-06-02 09:00", tz="America/Santiago")


def test_ingesting_again_changes_nothing_but_the_status(offline: Settings) -> None:
    first = ingest(offline, "usdzar", now=NOW)
    stamped = first.observations.assign(**dict.fromkeys(PROVENANCE, "x"))
    again = ingest(offline, "usdzar", now=NOW + DAY, stored=stamped)
    pd.testing.assert_frame_equal(again.observations, first.observations)
    assert (again.source_status["asked_at"] == pd.Timestamp(NOW + DAY)).all()


def _ingest(
    settings: Settings,
    values: Mapping[str, Mapping[str, float]],
    *,
    now: dt.datetime,
    stored: pd.DataFrame | None = None,
) -> Ingest:
    chain = settings.pair("usdclp").chains["usdclp_fixing"]
    sources = {
        name: Scripted(name, values.get(name, {}), off=None if name in values else "off", now=now) for name in chain
    }
    return ingest(settings, "usdclp", now=now, stored=stored, sources=sources)


BASE = sessions("2025-03-03", "2025-06-13", 930.0) | {
    str(day): 930.0 + 3 * np.sin(place)
    for place, day in enumerate(np.array(list(sessions("2025-03-03", "2025-06-13")), dtype="datetime64[D]"))
}


@pytest.fixture
def fixing_only(offline: Settings) -> Settings:
    return only(offline, "usdclp_fixing")


@pytest.mark.capability("L05")
def test_changed_value_is_a_new_row_and_the_old_one_is_withdrawn_at_that_instant(fixing_only: Settings) -> None:
    first = _ingest(fixing_only, {"embedded": BASE}, now=NOW)
    revised = {**BASE, "2025-06-10": 941.25}
    second = _ingest(fixing_only, {"embedded": revised}, now=NOW + DAY, stored=first.observations)
    assert len(second.observations) == len(first.observations) + 1
    versions = second.observations[second.observations["event_time"] == pd.Timestamp("2025-06-10", tz="UTC")]
    old, new = versions.iloc[0], versions.iloc[1]
    assert old["value"] == BASE["2025-06-10"]
    assert old["retrieved_at"] == pd.Timestamp(NOW)
    assert (old["withdrawn_at"], old["rule"]) == (pd.Timestamp(NOW + DAY), "revision")
    assert old["reason"] == "embedded says 941.25 now"
    assert new["value"] == 941.25
    assert new["available_at"] == pd.Timestamp(NOW + DAY)
    assert pd.isna(new["withdrawn_at"])
    assert set(quarantine(second.observations)["rule"]) == {"revision"}


@pytest.mark.capability("L05")
def test_what_was_known_before_a_revision_stays_reproducible(fixing_only: Settings) -> None:
    first = _ingest(fixing_only, {"embedded": BASE}, now=NOW)
    revised = {**BASE, "2025-06-10": 941.25}
    second = _ingest(fixing_only, {"embedded": revised}, now=NOW + 3 * DAY, stored=first.observations)
    pair = fixing_only.pair("usdclp")
    for day in ("2025-06-13", "2026-11-21", "2026-11-23"):
        pd.testing.assert_frame_equal(
            bars_as_of(first.observations, pair, day), bars_as_of(second.observations, pair, day)
        )
    after = bars_as_of(second.observations, pair, "2026-11-24")
    assert after.loc[after["withdrawn_at"].notna(), "withdrawn_rule"].tolist() == ["revision"]


def test_revision_of_a_revision_keeps_all_three(fixing_only: Settings) -> None:
    held = None
    for step, value in enumerate((935.0, 936.0, 935.0)):
        result = _ingest(fixing_only, {"embedded": {**BASE, "2025-06-10": value}}, now=NOW + step * DAY, stored=held)
        held = result.observations
    assert held is not None
    versions = held[held["event_time"] == pd.Timestamp("2025-06-10", tz="UTC")]
    assert versions["value"].tolist() == [935.0, 936.0, 935.0]
    assert versions["withdrawn_at"].isna().tolist() == [False, False, True]


def test_revision_in_a_wrong_unit_does_not_cost_the_date_its_value(fixing_only: Settings) -> None:
    first = _ingest(fixing_only, {"embedded": BASE}, now=NOW)
    broken = {**BASE, "2025-06-10": BASE["2025-06-10"] / 100}
    second = _ingest(fixing_only, {"embedded": broken}, now=NOW + DAY, stored=first.observations)
    versions = second.observations[second.observations["event_time"] == pd.Timestamp("2025-06-10", tz="UTC")]
    assert versions["rule"].tolist() == [None, "unit"]
    bars = bars_as_of(second.observations, fixing_only.pair("usdclp"), "2026-11-24")
    good = bars.loc[bars["withdrawn_at"].isna() & (bars["event_date"] == pd.Timestamp("2025-06-10")), "value"]
    assert good.tolist() == [BASE["2025-06-10"]]


def test_two_changes_within_one_instant_are_still_two_rows(fixing_only: Settings) -> None:
    first = _ingest(fixing_only, {"embedded": BASE}, now=NOW)
    second = _ingest(fixing_only, {"embedded": {**BASE, "2025-06-10": 935.5}}, now=NOW, stored=first.observations)
    third = _ingest(fixing_only, {"embedded": {**BASE, "2025-06-10": 936.5}}, now=NOW, stored=second.observations)
    versions = third.observations[third.observations["event_time"] == pd.Timestamp("2025-06-10", tz="UTC")]
    assert versions["value"].tolist() == [BASE["2025-06-10"], 935.5, 936.5]


def test_source_of_higher_precedence_replaces_a_stored_date_only_where_values_differ(fixing_only: Settings) -> None:
    first = _ingest(fixing_only, {"embedded": BASE}, now=NOW)
    folder = {**BASE, "2025-06-10": 941.25, "2025-06-11": BASE["2025-06-11"] + 4e-7}
    second = _ingest(
        fixing_only, {"folder": folder, "embedded": BASE}, now=NOW + DAY, stored=first.observations
    ).observations
    assert second.loc[second["source"] == "folder", "event_time"].tolist() == [pd.Timestamp("2025-06-10", tz="UTC")]
    assert len(second) == len(first.observations) + 1


def test_source_of_lower_precedence_never_replaces_what_is_stored(fixing_only: Settings) -> None:
    first = _ingest(fixing_only, {"folder": BASE}, now=NOW)
    other = {day: value + 5 for day, value in BASE.items()}
    second = _ingest(fixing_only, {"embedded": other}, now=NOW + DAY, stored=first.observations)
    pd.testing.assert_frame_equal(second.observations, first.observations)


@pytest.mark.capability("L05")
def test_dates_a_source_no_longer_has_stay(fixing_only: Settings) -> None:
    first = _ingest(fixing_only, {"embedded": BASE}, now=NOW)
    second = _ingest(fixing_only, {"embedded": {}}, now=NOW + DAY, stored=first.observations)
    pd.testing.assert_frame_equal(second.observations, first.observations)
    assert served(second, "usdclp_fixing")["embedded"] == "empty"


def test_series_the_pair_no_longer_has_stay_as_they_were(offline: Settings) -> None:
    before = ingest(only(offline, "usdclp_fixing", "tpm"), "usdclp", now=NOW).observations
    after = ingest(only(offline, "usdclp_fixing"), "usdclp", now=NOW + DAY, stored=before).observations
    pd.testing.assert_frame_equal(after, before)


def test_value_not_published_yet_is_left_for_later_and_counted(offline: Settings) -> None:
    settings = only(offline, "usdclp_fixing", "wti")
    early = dt.datetime(2025, 6, 13, 12, tzinfo=dt.UTC)
    result = ingest(settings, "usdclp", now=early)
    oil = result.observations[result.observations["series"] == "wti"]
    # EIA's value of Thursday 5 June appears on Thursday 12 June; Friday's on the evening of the 13th.
    assert oil["event_time"].max() == pd.Timestamp("2025-06-05", tz="UTC")
    status = result.source_status
    reason = status.loc[(status["series"] == "wti") & (status["state"] == "answered"), "reason"].iloc[0]
    assert reason == "6 of its rows are not published yet by the series' rule"
    later = ingest(settings, "usdclp", now=early + 40 * DAY, stored=result.observations).observations
    assert later.loc[later["series"] == "wti", "event_time"].max() == pd.Timestamp("2025-06-13", tz="UTC")


def test_series_published_ahead_keep_their_coming_dates(offline: Settings) -> None:
    settings = only(offline, "usdclp_fixing", "uf")
    early = dt.datetime(2025, 5, 20, 12, tzinfo=dt.UTC)
    rows = ingest(settings, "usdclp", now=early).observations
    newest = rows.groupby("series")["event_time"].max()
    assert newest["uf"] >= pd.Timestamp("2025-06-09", tz="UTC")


def test_stored_rows_of_another_pair_are_refused(offline: Settings) -> None:
    stored = ingest(offline, "eurusd", now=NOW).observations
    with pytest.raises(DataError, match="eurusd"):
        ingest(offline, "usdzar", now=NOW, stored=stored)


def test_source_that_does_not_exist_is_a_configuration_error(offline: Settings) -> None:
    pair = offline.pair("usdzar").model_copy(update={"chains": {"usdzar_ecb": ["bloomberg", "ecb"]}, "drivers": []})
    with pytest.raises(ConfigError, match="chain of usdzar_ecb names the source 'bloomberg'"):
        ingest(offline.model_copy(update={"pairs": {"usdzar": pair}}), "usdzar", now=NOW)


def test_now_needs_a_time_zone_and_the_pair_must_exist(offline: Settings) -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        ingest(offline, "usdclp", now=NOW.replace(tzinfo=None))
    with pytest.raises(ConfigError, match="nope"):
        ingest(offline, "nope", now=NOW)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rounds=st.lists(
        st.dictionaries(
            st.sampled_from(sorted(BASE)[-12:]), st.floats(920, 940).map(lambda value: round(value, 2)), max_size=6
        ),
        min_size=2,
        max_size=4,
    ),
    names=st.lists(st.sampled_from(["folder", "embedded"]), min_size=4, max_size=4),
)
@pytest.mark.capability("L05")
def test_nothing_stored_is_ever_lost_and_the_past_stays_as_it_was_known(
    fixing_only: Settings, rounds: list[dict[str, float]], names: list[str]
) -> None:
    held: pd.DataFrame | None = None
    pair = fixing_only.pair("usdclp")
    identity = ["series", "event_time", "available_at", "source", "value", "retrieved_at", "payload_hash"]
    for step, (change, name) in enumerate(zip(rounds, names, strict=False)):
        moment = NOW + 2 * step * DAY
        rows = _ingest(fixing_only, {name: {**BASE, **change}}, now=moment, stored=held).observations
        standing = rows[rows["withdrawn_at"].isna()]
        assert standing["event_time"].is_unique
        assert not rows.duplicated(["series", "event_time", "available_at", "source"]).any()
        if held is not None:
            kept = rows.merge(held[identity], on=identity, how="inner")
            assert len(kept) == len(held)
            yesterday = (moment - DAY).date()
            pd.testing.assert_frame_equal(bars_as_of(held, pair, yesterday), bars_as_of(rows, pair, yesterday))
        held = rows


@pytest.mark.capability("A01")
def test_live_providers_extend_what_is_shipped(
    home: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = live_settings(home, provider, monkeypatch, tmp_path)

    def answer(request: Request) -> Reply:
        if request.path.startswith("/siete"):
            return Reply({"Codigo": -5, "Descripcion": "Invalid username or password", "Series": {"Obs": None}})
        if not request.path.startswith("/mindicador"):
            return Reply(status=404)
        slug, year = request.path.split("/")[2:]
        rows = [
            {"fecha": f"{day}T04:00:00.000Z", "valor": 940.0 + place % 5}
            for place, day in enumerate(sessions("2025-06-02", "2025-06-20"))
        ]
        return Reply({"codigo": slug, "serie": rows[::-1] if (slug, year) == ("dolar", "2025") else []})

    provider.answer = answer
    now = dt.datetime(2025, 6, 19, 23, tzinfo=dt.UTC)
    environ = {"BCCH_USER": "someone", "BCCH_PASS": "secret-pass"}
    first = ingest(settings, "usdclp", now=now, environ=environ)
    status = first.source_status[first.source_status["series"] == "usdclp_fixing"].set_index("source")
    assert status["state"].to_dict() == {
        "siete": "failed",
        "mindicador": "answered",
        "findic": "failed",  # asked for the fixing of the 23rd, which is due and the first mirror does not have yet
        "folder": "not_configured",
        "embedded": "answered",
        "bis": "failed",
    }
    assert "code -5" in status.loc["siete", "reason"]
    assert status.loc["mindicador", "last_event"] == pd.Timestamp("2025-06-19")
    assert not first.source_status["reason"].str.contains("secret-pass", na=False).any()
    newest = first.observations[first.observations["series"] == "usdclp_fixing"].iloc[-1]
    assert (newest["source"], newest["event_time"]) == ("mindicador", pd.Timestamp("2025-06-19", tz="UTC"))
    assert {request.path for request in provider.requests if "mindicador" in request.path} >= {"/mindicador/dolar/2025"}


@pytest.mark.capability("L18")
def test_provider_that_is_down_is_asked_once_and_the_run_goes_on(
    home: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = live_settings(home, provider, monkeypatch, tmp_path)
    provider.always(Reply(silent=True))
    result = ingest(settings, "usdclp", now=NOW, environ={})
    assert len(provider.requests) == settings.platform.providers.http.attempts
    (note,) = [note for note in result.notes if note.startswith("mindicador")]
    assert note.endswith("(usdclp_fixing, tpm, uf, imacec_yoy, copper_lme)")
    assert served(result, "usdclp_fixing")["mindicador"] == "failed"
    result.require("usdclp_fixing")


def live_settings(home: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The packaged configuration with providers on loopback and short time-outs, in a folder of its own."""
    folder = shutil.copytree(packaged_config_dir(), tmp_path / "configs")
    body = yaml.safe_load((folder / "platform.yaml").read_text(encoding="utf-8"))
    on_loopback(body["providers"], provider.base_url)
    (folder / "platform.yaml").write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(folder))
    monkeypatch.setenv("FOREX_OFFLINE", "0")
    return load_settings()
