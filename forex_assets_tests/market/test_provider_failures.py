"""Every live adapter × every failure: an error and a fall-back, a row left out, or quarantine; never a wrong bar."""

from __future__ import annotations

import functools
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.ingest import Ingest, ingest
from forex_assets.market.sources import build_sources
from forex_assets.settings import Settings, load_settings
from forex_assets_tests.market.provider_cases import (
    CASES,
    ENDS,
    FAILURES,
    NOW,
    SPOILT,
    STORED_TO,
    Case,
    fixing,
    rendered,
    reply,
)
from forex_assets_tests.market.provider_server import PATIENT, Provider, Reply
from forex_assets_tests.market.test_chain import Scripted

DOCS = Path(__file__).resolve().parents[2] / "docs" / "providers.md"
TARGET = "usdclp_fixing"
HASTY = PATIENT.model_copy(update={"read_timeout_s": 0.1, "attempts": 1})
ROOMY = PATIENT.model_copy(update={"max_response_mb": 4})


@functools.cache
def packaged() -> Settings:
    return load_settings(environ={"FOREX_HOME": "nowhere"})


def settings_with(series: str, *chain: str) -> Settings:
    """Settings whose usdclp has the target and one series, asked in this order."""
    settings = packaged()
    chains = {TARGET: ["embedded"], series: list(chain)}
    pair = settings.pair("usdclp").model_copy(
        update={"chains": chains, "drivers": [name for name in chains if name != TARGET]}
    )
    return settings.model_copy(update={"pairs": {"usdclp": pair}})


@functools.cache
def official() -> Scripted:
    """The fixing, in place of the shipped one with its 25 years."""
    return Scripted("embedded", {str(day): value for day, value in fixing().items()}, now=NOW)


@functools.cache
def history(series: str) -> pd.DataFrame:
    """What is stored when the provider is asked: the series to :data:`STORED_TO`, from another source."""
    truth = next(case for case in CASES.values() if case.series == series).truth()
    past = Scripted("backup", {str(day): value for day, value in truth.items() if day <= STORED_TO}, now=NOW)
    sources = {"backup": past, "embedded": official()}
    return ingest(settings_with(series, "backup"), "usdclp", now=NOW, sources=sources).observations


def ingest_through(case: Case, url: str, *, patient: bool = True) -> Ingest:
    backup = Scripted("backup", {str(day): value for day, value in case.truth().items()}, is_local=False, now=NOW)
    with HttpGateway(ROOMY if patient else HASTY, cache_dir=None, now=NOW) as gateway:
        source = case.build(url, gateway)
        sources = {case.name: source, "backup": backup, "embedded": official()}
        settings = settings_with(case.series, case.name, "backup")
        return ingest(settings, "usdclp", now=NOW, stored=history(case.series), sources=sources)


def refusing_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def end_of(case: Case, result: Ingest, wrong: float | None) -> str:
    """Return what became of the failure, in the words of the table."""
    status = result.source_status
    row = status[(status["series"] == case.series) & (status["source"] == case.name)].iloc[0]
    if row["state"] == "failed":
        return "error"
    rows = result.observations[(result.observations["series"] == case.series)]
    mine = rows[rows["source"] == case.name]
    assert row["state"] == "answered", row["reason"]
    if (mine["withdrawn_at"].notna() & (mine["rule"] != "revision")).any():
        return "quarantine"
    if wrong is not None:
        assert not np.isclose(mine["value"], wrong).any()
        return "left out"
    return "read"


@pytest.mark.capability("L18", "E03", "E11")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("label", CASES)
def test_no_failure_of_a_provider_becomes_a_wrong_bar(provider: Provider, label: str, failure: str) -> None:
    case = CASES[label]
    if case.ends[failure] == "—":
        assert case.series == TARGET, "only a fixing has no bar that is not over"
        return
    wrong = None
    url = refusing_url() if failure == "refused" else provider.base_url
    if failure != "refused":
        answer, wrong = reply(case, failure)
        provider.always(answer)
    result = ingest_through(case, url, patient=failure != "slow")
    assert end_of(case, result, wrong) == case.ends[failure]
    rows = result.observations[result.observations["series"] == case.series]
    standing = rows[rows["withdrawn_at"].isna()]
    truth = case.truth()
    days = standing["event_time"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    expected = np.array([truth.get(day, np.nan) for day in days])
    np.testing.assert_allclose(standing["value"], expected, rtol=1e-9)
    status = result.source_status.set_index(["series", "source"])
    if case.ends[failure] == "error":
        assert status.loc[(case.series, "backup"), "state"] == "answered"
        assert SPOILT in days, "the next source serves what this one could not"
        told = status.loc[(case.series, case.name), "reason"]
        assert told
        assert "not-a-secret" not in told


@pytest.mark.capability("A01")
@pytest.mark.parametrize("label", CASES)
def test_a_sound_answer_is_used_as_it_is_meant(provider: Provider, label: str) -> None:
    case = CASES[label]
    provider.always(Reply(case.answer(case.dated(sorted(case.truth().items())))))
    result = ingest_through(case, provider.base_url)
    rows = result.observations[result.observations["series"] == case.series]
    mine = rows[rows["source"] == case.name]
    assert len(mine) >= 7
    assert mine["withdrawn_at"].isna().all()
    truth = case.truth()
    for time, value in zip(mine["event_time"], mine["value"], strict=True):
        assert value == pytest.approx(truth[np.datetime64(time.date())])


def test_the_table_in_the_docs_is_this_one() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert rendered() in text, "run python -m forex_assets_tests.market.provider_cases and paste its table"
    for end, meaning in ENDS.items():
        assert f"| {end} | {meaning} |" in text
    assert all(set(case.ends) == set(FAILURES) for case in CASES.values())


def test_every_adapter_there_is_has_its_column() -> None:
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway:
        sources = build_sources(packaged(), now=NOW, gateway=gateway, environ={})
    assert {case.name for case in CASES.values()} == {name for name, source in sources.items() if not source.is_local}
