"""What a client may ask for, and what is refused at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from schemas.requests import METADATA, PARTS, Request, TextPart


def _deadline(text: str) -> object:
    return Request.model_validate_json(f'{{"agent": "echo", "input": "x", "deadline": {text}}}').deadline


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("0.5", 0.5), ("1e3", 1_000), ("31622400", 31_622_400)])
def test_a_number_is_seconds(text: str, seconds: float) -> None:
    """Counted from the broker's append time, up to a year."""
    assert _deadline(text) == seconds


@pytest.mark.parametrize("text", ["2030-01-31T12:00:00Z", "2030-01-31T13:00:00.000+01:00", "2030-01-31 12:00:00Z"])
def test_a_text_is_a_moment(text: str) -> None:
    """RFC 3339, in any zone."""
    moment = _deadline(f'"{text}"')

    assert isinstance(moment, datetime)
    assert moment == datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-5", "-0.1", "true", "NaN", "Infinity", "-Infinity", "1e308", "1e999", "[]", "{}"),
        *('"30"', '"-5"', '"1e3"', '"soon"', '""', '"P1M"', '"2030-01-31"', '"2030-01-31T12:00:00"'),
    ],
)
def test_what_is_neither_seconds_nor_a_moment_is_refused(text: str) -> None:
    """-5 must not become five seconds before 1970, "30" not half a minute after it, 1e308 no overflow at the door."""
    with pytest.raises(ValidationError):
        _deadline(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT30S", 30), ("PT1.5S", 1.5), ("PT2M", 120), ("P1DT1H", 90_000), ("P1D", 86_400)]
)
def test_a_duration_of_iso_8601_is_seconds(text: str, seconds: float) -> None:
    """D.1: libraries write durations in this form."""
    assert _deadline(f'"{text}"') == seconds


@pytest.mark.parametrize(
    ("text", "hint"), [('"2030-01-31T12:00:00"', "has no zone"), ('"soon"', "PT30S"), ("-5", "PT30S"), ("[]", "PT30S")]
)
def test_a_wrong_deadline_gets_the_message_that_helps(text: str, hint: str) -> None:
    """D.1: the message names the forms, not the first member of a union."""
    with pytest.raises(ValidationError) as caught:
        _deadline(text)
    (fault,) = caught.value.errors()
    assert fault["loc"] == ("deadline",)
    assert hint in fault["msg"]


def test_parts_and_metadata_are_counted() -> None:
    """C.2: 87,000 empty parts held a worker for 4.7 s."""
    Request(agent="echo", input=(TextPart(text=""),) * PARTS, metadata={str(n): "" for n in range(METADATA)})
    with pytest.raises(ValidationError, match="256 items"):
        Request(agent="echo", input=(TextPart(text=""),) * (PARTS + 1))
    with pytest.raises(ValidationError, match="256 items"):
        Request(agent="echo", input="x", metadata={str(n): "" for n in range(METADATA + 1)})


def test_a_deadline_survives_the_hops() -> None:
    """The request travels on inside every hop."""
    zone = timezone(timedelta(hours=5, minutes=30))
    for deadline in (None, 2.5, datetime(2030, 1, 31, 12, tzinfo=zone)):
        request = Request(agent="echo", input="x", deadline=deadline)

        assert Request.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    "budget", ['{"usd": Infinity}', '{"usd": 1e999}', '{"usd": 0}', '{"tokens": 0}', '{"cents": 5}']
)
def test_a_budget_that_limits_nothing_is_refused(budget: str) -> None:
    """An infinite one would travel as none; a misspelt one would be dropped."""
    with pytest.raises(ValidationError):
        Request.model_validate_json(f'{{"agent": "echo", "input": "x", "budget": {budget}}}')


def test_what_newer_clients_send_is_left_aside() -> None:
    """A field that we do not know yet does not fail a request."""
    newer = '{"agent": "echo", "input": [{"text": "x", "lang": "en"}], "colour": "blue"}'

    assert Request.model_validate_json(newer) == Request(agent="echo", input=(TextPart(text="x"),))


@pytest.mark.parametrize("part", ['{"type": "image", "url": "x"}', '{"type": "text"}', "5", "null"])
def test_a_part_that_is_no_text_is_refused(part: str) -> None:
    """Answering as if it had not been sent would be wrong."""
    with pytest.raises(ValidationError):
        Request.model_validate_json(f'{{"agent": "echo", "input": [{part}]}}')


def test_the_text_is_the_input_or_its_parts_line_by_line() -> None:
    """Guards and models see one text."""
    parts = (TextPart(text="one"), TextPart(text="two"))

    assert Request(agent="echo", input="one").text == "one"
    assert Request(agent="echo", input=parts).text == "one\ntwo"


@pytest.mark.parametrize("session", ["s", "customer 17", "x" * 128, "{curly}~!"])
def test_a_session_is_printable_ascii(session: str) -> None:
    """It stands in keys."""
    assert Request(agent="echo", input="x", session=session).session == session


@pytest.mark.parametrize("session", ["", "a|b", " a", "a ", "a  b", "a\n", "ä", "x" * 129, "a\x00"])
def test_a_session_that_would_blur_a_key_is_refused(session: str) -> None:
    """``|`` parts keys, and blanks at the ends are lost on the way."""
    with pytest.raises(ValidationError):
        Request(agent="echo", input="x", session=session)


@pytest.mark.parametrize("agent", ["", "x" * 65])
def test_an_agents_name_has_1_to_64_characters(agent: str) -> None:
    """It is echoed in the result."""
    with pytest.raises(ValidationError):
        Request(agent=agent, input="x")
