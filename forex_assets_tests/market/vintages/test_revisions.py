"""What was known when, what changed since, what a person put back, and all of it again from the payloads."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import AsOf
from forex_assets.errors import DataError, ValidationError
from forex_assets.market.ingest import ingest
from forex_assets.market.vintages.archive import RawArchive
from forex_assets.market.vintages.releases import release
from forex_assets.market.vintages.replay import replay
from forex_assets.market.vintages.revisions import diff, known_as_of, revisions
from forex_assets.pipeline import Pipeline
from forex_assets.settings import Settings, load_settings

DAYS = pd.to_datetime(["2025-06-09", "2025-06-10", "2025-06-11"])


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def write(folder: Path, values: list[float]) -> None:
    dates = pd.bdate_range("2025-02-03", periods=len(values)).strftime("%Y-%m-%d")
    rows = [f"{day},{value}" for day, value in zip(dates, values, strict=True)]
    (folder / "usdclp_close_long_daily.csv").write_text(
        "date,close,source\n" + "".join(f"{row},market\n" for row in rows), encoding="utf-8"
    )


@pytest.fixture
def desk(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A pair on one file of closes in a folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("FOREX_DATA_DIR", str(folder))
    loaded = load_settings()
    pair = loaded.pair("usdclp_close")
    only = pair.model_copy(update={"chains": {"usdclp_close": ["folder"]}, "drivers": []})
    return loaded.model_copy(update={"pairs": {"usdclp_close": only}})


def series_of(n: int = 40) -> list[float]:
    return [round(940 + 3 * float(np.sin(i)), 2) for i in range(n)]


def naive(observations: pd.DataFrame, instant: dt.datetime) -> dict[tuple[str, str], float]:
    """The plain twin of known_as_of."""
    known: dict[tuple[str, str], tuple[pd.Timestamp, float]] = {}
    for row in observations.itertuples():
        gone = not pd.isna(row.withdrawn_at) and row.withdrawn_at <= pd.Timestamp(instant)
        if row.available_at > pd.Timestamp(instant) or gone:
            continue
        key = (row.series, f"{row.event_time:%Y-%m-%d}")
        if key not in known or row.available_at >= known[key][0]:
            known[key] = (row.available_at, row.value)
    return {key: value for key, (_, value) in known.items()}


@pytest.mark.capability("E03", "K17")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.integers(0, 3),
            st.integers(0, 20),
            st.floats(1, 2),
            st.none() | st.integers(0, 20),
        ),
        max_size=30,
        unique_by=lambda row: (row[0], row[1], row[2]),
    ),
    st.integers(0, 20),
)
def test_an_as_of_read_is_what_the_plain_twin_says(
    rows: list[tuple[str, int, int, float, int | None]], hour: int
) -> None:
    base = pd.Timestamp("2025-06-01", tz="UTC")
    frame = pd.DataFrame(rows, columns=["series", "event_time", "available_at", "value", "withdrawn_at"])
    frame["event_time"] = base + pd.to_timedelta(frame["event_time"].astype(float), unit="D")
    for name in ("available_at", "withdrawn_at"):
        frame[name] = base + pd.to_timedelta(frame[name].astype(float), unit="h")
    frame["source"] = "x"
    instant = (base + pd.Timedelta(hours=hour)).to_pydatetime()
    read = known_as_of(frame, AsOf(instant))
    got = {(s, f"{d:%Y-%m-%d}"): v for s, d, v in zip(read["series"], read["event_date"], read["value"], strict=True)}
    assert got == naive(frame, instant)


@pytest.mark.capability("B02", "J13", "K17", "E03")
def test_a_revision_is_reported_and_what_was_known_before_stays(desk: Settings) -> None:
    assert desk.data_dir is not None
    values = series_of()
    write(desk.data_dir, values)
    pipeline = Pipeline(desk)
    pipeline.data.write_ingest("usdclp_close", now=pd.Timestamp(at("2025-05-01T12:00")))
    changed = [*values[:-2], values[-2] + 1.5, values[-1]]
    write(desk.data_dir, changed)
    pipeline.data.write_ingest("usdclp_close", now=pd.Timestamp(at("2025-05-05T12:00")))
    observations = pipeline.data.stored_observations("usdclp_close")
    assert observations is not None
    (row,) = revisions(observations).to_dict("records")
    assert (row["kind"], row["old_value"], row["change"]) == ("revised", values[-2], pytest.approx(1.5))
    assert row["change_percent"] == pytest.approx(150 / values[-2])
    assert row["new_known_at"] == pd.Timestamp(at("2025-05-05T12:00"))
    before, after = AsOf(at("2025-05-04T12:00")), AsOf(at("2025-05-06T12:00"))
    assert known_as_of(observations, before)["value"].tolist() == values
    assert known_as_of(observations, after)["value"].tolist() == changed
    told = diff(observations, before, after)
    assert told[["kind", "first_value", "second_value"]].to_numpy().tolist() == [
        ["changed", values[-2], pytest.approx(values[-2] + 1.5)]
    ]
    assert set(diff(observations, AsOf(at("2025-02-20T00:00")), before)["kind"]) == {"new"}
    assert len(revisions(observations, since=at("2025-05-06T00:00"))) == 0
    assert len(revisions(observations, until=at("2025-05-04T00:00"))) == 0
    assert len(revisions(observations, series=["tpm"])) == 0


@pytest.mark.capability("E03")
def test_everything_can_be_made_again_from_the_payloads(desk: Settings) -> None:
    assert desk.data_dir is not None
    pipeline = Pipeline(desk)
    values = series_of()
    for day in range(4):
        write(desk.data_dir, [*values[: 30 + day - 1], values[30 + day] + day])
        pipeline.data.write_ingest("usdclp_close", now=pd.Timestamp(at(f"2025-05-0{day + 1}T12:00")))
    observations = pipeline.data.stored_observations("usdclp_close")
    assert observations is not None
    (desk.data_dir / "usdclp_close_long_daily.csv").unlink()
    made = replay(desk, "usdclp_close", RawArchive(desk.home))
    assert made is not None
    columns = list(made.observations.columns)
    pd.testing.assert_frame_equal(made.observations, observations[columns], check_dtype=False)
    assert replay(desk, "usdclp_close", RawArchive(desk.home / "elsewhere")) is None


class TestRelease:
    def quarantined(self, desk: Settings) -> tuple[Pipeline, dt.date]:
        assert desk.data_dir is not None
        write(desk.data_dir, [*series_of()[:-1], 94000.0])
        pipeline = Pipeline(desk)
        pipeline.data.write_ingest("usdclp_close", now=pd.Timestamp(at("2025-05-01T12:00")))
        bad = pipeline.store.read(pipeline_quarantine(), "usdclp_close", [()])
        assert bad["rule"].tolist() == ["unit"]
        return pipeline, bad["event_time"].iloc[0].date()

    @pytest.mark.capability("E03", "L18")
    def test_a_released_value_stands_from_then_on_and_survives_the_next_ingestion(self, desk: Settings) -> None:
        pipeline, day = self.quarantined(desk)
        now = pd.Timestamp(at("2025-05-02T12:00"))
        record = pipeline.data.release(
            "usdclp_close", series="usdclp_close", day=day, who="ana", why="confirmed by the desk", now=now
        )
        assert record[["released_by", "why", "rule"]].to_numpy().tolist() == [["ana", "confirmed by the desk", "unit"]]
        for _ in range(2):
            stored = pipeline.data.stored_observations("usdclp_close")
            assert stored is not None
            before = known_as_of(stored, AsOf(at("2025-05-02T11:00")))
            after = known_as_of(stored, AsOf(at("2025-05-02T13:00")))
            assert 94000.0 not in before["value"].tolist(), "what was not known then stays unknown then"
            assert after["value"].iloc[-1] == 94000.0
            assert "released" in revisions(stored)["kind"].tolist()
            pipeline.data.write_ingest("usdclp_close", now=pd.Timestamp(at("2025-05-03T12:00")))
        kept = pipeline.data.releases("usdclp_close")
        assert kept is not None
        assert len(kept) == 1

    @pytest.mark.capability("E03", "K17")
    @pytest.mark.parametrize(
        ("rule", "factor", "stays"),
        [("jump", 1.3, True), ("spike", 1.09, False), ("unit", 100.0, False)],
    )
    def test_a_released_value_costs_no_neighbour_its_verdict_and_survives_every_later_ingestion(
        self, desk: Settings, tmp_path: Path, rule: str, factor: float, stays: bool
    ) -> None:
        assert desk.data_dir is not None
        walk = 940 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.006, 70)))
        odd, last = 60, 61
        values = [round(float(x) * (factor if i == odd or (stays and i > odd) else 1), 2) for i, x in enumerate(walk)]
        day = pd.bdate_range("2025-02-03", periods=len(values))[odd]
        desks = {
            name: Pipeline(
                desk.model_copy(update={"home": tmp_path / name, "store_root": str(tmp_path / name / "store")})
            )
            for name in ("released", "not")
        }

        def withdrawn(pipeline: Pipeline) -> dict[str, str]:
            bad = pipeline.store.read(pipeline_quarantine(), "usdclp_close", [()])
            return dict(zip(bad["event_time"].dt.strftime("%Y-%m-%d"), bad["rule"], strict=True))

        for end in (last + 1, last + 2, len(values)):
            write(desk.data_dir, values[:end])
            moment = pd.bdate_range("2025-02-03", periods=end)[-1].tz_localize("UTC") + pd.Timedelta(hours=40)
            for name, pipeline in desks.items():
                pipeline.data.write_ingest("usdclp_close", now=moment)
                if end == last + 1:
                    assert withdrawn(pipeline)[f"{day:%Y-%m-%d}"] == rule
                    if name == "released":
                        pipeline.data.release(
                            "usdclp_close", series="usdclp_close", day=day.date(), who="ana", why="confirmed",
                            now=moment + pd.Timedelta(hours=1),
                        )  # fmt: skip
        for rebuilt in (False, True):
            if rebuilt:
                desks["released"].data.rebuild_observations("usdclp_close", now=moment)
            assert withdrawn(desks["released"]) == withdrawn(desks["not"]), "the value's first verdict, nobody else's"
            stored = desks["released"].data.stored_observations("usdclp_close")
            assert stored is not None
            standing = stored[stored["withdrawn_at"].isna()].set_index("event_time")["value"]
            assert standing[day.tz_localize("UTC")] == values[odd]
            assert standing.iloc[-5:].tolist() == values[-5:]

    def test_what_is_not_quarantined_or_not_explained_is_refused(self, desk: Settings) -> None:
        pipeline, day = self.quarantined(desk)
        stored = pipeline.data.stored_observations("usdclp_close")
        assert stored is not None
        now = at("2025-05-02T12:00")
        with pytest.raises(ValidationError, match="needs a name and a reason"):
            release(stored, series="usdclp_close", day=day, who="ana", why="ok", now=now)
        with pytest.raises(DataError, match="stands"):
            release(stored, series="usdclp_close", day=dt.date(2025, 2, 3), who="ana", why="because", now=now)
        with pytest.raises(DataError, match="in quarantine"):
            release(stored, series="usdclp_close", day=dt.date(2020, 3, 3), who="ana", why="because", now=now)
        with pytest.raises(ValidationError, match="becomes available"):
            release(stored, series="usdclp_close", day=day, who="ana", why="because", now=at("2025-02-02T12:00"))


def pipeline_quarantine() -> object:
    from forex_assets import schemas

    return schemas.QUARANTINE


def test_an_ingestion_without_an_archive_or_releases_is_as_before(desk: Settings) -> None:
    assert desk.data_dir is not None
    write(desk.data_dir, series_of())
    made = ingest(desk, "usdclp_close", now=at("2025-05-01T12:00"))
    assert len(made.observations) == 40
    assert not (desk.home / "raw").exists()
