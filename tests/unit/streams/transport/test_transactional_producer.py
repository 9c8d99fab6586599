"""A shard's producer before it has met a broker, and its check for open transactions."""
# ruff: noqa: SLF001 - the check stands in for a cluster that forgets
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable
from typing import Any

import pytest

from schemas.clock import SystemClock
from schemas.records import Partition
from streams.transport.connection import Connection
from streams.transport.open_transactions import FencedId, OpenTransactionError
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.protocol.requests import Producer
from streams.transport.transactional_producer import TransactionalProducer

pytestmark = pytest.mark.anyio

PLACE, OTHER = Partition("t", 0), Partition("t", 1)
MAIN, SPARE, SETTLING, FOREIGN = range(4)
"""Producer ids."""


class Checks:
    """Leaders that know some open transactions."""

    def __init__(self, **found: int) -> None:
        self.found = {Partition("t", int(name[1:])): [opened(number)] for name, number in found.items()}
        self.asked: list[Partition] = []
        self.gone: list[Partition] = []

    def stale(self) -> list[Partition]:
        return self.gone

    def uncheck(self, places: Iterable[Partition]) -> None:
        self.asked = [place for place in self.asked if place not in [*places]]

    def unchecked(self, places: Iterable[Partition]) -> list[Partition]:
        return [place for place in places if place not in self.asked]

    async def ask(self, places: Collection[Partition]) -> dict[Partition, list[OpenTransaction]]:
        self.asked += places
        return {place: self.found[place] for place in places if place in self.found}


def opened(producer_id: int) -> OpenTransaction:
    """An open transaction of that producer."""
    return OpenTransaction(Producer(producer_id, 3), 40, 0)


@pytest.fixture
async def foreign() -> list[tuple[Partition, OpenTransaction]]:
    """The open transactions of others that the producer has told of."""
    return []


@pytest.fixture
async def producer(foreign: list[tuple[Partition, OpenTransaction]]) -> AsyncGenerator[TransactionalProducer]:
    """A producer whose broker does not exist."""
    made = TransactionalProducer(
        Connection("127.0.0.1:1"),
        "an-id",
        SystemClock(),
        name="test",
        timeout_ms=8_000,
        request_timeout_ms=5_000,
        foreign=lambda place, found: foreign.append((place, found)),
    )
    made.fenced = {number: FencedId("an-id", Producer(number, 9)) for number in (MAIN, SPARE)}
    made.settling = {SETTLING}
    yield made
    await made.kill()


def knows(producer: TransactionalProducer, **found: int) -> Checks:
    """Have its leaders know these open transactions, by partition."""
    checks = Checks(**found)
    theirs: Any = checks
    producer._checks = theirs
    return checks


async def test_nothing_is_known_to_be_harmless_while_nobody_can_be_asked(producer: TransactionalProducer) -> None:
    """A connection that takes long is no reason to open the shard anew: it asks again."""
    assert not await producer.harmless("an-id")


@pytest.mark.parametrize("number", [MAIN, SPARE])
async def test_an_open_transaction_of_either_id_stops_the_write(producer: TransactionalProducer, number: int) -> None:
    """The marker of the next transaction would decide it."""
    knows(producer, p0=number)

    with pytest.raises(OpenTransactionError) as caught:
        await producer._check([PLACE, OTHER])

    assert caught.value.found == {PLACE: opened(number)}


async def test_another_producer_s_open_transaction_stops_nothing_and_is_told_of(
    producer: TransactionalProducer, foreign: list[tuple[Partition, OpenTransaction]]
) -> None:
    """Other shards write to the same partition. One of ours that is certain to abort is no news."""
    knows(producer, p0=FOREIGN, p1=SETTLING)

    await producer._check([PLACE, OTHER])

    assert foreign == [(PLACE, opened(FOREIGN))]


async def test_no_leader_is_asked_again_without_a_reason(producer: TransactionalProducer) -> None:
    """The check costs nothing per record."""
    checks = knows(producer)

    for _ in range(3):
        await producer._check([PLACE, OTHER])

    assert checks.asked == [PLACE, OTHER]


async def test_a_leader_that_has_come_back_is_looked_at_and_its_partition_stays_unchecked(
    producer: TransactionalProducer,
) -> None:
    """The next write must not pass before the transaction has ended."""
    checks = knows(producer, p0=MAIN)
    assert await producer.look() is None

    checks.gone = [PLACE, OTHER]

    assert await producer.look() == {PLACE: opened(MAIN)}
    assert checks.unchecked([PLACE, OTHER]) == [PLACE]


async def test_a_killed_producer_has_left_the_partitions_whose_leader_is_away(producer: TransactionalProducer) -> None:
    """Its successor asks about them, for nobody may write to them again."""
    knows(producer).gone = [OTHER]
    producer.left = {PLACE}

    await producer.kill()

    assert producer.left == {PLACE, OTHER}
