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
from schemas.records import Outgoing, Partition
from streams.transport import requests, transactions
from streams.transport.admin import NewTopicSpec
from streams.transport.brokers import Brokers
from streams.transport.errors import (
    BrokerError,
    FencedError,
    OutcomeUnknownError,
    RecordRefusedError,
    TransportError,
    UnknownTopicError,
)
from streams.transport.library import Theirs, errors
from streams.transport.publisher import Publisher
from streams.transport.requests import Producer
from streams.transport.wire import Request
from tests.integration.ground import Ground, ground

pytestmark = pytest.mark.anyio

ANNOUNCED = [requests.ADD_PARTITIONS, requests.ADD_OFFSETS]
CLOSING = [requests.PRODUCE, requests.TXN_OFFSET_COMMIT, requests.END_TXN]
Reaches = Callable[[Request[Theirs]], bool]


@pytest.fixture(params=[2, pytest.param(1, marks=pytest.mark.slow)])
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Which version of the protocol is spoken; the broker speaks both."""
    number = int(request.param)
    if number == 1:
        monkeypatch.setattr(transactions, "IMPLIED_FROM", 3)
    return number


@pytest.fixture
async def place(kafka: Kafka) -> AsyncGenerator[Ground]:
    """Topics and a group."""
    async with ground(kafka.bootstrap) as own:
        yield own


def made(place: Ground, name: str = "t", request_timeout_ms: int = 5_000) -> Publisher:
    """A publisher of an id of this ground."""
    return Publisher(
        place.connection,
        f"{name}-{place.tag}",
        SystemClock(),
        name="transactions",
        timeout_ms=8_000,
        request_timeout_ms=request_timeout_ms,
    )


@asynccontextmanager
async def fenced(place: Ground, name: str = "t") -> AsyncGenerator[Publisher]:
    """One that has its id, and is killed at the end."""
    publisher = made(place, name)
    try:
        await publisher.fence()
        yield publisher
    finally:
        await publisher.kill()


def producer(publisher: Publisher) -> Producer:
    """Who writes next."""
    return publisher._transactions.producer


def outputs(place: Ground, *values: bytes) -> list[Outgoing]:
    """One for each partition, round and round."""
    return [Outgoing(place.output, None, value, partition=number % 3) for number, value in enumerate(values)]


def offset(place: Ground, number: int) -> dict[Partition, tuple[int, str]]:
    """That of one partition, with a map."""
    return {Partition(place.source, 0): (number, f"map {number}")}


async def visible(place: Ground, count: int) -> list[bytes]:
    """The values that can be read, *count* at least, and what follows for a while."""
    await place.collect(count)
    place.seen += await place.reader.poll(0.2)
    return sorted(record.value or b"" for record in place.seen)


class Network:
    """Notes what is sent; loses some of it once, on its way there or back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[int] = []
        self._send: Theirs = Brokers.send
        self._lost: list[tuple[int, bool, type[Exception]]] = []
        monkeypatch.setattr(Brokers, "send", self._method())

    def lose(self, key: int, *, arrives: bool, error: type[Exception] = errors.KafkaConnectionError) -> None:
        """The next request *key*, or only its answer if it *arrives*."""
        self._lost.append((key, arrives, error))

    def _method(self) -> Theirs:
        async def send(brokers: Brokers, node: int, request: Request[Theirs], group: Theirs) -> Theirs:
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
    place: Ground, version: int, network: Network
) -> None:
    """One transaction after another, with one batch, with several, with offsets only and with none."""
    async with fenced(place) as publisher:
        began = producer(publisher)
        network.sent.clear()
        await publisher.transact(outputs(place, b"1", b"2", b"3", b"4"), offset(place, 1), place.group)
        asked = [key for key, _ in groupby(network.sent)]  # what had to wait was asked for again
        assert asked == [*(ANNOUNCED if version == 1 else []), *CLOSING]
        await publisher.transact(outputs(place, b"5"), {}, None)
        await publisher.transact([], offset(place, 7), place.group)
        network.sent.clear()
        await publisher.transact([], {}, None)
        assert network.sent == []
        assert producer(publisher) == (began if version == 1 else Producer(began.id, began.epoch + 3))
    assert await visible(place, 5) == [b"1", b"2", b"3", b"4", b"5"]
    async with fenced(place):  # settles: an end is answered before its offsets can be read
        assert await place.admin.committed(place.group) == {Partition(place.source, 0): 7}


async def test_more_than_a_batch_for_a_partition_goes_out_in_order(place: Ground, version: int) -> None:
    """They are numbered on from one to the next, and from one transaction to the next in version 1."""
    values = [b"%02d" % number + b"x" * 100_000 for number in range(6)]
    async with fenced(place) as publisher:
        for half in (values[:3], values[3:]):
            await publisher.transact([Outgoing(place.output, None, value, partition=1) for value in half], {}, None)
    await place.collect(6)
    assert [record.value for record in place.seen] == values


async def test_whoever_takes_the_id_over_ends_the_epoch_and_what_was_open(
    place: Ground, version: int, network: Network
) -> None:
    """The zombie is told, wherever it is in its transaction; nothing of it can be read."""
    async with fenced(place) as zombie:
        network.lose(requests.END_TXN, arrives=False, error=errors.IncompatibleBrokerVersion)
        with pytest.raises(TransportError):
            await zombie.transact(outputs(place, b"left open"), offset(place, 3), place.group)
        async with fenced(place, "late") as other, fenced(place, "late") as heir:
            with pytest.raises(FencedError):
                await other.transact(outputs(place, b"zombie"), offset(place, 5), place.group)
            await heir.transact(outputs(place, b"heir"), {}, None)
        async with fenced(place) as heir:
            await heir.transact(outputs(place, b"own"), {}, None)
    assert await visible(place, 2) == [b"heir", b"own"]
    assert await place.admin.committed(place.group) == {}


async def test_another_id_can_be_fenced_without_being_used(place: Ground, version: int) -> None:
    """The spare one of a shard."""
    async with fenced(place, "spare") as other, fenced(place) as publisher:
        assert await publisher.fence_other(f"spare-{place.tag}")
        assert not await publisher.harmless(f"spare-{place.tag}")
        assert not await publisher.harmless(f"nobody-{place.tag}")
        with pytest.raises(FencedError):
            await other.transact(outputs(place, b"zombie"), {}, None)


async def test_a_refused_record_names_its_topic_and_ends_the_publisher(place: Ground, version: int) -> None:
    """Its batch takes nobody along but its transaction, which the next fence aborts."""
    small = f"small-{place.tag}"
    await place.admin.create_topics([NewTopicSpec(small, 1, 1, {"max.message.bytes": "1000"})])
    big = Outgoing(small, None, b"x" * 2_000)
    async with fenced(place) as publisher:
        with pytest.raises(RecordRefusedError) as refused:
            await publisher.transact([*outputs(place, b"beside"), big], {}, None)
        assert (refused.value.topic, refused.value.records, refused.value.size) == (small, 1, big.size)
        with pytest.raises(BrokerError, match="has not ended"):
            await publisher.transact(outputs(place, b"after"), {}, None)
    async with fenced(place) as heir:
        await heir.transact(outputs(place, b"heir"), {}, None)
    assert await visible(place, 1) == [b"heir"]


async def test_an_unknown_topic_is_found_before_anything_is_written(
    place: Ground, version: int, network: Network
) -> None:
    """The publisher goes on."""
    publisher = made(place, request_timeout_ms=400)
    await publisher.fence()
    network.sent.clear()
    for lost in (Outgoing(f"nowhere-{place.tag}", None, b"v"), Outgoing(place.output, None, b"v", partition=9)):
        with pytest.raises(UnknownTopicError):
            await publisher.transact([*outputs(place, b"beside"), lost], {}, None)
    assert network.sent == []
    await publisher.transact(outputs(place, b"after"), {}, None)
    await publisher.kill()
    assert await visible(place, 1) == [b"after"]


async def test_copies_are_told_where_they_stand_before_anybody_can_read_them(
    place: Ground, version: int, network: Network
) -> None:
    """The offset is that of the log."""
    told: list[tuple[int, bool]] = []
    copy = Outgoing(place.output, b"k", b"copy", partition=0)

    def tell(at: int) -> None:
        told.append((at, requests.END_TXN in network.sent))

    async with fenced(place) as publisher:
        await publisher.transact(outputs(place, b"1"), {}, None, [(copy, tell), (copy, tell)])
    await place.collect(3)
    assert told == [(1, False), (2, False)]
    assert [record.offset for record in place.seen if record.value == b"copy"] == [1, 2]


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_batch_whose_answer_is_lost_goes_out_again_and_is_written_once(
    place: Ground, version: int, network: Network, *, arrives: bool
) -> None:
    """A leader knows it by its numbers; whoever asked where a copy stands is told the first place."""
    told: list[int] = []
    async with fenced(place) as publisher:
        network.lose(requests.PRODUCE, arrives=arrives)
        network.lose(requests.PRODUCE, arrives=arrives)
        await publisher.transact(
            outputs(place, b"1", b"2"), {}, None, [(Outgoing(place.output, None, b"3", partition=2), told.append)]
        )
        await publisher.transact(outputs(place, b"4"), {}, None)
    assert await visible(place, 4) == [b"1", b"2", b"3", b"4"]
    assert told == [0]


def lost_in(version: int) -> Iterable[int]:
    """The requests of a coordinator."""
    return [requests.TXN_OFFSET_COMMIT, requests.END_TXN] if version == 2 else [*ANNOUNCED, *CLOSING[1:]]


@pytest.mark.parametrize("arrives", [True, False])
async def test_version_2_asks_a_coordinator_again_whose_answer_is_lost(
    place: Ground, network: Network, *, arrives: bool
) -> None:
    """A copy that comes late names an epoch that has ended; so the publisher goes on."""
    async with fenced(place) as publisher:
        for number, key in enumerate(lost_in(2), 1):
            network.lose(key, arrives=arrives)
            await publisher.transact(outputs(place, b"%d" % number), offset(place, number), place.group)
        await publisher.transact(outputs(place, b"3"), offset(place, 3), place.group)
    assert await visible(place, 3) == [b"1", b"2", b"3"]
    async with fenced(place):
        assert await place.admin.committed(place.group) == {Partition(place.source, 0): 3}


@pytest.mark.slow
@pytest.mark.parametrize("key", lost_in(1))
@pytest.mark.parametrize("arrives", [True, False])
async def test_version_1_asks_no_coordinator_again_whose_answer_is_lost(
    place: Ground, network: Network, monkeypatch: pytest.MonkeyPatch, key: int, *, arrives: bool
) -> None:
    """A copy that comes late would speak of the next transaction: the heir's fence settles it, one way or the other."""
    monkeypatch.setattr(transactions, "IMPLIED_FROM", 3)
    async with fenced(place) as publisher:
        network.lose(key, arrives=arrives)
        with pytest.raises(OutcomeUnknownError):
            await publisher.transact(outputs(place, b"doubt"), offset(place, 1), place.group)
        assert network.sent.count(key) == 1
    async with fenced(place) as heir:
        await heir.transact(outputs(place, b"heir"), {}, None)
    done = arrives and key == requests.END_TXN
    assert await visible(place, 1) == ([b"doubt", b"heir"] if done else [b"heir"])
    assert await place.admin.committed(place.group) == ({Partition(place.source, 0): 1} if done else {})


async def test_a_fence_that_comes_while_an_end_is_asked_for_again_leaves_a_doubt(
    place: Ground, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end had arrived, and the heir came before it was asked for again: being fenced does not undo it."""
    async with fenced(place) as publisher, fenced(place, "unused"):
        network.lose(requests.END_TXN, arrives=True)
        heir = made(place)
        sleep = asyncio.sleep

        async def meanwhile(pause: float) -> None:
            monkeypatch.undo()
            await heir.fence()
            await sleep(pause)

        monkeypatch.setattr("streams.transport.brokers.asyncio.sleep", meanwhile)
        with pytest.raises(OutcomeUnknownError):
            await publisher.transact(outputs(place, b"1"), {}, None)
        await heir.kill()
    assert await visible(place, 1) == [b"1"]


async def test_a_killed_publisher_sends_nothing_more(place: Ground, version: int) -> None:
    """A connection that it opened now would stay open."""
    publisher = made(place)
    await publisher.fence()
    await publisher.kill()
    with pytest.raises(BrokerError, match="closed"):
        await publisher.transact(outputs(place, b"late"), {}, None)
    await publisher.kill()
