"""Whose request it is, by what name, in which session, and where the answer goes."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelopes import derived_id
from schemas.errors import MalformedError, RecordError, TooLargeError, UnsupportedVersionError
from schemas.records import HeaderList
from schemas.requests import REQUEST_TYPE
from tests.unit.schemas.wire import BODY, SIZES, TOPIC, opened, record


def _request(**fields: object) -> bytes:
    return json.dumps({"agent": "echo", "input": "hello", **fields}).encode()


def test_a_request_without_an_id_is_named_by_its_position() -> None:
    """Typed by hand in a Kafka UI it still has one identity."""
    envelope = opened()

    assert envelope.request_id == f"{TOPIC}:2:7:1700000000000"
    assert envelope.source == "/"


def test_a_topic_that_is_made_again_gives_new_ids() -> None:
    """D.1: a bare record was joined to, or in conflict with, one of the deleted topic at its position."""
    first = record()
    assert derived_id(first) != derived_id(first._replace(timestamp=first.timestamp + 1))
    assert len(derived_id(first._replace(topic=f"tenants.{'t' * 63}.requests", partition=255, offset=2**63))) <= 128


def test_a_request_is_named_by_its_client() -> None:
    """Binary or structured."""
    structured = json.dumps({"specversion": "1.0", "id": "r1", "source": "/shop", "data": json.loads(BODY)}).encode()

    for envelope in (opened(headers=(("ce_id", b"r1"), ("ce_source", b"/shop"))), opened(structured)):
        assert (envelope.request_id, envelope.source) == ("r1", "/shop")


def test_the_same_data_have_the_same_digest_and_others_another() -> None:
    """The same id with another body is a conflict; with the same, a repetition."""
    compact = _request().replace(b": ", b":").replace(b", ", b",")
    structured = b'{"specversion": "1.0", "data": ' + _request() + b"}"

    assert opened(compact).body == opened(compact, (("ce_id", b"r1"),)).body == opened(structured).body
    assert opened(compact).body != opened(_request(session="s")).body


def test_the_key_is_the_session() -> None:
    """Kafka users order by key, and expect it to mean something."""
    envelope = opened(key=b"customer-17")

    assert envelope.session(envelope.request()) == "customer-17"


@pytest.mark.parametrize("key", [None, b""])
def test_without_a_key_there_is_no_session(key: bytes | None) -> None:
    """Then requests do not wait for each other."""
    envelope = opened(key=key)

    assert envelope.session(envelope.request()) is None


def test_the_requests_own_id_as_a_key_is_no_session() -> None:
    """Clients that spread their load by id would get one session each for nothing."""
    envelope = opened(headers=(("ce_id", b"r1"),), key=b"r1")

    assert envelope.session(envelope.request()) is None


def test_the_payload_may_name_the_session_alone_or_together_with_the_key() -> None:
    """Both say the same, or one says nothing."""
    for key in (None, b"s", b"r1"):
        envelope = opened(_request(session="s"), (("ce_id", b"r1"),), key)

        assert envelope.session(envelope.request()) == "s"


@pytest.mark.parametrize("key", [b"other", b"\xff\x00", b"s|t"])
def test_a_key_and_a_payload_that_name_two_sessions_are_malformed(key: bytes) -> None:
    """The partitions would order by one, and the platform by the other."""
    with pytest.raises(MalformedError, match="session"):
        opened(_request(session="s"), key=key).request()


def test_a_key_that_cannot_be_a_session_becomes_a_short_text() -> None:
    """A session stands in keys and logs: no separator, nothing that does not print, and never a megabyte."""
    keys = (b"a|b", b"\x00\x01", b"line\nbreak", b"x" * 129, b"\xff" * 200, uuid.UUID(int=5).bytes)

    sessions = {opened(key=key).session(opened().request()) for key in keys}

    assert len(sessions) == len(keys)
    for session in sessions:
        assert session
        assert session.isprintable()
        assert len(session) <= 128
        assert "|" not in session


_SPRING = uuid.UUID("00ff8001-7f00-4000-8000-0a0d00ff00ff").bytes


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ((("correlation_id", b"\xff\x00c"),), ("correlation_id", b"\xff\x00c")),
        ((("kafka_correlationId", _SPRING),), ("kafka_correlationId", _SPRING)),
        ((("kafka_correlationId", _SPRING), ("correlation_id", b"c")), ("correlation_id", b"c")),
        ((("correlation_id", None), ("kafka_correlationId", _SPRING)), ("kafka_correlationId", _SPRING)),
        ((("correlation_id", b""),), ("correlation_id", b"")),
        ((), ("correlation_id", None)),
    ],
)
def test_the_correlation_id_is_kept_byte_for_byte_with_the_name_it_came_under(
    headers: HeaderList, found: tuple[str, bytes | None]
) -> None:
    """Spring matches 16 raw bytes under its own name."""
    origin = opened(headers=headers).origin

    assert (origin.correlation_header, origin.correlation_id) == found
    assert type(origin).model_validate_json(origin.model_dump_json()) == origin


def test_the_origin_says_where_the_record_stood() -> None:
    """The answer needs the client's key, and the position that the broker gave."""
    origin = opened(key=b"\xff").origin

    assert (origin.position, origin.key, origin.timestamp_ms) == (f"{TOPIC}:2:7", b"\xff", 1_700_000_000_000)


def test_reply_to_is_what_the_header_says() -> None:
    """Whether it may say so is decided by auth."""
    assert opened(headers=(("reply_to", b"anything"),)).reply_to == "anything"
    assert opened(headers=(("reply_to", b"\xff"),)).reply_to is None


def test_a_type_that_is_not_a_request_is_unsupported() -> None:
    """A later version may ask for something else."""
    assert opened(headers=(("ce_type", REQUEST_TYPE.encode()),)).event.type == REQUEST_TYPE

    with pytest.raises(UnsupportedVersionError, match="v2"):
        opened(headers=(("ce_type", b"headrace.request.v2"),))


def test_what_is_over_a_limit_is_too_large() -> None:
    """The value, the key, the headers and their number; the limit itself is allowed."""
    opened(b"x" * SIZES.value, key=b"k" * SIZES.headers)

    with pytest.raises(TooLargeError, match="value"):
        opened(b"x" * (SIZES.value + 1))
    with pytest.raises(TooLargeError, match="key"):
        opened(key=b"k" * (SIZES.headers + 1))
    with pytest.raises(TooLargeError, match="headers"):
        opened(headers=(("h", b"x" * SIZES.headers),))
    with pytest.raises(TooLargeError, match="headers"):
        opened(headers=(("h", None),) * (SIZES.header_count + 1))


@pytest.mark.parametrize("value", [None, b"", b"not json", b"[]", b'"text"', b'{"agent": "echo"}', b"{" * 900])
def test_data_that_are_no_request_are_malformed(value: bytes | None) -> None:
    """The envelope opens, so that the failed result can say whose it is."""
    with pytest.raises(MalformedError):
        opened(value).request()


def test_a_malformed_request_says_where_but_not_what() -> None:
    """The message travels, and the content may be a secret."""
    with pytest.raises(MalformedError) as caught:
        opened(_request(agent={"secret": "hunter2"})).request()

    assert "agent" in caught.value.public_message
    assert "hunter2" not in caught.value.public_message + caught.value.detail


@given(value=st.none() | st.binary(max_size=100), key=st.none() | st.binary(max_size=200))
def test_arbitrary_records_open_or_raise_our_errors(value: bytes | None, key: bytes | None) -> None:
    """No record ends a worker (I10)."""
    try:
        envelope = opened(value, key=key)
        request = envelope.request()
    except RecordError:
        return

    assert envelope.session(request) != ""
