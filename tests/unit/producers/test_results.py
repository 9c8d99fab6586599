"""Answers, and what a caller is told of an error."""

from __future__ import annotations

import pytest

from producers.results import error_of, result_record
from schemas.errors import ModelOverloadedError, ToolFailedError
from schemas.results import Result
from tests.unit.producers.samples import NOW, ORIGIN, TRACE, texts

RESULT = Result(request_id="r-1", run_id="run-1", agent="echo", status="succeeded", output="hello")


@pytest.mark.parametrize(
    ("key", "session", "expected"),
    [(b"\xff\x00", "s-1", b"\xff\x00"), (b"", None, b""), (None, "s-1", b"s-1"), (None, None, b"r-1")],
)
def test_a_result_has_the_key_of_its_request(key: bytes | None, session: str | None, expected: bytes) -> None:
    """Byte for byte: the client chose it to find its answers in order."""
    origin = ORIGIN.model_copy(update={"key": key})

    output = result_record(
        RESULT, tenant="acme", origin=origin, session=session, topic="answers", trace=TRACE, now_ms=NOW
    )

    assert (output.topic, output.key, output.partition) == ("answers", expected, None)
    assert Result.model_validate_json(output.value or b"") == RESULT
    assert (texts(output)["ce_id"], texts(output)["ce_subject"]) == ("run-1", "r-1")
    assert dict(output.headers)["correlation_id"] == ORIGIN.correlation_id
    assert TRACE[0] in output.headers


def test_an_error_tells_its_code_its_safe_words_and_when_to_come_back() -> None:
    """The detail stays with us."""
    told = error_of(ModelOverloadedError("busy", detail="api key sk-1", retry_after=2.5))

    assert told.model_dump() == {
        "code": "model_overloaded",
        "message": "busy",
        "retryable": True,
        "retry_after": 2.5,
    }


def test_words_that_no_json_can_say_are_replaced() -> None:
    """A tool may raise with the name of a file in it: an answer that cannot be written would be none."""
    assert error_of(ToolFailedError("no such file: \udcff")).message == "no such file: ?"


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1.0, 0, True, "soon", None])
def test_a_wait_that_makes_no_sense_is_none(odd: float | None) -> None:
    """Providers and tools send what they like."""
    assert error_of(ModelOverloadedError(retry_after=odd)).retry_after is None
