"""How outputs are packed into batches, and which batches go out at once."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords

from schemas.records import Partition, ProducerRecord
from streams.transport.aiokafka_types import Untyped
from streams.transport.errors import UnknownTopicError
from streams.transport.protocol.record_batches import BATCH_BYTES, RecordBatch, packed, partition_for, rounds
from streams.transport.protocol.requests import Producer

COUNTS = {"out": 3, "apart": 1}


def together(_: str) -> bool:
    """No topic stands apart."""
    return False


def read(batch: RecordBatch) -> Untyped:
    """The batch as a consumer gets it."""
    batches: Any = MemoryRecords(bytes(batch.data))
    return batches.next_batch()


def test_the_records_of_a_partition_share_a_batch_and_stay_in_order() -> None:
    """Each with its key, its headers, and its own time or that of now."""
    headers = (("name", b"value"), ("none", None))
    outputs = [
        ProducerRecord("out", b"k", b"1", headers, partition=1),
        ProducerRecord("out", b"k", b"2", partition=0),
        ProducerRecord("out", None, b"3", partition=1, timestamp=5),
    ]
    first, second = packed(outputs, COUNTS, together, 1_000)

    assert (first.place, second.place) == (Partition("out", 1), Partition("out", 0))
    first.number(Producer(7, 3), 40)
    batch = read(first)
    assert batch.validate_crc()
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 3, 40)
    assert batch.is_transactional
    found = [(record.key, record.value, record.timestamp, tuple(record.headers)) for record in batch]
    assert found == [(b"k", b"1", 1_000, headers), (None, b"3", 5, ())]


def test_what_does_not_fit_begins_a_new_batch() -> None:
    """A record that is larger than a batch has one of its own: its topic says whether it is too large."""
    half = b"x" * (BATCH_BYTES * 2 // 3)
    outputs = [ProducerRecord("out", None, value, partition=0) for value in (half, half, half * 2, b"small")]

    batches = packed(outputs, COUNTS, together, 0)

    assert [batch.records for batch in batches] == [1, 1, 1, 1]
    assert [batch.last for batch in batches] == outputs


def test_the_records_of_a_topic_that_stands_apart_have_a_batch_each() -> None:
    """It refused one of several, and not which it was."""
    outputs = [ProducerRecord(topic, None, b"v", partition=0) for topic in ("apart", "out", "apart", "out")]

    batches = packed(outputs, COUNTS, lambda topic: topic == "apart", 0)

    assert [(batch.place.topic, batch.records) for batch in batches] == [("apart", 1), ("out", 2), ("apart", 1)]


def test_a_round_has_one_batch_for_a_partition() -> None:
    """A broker takes no more in one request; those of a partition go out in order."""
    a, b = Partition("a", 0), Partition("b", 0)
    batches = [RecordBatch(a), RecordBatch(a), RecordBatch(b), RecordBatch(a)]

    assert rounds(batches) == [[batches[0], batches[2]], [batches[1]], [batches[3]]]
    assert rounds([]) == []


def test_a_partition_that_there_is_not_is_an_unknown_topic() -> None:
    """Its number says too much or too little."""
    assert partition_for(ProducerRecord("out", b"k", b"v", partition=2), 3) == Partition("out", 2)
    assert partition_for(ProducerRecord("out", b"k", b"v"), 3) == partition_for(ProducerRecord("out", b"k", None), 3)
    assert partition_for(ProducerRecord("out", None, b"k"), 3) == partition_for(ProducerRecord("out", b"k", b"v"), 3)
    for number in (-1, 3):
        with pytest.raises(UnknownTopicError, match=rf"out:{number}"):
            partition_for(ProducerRecord("out", b"k", b"v", partition=number), 3)
