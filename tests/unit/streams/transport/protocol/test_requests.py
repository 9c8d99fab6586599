"""The requests of a transaction, read by aiokafka's schemas, which know nothing of ours; their answers, written so."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import aiokafka.errors
import pytest
from aiokafka.protocol import types
from aiokafka.protocol.api import RequestHeader_v2, ResponseHeader_v0, ResponseHeader_v1

from schemas.records import Partition
from streams.transport.aiokafka_types import Untyped
from streams.transport.protocol import requests
from streams.transport.protocol.describe_producers import OpenTransaction, PartitionProducers, describe_producers
from streams.transport.protocol.describe_transactions import DescribedTransaction, describe_transaction
from streams.transport.protocol.encoding import ApiRequest, Bytes, Response
from streams.transport.protocol.requests import (
    CLASSIC,
    IMPLIED,
    PartitionCodes,
    Producer,
    ProducerAnswer,
    Versions,
    WrittenBatch,
)

TEXT: Any = types.CompactString("utf-8")
VARINT: Any = types.UnsignedVarInt32
PRODUCER = Producer(2**40 + 5, 32_000)
ID = "stage|1|7"
GREEN = "grün"
"""A name that has more bytes than letters."""


class Tags:
    """Fields that need not be there (KIP-482); aiokafka writes them without their sizes."""

    @staticmethod
    def encode(fields: dict[int, bytes]) -> bytes:
        rows = [VARINT.encode(tag) + VARINT.encode(len(data)) + data for tag, data in sorted(fields.items())]
        return b"".join([VARINT.encode(len(rows)), *rows])

    @staticmethod
    def decode(data: BytesIO) -> dict[int, bytes]:
        return {VARINT.decode(data): data.read(VARINT.decode(data)) for _ in range(VARINT.decode(data))}


TAGS: Any = Tags()
NUMBERS: Any = (
    "topics",
    types.CompactArray(("name", TEXT), ("partitions", types.CompactArray(types.Int32)), ("tags", TAGS)),
)
"""Partitions by topic."""


def by_partition(*fields: tuple[str, Any]) -> Any:  # noqa: ANN401 - theirs
    """What is said of each partition, by topic."""
    partitions = types.CompactArray(*fields, ("tags", TAGS))
    return ("topics", types.CompactArray(("name", TEXT), ("partitions", partitions), ("tags", TAGS)))


CODED: Any = types.Schema(("throttle", types.Int32), ("code", types.Int16), ("tags", TAGS))
NAMED: Any = types.Schema(
    ("throttle", types.Int32), ("code", types.Int16), ("id", types.Int64), ("epoch", types.Int16), ("tags", TAGS)
)
PARTS: Any = types.Schema(
    ("throttle", types.Int32),
    by_partition(
        ("number", types.Int32),
        ("code", types.Int16),
    ),
    ("tags", TAGS),
)


def body_of(request: ApiRequest[Any], schema: Untyped) -> tuple[Any, ...]:
    """What *request* says, behind a header that is as it should be; nothing is left over."""
    data = BytesIO(request.build_request_header(77, "me").encode() + request.encode())
    header = RequestHeader_v2.SCHEMA.decode(data)
    assert header == (request.key, request.version, 77, "me", {})
    body: tuple[Any, ...] = schema.decode(data)
    assert data.read() == b""
    return body


def said(
    request: ApiRequest[Response], schema: Untyped, *values: object, header: Untyped = ResponseHeader_v1
) -> Response:
    """How *request* reads an answer."""
    start: Any = (77,) if header is ResponseHeader_v0 else (77, {})
    data = BytesIO(header.SCHEMA.encode(start) + schema.encode(values))
    assert request.parse_response_header(data).correlation_id == 77
    return request.RESPONSE_TYPE.decode(data)


@pytest.mark.parametrize(("versions", "version"), [(CLASSIC, 9), (IMPLIED, 12)])
def test_batches_go_out_by_topic_and_partition(versions: Versions, version: int) -> None:
    """As they are, behind their length; a long one too."""
    schema: Any = types.Schema(
        ("id", TEXT),
        ("acks", types.Int16),
        ("timeout", types.Int32),
        by_partition(
            ("number", types.Int32),
            ("records", types.CompactBytes),
        ),
        ("tags", TAGS),
    )
    long: Bytes = bytearray(b"x" * 300_000)
    batches: list[tuple[Partition, Bytes]] = [
        (Partition("a", 1), b"one"),
        (Partition(GREEN, 0), b"two"),
        (Partition("a", 2), long),
    ]
    request = requests.produce(ID, 5_000, batches, versions)

    assert body_of(request, schema) == (
        ID,
        -1,
        5_000,
        [("a", [(1, b"one", {}), (2, bytes(long), {})], {}), (GREEN, [(0, b"two", {})], {})],
        {},
    )
    assert (request.key, request.version) == (0, version)


def test_an_answer_says_where_each_batch_stands_or_why_not() -> None:
    """What it adds about single records, and about the leader that it should have been, is passed over."""
    nullable: Any = TEXT
    schema: Any = types.Schema(
        by_partition(
            ("number", types.Int32),
            ("code", types.Int16),
            ("offset", types.Int64),
            ("appended", types.Int64),
            ("start", types.Int64),
            ("records", types.CompactArray(("index", types.Int32), ("why", nullable), ("tags", TAGS))),
            ("why", nullable),
        ),
        ("throttle", types.Int32),
        ("tags", TAGS),
    )
    refused: Any = (
        3,
        87,
        -1,
        -1,
        -1,
        [(0, "bad", {}), (4, None, {})],
        "the batch is bad",
        {0: b"\x00\x00\x00\x02", 5: b""},
    )
    rows: Any = [
        ("a", [(1, 0, 2**33, -1, 0, [], None, {}), refused], {}),
        (GREEN, [(0, 6, -1, -1, -1, [], None, {})], {}),
    ]

    assert said(requests.produce(ID, 1, [], IMPLIED), schema, rows, 0, {0: b"nodes"}) == {
        Partition("a", 1): WrittenBatch(0, 2**33),
        Partition("a", 3): WrittenBatch(87, -1),
        Partition(GREEN, 0): WrittenBatch(6, -1),
    }


@pytest.mark.parametrize(("versions", "version"), [(CLASSIC, 3), (IMPLIED, 5)])
def test_offsets_are_committed_with_their_metadata_and_as_no_member(versions: Versions, version: int) -> None:
    """A map may be long, or empty."""
    schema: Any = types.Schema(
        ("id", TEXT),
        ("group", TEXT),
        ("producer", types.Int64),
        ("epoch", types.Int16),
        ("generation", types.Int32),
        ("member", TEXT),
        ("instance", TEXT),
        by_partition(
            ("number", types.Int32),
            ("offset", types.Int64),
            ("epoch", types.Int32),
            ("metadata", TEXT),
        ),
        ("tags", TAGS),
    )
    offsets = {Partition("a", 0): (7, ""), Partition("b", 1): (2**40, "m" * 4_096), Partition("a", 2): (9, GREEN)}
    request = requests.commit_offsets(ID, "group", PRODUCER, offsets, versions)

    assert body_of(request, schema) == (
        ID,
        "group",
        *PRODUCER,
        -1,
        "",
        None,
        [("a", [(0, 7, -1, "", {}), (2, 9, -1, GREEN, {})], {}), ("b", [(1, 2**40, -1, "m" * 4_096, {})], {})],
        {},
    )
    assert (request.key, request.version) == (28, version)
    answer = said(request, PARTS, 0, [("a", [(0, 0, {}), (2, 16, {})], {}), ("b", [(1, 0, {})], {})], {})
    assert answer == PartitionCodes({Partition("a", 0): 0, Partition("a", 2): 16, Partition("b", 1): 0})
    assert answer.codes == {0, 16}


def test_an_end_commits_and_names_the_next_producer_from_version_5_on() -> None:
    """Below, the producer stays as it is."""
    schema: Any = types.Schema(
        ("id", TEXT), ("producer", types.Int64), ("epoch", types.Int16), ("commits", types.Boolean), ("tags", TAGS)
    )
    new, old = requests.end(ID, PRODUCER, IMPLIED), requests.end(ID, PRODUCER, CLASSIC)

    assert body_of(new, schema) == body_of(old, schema) == (ID, *PRODUCER, True, {})
    assert body_of(requests.end(ID, PRODUCER, CLASSIC, commit=False), schema) == (ID, *PRODUCER, False, {})
    assert (new.key, new.version, old.version) == (26, 5, 3)
    assert said(new, NAMED, 0, 0, 2**41, 3, {}) == ProducerAnswer(0, Producer(2**41, 3))
    assert said(new, NAMED, 0, 51, -1, -1, {}).codes == {51}
    assert said(old, CODED, 0, 0, {}).code == 0
    assert said(old, CODED, 0, 47, {}).codes == {47}


def test_what_takes_part_is_announced_in_version_1() -> None:
    """Partitions by topic, and the group."""
    schema: Any = types.Schema(
        ("id", TEXT),
        ("producer", types.Int64),
        ("epoch", types.Int16),
        NUMBERS,
        ("tags", TAGS),
    )
    partitions = requests.add_partitions(ID, PRODUCER, [Partition("a", 1), Partition("b", 0), Partition("a", 0)])
    group = requests.add_offsets(ID, PRODUCER, "group")

    assert body_of(partitions, schema) == (ID, *PRODUCER, [("a", [1, 0], {}), ("b", [0], {})], {})
    assert (partitions.key, partitions.version) == (24, 3)
    assert said(partitions, PARTS, 0, [("a", [(1, 29, {}), (0, 55, {})], {})], {}).codes == {29, 55}
    named: Any = types.Schema(
        ("id", TEXT), ("producer", types.Int64), ("epoch", types.Int16), ("group", TEXT), ("tags", TAGS)
    )
    assert body_of(group, named) == (ID, *PRODUCER, "group", {})
    assert (group.key, group.version) == (25, 3)
    assert said(group, CODED, 0, 30, {}).code == 30


def test_an_id_is_taken_over_whoever_had_it() -> None:
    """No producer of ours is named: then the epoch goes up in any case."""
    schema: Any = types.Schema(
        ("id", TEXT), ("timeout", types.Int32), ("producer", types.Int64), ("epoch", types.Int16), ("tags", TAGS)
    )
    request = requests.init_producer(ID, 8_000)

    assert body_of(request, schema) == (ID, 8_000, -1, -1, {})
    assert (request.key, request.version) == (22, 4)
    assert said(request, NAMED, 0, 0, 9, 4, {}) == ProducerAnswer(0, Producer(9, 4))


def test_the_features_of_a_cluster_are_those_that_are_finalized() -> None:
    """Not what its brokers could do. The header of this answer has no tags, whatever its version."""
    schema: Any = types.Schema(("name", TEXT), ("version", TEXT), ("tags", TAGS))
    answer: Any = types.Schema(
        ("code", types.Int16),
        (
            "keys",
            types.CompactArray(("key", types.Int16), ("least", types.Int16), ("most", types.Int16), ("tags", TAGS)),
        ),
        ("throttle", types.Int32),
        ("tags", TAGS),
    )
    supported: Any = types.CompactArray(("name", TEXT), ("one", types.Int16), ("other", types.Int16), ("tags", TAGS))
    can, does = (
        supported.encode([("transaction.version", 0, 2, {})]),
        supported.encode([("metadata.version", 25, 25, {}), ("transaction.version", 1, 1, {})]),
    )
    tags = {0: can, 1: types.Int64.encode(5), 2: does}
    request = requests.features()

    assert body_of(request, schema) == ("headrace", "1", {})
    keys: Any = [(0, 3, 13, {}), (18, 0, 4, {})]
    assert said(request, answer, 0, keys, 0, tags, header=ResponseHeader_v0) == {
        "metadata.version": 25,
        "transaction.version": 1,
    }
    assert said(request, answer, 0, keys, 0, {}, header=ResponseHeader_v0) == {}
    assert said(request, answer, 35, [], 0, {}, header=ResponseHeader_v0) == {}


def test_a_transaction_is_described_by_its_state_and_the_topics_that_wait() -> None:
    """What a coordinator does not know has a code."""
    ask: Any = types.Schema(("ids", types.CompactArray(TEXT)), ("tags", TAGS))
    answer: Any = types.Schema(
        ("throttle", types.Int32),
        (
            "transactions",
            types.CompactArray(
                ("code", types.Int16),
                ("id", TEXT),
                ("state", TEXT),
                ("timeout", types.Int32),
                ("started", types.Int64),
                ("producer", types.Int64),
                ("epoch", types.Int16),
                NUMBERS,
                ("tags", TAGS),
            ),
        ),
        ("tags", TAGS),
    )
    request = describe_transaction(ID)
    topics: Any = [("a", [0, 3], {}), ("__consumer_offsets", [5], {})]

    assert body_of(request, ask) == ([ID], {})
    waits = said(request, answer, 0, [(0, ID, "PrepareAbort", 8_000, 1, 2, 3, topics, {})], {})
    assert waits == DescribedTransaction(0, "PrepareAbort", frozenset({"a", "__consumer_offsets"}), 2)
    assert not waits.harmless
    assert said(request, answer, 0, [(0, ID, "PrepareAbort", 8_000, 1, 2, 3, topics[:1], {})], {}).harmless
    assert not said(request, answer, 0, [(0, ID, "PrepareCommit", 8_000, 1, 2, 3, topics[:1], {})], {}).harmless
    assert not said(request, answer, 0, [(105, ID, "", 0, 0, 0, 0, [], {})], {}).harmless


def test_a_leader_describes_the_open_transactions_of_its_partitions() -> None:
    """Producers without one are most of its answer, and are left out."""
    ask: Any = types.Schema(NUMBERS, ("tags", TAGS))
    producers: Any = types.CompactArray(
        ("id", types.Int64),
        ("epoch", types.Int32),
        ("sequence", types.Int32),
        ("last", types.Int64),
        ("coordinator", types.Int32),
        ("start", types.Int64),
        ("tags", TAGS),
    )
    answer: Any = types.Schema(
        ("throttle", types.Int32),
        by_partition(("number", types.Int32), ("code", types.Int16), ("why", TEXT), ("producers", producers)),
        ("tags", TAGS),
    )
    request = describe_producers([Partition("a", 1), Partition(GREEN, 0), Partition("a", 0)])

    assert body_of(request, ask) == ([("a", [1, 0], {}), (GREEN, [0], {})], {})
    assert (request.key, request.version) == (61, 0)
    open_one: Any = (2**40, 7, 3, 99, 4, 12, {})
    idle: Any = (5, 1, 0, 98, 4, -1, {})
    rows: Any = [("a", [(1, 0, None, [idle, open_one], {}), (0, 6, "moved", [], {})], {})]
    assert said(request, answer, 0, rows, {}) == {
        Partition("a", 1): PartitionProducers(0, [OpenTransaction(Producer(2**40, 7), 12, 99)]),
        Partition("a", 0): PartitionProducers(6, []),
    }


def test_a_request_that_the_broker_does_not_know_never_leaves() -> None:
    """An older broker would close the connection, and everything in flight would be in doubt."""
    request = requests.end(ID, PRODUCER, IMPLIED)

    assert request.prepare({26: (0, 5)}) is request
    for versions in ({26: (0, 4)}, {26: (6, 7)}, {}):
        with pytest.raises(aiokafka.errors.IncompatibleBrokerVersion):
            request.prepare(versions)
