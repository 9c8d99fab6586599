"""A carried record is the same record, and says where it first stood."""

from __future__ import annotations

from schemas.records import ProducerRecord, Record
from schemas.relocation import original_of, relocated

RECORD = Record("platform.screened", 3, 41, 1_700_000_000_000, b"key", b"value", (("ce_id", b"1"), ("n", None)))


def read_again(copy: ProducerRecord, offset: int) -> Record:
    """The copy, as the broker has taken it."""
    return Record(copy.topic, copy.partition or 0, offset, 1_800_000_000_000, copy.key, copy.value, copy.headers)


def test_a_copy_is_as_its_record_was() -> None:
    """Key, value, headers in order, time and partition; one header more."""
    copy = relocated(RECORD)

    assert copy == ProducerRecord(
        "platform.screened",
        b"key",
        b"value",
        (*RECORD.headers, ("headrace-relocated", b"41/1700000000000")),
        3,
        1_700_000_000_000,
    )


def test_a_copy_of_a_copy_says_where_the_first_stood() -> None:
    """However often it is carried, it grows once."""
    first = relocated(RECORD)
    named = first._replace(headers=(*first.headers, ("headrace-input", b"platform.screened:3:41")))
    again = relocated(read_again(named, 20_000))

    assert again == relocated(RECORD)


def test_the_record_as_it_first_stood_can_be_had_from_its_copy() -> None:
    """Who has heard of it knows it by that position."""
    assert original_of(read_again(relocated(RECORD), 20_000)) == RECORD
    assert original_of(RECORD) == RECORD


def test_a_client_cannot_say_where_its_record_first_stood() -> None:
    """On its own topic it may write what it likes; it is no one's position but its own."""
    forged = RECORD._replace(topic="tenants.acme.requests", headers=(("headrace-relocated", b"7/1"),))

    assert original_of(forged) == forged


def test_a_header_that_nobody_of_ours_wrote_says_nothing() -> None:
    """The record stands where it stands."""
    for text in (b"", b"41", b"-1/5", b"1/2/3", b"9" * 30 + b"/1", "٤/٤".encode(), b"\xff"):
        odd = RECORD._replace(headers=(("headrace-relocated", text),))
        assert original_of(odd) == odd
