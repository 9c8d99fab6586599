"""Output records packed into record batches, one or more for each partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from schemas.records import Partition, ProducerRecord
from schemas.topics import partition_of
from streams.transport.aiokafka_types import BatchBuilder, Untyped
from streams.transport.errors import UnknownTopicError
from streams.transport.protocol.encoding import Bytes
from streams.transport.protocol.requests import Producer

BATCH_BYTES: Final = 262_144
_MAGIC, _PLAIN = 2, 0

OffsetCallback: TypeAlias = Callable[[int], None]
"""A callback that gets the offset of a written record."""


@dataclass(slots=True, eq=False)
class RecordBatch:
    """A record batch for one partition. A broker accepts all of its records or none."""

    place: Partition
    told: OffsetCallback | None = None
    """The callback that gets the offset of the batch's only record."""

    records: int = 0
    last: ProducerRecord | None = None
    """The batch's last record."""

    data: Bytes = b""
    """The encoded batch. Every resend has the same bytes, because ``number`` is called once."""

    offset: int = -1
    """The offset that the broker gave the batch; -1 if unknown."""

    _builder: Untyped = field(default_factory=lambda: BatchBuilder(_MAGIC, _PLAIN, 1, -1, -1, 0, BATCH_BYTES))

    def add(self, output: ProducerRecord, now: int) -> bool:
        """Add *output* and return True if it fits. The first record always fits."""
        at = now if output.timestamp is None else output.timestamp
        added = self._builder.append(self.records, at, output.key, output.value, list(output.headers)) is not None
        if added:
            self.records += 1
            self.last = output
        return added

    def number(self, producer: Producer, sequence: int) -> None:
        """Set producer id, epoch and sequence, so that a broker writes the batch only once, and encode the batch."""
        self._builder.set_producer_state(*producer, sequence)
        self.data = self._builder.build()


def packed(
    outputs: Iterable[ProducerRecord], counts: Mapping[str, int], apart: Callable[[str], bool], now: int
) -> list[RecordBatch]:
    """Return *outputs* as batches, in order within a partition. This takes a quarter of the CPU of a send per record.

    *counts* has the partition count of each topic. If *apart* is True for a topic, each of its records has its own
    batch. *now* is the default timestamp, in milliseconds since the epoch.
    """
    batches: list[RecordBatch] = []
    current: dict[Partition, RecordBatch] = {}
    for output in outputs:
        place = partition_for(output, counts[output.topic])
        batch = current.get(place)
        if batch is None or apart(place.topic) or not batch.add(output, now):
            batch = current[place] = RecordBatch(place)
            batch.add(output, now)
            batches.append(batch)
    return batches


def rounds(batches: Iterable[RecordBatch]) -> list[list[RecordBatch]]:
    """Return *batches* in rounds to send one after another. A request takes only one batch for each partition."""
    turns: list[list[RecordBatch]] = []
    counts: Counter[Partition] = Counter()
    for batch in batches:
        turn = counts[batch.place]
        counts[batch.place] += 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(batch)
    return turns


def partition_for(output: ProducerRecord, count: int) -> Partition:
    """Return the partition of *output* in a topic of *count* partitions.

    Raises UnknownTopicError if the record asks for a partition that does not exist.
    """
    number = output.partition
    if number is None:
        key = output.key if output.key is not None else output.value or b""
        number = partition_of(key, count)
    elif not 0 <= number < count:
        raise UnknownTopicError(f"{output.topic}:{number}")
    return Partition(output.topic, number)
