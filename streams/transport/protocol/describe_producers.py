"""The DescribeProducers request. It finds the open transactions of partitions, also those that brokers forgot."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.records import Partition
from streams.transport.protocol.encoding import NO_TAGS, ApiRequest, ResponseReader, array, name
from streams.transport.protocol.requests import Producer

DESCRIBE_PRODUCERS: Final = 61
_INDEX = struct.Struct(">i")
_CODED = struct.Struct(">ih")  # partition, error code
_STATE = struct.Struct(">qiiqiq")  # id, epoch, last sequence, last timestamp, coordinator epoch, start offset


class OpenTransaction(NamedTuple):
    """The open transaction of one producer in one partition, as the partition's leader describes it."""

    producer: Producer
    """The producer with the epoch of its last write."""

    start: int
    """The offset of its first record."""

    last_ms: int
    """The timestamp of its last batch, in milliseconds since the epoch."""


class PartitionProducers(NamedTuple):
    """The open transactions of one partition, or the error code."""

    code: int
    open: list[OpenTransaction]


def describe_producers(places: Iterable[Partition]) -> ApiRequest[dict[Partition, PartitionProducers]]:
    """Build a request for the open transactions of *places*, for their leader (KIP-664). Kafka has it since 2.8."""
    topics: dict[str, list[bytes]] = defaultdict(list)
    for topic, number in places:
        topics[topic].append(_INDEX.pack(number))
    rows = [name(topic) + array(numbers) + NO_TAGS for topic, numbers in topics.items()]
    return ApiRequest(DESCRIBE_PRODUCERS, 0, [array(rows), NO_TAGS], _described)


def _described(answer: ResponseReader) -> dict[Partition, PartitionProducers]:
    answer.int32()
    places: dict[Partition, PartitionProducers] = {}
    for _ in answer.items():
        topic = answer.text()
        for _ in answer.items():
            number, code = answer.unpack(_CODED)
            answer.text()
            places[Partition(topic, number)] = PartitionProducers(code, _open(answer))
            answer.tags()
        answer.tags()
    return places


def _open(answer: ResponseReader) -> list[OpenTransaction]:
    found: list[OpenTransaction] = []
    for _ in answer.items():
        number, epoch, _, last_ms, _, start = answer.unpack(_STATE)
        answer.tags()
        if start >= 0:
            found.append(OpenTransaction(Producer(number, epoch), start, last_ms))
    return found
