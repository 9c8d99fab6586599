"""A dead letter keeps what came, loses what must not be kept, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.dead_letters import MESSAGE_LIMIT, DeadLetterReason
from schemas.headers import Headers
from tests.unit.schemas.wire import BODY, TOPIC, record

REASON = DeadLetterReason(
    code="malformed",
    kind="MalformedError",
    message="the value is not JSON",
    stage="auth",
    worker="w1",
    attempt=2,
    first_failure_ms=1_700_000_000_005,
)


def test_the_reason_stands_in_the_headers() -> None:
    """An operator filters by it, and replays by it."""
    headers = dict(REASON.headers(record()))

    assert headers == {
        "headrace-error-code": b"malformed",
        "headrace-error-class": b"MalformedError",
        "headrace-error-message": b"the value is not JSON",
        "headrace-stage": b"auth",
        "headrace-worker": b"w1",
        "headrace-attempt": b"2",
        "headrace-first-failure-at": b"1700000000005",
        "headrace-source": f"{TOPIC}/2/7/1700000000000".encode(),
    }


def test_what_came_is_kept_in_order_bytes_and_nulls_included() -> None:
    """The record may be malformed by its headers; then they are the evidence."""
    came = (("ce_id", b"r1"), ("b", b"\xff"), ("ce_id", b"r2"), ("n", None))

    assert REASON.headers(record(BODY, came))[:4] == came


def test_credentials_are_dropped() -> None:
    """A dead letter is kept for long and read by people; a seal or signature in it could be copied."""
    came = (("headrace-signature", b"s"), ("headrace-seal", b"s"), ("headrace-seal", b"t"), ("a", b""))

    names = [name for name, _ in REASON.headers(record(BODY, came))]

    assert not {"headrace-signature", "headrace-seal"} & set(names)
    assert names[0] == "a"


def test_an_older_reason_gives_way() -> None:
    """Also one that a client made up: each reason header stands once."""
    forged = (("headrace-error-code", b"forged"), ("headrace-source", b"forged"), ("headrace-source", b"forged"))

    headers = REASON.headers(record(BODY, forged))

    Headers(headers).check(count=64, size=65_536)
    assert b"forged" not in dict(headers).values()


@pytest.mark.parametrize("before", range(4))
def test_a_long_message_is_cut_between_two_characters(before: int) -> None:
    """The limit counts bytes, and half a character is no UTF-8: every header we write is text."""
    message = "x" * before + "€" * MESSAGE_LIMIT

    written = dict(replace(REASON, message=message).headers(record()))["headrace-error-message"] or b""

    assert MESSAGE_LIMIT - 3 < len(written) <= MESSAGE_LIMIT
    assert message.startswith(written.decode())


def test_a_message_at_the_limit_is_whole() -> None:
    """Off by one would lose a character."""
    message = "x" * (MESSAGE_LIMIT - 3) + "€"

    assert dict(replace(REASON, message=message).headers(record()))["headrace-error-message"] == message.encode()


def test_a_message_that_utf8_cannot_say_is_buried_all_the_same() -> None:
    """File names and foreign errors may hold half of a surrogate pair."""
    headers = dict(replace(REASON, message="no \udcff file").headers(record()))

    assert headers["headrace-error-message"] == b"no ? file"
