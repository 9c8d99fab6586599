"""The requests of a transaction and their responses, in Kafka's flexible versions only.

Every broker since Kafka 3.0 knows the versions of ``CLASSIC``. Those of ``IMPLIED`` have the same bytes with another
meaning (KIP-890, part 2). Each write and each offset commit joins the transaction implicitly. The end of a transaction
also ends the epoch. A broker gives them that meaning from ``transaction.version`` 2 on.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from schemas.records import Partition
from streams.transport.protocol.encoding import (
    NO_TAGS,
    NULL,
    ApiRequest,
    Bytes,
    ResponseReader,
    array,
    name,
    sized,
    text,
)
from streams.varints import uvarint

PRODUCE: Final = 0
API_VERSIONS: Final = 18
INIT_PRODUCER_ID: Final = 22
ADD_PARTITIONS: Final = 24
ADD_OFFSETS: Final = 25
END_TXN: Final = 26
TXN_OFFSET_COMMIT: Final = 28

_ACKS_ALL: Final = -1
_FEATURES: Final = 2
_ABORT, _COMMIT = b"\x00", b"\x01"

_WRITING = struct.Struct(">hi")
_PLACE = struct.Struct(">i")
_OFFSET = struct.Struct(">iqi")
_PRODUCER = struct.Struct(">qh")
_TIMEOUT = struct.Struct(">iqh")
_WRITTEN = struct.Struct(">ihqqq")
_CODED = struct.Struct(">ih")
_API = struct.Struct(">hhh")
_LEVELS = struct.Struct(">hh")


class Versions(NamedTuple):
    """The version of each request that a transaction uses."""

    produce: int
    offsets: int
    end: int


CLASSIC: Final = Versions(produce=9, offsets=3, end=3)
IMPLIED: Final = Versions(produce=12, offsets=5, end=5)


class Producer(NamedTuple):
    """A producer id and its epoch, which grows with each takeover."""

    id: int
    epoch: int


NOBODY: Final = Producer(-1, -1)


class Coded(Protocol):
    """A response with error codes."""

    @property
    def codes(self) -> frozenset[int]:
        """The set of error codes; 0 is success."""
        ...


class ProducerAnswer(NamedTuple):
    """A coordinator's response about a producer."""

    code: int
    producer: Producer = NOBODY

    @property
    def codes(self) -> frozenset[int]:
        """The set with the only error code."""
        return frozenset((self.code,))


class PartitionCodes(NamedTuple):
    """The error code of each partition in a response."""

    by: dict[Partition, int]

    @property
    def codes(self) -> frozenset[int]:
        """The set of all partitions' error codes."""
        return frozenset(self.by.values())


class WrittenBatch(NamedTuple):
    """The result of a batch: its error code and its offset."""

    code: int
    offset: int


def produce(
    transactional_id: str, timeout_ms: int, batches: Iterable[tuple[Partition, Bytes]], versions: Versions
) -> ApiRequest[dict[Partition, WrittenBatch]]:
    """Build a Produce request with one batch per partition. The response comes once all in-sync replicas have it."""
    topics: dict[str, list[tuple[int, Bytes]]] = defaultdict(list)
    for (topic, number), data in batches:
        topics[topic].append((number, data))
    body: list[Bytes] = [name(transactional_id), _WRITING.pack(_ACKS_ALL, timeout_ms), uvarint(len(topics) + 1)]
    for topic, partitions in topics.items():
        body += (name(topic), uvarint(len(partitions) + 1))
        for number, data in partitions:
            body += (_PLACE.pack(number), uvarint(len(data) + 1), data, NO_TAGS)
        body.append(NO_TAGS)
    body.append(NO_TAGS)
    return ApiRequest(PRODUCE, versions.produce, body, _written)


def _written(answer: ResponseReader) -> dict[Partition, WrittenBatch]:
    places: dict[Partition, WrittenBatch] = {}
    for _ in answer.items():
        topic = answer.text()
        for _ in answer.items():
            number, code, offset, _, _ = answer.unpack(_WRITTEN)
            for _ in answer.items():  # skip the refused records, because the error code is enough
                answer.int32()
                answer.text()
                answer.tags()
            answer.text()
            answer.tags()
            places[Partition(topic, number)] = WrittenBatch(code, offset)
        answer.tags()
    return places


def commit_offsets(
    transactional_id: str,
    group: str,
    producer: Producer,
    offsets: Mapping[Partition, tuple[int, str]],
    versions: Versions,
) -> ApiRequest[PartitionCodes]:
    """Build a request that commits *offsets*, each with its metadata, for *group* in the transaction."""
    topics: dict[str, list[bytes]] = defaultdict(list)
    for (topic, number), (offset, metadata) in offsets.items():
        topics[topic].append(_OFFSET.pack(number, offset, -1) + text(metadata) + NO_TAGS)
    body = [
        name(transactional_id) + name(group) + _PRODUCER.pack(*producer),
        _PLACE.pack(-1) + sized(b"") + NULL,  # no generation, member id and instance id: the producer is no member
        array([name(topic) + array(rows) + NO_TAGS for topic, rows in topics.items()]),
        NO_TAGS,
    ]
    return ApiRequest(TXN_OFFSET_COMMIT, versions.offsets, body, _parts)


def _parts(answer: ResponseReader) -> PartitionCodes:
    answer.int32()
    codes: dict[Partition, int] = {}
    for _ in answer.items():
        topic = answer.text()
        for _ in answer.items():
            number, code = answer.unpack(_CODED)
            answer.tags()
            codes[Partition(topic, number)] = code
        answer.tags()
    return PartitionCodes(codes)


def end(
    transactional_id: str, producer: Producer, versions: Versions, *, commit: bool = True
) -> ApiRequest[ProducerAnswer]:
    """Build a request that ends the transaction. From version 5 on the response has the next producer."""
    body = [name(transactional_id), _PRODUCER.pack(*producer), _COMMIT if commit else _ABORT, NO_TAGS]
    return ApiRequest(END_TXN, versions.end, body, _known if versions.end >= IMPLIED.end else _coded)


def _known(answer: ResponseReader) -> ProducerAnswer:
    answer.int32()
    return ProducerAnswer(answer.int16(), Producer(*answer.unpack(_PRODUCER)))


def _coded(answer: ResponseReader) -> ProducerAnswer:
    answer.int32()
    return ProducerAnswer(answer.int16())


def add_partitions(
    transactional_id: str, producer: Producer, places: Iterable[Partition]
) -> ApiRequest[PartitionCodes]:
    """Build a request that adds partitions to the transaction, before the first write to them."""
    topics: dict[str, list[bytes]] = defaultdict(list)
    for topic, number in places:
        topics[topic].append(_PLACE.pack(number))
    rows = [name(topic) + array(numbers) + NO_TAGS for topic, numbers in topics.items()]
    body = [name(transactional_id), _PRODUCER.pack(*producer), array(rows), NO_TAGS]
    return ApiRequest(ADD_PARTITIONS, 3, body, _parts)


def add_offsets(transactional_id: str, producer: Producer, group: str) -> ApiRequest[ProducerAnswer]:
    """Build a request that adds the offsets of *group* to the transaction, before they are committed."""
    body = [name(transactional_id), _PRODUCER.pack(*producer), name(group), NO_TAGS]
    return ApiRequest(ADD_OFFSETS, 3, body, _coded)


def init_producer(transactional_id: str, timeout_ms: int) -> ApiRequest[ProducerAnswer]:
    """Build an InitProducerId request. It ends the previous owner's epoch and its open transaction."""
    body = [name(transactional_id), _TIMEOUT.pack(timeout_ms, *NOBODY), NO_TAGS]
    return ApiRequest(INIT_PRODUCER_ID, 4, body, _known)


def features() -> ApiRequest[dict[str, int]]:
    """Build a request for the finalized level of each cluster feature, by name."""
    body = [name("headrace"), name("1"), NO_TAGS]
    return ApiRequest(API_VERSIONS, 3, body, _finalized, tagged=False)


def _finalized(answer: ResponseReader) -> dict[str, int]:
    if answer.int16():
        return {}
    for _ in answer.items():
        answer.unpack(_API)
        answer.tags()
    answer.int32()
    levels: dict[str, int] = {}
    if found := answer.tags().get(_FEATURES):
        for _ in found.items():
            feature = found.text()
            levels[feature], _ = found.unpack(_LEVELS)
            found.tags()
    return levels
