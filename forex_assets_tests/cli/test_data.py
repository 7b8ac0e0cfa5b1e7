"""``forex data``: the page that walks through it is run as it is printed; every command, wrong use and right."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.clock import AsOf
from forex_assets.clock.events import events_known
from forex_assets.market.vintages.archive import RawArchive
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets_tests.cli.conftest import Forex
from forex_assets_tests.market.shipped import read_embedded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bring-your-own-data.md"


def fixing(rows: int) -> pd.DataFrame:
    return read_embedded("usdclp_fixing").tail(rows).reset_index(drop=True)


def write_export(path: Path, rows: pd.DataFrame, head: str = "Fecha;Valor") -> Path:
    lines = [f"{d:%d-%m-%Y};{v:.2f}".replace(".", ",") for d, v in rows[["date", "value"]].to_numpy()]
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.capability("B26", "A01")
def test_the_page_of_a_banks_export_works_as_printed(
    forex: Forex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "banco.csv").write_text(blocks("text")[0], encoding="latin-1")
    commands = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ forex")]
    assert len(commands) >= 6
    said = {}
    for command in commands:
        arguments = shlex.split(command)[1:]
        said[command] = forex(*arguments)
        assert said[command].code == (2 if command.endswith("banco.csv") else 0), (command, said[command].err)
    printed = [line for block in blocks("console") for line in block.splitlines() if line and not line.startswith("$")]
    everything = " ".join(" ".join(each.out.split()) + " " + " ".join(each.err.split()) for each in said.values())
    missing = [
        line for line in printed if not line.strip().startswith("…") and " ".join(line.split()) not in everything
    ]
    assert missing == []
    assert "added" in load_settings().pair("usdclp").chains["usdclp_fixing"]


@pytest.mark.capability("B02", "J13")
def test_data_that_are_asked_again_change_nothing(forex: Forex, home: Path) -> None:
    first = forex("data", "ingest", "--pair", "usdclp", "--json")
    assert first.code == 0
    body = json.loads(first.out)["pairs"][0]
    assert body["new"] == body["rows"] > 40_000
    again = json.loads(forex("data", "ingest", "--pair", "usdclp", "--json").out)["pairs"][0]
    assert (again["new"], again["revised"], again["withdrawn"]) == (0, 0, 0)
    rows = {row["series"]: row for row in json.loads(forex("data", "status", "--pair", "usdclp", "--json").out)}
    assert rows["usdclp_fixing"]["event_date"] == "2025-06-13"
    assert rows["usdclp_fixing"]["state"] == "stale"
    assert rows["afp_flows"]["state"] == "missing"
    assert "usdclp_fixing" in forex("data", "status", "--pair", "usdclp").out
    assert forex("data", "check", "--pair", "usdclp").code == 0
    assert forex("data", "revisions", "--pair", "usdclp").out == "No value that was known has changed.\n"
    assert forex("data", "quarantine", "show", "--pair", "usdclp").out == "Nothing is in quarantine.\n"
    assert not (home / "raw").exists(), "what is part of the package needs no copy"


@pytest.mark.capability("E03")
def test_a_desk_file_revised_quarantined_released_and_damaged(forex: Forex, home: Path, tmp_path: Path) -> None:
    rows = fixing(120)
    path = write_export(tmp_path / "bank.csv", rows.assign(value=[*rows["value"][:-1], 93000.0]))
    assert forex("data", "add", str(path), "--yes").code == 0
    assert forex("data", "ingest", "--pair", "usdclp").code == 0
    shown = json.loads(forex("data", "quarantine", "show", "--json").out)
    assert [(row["rule"], row["value"], row["source"]) for row in shown] == [("unit", 93000.0, "added")]
    release = ("data", "quarantine", "release", "--series", "usdclp_fixing", "--date", "2025-06-13")
    refused = forex(*release, "--why", "confirmed by the bank")
    assert refused.code == 2
    assert "--yes" in refused.err
    done = forex(*release, "--why", "confirmed by the bank", "--by", "ana", "--yes")
    assert done.code == 0
    assert "released by ana: confirmed by the bank" in done.out
    assert forex(*release, "--why", "confirmed by the bank", "--yes").code == 1
    assert forex("data", "ingest", "--pair", "usdclp").code == 0
    (row,) = json.loads(forex("data", "quarantine", "show", "--json").out)
    assert row["released_by"] == "ana"
    assert "confirmed" in row["why"]
    newest = json.loads(forex("data", "status", "--pair", "usdclp", "--json").out)[0]
    assert (newest["value"], newest["released"], newest["source"]) == (93000.0, 1, "added")
    write_export(path, rows)
    assert forex("data", "add", str(path), "--yes").code == 0
    assert forex("data", "ingest", "--pair", "usdclp").code == 0
    changes = json.loads(forex("data", "revisions", "--json", "--series", "usdclp_fixing").out)
    assert [(row["kind"], row["new_value"]) for row in changes] == [
        ("revised", rows["value"].iloc[-1]),
        ("released", 93000.0),
    ]
    assert "revised" in forex("data", "revisions").out
    differs = forex("data", "revisions", "--diff", "2025-06-10,2025-06-12", "--series", "usdclp_fixing")
    assert differs.out.count("new") == 1, "of the two dates one was in quarantine then"
    assert forex("data", "revisions", "--diff", "2025-06-12,2025-06-12").out == "Nothing differs.\n"
    packs = RawArchive(home)
    assert len(packs.retrievals("added", "usdclp_fixing")) == 2
    assert forex("data", "check").code == 0
    file = home / "raw" / "added" / "usdclp_fixing.pack"
    broken = bytearray(file.read_bytes())
    broken[100] ^= 0xFF
    file.write_bytes(broken)
    bad = forex("data", "check")
    assert bad.code == 1
    assert str(file) in bad.out
    assert json.loads(forex("data", "check", "--json").out)["faults"]


@pytest.mark.capability("B03")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("revisions", "--series", "nothing"), "there is no series"),
        (("revisions", "--diff", "2025-06-10"), "is not two days"),
        (("revisions", "--since", "junio"), "is not a day"),
        (("revisions",), "No observations are stored"),
        (("status",), "No observations are stored"),
        (("add", "nowhere.csv"), "cannot be read"),
        (("add", "nowhere.doc"), "of no kind"),
        (("calendar", "import", "nowhere.ics"), "cannot be read"),
        (("quarantine", "release", "--series", "tpm", "--date", "2025-06-13", "--why", "because", "--yes"), "No pair"),
        (("quarantine", "release", "--series", "tpm,uf", "--date", "2025-06-13", "--why", "because"), "several series"),
    ],
)
def test_wrong_use_is_refused_with_value_rule_and_remedy(forex: Forex, arguments: tuple[str, ...], says: str) -> None:
    said = forex("data", *arguments)
    assert said.code in (1, 2)
    assert says in " ".join(said.err.split())
    assert "Remedy:" in said.err


def test_a_series_and_a_pair_of_ones_own(forex: Forex, tmp_path: Path) -> None:
    path = write_export(tmp_path / "desk.csv", fixing(60))
    new = ("data", "add", str(path), "--series", "desk_close", "--unit", "CLP per USD", "--as-pair", "usdclp_desk")
    asked = forex(*new, "--yes")
    assert asked.code == 2
    assert "--shift-sessions" in asked.err
    done = forex(*new, "--shift-sessions", "0", "--yes", "--json")
    assert done.code == 0
    assert json.loads(done.out)["pairs"] == ["usdclp_desk"]
    assert "USD/CLP (desk close)" in load_settings().pair("usdclp_desk").label
    assert forex("data", "ingest", "--pair", "usdclp_desk").code == 0
    assert forex(*new, "--shift-sessions", "0", "--yes").code == 0, "the same file again is fine"
    assert forex("data", "add", str(path), "--series", "tpm", "--unit", "percent").code == 2
    assert forex("data", "add", str(path), "--series", "other").code == 2
    for wrong in (("--unit", "x", "--known", "sometime"), ("--unit", "x", "--known", "never 18:00 America/Santiago")):
        assert forex("data", "add", str(path), "--series", "other", *wrong).code == 2
    no_pair = forex(
        "data",
        "add",
        str(path),
        "--series",
        "other",
        "--unit",
        "index",
        "--shift-sessions",
        "0",
        "--as-pair",
        "x y",
        "--yes",
    )
    assert no_pair.code == 2
    alone = forex("data", "add", str(path), "--series", "other", "--unit", "index", "--shift-sessions", "0", "--yes")
    assert "No pair uses other yet" in alone.out


def test_a_person_is_asked_and_may_decline(forex: Forex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    import forex_assets.cli.data_add as module

    monkeypatch.setattr(module, "interactive", lambda: True)
    rows = fixing(60)
    lines = [f"{d:%Y-%m-%d};{v:.2f};{v + 2:.2f}" for d, v in rows[["date", "value"]].to_numpy()]
    path = tmp_path / "two.csv"
    path.write_text("\n".join(["Fecha;Compra;Venta", *lines]), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Compra\ny\n"))
    done = forex("data", "add", str(path))
    assert done.code == 0, done.err
    assert "Which column is the value?" in done.out + done.err
    monkeypatch.setattr(sys, "stdin", io.StringIO("Compra\nn\n"))
    assert forex("data", "add", str(path)).code == 2


@pytest.mark.capability("K26")
def test_a_calendar_is_imported_and_known_from_then_on(forex: Forex, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "week.csv"
    path.write_text("Title,Country,Date,Time,Impact,Forecast,Previous\nRetail Sales,USD,12-10-2026,1:30pm,High,,\n")
    assert forex("data", "calendar", "import", str(path)).code == 2
    done = forex("data", "calendar", "import", str(path), "--zone", "UTC")
    assert "1 events read, 1 of them new" in done.out
    again = forex("data", "calendar", "import", str(path), "--zone", "UTC", "--json")
    assert json.loads(again.out)["new"] == 0
    now = pd.Timestamp.now(tz="UTC").to_pydatetime()
    known = events_known(
        AsOf(now), home=home, start=pd.Timestamp("2026-12-01").date(), end=pd.Timestamp("2026-12-31").date()
    )
    assert "Retail Sales" in known["name"].tolist()
    assert (
        "Retail Sales"
        not in events_known("2025-06-13", home=home, end=pd.Timestamp("2026-12-31").date())["name"].tolist()
    )
    shown = forex("data", "calendar", "show", "--as-of", "2025-06-13", "--days", "30")
    assert "FOMC statement" in shown.out
    assert json.loads(forex("data", "calendar", "show", "--as-of", "2025-06-13", "--json").out)
    (tmp_path / "empty.csv").write_text("Title,Date\n")
    assert forex("data", "calendar", "import", str(tmp_path / "empty.csv")).code == 2


def test_observations_that_break_their_schema_are_a_fault(forex: Forex, home: Path) -> None:
    assert forex("data", "ingest", "--pair", "eurusd").code == 0
    pipeline = Pipeline(load_settings())
    path = Path(pipeline.store.info(schemas.OBSERVATIONS, "eurusd", ()).path)
    path.write_bytes(path.read_bytes()[:200])
    said = forex("data", "check", "--pair", "eurusd")
    assert said.code == 1
    assert str(path) in said.out
