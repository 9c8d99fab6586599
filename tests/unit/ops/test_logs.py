"""What a log line holds, and what it must not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from ops import logs
from ops.settings import Settings
from schemas.errors import InternalError, MalformedError
from tests.clock import Clock

SECRET = "my card is 4111 1111"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was, afterwards: it belongs to the process."""
    loggers = (logging.getLogger(), logging.getLogger(logs.OWN))
    before = [(each, list(each.handlers), each.level, each.propagate) for each in loggers]
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    for each, handlers, level, propagate in before:
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


def _fail_because_of(text: str) -> None:
    try:
        int(text)
    except ValueError as error:
        raise InternalError(detail=text) from error


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_its_event_its_stage_and_the_ids_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    """By them, the lines of one request are found in all processes."""
    logs.configure(Settings(log="json"), stage="auth")
    structlog.contextvars.bind_contextvars(tenant="acme", request_id="r-1")

    structlog.get_logger().info("request_rejected", code="forbidden")

    (line,) = _lines(capsys)
    assert line["event"] == "request_rejected"
    assert {"stage": "auth", "tenant": "acme", "request_id": "r-1", "code": "forbidden"}.items() <= line.items()
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_the_text_of_a_foreign_exception_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """It may quote a prompt: a parser's message quotes what it could not parse."""
    logs.configure(Settings(log="json"))

    with pytest.raises(InternalError) as raised:
        _fail_because_of(SECRET)
    structlog.get_logger().error("run_failed", exc_info=raised.value)

    (line,) = _lines(capsys)
    assert SECRET not in json.dumps(line)
    assert [each["type"] for each in line["exception"]] == ["InternalError", "ValueError"]
    assert "test_logs.py" in line["exception"][1]["at"][-1]


def test_the_text_of_a_foreign_exception_is_logged_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """A developer at a terminal needs the message, and first the line of the own code."""
    logs.configure(Settings(log="json", log_errors="text"))

    try:
        json.loads("{")
    except ValueError as error:
        structlog.get_logger().error("run_failed", exc_info=error)

    (line,) = _lines(capsys)
    (described,) = line["exception"]
    assert described["message"].startswith("Expecting property name")
    assert "test_logs.py" in described["at"][0]
    assert described["at"][0].endswith('json.loads("{")')
    assert "json/decoder.py" in described["at"][-1]


def test_the_safe_text_of_our_own_error_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """It is what the caller is told."""
    logs.configure(Settings(log="json"))

    structlog.get_logger().error(
        "record_dead_lettered", exc_info=MalformedError("the value is not JSON", detail=SECRET)
    )

    (line,) = _lines(capsys)
    assert line["exception"][0]["message"] == "the value is not JSON"
    assert line["exception"][0]["code"] == "malformed"


def test_a_librarys_line_is_bridged_under_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    """One format for the whole process, and one event name a line."""
    logs.configure(Settings(log="json"), stage="agent")

    logging.getLogger("aiokafka.conn").warning("closed by %s", "node 1")

    (line,) = _lines(capsys)
    assert (line["event"], line["message"], line["stage"]) == ("aiokafka.conn", "closed by node 1", "agent")


def test_a_librarys_repetitions_are_counted_and_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """While a broker is away, aiokafka says so several times a second for each partition."""
    clock = Clock()
    logs.configure(Settings(log="json"), clock=clock)
    library = logging.getLogger("aiokafka.conn")

    for number in range(5):
        library.warning("cannot reach %s", number)
    clock.at = int((logs.QUIET_S + 1) * 1_000)
    library.warning("cannot reach %s", "it")

    assert [line["message"] for line in _lines(capsys)] == ["cannot reach 0", "cannot reach it (and 4 times more)"]


def test_our_own_lines_are_never_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Two refusals are two events."""
    logs.configure(Settings(log="json"), clock=Clock())

    for _ in range(3):
        structlog.get_logger().warning("request_rejected")

    assert len(_lines(capsys)) == 3


def test_a_library_is_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Its small talk holds what it sends."""
    logs.configure(Settings(log="json", log_level="debug"))

    logging.getLogger("openai").info("sending %s", SECRET)

    assert _lines(capsys) == []


def test_a_command_does_not_let_libraries_talk(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of a command is one line."""
    logs.configure(Settings(log="json"), command=True)

    logging.getLogger("aiokafka").error("Unable connect")

    assert _lines(capsys) == []


def test_the_level_is_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """An operator who asks for warnings gets no more."""
    logs.configure(Settings(log="json", log_level="warning"))

    structlog.get_logger().info("shard_opened")
    structlog.get_logger().warning("fetch_failed")

    assert [line["event"] for line in _lines(capsys)] == ["fetch_failed"]


def test_a_console_line_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """HEADRACE_LOG=console."""
    logs.configure(Settings(log="console"), stage="auth")

    structlog.get_logger().info("shard_opened", shard=3)

    said = capsys.readouterr().err
    assert "shard_opened" in said
    assert "shard=3" in said
    assert not said.startswith("{")


def test_no_field_is_longer_than_a_kilobyte(capsys: pytest.CaptureFixture[str]) -> None:
    """C.5: a client chooses ids, and a library quotes whatever it was given."""
    logs.configure(Settings(log="json"))
    long = "x" * 1_000_000
    structlog.get_logger().info(
        "request_rejected", request_id=long, several=[long] * 100, mapped={long: long}, odd=b"y" * 10**6
    )
    logging.getLogger("library").warning("odd header %s", long)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(len(line) < 100_000 for line in lines)
    assert json.loads(lines[0])["request_id"].endswith("(1000000 characters)")


def test_the_lines_of_libraries_are_remembered_in_bounded_number() -> None:
    """Each text would otherwise stay in memory for good."""
    repeats = logs.Repeats(Clock())
    for number in range(3 * logs.LINES):
        repeats.filter(logging.LogRecord("library", logging.WARNING, "", 0, f"line {number}", None, None))
    assert len(vars_of(repeats)) <= logs.LINES


def vars_of(repeats: logs.Repeats) -> dict[Any, Any]:
    """The remembered lines."""
    remembered: dict[Any, Any] = vars(repeats)["_heard"]
    return remembered
