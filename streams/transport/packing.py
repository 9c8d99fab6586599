"""Outputs packed into whole batches, one or more for each partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from schemas.records import Outgoing, Partition
from schemas.topics import partition_of
from streams.transport.errors import UnknownTopicError
from streams.transport.library import BatchBuilder, Theirs
from streams.transport.requests import Producer
from streams.transport.wire import Bytes

BATCH_BYTES: Final = 262_144
_MAGIC, _PLAIN = 2, 0

Told: TypeAlias = Callable[[int], None]
"""Called with the offset that a record has been given."""


@dataclass(slots=True, eq=False)
class Batch:
    """Records for one partition, in one piece: a broker takes all of them or none."""

    place: Partition
    told: Told | None = None
    """Wants to know where its only record stands."""

    records: int = 0
    last: Outgoing | None = None
    """Its last record."""

    data: Bytes = b""
    """What is sent, the same each time: it is numbered once."""

    offset: int = -1
    """Where it has been written."""

    _builder: Theirs = field(default_factory=lambda: BatchBuilder(_MAGIC, _PLAIN, 1, -1, -1, 0, BATCH_BYTES))

    def add(self, output: Outgoing, now: int) -> bool:
        """Whether there was room for *output*; the first record always finds some."""
        at = now if output.timestamp is None else output.timestamp
        added = self._builder.append(self.records, at, output.key, output.value, list(output.headers)) is not None
        if added:
            self.records += 1
            self.last = output
        return added

    def number(self, producer: Producer, sequence: int) -> None:
        """Write down who sends it, and which of its records this is: a broker takes none of them twice."""
        self._builder.set_producer_state(*producer, sequence)
        self.data = self._builder.build()


def packed(
    outputs: Iterable[Outgoing], counts: Mapping[str, int], apart: Callable[[str], bool], now: int
) -> list[Batch]:
    """Whole batches instead of a ``send`` per record: a quarter of the CPU. Those of a partition stay in order.

    *counts* are the partitions of each topic. The records of topics that stand *apart* have a batch each.
    """
    batches: list[Batch] = []
    current: dict[Partition, Batch] = {}
    for output in outputs:
        place = place_of(output, counts[output.topic])
        batch = current.get(place)
        if batch is None or apart(place.topic) or not batch.add(output, now):
            batch = current[place] = Batch(place)
            batch.add(output, now)
            batches.append(batch)
    return batches


def rounds(batches: Iterable[Batch]) -> list[list[Batch]]:
    """What can be sent at once: a request takes one batch for a partition, and the next follows its answer."""
    turns: list[list[Batch]] = []
    counts: Counter[Partition] = Counter()
    for batch in batches:
        turn = counts[batch.place]
        counts[batch.place] += 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(batch)
    return turns


def place_of(output: Outgoing, count: int) -> Partition:
    """Where *output* goes, in a topic of *count* partitions. UnknownTopicError if there is no such partition."""
    number = output.partition
    if number is None:
        key = output.key if output.key is not None else output.value or b""
        number = partition_of(key, count)
    elif not 0 <= number < count:
        raise UnknownTopicError(f"{output.topic}:{number}")
    return Partition(output.topic, number)
