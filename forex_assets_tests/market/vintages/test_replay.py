"""Ingestions from a live provider are made again from the payloads it gave, byte for byte, without asking it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from forex_assets.market.ingest import ingest
from forex_assets.market.vintages.archive import RawArchive
from forex_assets.market.vintages.replay import replay
from forex_assets_tests.market.provider_server import Provider, Reply, Request
from forex_assets_tests.market.shipped import read_embedded
from forex_assets_tests.market.test_loopback import configure


@pytest.mark.capability("E03", "K17")
def test_a_revision_by_a_live_provider_is_replayed(
    home: Path, tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = configure(tmp_path / "configs", provider, monkeypatch)
    chains = {"usdclp_fixing": ["mindicador", "findic"]}
    update = {"chains": chains, "drivers": [], "history_start": dt.date(2024, 6, 3)}
    backtest = loaded.platform.backtest.model_copy(update={"start": dt.date(2024, 6, 3)})
    settings = loaded.model_copy(
        update={
            "pairs": {"usdclp": loaded.pair("usdclp").model_copy(update=update)},
            "platform": loaded.platform.model_copy(update={"backtest": backtest}),
        }
    )
    fixing = read_embedded("usdclp_fixing")
    known = {"until": "", "change": 0.0}

    def answer(request: Request) -> Reply:
        _, slug, year = request.path.strip("/").split("/")
        rows = fixing[(fixing["date"].dt.year == int(year)) & (fixing["date"] <= known["until"])].copy()
        if len(rows) and year == "2025":
            rows.loc[rows.index[-3], "value"] += known["change"]
        serie = [{"fecha": f"{d:%Y-%m-%d}", "valor": v} for d, v in rows[["date", "value"]].to_numpy()]
        return Reply({"codigo": slug, "serie": serie[::-1]})

    provider.answer = answer
    archive, stored, made = RawArchive(home), None, None
    for day, change in ((9, 0.0), (10, 0.0), (11, 1.25)):
        known.update(until=f"2025-06-{day + 1:02d}", change=change)
        moment = dt.datetime(2025, 6, day, 23, tzinfo=dt.UTC)
        made = ingest(settings, "usdclp", now=moment, stored=stored, archive=archive)
        stored = made.observations
    assert made is not None
    assert (made.observations["rule"] == "revision").sum() == 1
    asked = len(provider.requests)
    again = replay(settings, "usdclp", archive)
    assert again is not None
    columns = [name for name in made.observations.columns if name != "payload_hash"]
    pd.testing.assert_frame_equal(again.observations[columns], made.observations[columns], check_dtype=False)
    assert len(provider.requests) == asked, "nobody was asked"
    assert archive.verify() == []
