"""Sources that need no network: what the package ships, a folder of files, the ECB's history."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import FRAME_COLUMNS, FetchRequest
from forex_assets.market.sources import EcbSource, EmbeddedSource, FolderSource
from forex_assets.market.sources.embedded import EMBEDDED_DIR
from forex_assets.settings import SeriesSpec, Settings

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ALL_TIME = (dt.date(1980, 1, 1), dt.date(2026, 12, 1))
EMBEDDED = ["usdclp_fixing", "tpm", "uf", "ipc_yoy", "imacec_yoy", "copper_lme", "wti", "brent", "fed_funds"]


def whole(spec: SeriesSpec) -> FetchRequest:
    return FetchRequest(spec, *ALL_TIME)


def described(spec: SeriesSpec, **address: Any) -> SeriesSpec:
    return spec.model_copy(update={"addresses": {"folder": address}})


class TestEmbedded:
    @pytest.mark.capability("A01")
    @pytest.mark.parametrize("name", EMBEDDED)
    def test_every_shipped_series_reads_and_lies_in_its_range(self, series: dict[str, SeriesSpec], name: str) -> None:
        result = EmbeddedSource(now=NOW).fetch(whole(series[name]))
        assert tuple(result.frame.columns) == FRAME_COLUMNS
        assert result.frame["event_date"].is_monotonic_increasing
        assert result.frame["event_date"].is_unique
        assert result.frame["value"].between(*series[name].range).all()
        assert len(result.payload_hash) == 64
        assert result.frame["event_date"].max() >= pd.Timestamp("2025-04-01")

    def test_shipped_files_equal_the_folder_they_were_taken_from(
        self, series: dict[str, SeriesSpec], market_data_dir: Path
    ) -> None:
        for name in EMBEDDED:
            file = series[name].addresses["embedded"]["file"]
            shipped = gzip.decompress((EMBEDDED_DIR / f"{file}.gz").read_bytes())
            assert shipped == (market_data_dir / file).read_bytes(), name

    def test_only_catalogued_official_series_are_shipped(self, configured: Settings) -> None:
        catalogued = {
            spec.addresses["embedded"]["file"] + ".gz"
            for spec in configured.series.values()
            if "embedded" in spec.addresses
        }
        shipped = {path.name for path in EMBEDDED_DIR.iterdir() if path.suffix == ".gz"}
        assert shipped == catalogued
        for vendor in ("copper_hg", "dxy", "vix", "sp500", "yahoo", "market", "close"):
            assert not any(vendor in name for name in shipped)

    def test_every_shipped_file_has_its_source_and_terms(self) -> None:
        text = (EMBEDDED_DIR / "SOURCES.md").read_text(encoding="utf-8")
        for path in EMBEDDED_DIR.glob("*.gz"):
            row = next(line for line in text.splitlines() if f"`{path.name}`" in line)
            frame = pd.read_csv(path)
            first, last, rows = frame["date"].iloc[0], frame["date"].iloc[-1], len(frame)
            span = row.rsplit("|", 2)[1]
            stated = re.findall(r"\d{4}-\d{2}(?:-\d{2})?", span)
            assert first.startswith(stated[0])
            assert last.startswith(stated[1])
            assert str(rows) in span
        assert "## Terms" in text

    def test_size_stays_small(self) -> None:
        assert sum(path.stat().st_size for path in EMBEDDED_DIR.iterdir()) < 500_000

    def test_repetitions_on_closed_days_are_no_observations_and_counted(self, series: dict[str, SeriesSpec]) -> None:
        result = EmbeddedSource(now=NOW).fetch(
            FetchRequest(series["fed_funds"], dt.date(2010, 1, 1), dt.date(2026, 1, 1))
        )
        assert result.frame["event_date"].dt.dayofweek.max() == 4
        assert "rows on closed days are repetitions" in (result.note or "")

    def test_series_without_a_shipped_file_is_not_configured(self, series: dict[str, SeriesSpec]) -> None:
        spec = series["tpm"].model_copy(update={"addresses": {"embedded": {"file": "nothing.csv"}}})
        assert EmbeddedSource(now=NOW).not_configured(spec) == "nothing.csv.gz is not shipped with the package"


#: Series a desk brings as a file of its own; the shared folder of market data has none.
OWN_FILES = ("afp_flows",)


class TestFolder:
    def test_catalogued_layout_reads(self, series: dict[str, SeriesSpec], market_data_dir: Path) -> None:
        source = FolderSource(market_data_dir, now=NOW)
        for name, spec in series.items():
            if "folder" in spec.addresses and name not in OWN_FILES:
                assert source.not_configured(spec) is None, name
                assert len(source.fetch(FetchRequest(spec, dt.date(1999, 1, 5), ALL_TIME[1])).frame) > 200, name

    def test_prices_of_a_bar_come_along_where_declared(
        self, series: dict[str, SeriesSpec], market_data_dir: Path
    ) -> None:
        frame = FolderSource(market_data_dir, now=NOW).fetch(whole(series["vix"])).frame
        assert frame[["open", "high", "low"]].notna().all(axis=None)
        close = FolderSource(market_data_dir, now=NOW).fetch(whole(series["usdclp_close"])).frame
        assert close[["open", "high", "low"]].isna().all(axis=None)

    def test_session_averages_are_left_out_of_the_market_close(
        self, series: dict[str, SeriesSpec], market_data_dir: Path
    ) -> None:
        raw = pd.read_csv(market_data_dir / "usdclp_close_long_daily.csv")
        frame = FolderSource(market_data_dir, now=NOW).fetch(whole(series["usdclp_close"])).frame
        assert len(frame) == int((raw["source"] != "session_avg").sum())

    def test_any_csv_can_be_described(self, tmp_path: Path, series: dict[str, SeriesSpec]) -> None:
        (tmp_path / "banco.csv").write_text(
            "Fecha;Cierre;Tipo\n13-06-2025;93.025,5;oficial\n12-06-2025;93.636,0;oficial\n11-06-2025;1,0;prueba\n",
            encoding="utf-8",
        )
        spec = described(
            series["usdclp_fixing"],
            file="banco.csv",
            column="Cierre",
            date_column="Fecha",
            date_format="%d-%m-%Y",
            separator=";",
            decimal=",",
            scale=0.01,
            drop_where={"Tipo": ["prueba"]},
        )
        frame = FolderSource(tmp_path, now=NOW).fetch(whole(spec)).frame
        assert list(frame["event_date"].dt.strftime("%Y-%m-%d")) == ["2025-06-12", "2025-06-13"]
        assert np.allclose(frame["value"], [936.36, 930.255])

    @pytest.mark.parametrize("dates", ["dates", "text", "timestamps"])
    def test_parquet_reads_too(self, tmp_path: Path, series: dict[str, SeriesSpec], dates: str) -> None:
        days = {
            "dates": [dt.date(2025, 6, 12), dt.date(2025, 6, 13)],
            "text": ["2025-06-12", "2025-06-13"],
            "timestamps": pd.to_datetime(["2025-06-12", "2025-06-13"]),
        }[dates]
        pd.DataFrame({"date": days, "value": [1, 2]}).to_parquet(tmp_path / "x.parquet")
        frame = FolderSource(tmp_path, now=NOW).fetch(whole(described(series["tpm"], file="x.parquet"))).frame
        assert list(frame["value"]) == [1.0, 2.0]
        assert frame["event_date"].dtype == "datetime64[ns]"

    def test_empty_value_is_no_row_and_a_repeated_date_is_said(
        self, tmp_path: Path, series: dict[str, SeriesSpec]
    ) -> None:
        (tmp_path / "x.csv").write_text("date,value\n2025-06-12,\n2025-06-13,5\n2025-06-13,5.25\n", encoding="utf-8")
        result = FolderSource(tmp_path, now=NOW).fetch(whole(described(series["tpm"], file="x.csv")))
        assert list(result.frame["value"]) == [5.25]
        assert result.note == "1 repeated dates: the last row of each was taken"

    def test_rows_of_the_future_are_left_for_later_and_said(
        self, tmp_path: Path, series: dict[str, SeriesSpec]
    ) -> None:
        (tmp_path / "x.csv").write_text("date,value\n2025-06-12,5\n2199-01-01,5\n", encoding="utf-8")
        result = FolderSource(tmp_path, now=NOW).fetch(whole(described(series["tpm"], file="x.csv")))
        assert len(result.frame) == 1
        assert result.note == "1 rows dated after 2026-12-01 are left for later"

    @pytest.mark.parametrize(
        ("text", "address", "says"),
        [
            ("date,value\n13-06-2025,5\n", {}, "no date"),
            ("date,value\n2025-06-13,five\n", {}, "'five'"),
            ("date,price\n2025-06-13,5\n", {}, "no column 'value'"),
            ("date,value\n2025-06-13,5\n", {"ohlc": True}, "no column 'open'"),
            ("date,value\n,5\n", {}, "empty in 1 rows"),
            ("", {}, "not a readable table"),
            ("date,value\n2025-06-13T10:00:00+00:00,5\n", {}, "zone-aware"),
        ],
    )
    def test_unusable_file_names_what_is_wrong(
        self, tmp_path: Path, series: dict[str, SeriesSpec], text: str, address: dict[str, Any], says: str
    ) -> None:
        (tmp_path / "x.csv").write_text(text, encoding="utf-8")
        with pytest.raises(SourceError, match=says) as caught:
            FolderSource(tmp_path, now=NOW).fetch(whole(described(series["tpm"], file="x.csv", **address)))
        assert "x.csv" in caught.value.message
        assert caught.value.remedy

    def test_broken_parquet_and_gzip_are_typed_errors(self, tmp_path: Path, series: dict[str, SeriesSpec]) -> None:
        for name in ("x.parquet", "x.csv.gz"):
            (tmp_path / name).write_bytes(b"not what it says")
            with pytest.raises(SourceError, match="not a readable table"):
                FolderSource(tmp_path, now=NOW).fetch(whole(described(series["tpm"], file=name)))

    @pytest.mark.parametrize("file", ["../secret.csv", "/etc/passwd", "a/../../b.csv", "..\\b.csv", ""])
    def test_address_cannot_leave_the_folder(self, tmp_path: Path, series: dict[str, SeriesSpec], file: str) -> None:
        with pytest.raises(ConfigError, match=r"addresses\.folder"):
            FolderSource(tmp_path, now=NOW).not_configured(described(series["tpm"], file=file))

    def test_link_cannot_leave_the_folder(self, tmp_path: Path, series: dict[str, SeriesSpec]) -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        (tmp_path / "outside.csv").write_text("date,value\n2025-06-13,5\n", encoding="utf-8")
        (folder / "x.csv").symlink_to(tmp_path / "outside.csv")
        with pytest.raises(SourceError, match="outside the data folder"):
            FolderSource(folder, now=NOW).fetch(whole(described(series["tpm"], file="x.csv")))

    def test_unknown_key_of_an_address_is_refused(self, tmp_path: Path, series: dict[str, SeriesSpec]) -> None:
        with pytest.raises(ConfigError, match="colum"):
            FolderSource(tmp_path, now=NOW).not_configured(described(series["tpm"], file="x.csv", colum="v"))

    def test_without_a_folder_or_file_it_is_not_configured(self, tmp_path: Path, series: dict[str, SeriesSpec]) -> None:
        assert FolderSource(None, now=NOW).not_configured(series["tpm"]) == "FOREX_DATA_DIR is not set"
        assert FolderSource(tmp_path, now=NOW).not_configured(series["tpm"]) == (
            "the data folder has no bcch_tpm_daily.csv"
        )


class TestEcb:
    @pytest.mark.parametrize(("name", "tolerance"), [("eurusd_ecb", 0.0), ("usdzar_ecb", 1e-6)])
    def test_rates_equal_the_folders_on_every_common_date(
        self, series: dict[str, SeriesSpec], market_data_dir: Path, name: str, tolerance: float
    ) -> None:
        ecb = EcbSource(now=NOW).fetch(whole(series[name])).frame
        folder = FolderSource(market_data_dir, now=NOW).fetch(whole(series[name])).frame
        both = ecb.merge(folder, on="event_date", suffixes=("_ecb", "_folder"))
        assert len(both) == len(folder) > 6000
        assert (both["value_ecb"] - both["value_folder"]).abs().max() <= tolerance

    @pytest.mark.parametrize(("base", "quote"), [("EUR", "USD"), ("USD", "EUR"), ("GBP", "JPY"), ("USD", "ZAR")])
    def test_any_cross_goes_through_the_euro(
        self, series: dict[str, SeriesSpec], tmp_path: Path, base: str, quote: str
    ) -> None:
        rates = {"EUR": 1.0, "USD": 1.16, "GBP": 0.85, "JPY": 166.0, "ZAR": 20.7}
        path = history(
            tmp_path,
            ["Date", "USD", "JPY", "GBP", "ZAR", "CYP", ""],
            ["2025-06-13", "1.16", "166.0", "0.85", "20.7", "N/A", ""],
            ["2025-06-12", "1.15", "N/A", "N/A", "N/A", "N/A", ""],
        )
        spec = series["eurusd_ecb"].model_copy(update={"addresses": {"ecb": {"base": base, "quote": quote}}})
        frame = EcbSource(now=NOW, path=path).fetch(whole(spec)).frame
        assert frame["value"].iloc[-1] == pytest.approx(rates[quote] / rates[base], rel=1e-15)
        assert len(frame) == (2 if {base, quote} == {"EUR", "USD"} else 1)

    def test_history_is_read_once_per_process(
        self, series: dict[str, SeriesSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = history(tmp_path, ["Date", "USD"], ["2025-06-13", "1.16"])
        reads: list[Path] = []
        original = Path.read_bytes
        monkeypatch.setattr(Path, "read_bytes", lambda self: reads.append(self) or original(self))
        for _ in range(3):
            EcbSource(now=NOW, path=path).fetch(whole(series["eurusd_ecb"]))
        assert reads == [path]

    def test_currency_the_ecb_lacks_is_named(self, series: dict[str, SeriesSpec]) -> None:
        spec = series["eurusd_ecb"].model_copy(update={"addresses": {"ecb": {"base": "USD", "quote": "CLP"}}})
        with pytest.raises(SourceError, match="no rate for CLP"):
            EcbSource(now=NOW).fetch(whole(spec))

    def test_damaged_or_absent_history_is_a_typed_error(self, series: dict[str, SeriesSpec], tmp_path: Path) -> None:
        bad = tmp_path / "eurofxref-hist.zip"
        bad.write_bytes(b"no zip")
        with pytest.raises(SourceError, match="not readable"):
            EcbSource(now=NOW, path=bad).fetch(whole(series["eurusd_ecb"]))
        absent = EcbSource(now=NOW, path=tmp_path / "none.zip")
        assert "not installed" in (absent.not_configured(series["eurusd_ecb"]) or "")
        with pytest.raises(SourceError, match="cannot be read"):
            absent.fetch(whole(series["eurusd_ecb"]))

    def test_malformed_cross_is_a_configuration_error(self, series: dict[str, SeriesSpec]) -> None:
        spec = series["eurusd_ecb"].model_copy(update={"addresses": {"ecb": {"base": "eur"}}})
        with pytest.raises(ConfigError, match=r"addresses\.ecb"):
            EcbSource(now=NOW).fetch(whole(spec))


def history(folder: Path, *rows: list[str]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path = folder / "eurofxref-hist.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("eurofxref-hist.csv", text.getvalue())
    return path
