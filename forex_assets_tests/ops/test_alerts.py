"""The outbox keeps every alert once, survives torn writes, and never holds a secret."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.errors import StoreError, ValidationError
from forex_assets.ops.alerts import SEVERITIES, Alert, Outbox
from forex_assets.settings import load_settings

NOON = dt.datetime(2025, 6, 13, 16, 0, tzinfo=dt.UTC)
REPO = Path(__file__).resolve().parents[2]
_NAMES = ("kind", "severity", "title", "body", "key", "pair")
NUMBER_AS_TIME = json.dumps({"v": 1, "created_at": 5, **dict.fromkeys(_NAMES, "x")}).encode()


def _alert(**changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "kind": "stale_data",
        "severity": "medium",
        "pair": "usdclp",
        "title": "usdclp_fixing is stale",
        "body": "newest value 2025-06-06, 5 business days old (limit 3)",
        "key": "stale_data:usdclp:usdclp_fixing",
        "created_at": NOON,
    }
    return Alert(**{**fields, **changes})


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "alerts" / "outbox.jsonl")


def test_what_was_queued_is_read_back_in_order(outbox: Outbox) -> None:
    assert outbox.read().alerts == ()
    alerts = [_alert(key=str(number), pair=None if number == 1 else "usdclp") for number in range(3)]
    assert all(outbox.append(alert) for alert in alerts)
    assert outbox.read().alerts == tuple(enumerate(alerts, start=1))
    assert outbox.read(limit=2).alerts == tuple(enumerate(alerts, start=1))[1:]


@given(title=st.text(min_size=1).filter(str.strip), body=st.text(), seconds=st.integers(0, 10**9))
def test_any_text_makes_exactly_one_line_and_comes_back(title: str, body: str, seconds: int) -> None:
    # Digits and letters only are left alone by redaction; here the line format is what is tested.
    title, body = title.replace("=", "-").replace("@", "-"), body.replace("=", "-").replace("@", "-")
    alert = _alert(title=title, body=body, created_at=NOON + dt.timedelta(seconds=seconds))
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.jsonl")
        outbox.append(alert)
        assert outbox.path.read_bytes().count(b"\n") == 1
        [(_, back)] = outbox.read().alerts
    assert back == alert


@pytest.mark.capability("L10")
def test_a_lasting_fault_is_one_alert_until_the_cool_down_ends(outbox: Outbox) -> None:
    assert outbox.append(_alert())
    assert not outbox.append(_alert(created_at=NOON + dt.timedelta(hours=23), body="6 business days old"))
    assert outbox.append(_alert(key="another fault"))
    assert outbox.append(_alert(created_at=NOON + dt.timedelta(hours=24)))
    assert len(outbox.read().alerts) == 3


@pytest.mark.capability("L10")
def test_a_fault_that_gets_worse_is_never_silenced(outbox: Outbox) -> None:
    written = [outbox.append(_alert(severity=severity)) for severity in ("low", "high", "medium", "high", "critical")]
    assert written == [True, True, False, False, True]


@pytest.mark.capability("L19")
def test_no_secret_reaches_the_outbox(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCCH_PASS", "s3cr3t-w0rd")
    outbox.append(_alert(title="refused s3cr3t-w0rd", body="GET /?user=me@x.cl&pass=s3cr3t-w0rd", key="k s3cr3t-w0rd"))
    assert not outbox.append(_alert(key="k s3cr3t-w0rd")), "the masked key still recognises its repeat"
    text = outbox.path.read_text()
    assert "s3cr3t" not in text
    assert "me@x.cl" not in text
    assert outbox.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"v": 1, "title": "torn', "Unterminated"),
        (b"\xff\xfe not text", "decode"),
        (b"[1, 2]", "object, not list"),
        (b'{"v": 2}', "version 2"),
        (b'{"v": 1}', "missing"),
        (NUMBER_AS_TIME, "created_at 5"),
    ],
)
def test_a_corrupt_line_is_reported_by_number_and_loses_no_neighbour(outbox: Outbox, line: bytes, reason: str) -> None:
    outbox.append(_alert(key="before"))
    with outbox.path.open("ab") as handle:
        handle.write(line)  # no line end: the writer died here
    outbox.append(_alert(key="after"))
    content = outbox.read()
    assert [(number, alert.key) for number, alert in content.alerts] == [(1, "before"), (3, "after")]
    [corrupt] = content.corrupt
    assert corrupt.number == 2
    assert reason in corrupt.reason
    assert line in outbox.path.read_bytes()


def test_a_torn_last_line_is_reported_too(outbox: Outbox) -> None:
    outbox.append(_alert())
    with outbox.path.open("ab") as handle:
        handle.write(b'{"v": 1')
    assert [line.number for line in outbox.read().corrupt] == [2]


@pytest.mark.capability("B02", "J13")
def test_writers_in_processes_and_threads_lose_no_alert(outbox: Outbox) -> None:
    script = (
        "import sys, datetime as dt; from pathlib import Path; from forex_assets.ops.alerts import *\n"
        "box = Outbox(Path(sys.argv[1]))\n"
        "for n in range(20):\n"
        "    box.append(Alert('k', 'low', None, 't', 'b' * 3000, f'{sys.argv[2]}-{n}', dt.datetime.now(dt.UTC)))\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(outbox.path), str(number)], cwd=REPO) for number in range(3)
    ]

    def write() -> None:
        for number in range(20):
            outbox.append(_alert(key=f"{threading.get_ident()}-{number}"))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    content = outbox.read()
    assert content.corrupt == ()
    assert len({alert.key for _, alert in content.alerts}) == len(content.alerts) == 100


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("severity", "urgent", "'urgent' is not one of info, low"),
        ("title", "  ", "title"),
        ("kind", 5, "kind"),
        ("pair", "", "pair"),
        ("created_at", dt.datetime(2025, 6, 13), "time zone"),
        ("created_at", "2025-06-13", "time zone"),
    ],
)
def test_a_malformed_alert_is_refused(field: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        _alert(**{field: value})


@pytest.mark.parametrize("limit", [0, -1, True, 1.5])
def test_a_limit_that_is_no_positive_number_is_refused(outbox: Outbox, limit: Any) -> None:
    with pytest.raises(ValidationError, match="limit"):
        outbox.read(limit)


def test_an_outbox_that_cannot_be_written_or_read_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "outbox.jsonl"
    folder.mkdir()
    with pytest.raises(StoreError, match="outbox"):
        Outbox(folder).read()
    with pytest.raises(StoreError, match="outbox"):
        Outbox(folder).append(_alert())
    with pytest.raises(ValidationError, match="negative"):
        Outbox(folder, cooldown=dt.timedelta(hours=-1))


def test_the_platforms_outbox_is_inside_its_home(home: Path) -> None:
    outbox = Outbox.from_settings(load_settings())
    assert outbox.path == home / "alerts" / "outbox.jsonl"
    assert outbox.cooldown == dt.timedelta(hours=24)
    assert SEVERITIES.index("critical") > SEVERITIES.index("low")
