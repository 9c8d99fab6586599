"""Transactions on a real broker, by both versions of the protocol: done or not, and never twice."""

# ruff: noqa: SLF001 - the producer's epoch is nobody else's business
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import groupby

import pytest

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord
from streams.transport import transactions
from streams.transport.admin import NewTopicSpec
from streams.transport.aiokafka_types import Untyped, errors
from streams.transport.brokers import Brokers
from streams.transport.errors import (
    BrokerError,
    FencedError,
    OutcomeUnknownError,
    RecordRefusedError,
    TransportError,
    UnknownTopicError,
)
from streams.transport.protocol import requests
from streams.transport.protocol.encoding import ApiRequest
from streams.transport.protocol.requests import Producer
from streams.transport.transactional_producer import TransactionalProducer
from tests.integration.engine_setup import EngineSetup, engine_setup

pytestmark = pytest.mark.anyio

ANNOUNCED = [requests.ADD_PARTITIONS, requests.ADD_OFFSETS]
CLOSING = [requests.PRODUCE, requests.TXN_OFFSET_COMMIT, requests.END_TXN]
Reaches = Callable[[ApiRequest[Untyped]], bool]


@pytest.fixture(params=[2, pytest.param(1, marks=pytest.mark.slow)])
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Which version of the protocol is spoken; the broker speaks both."""
    number = int(request.param)
    if number == 1:
        monkeypatch.setattr(transactions, "IMPLIED_FROM", 3)
    return number


@pytest.fixture
async def setup(kafka: Kafka) -> AsyncGenerator[EngineSetup]:
    """Topics and a group."""
    async with engine_setup(kafka.bootstrap) as own:
        yield own


def made(setup: EngineSetup, name: str = "t", request_timeout_ms: int = 5_000) -> TransactionalProducer:
    """A publisher of an id of this ground."""
    return TransactionalProducer(
        setup.connection,
        f"{name}-{setup.tag}",
        SystemClock(),
        name="transactions",
        timeout_ms=8_000,
        request_timeout_ms=request_timeout_ms,
    )


@asynccontextmanager
async def fenced(setup: EngineSetup, name: str = "t") -> AsyncGenerator[TransactionalProducer]:
    """One that has its id, and is killed at the end."""
    transactional_producer = made(setup, name)
    try:
        await transactional_producer.fence()
        yield transactional_producer
    finally:
        await transactional_producer.kill()


def producer(transactional_producer: TransactionalProducer) -> Producer:
    """Who writes next."""
    return transactional_producer._transactions.producer


def outputs(setup: EngineSetup, *values: bytes) -> list[ProducerRecord]:
    """One for each partition, round and round."""
    return [ProducerRecord(setup.output, None, value, partition=number % 3) for number, value in enumerate(values)]


def offset(setup: EngineSetup, number: int) -> dict[Partition, tuple[int, str]]:
    """That of one partition, with a map."""
    return {Partition(setup.source, 0): (number, f"map {number}")}


async def visible(setup: EngineSetup, count: int) -> list[bytes]:
    """The values that can be read, *count* at least, and what follows for a while."""
    await setup.collect(count)
    setup.seen += await setup.reader.poll(0.2)
    return sorted(record.value or b"" for record in setup.seen)


class Network:
    """Notes what is sent; loses some of it once, on its way there or back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[int] = []
        self._send: Untyped = Brokers.send
        self._lost: list[tuple[int, bool, type[Exception]]] = []
        monkeypatch.setattr(Brokers, "send", self._method())

    def lose(self, key: int, *, arrives: bool, error: type[Exception] = errors.KafkaConnectionError) -> None:
        """The next request *key*, or only its answer if it *arrives*."""
        self._lost.append((key, arrives, error))

    def _method(self) -> Untyped:
        async def send(brokers: Brokers, node: int, request: ApiRequest[Untyped], group: Untyped) -> Untyped:
            self.sent.append(request.key)
            struck = next((fault for fault in self._lost if fault[0] == request.key), None)
            if struck is None:
                return await self._send(brokers, node, request, group)
            self._lost.remove(struck)
            if struck[1]:
                await self._send(brokers, node, request, group)
            raise struck[2]

        return send


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """What is sent, and is lost."""
    return Network(monkeypatch)


async def test_outputs_and_offsets_are_there_together_in_as_few_questions_as_it_takes(
    setup: EngineSetup, version: int, network: Network
) -> None:
    """One transaction after another, with one batch, with several, with offsets only and with none."""
    async with fenced(setup) as transactional_producer:
        began = producer(transactional_producer)
        network.sent.clear()
        await transactional_producer.transact(outputs(setup, b"1", b"2", b"3", b"4"), offset(setup, 1), setup.group)
        asked = [key for key, _ in groupby(network.sent)]  # what had to wait was asked for again
        assert asked == [*(ANNOUNCED if version == 1 else []), *CLOSING]
        await transactional_producer.transact(outputs(setup, b"5"), {}, None)
        await transactional_producer.transact([], offset(setup, 7), setup.group)
        network.sent.clear()
        await transactional_producer.transact([], {}, None)
        assert network.sent == []
        assert producer(transactional_producer) == (began if version == 1 else Producer(began.id, began.epoch + 3))
    assert await visible(setup, 5) == [b"1", b"2", b"3", b"4", b"5"]
    async with fenced(setup):  # settles: an end is answered before its offsets can be read
        assert await setup.admin.committed(setup.group) == {Partition(setup.source, 0): 7}


async def test_more_than_a_batch_for_a_partition_goes_out_in_order(setup: EngineSetup, version: int) -> None:
    """They are numbered on from one to the next, and from one transaction to the next in version 1."""
    values = [b"%02d" % number + b"x" * 100_000 for number in range(6)]
    async with fenced(setup) as transactional_producer:
        for half in (values[:3], values[3:]):
            await transactional_producer.transact(
                [ProducerRecord(setup.output, None, value, partition=1) for value in half], {}, None
            )
    await setup.collect(6)
    assert [record.value for record in setup.seen] == values


async def test_whoever_takes_the_id_over_ends_the_epoch_and_what_was_open(
    setup: EngineSetup, version: int, network: Network
) -> None:
    """The zombie is told, wherever it is in its transaction; nothing of it can be read."""
    async with fenced(setup) as zombie:
        network.lose(requests.END_TXN, arrives=False, error=errors.IncompatibleBrokerVersion)
        with pytest.raises(TransportError):
            await zombie.transact(outputs(setup, b"left open"), offset(setup, 3), setup.group)
        async with fenced(setup, "late") as other, fenced(setup, "late") as heir:
            with pytest.raises(FencedError):
                await other.transact(outputs(setup, b"zombie"), offset(setup, 5), setup.group)
            await heir.transact(outputs(setup, b"heir"), {}, None)
        async with fenced(setup) as heir:
            await heir.transact(outputs(setup, b"own"), {}, None)
    assert await visible(setup, 2) == [b"heir", b"own"]
    assert await setup.admin.committed(setup.group) == {}


async def test_another_id_can_be_fenced_without_being_used(setup: EngineSetup, version: int) -> None:
    """The spare one of a shard."""
    async with fenced(setup, "spare") as other, fenced(setup) as transactional_producer:
        assert await transactional_producer.fence_other(f"spare-{setup.tag}")
        assert not await transactional_producer.harmless(f"spare-{setup.tag}")
        assert not await transactional_producer.harmless(f"nobody-{setup.tag}")
        with pytest.raises(FencedError):
            await other.transact(outputs(setup, b"zombie"), {}, None)


async def test_a_refused_record_names_its_topic_and_ends_the_publisher(setup: EngineSetup, version: int) -> None:
    """Its batch takes nobody along but its transaction, which the next fence aborts."""
    small = f"small-{setup.tag}"
    await setup.admin.create_topics([NewTopicSpec(small, 1, 1, {"max.message.bytes": "1000"})])
    big = ProducerRecord(small, None, b"x" * 2_000)
    async with fenced(setup) as transactional_producer:
        with pytest.raises(RecordRefusedError) as refused:
            await transactional_producer.transact([*outputs(setup, b"beside"), big], {}, None)
        assert (refused.value.topic, refused.value.records, refused.value.size) == (small, 1, big.size)
        with pytest.raises(BrokerError, match="has not ended"):
            await transactional_producer.transact(outputs(setup, b"after"), {}, None)
    async with fenced(setup) as heir:
        await heir.transact(outputs(setup, b"heir"), {}, None)
    assert await visible(setup, 1) == [b"heir"]


async def test_an_unknown_topic_is_found_before_anything_is_written(
    setup: EngineSetup, version: int, network: Network
) -> None:
    """The publisher goes on."""
    transactional_producer = made(setup, request_timeout_ms=400)
    await transactional_producer.fence()
    network.sent.clear()
    for lost in (
        ProducerRecord(f"nowhere-{setup.tag}", None, b"v"),
        ProducerRecord(setup.output, None, b"v", partition=9),
    ):
        with pytest.raises(UnknownTopicError):
            await transactional_producer.transact([*outputs(setup, b"beside"), lost], {}, None)
    assert network.sent == []
    await transactional_producer.transact(outputs(setup, b"after"), {}, None)
    await transactional_producer.kill()
    assert await visible(setup, 1) == [b"after"]


async def test_copies_are_told_where_they_stand_before_anybody_can_read_them(
    setup: EngineSetup, version: int, network: Network
) -> None:
    """The offset is that of the log."""
    told: list[tuple[int, bool]] = []
    copy = ProducerRecord(setup.output, b"k", b"copy", partition=0)

    def tell(at: int) -> None:
        told.append((at, requests.END_TXN in network.sent))

    async with fenced(setup) as transactional_producer:
        await transactional_producer.transact(outputs(setup, b"1"), {}, None, [(copy, tell), (copy, tell)])
    await setup.collect(3)
    assert told == [(1, False), (2, False)]
    assert [record.offset for record in setup.seen if record.value == b"copy"] == [1, 2]


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_batch_whose_answer_is_lost_goes_out_again_and_is_written_once(
    setup: EngineSetup, version: int, network: Network, *, arrives: bool
) -> None:
    """A leader knows it by its numbers; whoever asked where a copy stands is told the first place."""
    told: list[int] = []
    async with fenced(setup) as transactional_producer:
        network.lose(requests.PRODUCE, arrives=arrives)
        network.lose(requests.PRODUCE, arrives=arrives)
        await transactional_producer.transact(
            outputs(setup, b"1", b"2"), {}, None, [(ProducerRecord(setup.output, None, b"3", partition=2), told.append)]
        )
        await transactional_producer.transact(outputs(setup, b"4"), {}, None)
    assert await visible(setup, 4) == [b"1", b"2", b"3", b"4"]
    assert told == [0]


def lost_in(version: int) -> Iterable[int]:
    """The requests of a coordinator."""
    return [requests.TXN_OFFSET_COMMIT, requests.END_TXN] if version == 2 else [*ANNOUNCED, *CLOSING[1:]]


@pytest.mark.parametrize("arrives", [True, False])
async def test_version_2_asks_a_coordinator_again_whose_answer_is_lost(
    setup: EngineSetup, network: Network, *, arrives: bool
) -> None:
    """A copy that comes late names an epoch that has ended; so the publisher goes on."""
    async with fenced(setup) as transactional_producer:
        for number, key in enumerate(lost_in(2), 1):
            network.lose(key, arrives=arrives)
            await transactional_producer.transact(outputs(setup, b"%d" % number), offset(setup, number), setup.group)
        await transactional_producer.transact(outputs(setup, b"3"), offset(setup, 3), setup.group)
    assert await visible(setup, 3) == [b"1", b"2", b"3"]
    async with fenced(setup):
        assert await setup.admin.committed(setup.group) == {Partition(setup.source, 0): 3}


@pytest.mark.slow
@pytest.mark.parametrize("key", lost_in(1))
@pytest.mark.parametrize("arrives", [True, False])
async def test_version_1_asks_no_coordinator_again_whose_answer_is_lost(
    setup: EngineSetup, network: Network, monkeypatch: pytest.MonkeyPatch, key: int, *, arrives: bool
) -> None:
    """A copy that comes late would speak of the next transaction: the heir's fence settles it, one way or the other."""
    monkeypatch.setattr(transactions, "IMPLIED_FROM", 3)
    async with fenced(setup) as transactional_producer:
        network.lose(key, arrives=arrives)
        with pytest.raises(OutcomeUnknownError):
            await transactional_producer.transact(outputs(setup, b"doubt"), offset(setup, 1), setup.group)
        assert network.sent.count(key) == 1
    async with fenced(setup) as heir:
        await heir.transact(outputs(setup, b"heir"), {}, None)
    done = arrives and key == requests.END_TXN
    assert await visible(setup, 1) == ([b"doubt", b"heir"] if done else [b"heir"])
    assert await setup.admin.committed(setup.group) == ({Partition(setup.source, 0): 1} if done else {})


async def test_a_fence_that_comes_while_an_end_is_asked_for_again_leaves_a_doubt(
    setup: EngineSetup, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end had arrived, and the heir came before it was asked for again: being fenced does not undo it."""
    async with fenced(setup) as transactional_producer, fenced(setup, "unused"):
        network.lose(requests.END_TXN, arrives=True)
        heir = made(setup)
        sleep = asyncio.sleep

        async def meanwhile(pause: float) -> None:
            monkeypatch.undo()
            await heir.fence()
            await sleep(pause)

        monkeypatch.setattr("streams.transport.brokers.asyncio.sleep", meanwhile)
        with pytest.raises(OutcomeUnknownError):
            await transactional_producer.transact(outputs(setup, b"1"), {}, None)
        await heir.kill()
    assert await visible(setup, 1) == [b"1"]


async def test_a_killed_publisher_sends_nothing_more(setup: EngineSetup, version: int) -> None:
    """A connection that it opened now would stay open."""
    transactional_producer = made(setup)
    await transactional_producer.fence()
    await transactional_producer.kill()
    with pytest.raises(BrokerError, match="closed"):
        await transactional_producer.transact(outputs(setup, b"late"), {}, None)
    await transactional_producer.kill()
