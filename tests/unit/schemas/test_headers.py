"""Headers are read with tolerance, except where two readers could take different ones."""

from __future__ import annotations

import pytest

from schemas.errors import MalformedError, TooLargeError
from schemas.headers import INPUT, Headers, input_of, input_position, is_reserved, with_input, write
from schemas.records import HeaderList, Partition, ProducerRecord


def _check(raw: HeaderList, count: int = 8, size: int = 100) -> None:
    Headers(raw).check(count=count, size=size)


def test_a_null_header_is_the_same_as_none() -> None:
    """Some clients write NULL for what they do not know."""
    headers = Headers((("ce_id", None),))

    assert headers.text("ce_id") is None
    assert headers.binary("ce_id") is None


def test_bytes_where_text_is_wanted_are_the_same_as_no_header() -> None:
    """A record is never skipped for its headers' encoding (I10)."""
    headers = Headers((("ce_id", b"\xff\xfe"),))

    assert headers.text("ce_id") is None
    assert headers.binary("ce_id") == b"\xff\xfe"


def test_the_first_of_several_counts_and_all_are_kept() -> None:
    """Kafka allows a header to stand twice; a dead letter shows both."""
    raw = (("tag", b"one"), ("tag", b"two"), ("other", None))
    headers = Headers(raw)

    assert headers.text("tag") == "one"
    assert tuple(headers.items()) == raw


def test_an_empty_text_is_a_text() -> None:
    """Absent and empty are told apart, so that an empty id is refused and not replaced."""
    assert Headers((("ce_id", b""),)).text("ce_id") == ""


@pytest.mark.parametrize(
    "name", ["ce_id", "ce_anything", "headrace-signature", "headrace-x", "reply_to", "content-type", "traceparent"]
)
def test_a_reserved_header_that_stands_twice_is_malformed(name: str) -> None:
    """Auth would read one and a writer the other."""
    with pytest.raises(MalformedError, match=name):
        _check(((name, b"a"), ("between", b""), (name, b"a")))


def test_a_null_twin_of_a_reserved_header_is_a_twin() -> None:
    """NULL reads as absent here, and perhaps not elsewhere."""
    with pytest.raises(MalformedError):
        _check((("reply_to", b"a"), ("reply_to", None)))


@pytest.mark.parametrize("name", ["baggage", "tracestate", "correlation_id", "x-ce_id", "Reply_To", ""])
def test_any_other_header_may_stand_twice(name: str) -> None:
    """W3C allows several tracestate headers, and what is not ours is not our business."""
    assert not is_reserved(name)

    _check(((name, b"a"), (name, b"b")))


def test_as_many_headers_as_allowed_pass_and_one_more_is_too_large() -> None:
    """The limit itself is allowed."""
    allowed = tuple((f"h{number}", b"") for number in range(8))
    _check(allowed)

    with pytest.raises(TooLargeError, match="8 headers"):
        _check((*allowed, ("h8", b"")))


def test_the_weight_of_headers_is_their_names_and_values_in_bytes() -> None:
    """A name of umlauts weighs what the broker stores, not what a terminal shows."""
    _check((("ab", b"x" * 98),))

    with pytest.raises(TooLargeError, match="100 bytes"):
        _check((("ab", b"x" * 99),))
    with pytest.raises(TooLargeError):
        _check((("ä" * 51, None),))


def test_headers_are_written_in_order_and_without_what_is_none() -> None:
    """A header that says nothing is not sent."""
    assert write(reply_to="a", ce_id=None, tag="ü") == (("reply_to", b"a"), ("tag", "ü".encode()))


def test_an_output_names_its_input_and_the_last_name_counts() -> None:
    """The committer adds it last, so nothing that stood before decides."""
    forged: HeaderList = ((INPUT, b"in:0:1"), ("x", b"y"))
    output = ProducerRecord("out", b"k", b"v", forged, 2, 5)

    named = with_input(output, input_position(Partition("a.b-c", 3), 41))

    assert named == output._replace(headers=(*forged, (INPUT, b"a.b-c:3:41")))
    assert input_of(named.headers) == (Partition("a.b-c", 3), 41)


@pytest.mark.parametrize("value", [None, b"", b"in:0", b"in:x:1", b"in:0:1 ", b"a/b:0:1", b"in:0:" + b"9" * 30])
def test_an_input_that_is_not_a_position_is_none(value: bytes | None) -> None:
    """No arbitrary bytes reach a request."""
    assert input_of(((INPUT, value),)) is None
    assert input_of(()) is None


def test_the_first_commit_of_a_partition_names_the_offset_before_it() -> None:
    """It is done as soon as the partition has an offset."""
    assert input_of(((INPUT, input_position(Partition("in", 0), -1)),)) == (Partition("in", 0), -1)
