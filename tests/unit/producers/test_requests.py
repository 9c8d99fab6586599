"""A client's request as a record."""

from __future__ import annotations

from producers.requests import SOURCE, request_record
from schemas.envelopes import Sizes, open_envelope
from schemas.records import ProducerRecord, Record
from schemas.requests import Request

SIZES = Sizes(value=10_000, headers=10_000, header_count=64)


def _taken(outgoing: ProducerRecord) -> Record:
    return Record(outgoing.topic, 0, 7, 1_000, outgoing.key, outgoing.value, outgoing.headers)


def test_the_door_reads_what_a_client_writes() -> None:
    """The two ends of the wire are written apart, and must agree."""
    request = Request(agent="echo", input="hello", session="s-1", deadline=2.5, metadata={"sleep": "1"})

    record = request_record("acme", request, request_id="r-1", now_ms=1_000)
    envelope = open_envelope(_taken(record), SIZES)

    assert record.key == b"s-1", "requests of one session meet in one partition"
    assert envelope.request() == request
    assert (envelope.request_id, envelope.source) == ("r-1", SOURCE)
    assert envelope.session(request) == "s-1"


def test_a_request_without_a_session_has_none_for_the_door() -> None:
    """The request's id as key spreads them over the partitions; it must not be taken for a session."""
    request = Request(agent="echo", input="hello")
    record = request_record("acme", request, request_id="r-1", now_ms=1_000)

    assert record.key == b"r-1"
    assert open_envelope(_taken(record), SIZES).session(request) is None


def test_the_same_request_sent_later_has_the_same_body() -> None:
    """Sent again, it is joined to the first; another body under the same id would be a conflict."""
    request = Request(agent="echo", input="hello", metadata={"a": "b"})

    first = request_record("acme", request, request_id="r-1", now_ms=1_000)
    again = request_record("acme", request, request_id="r-1", now_ms=9_000)

    assert open_envelope(_taken(first), SIZES).body == open_envelope(_taken(again), SIZES).body


def test_a_reply_topic_travels_only_if_it_is_asked_for() -> None:
    """An absent header says: the tenant's own results."""
    request = Request(agent="echo", input="hello")

    plain = request_record("acme", request, request_id="r-1", now_ms=1_000)
    redirected = request_record("acme", request, request_id="r-1", now_ms=1_000, reply_to="elsewhere")

    assert open_envelope(_taken(plain), SIZES).reply_to is None
    assert open_envelope(_taken(redirected), SIZES).reply_to == "elsewhere"
