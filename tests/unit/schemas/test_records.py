"""A record's position names it in the whole cluster."""

from __future__ import annotations

from schemas.records import Partition, ProducerRecord
from tests.unit.schemas.wire import record


def test_a_position_is_topic_partition_and_offset() -> None:
    """It is the id of a request that came without one, so it may not change."""
    assert record().position == "tenants.acme.requests:2:7"


def test_a_partition_reads_as_topic_and_number() -> None:
    """It stands in inbox keys."""
    assert str(Partition("tenants.acme.requests", 3)) == "tenants.acme.requests:3"


def test_the_size_of_a_record_is_that_of_all_its_bytes() -> None:
    """Names of headers are text and travel as UTF-8."""
    headers = (("plain", b"12345"), ("naïve", None))

    assert ProducerRecord("topic", b"key", b"value", headers).size == 3 + 5 + 5 + 5 + 6
    assert ProducerRecord("topic", None, None).size == 0


def test_headers_count_for_a_record_that_waits() -> None:
    """C.2: a tenant's memory is bounded by bytes, and headers are bytes."""
    assert record(b"value", (("ab", b"123"), ("c", None)), b"key").size == 5 + 3 + 5 + 1
