"""What is told of calls."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import structlog
from tulle.auth.v1 import auth_pb2, contacts_pb2

from mesh import limits, lines
from mesh.model import OrganisationId, SessionId, User, UserId
from mesh.redaction import HIDDEN, redacted
from mesh.trace import child, sampled, span_id, trace_id, valid
from tests.unit.mesh.echo import ADA, Echo, ask

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"


def told(echo: Echo) -> list[dict[str, object]]:
    echo.telemetry.flush()
    return [json.loads(line) for batch in echo.lines for line in batch.splitlines()]


async def test_a_line_says_what_an_operator_needs() -> None:
    """A call is one line of JSON: when, what, who, how, how long, and under which ids."""
    echo = Echo(policy={"end_user": "optional"})
    await echo.stub(ADA, x_request_id="r1", traceparent=f"{TRACE}00").Echo(ask())
    (line,) = told(echo)
    assert line.keys() >= {"time", "ms"}
    assert line | {"time": 0, "ms": 0} == {
        "time": 0,
        "level": "info",
        "event": "call",
        "workload": "users",
        "method": "/tulle.echo.v1.EchoService/Echo",
        "code": "OK",
        "ms": 0,
        "peer": "gateway",
        "request_id": "r1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "user_id": ADA,
    }


async def test_a_line_says_which_key_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of somebody's API key its id stands beside theirs, so that an operator knows which one to ask about."""
    key = User(UserId(ADA), OrganisationId("o"), SessionId("apikey_1"), scopes=frozenset({"users.read"}))
    echo = Echo(policy={"end_user": "optional", "scope": "users.read"})

    async def verify(token: str) -> tuple[User, float]:
        return key, time.time() + 300

    monkeypatch.setattr(echo.credentials, "verify", verify)
    await echo.stub(ADA).Echo(ask())
    (line,) = told(echo)
    assert (line["user_id"], line["api_key_id"]) == (ADA, "apikey_1")


async def test_sampled_calls_have_a_span() -> None:
    """A span is told if the caller's trace is sampled, or by the ratio if it begins here."""
    for header, ratio, spans in ((f"{TRACE}01", 0.0, 1), (f"{TRACE}00", 1.0, 0), ("", 1.0, 1), ("", 0.0, 0)):
        echo = Echo(trace_ratio=ratio)
        await echo.stub(traceparent=header).Echo(ask())
        found = [line for line in told(echo) if line["event"] == "span"]
        assert len(found) == spans
        if header and found:
            assert (found[0]["trace_id"], found[0]["parent_id"]) == (trace_id(header), "00f067aa0ba902b7")


async def test_calls_are_counted() -> None:
    """Counts say how many calls ended how since the last time."""
    echo = Echo()
    for _ in range(3):
        await echo.stub().Echo(ask())
    echo.telemetry.flush()
    echo.lines.clear()
    echo.telemetry.tell_counts()
    (line,) = told(echo)
    assert [(count["code"], count["calls"]) for count in line["calls"]] == [("OK", 3)]  # type: ignore[attr-defined]
    echo.lines.clear()
    echo.telemetry.tell_counts()
    assert echo.lines == []


async def test_lines_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody writes, the oldest lines go and are counted as lost."""
    monkeypatch.setattr(limits, "LINES_KEPT", 2)
    echo = Echo()
    for name in "abcde":
        await echo.stub(x_request_id=name).Echo(ask())
    assert [line["request_id"] for line in told(echo)] == ["d", "e"]
    echo.telemetry.tell_counts()
    assert json.loads(echo.lines[-1])["lines_lost"] == 3


async def test_a_level_silences_lines_but_not_counts() -> None:
    """With a higher level calls that went well are not logged, and still counted."""
    echo = Echo()
    echo.telemetry.level = "warning"
    await echo.stub().Echo(ask())
    assert told(echo) == []
    assert echo.telemetry.counts


def test_marked_fields_are_hidden() -> None:
    """What the contract marks as personal or secret is not shown, at any depth; the rest is."""
    shown = redacted(auth_pb2.LogInRequest(email="ada@example.com", password="p"))
    assert shown == {"email": HIDDEN, "password": HIDDEN}
    assert redacted(auth_pb2.SignUpRequest(request_id="7")) == {"request_id": "7"}
    assert redacted(ask("Ada")) == {"profile": {"display_name": HIDDEN}}
    mail = contacts_pb2.Mail(mail_id="mail_1", details={"device": "Ada's phone"})
    assert redacted(mail) == {"mail_id": "mail_1", "details": HIDDEN}


def test_the_log_has_no_values_of_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logged message is redacted; a logged error is its type and place, never its message."""
    file = tmp_path / "log"
    out = lines.Lines(os.open(file, os.O_WRONLY | os.O_CREAT))
    before = structlog.get_config()
    lines.configure("info", out)
    try:
        log = structlog.get_logger()
        log.debug("silent")
        log.info("seen", request=ask("Ada"))
        try:
            raise ValueError("ada@example.com")
        except ValueError as cause:
            log.exception("broken")
            log.error("broken too", exc_info=cause)
        out.close()
    finally:
        structlog.configure(**before)
    text = file.read_text()
    seen, broken, again = (json.loads(line) for line in text.splitlines())
    assert "Ada" not in text
    assert "ada@" not in text
    assert seen["request"] == {"profile": {"display_name": HIDDEN}}
    assert broken["error"] == again["error"] == "ValueError"
    assert "test_telemetry.py" in broken["where"][0]


def test_a_reader_that_stops_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines for a full pipe are dropped after a bound, and the writer never waits."""
    monkeypatch.setattr(limits, "LOG_WAITING", 300_000)
    reader, writer = os.pipe()
    out = lines.Lines(writer)
    started = time.monotonic()
    for _ in range(100):
        out.write("x" * 100_000)
    assert time.monotonic() - started < 1
    while os.read(reader, 1 << 20).count(b"\n") == 0:
        pass
    os.set_blocking(reader, False)
    os.close(writer)
    os.close(reader)


def test_a_burst_is_written_whole(tmp_path: Path) -> None:
    """Many short lines at once are no reason to lose one."""
    file = tmp_path / "log"
    out = lines.Lines(os.open(file, os.O_WRONLY | os.O_CREAT))
    for number in range(5000):
        out.write(str(number))
    out.close()
    assert file.read_text().split() == [str(number) for number in range(5000)]


def test_what_is_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After lines were lost for want of room, the log says how many, also when nothing more is written."""
    monkeypatch.setattr(limits, "LOG_WAITING", 200_000)
    reader, writer = os.pipe()
    out = lines.Lines(writer)
    for _ in range(10):
        out.write("x" * 90_000 + "\ny")
    text, told = b"", 0
    while 2 * text.count(b"\ny\n") + told < 20:
        text += os.read(reader, 1 << 20)
        lost = [json.loads(line) for line in text.splitlines(keepends=True) if line.startswith(b"{") and b"}\n" in line]
        told = sum(line["lines"] for line in lost)
    assert told > 0
    assert 2 * text.count(b"\ny\n") + told == 20
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize(
    ("traceparent", "good"),
    [
        (f"{TRACE}01", True),
        (f"{TRACE}zz", False),
        (TRACE, False),
        (f"{TRACE}01-more", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", False),
        (f"{TRACE.upper()}01", False),
        ("", False),
    ],
)
def test_traces(traceparent: str, good: bool) -> None:
    """A valid trace is continued with its flags and a span of our own; anything else begins a new one."""
    new = child(traceparent, 0.0)
    assert valid(traceparent) is good
    assert valid(new)
    assert (trace_id(new) == trace_id(traceparent)) is good
    assert sampled(new) is good
    assert span_id(new) not in {"", span_id(traceparent)}


def test_a_trace_that_is_not_recorded_is_passed_on() -> None:
    """Where no span is told, there is none to be named."""
    assert child(f"{TRACE}00", 1.0) == f"{TRACE}00"
