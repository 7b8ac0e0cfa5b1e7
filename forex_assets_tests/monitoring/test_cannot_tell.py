"""Why a rule could not judge keeps its code and facts wherever the reason goes."""

from __future__ import annotations

import ast
import datetime as dt
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import forex_assets
from forex_assets.findings_view import finding_rows
from forex_assets.monitoring.cannot_tell import SENTENCES, CannotTell, reasons
from forex_assets.monitoring.finding import Finding, unknown
from forex_assets.schemas.monitoring import FINDINGS

DAY = dt.date(2025, 6, 13)
WHY = CannotTell("maturing_stopped", days=12, newest=dt.date(2025, 5, 28))


def test_a_reason_reads_as_its_sentence_and_keeps_code_and_facts() -> None:
    assert WHY == "no forecast has matured for 12 business days; the newest did on 2025-05-28"
    assert WHY.sentence == "No forecast has matured for 12 business days; the newest did on 2025-05-28."
    again = pickle.loads(pickle.dumps(WHY))
    assert (again, again.code, again.facts) == (WHY, WHY.code, WHY.facts)
    assert json.loads(WHY.stored()) == {"code": "maturing_stopped", "facts": {"days": 12, "newest": "2025-05-28"}}


def test_a_reason_keeps_its_code_in_an_array_of_days() -> None:
    days = reasons(3, WHY)
    days[1] = ""
    assert [getattr(why, "code", "") for why in days] == ["maturing_stopped", "", "maturing_stopped"]
    assert np.array_equal(days != "", [True, False, True])


def test_a_stored_finding_carries_it_and_one_that_could_judge_does_not() -> None:
    blind = unknown("drift", "location", "recommended", "usdclp", "vix", DAY, WHY)
    clear = Finding("drift", "scale", "recommended", "usdclp", "vix", DAY, "clear", "info", ("calm",))
    rows = finding_rows([blind, clear])
    FINDINGS.conform(rows.assign(config_hash="a", data_hash="b", code_version="c"))
    assert rows["cannot_tell"].tolist() == [WHY.stored(), None]
    assert rows["reasons"].iloc[0] == WHY.sentence
    with pytest.raises(ValueError, match="yet says why it cannot tell"):
        Finding("drift", "scale", "recommended", "usdclp", "vix", DAY, "clear", "info", ("calm",), cannot_tell=WHY)


def test_every_code_is_used_and_every_use_is_declared() -> None:
    used: set[str] = set()
    for source in Path(forex_assets.__file__).parent.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        if "CannotTell(" in text:
            calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            made = [call.args[0] for call in calls if ast.unparse(call.func) == "CannotTell"]
            used |= {part.value for arg in made for part in ast.walk(arg) if isinstance(part, ast.Constant)} - {None}
    assert used == set(SENTENCES)
