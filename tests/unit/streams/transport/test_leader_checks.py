"""A partition is checked once for each connection to its leader, and its open transactions name their inputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiokafka.errors
import pytest
from structlog.testing import capture_logs

from schemas.headers import input_position, with_input
from schemas.records import Partition, ProducerRecord
from streams.transport.errors import BrokerError, TransportError
from streams.transport.leader_checks import LeaderChecks
from streams.transport.open_transactions import inputs_of
from streams.transport.protocol.describe_producers import OpenTransaction, PartitionProducers
from streams.transport.protocol.error_codes import TOPIC_FORBIDDEN
from streams.transport.protocol.record_batches import RecordBatch
from streams.transport.protocol.requests import Producer

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = (Partition("t", number) for number in range(3))
FOUND = OpenTransaction(Producer(7, 1), 0, 0)


class Cluster:
    """Brokers with a leader for each partition, and connections that may be renewed."""

    def __init__(self) -> None:
        self.leaders: dict[Partition, int | None] = {ONE: 1, TWO: 1, THREE: 2}
        self.connections: dict[int, object] = {1: object(), 2: object()}
        self.answers: dict[Partition, PartitionProducers] = {}
        self.asked: list[int] = []
        self.silent: set[int] = set()
        self.looks, self.topics = 0, set[str]()
        self.log = b""

    def leader(self, place: Partition) -> int | None:
        return self.leaders[place]

    def connection_to(self, place: Partition) -> object | None:
        return self.connections.get(self.leaders[place] or 0)

    async def connect_to(self, node: int) -> object | None:
        return self.connections.setdefault(node, object())

    async def to_leader(self, node: int, _: object) -> dict[Partition, PartitionProducers]:
        self.asked.append(node)
        if node in self.silent:
            raise aiokafka.errors.NodeNotReadyError
        theirs = [place for place, leader in self.leaders.items() if leader == node]
        return {place: self.answers.get(place, PartitionProducers(0, [])) for place in theirs}

    def is_live(self, node: int, connection: object) -> bool:
        return self.connections.get(node) is connection

    def know(self, topic: str) -> None:
        self.topics.add(topic)

    def look_again(self) -> None:
        self.looks += 1

    async def fetch(self, _: int, __: object) -> Any:  # noqa: ANN401 - aiokafka's
        return SimpleNamespace(topics=[("t", [(0, 0, 9, 9, 0, [], self.log)])])


def checks_of(cluster: Cluster) -> LeaderChecks:
    """Those of one producer."""
    theirs: Any = cluster
    return LeaderChecks(theirs)


async def test_each_leader_is_asked_once_for_all_its_partitions() -> None:
    """One request per leader, and none per record."""
    cluster = Cluster()
    checks = checks_of(cluster)
    cluster.answers[TWO] = PartitionProducers(0, [FOUND])

    assert checks.unchecked([ONE, TWO, THREE]) == [ONE, TWO, THREE]
    assert await checks.ask([ONE, TWO, THREE]) == {TWO: [FOUND]}
    assert sorted(cluster.asked) == [1, 2]
    assert checks.unchecked([ONE, TWO, THREE]) == []


async def test_a_leader_that_was_away_is_asked_again() -> None:
    """Its connections ended with it, and it may have missed the end of a transaction."""
    cluster = Cluster()
    checks = checks_of(cluster)
    await checks.ask([ONE, TWO, THREE])
    cluster.connections[1] = object()

    assert checks.unchecked([ONE, TWO, THREE]) == [ONE, TWO]


async def test_a_new_leader_is_asked_again() -> None:
    """The former one may have been the last copy for a while."""
    cluster = Cluster()
    checks = checks_of(cluster)
    await checks.ask([ONE, TWO, THREE])
    cluster.leaders[ONE] = 2

    assert checks.unchecked([ONE, TWO, THREE]) == [ONE]


async def test_partitions_are_stale_once_a_leader_was_away_or_a_former_producer_left_them() -> None:
    """Their readers may wait for the end of a transaction; nobody is asked while all connections stand."""
    cluster = Cluster()
    checks = checks_of(cluster)
    assert checks.stale() == []
    checks.add([ONE])
    assert checks.stale() == [ONE]
    assert cluster.topics == {"t"}
    await checks.ask([ONE, THREE])
    checks.add([ONE])
    assert checks.stale() == []
    cluster.connections[2] = object()
    assert checks.stale() == [THREE]
    del cluster.connections[2]
    assert checks.stale() == [THREE]
    await checks.ask([THREE])
    assert checks.stale() == []
    checks.uncheck([ONE])
    assert checks.stale() == [ONE]


@pytest.mark.parametrize("code", [3, 5, 6, 7])
async def test_a_partition_without_an_answer_stays_unchecked(code: int) -> None:
    """No write passes; the metadata is asked for again."""
    cluster = Cluster()
    checks = checks_of(cluster)
    cluster.answers[ONE], cluster.silent, cluster.leaders[TWO] = PartitionProducers(code, []), {2}, None

    assert await checks.ask([ONE, TWO, THREE]) == {}
    assert checks.unchecked([ONE, TWO, THREE]) == [ONE, TWO, THREE]
    assert cluster.looks == 1


async def test_a_partition_that_may_not_be_described_is_written_to_and_said_once() -> None:
    """An access list without READ on a reply topic stops no result; its operator is told."""
    cluster = Cluster()
    checks = checks_of(cluster)
    cluster.answers = {place: PartitionProducers(TOPIC_FORBIDDEN, []) for place in (ONE, TWO)}

    with capture_logs() as logs:
        await checks.ask([ONE, TWO])

    assert checks.unchecked([ONE, TWO]) == []
    assert [entry["event"] for entry in logs] == ["open_transactions_not_checked"]


async def test_another_error_is_raised() -> None:
    """It would not pass."""
    cluster = Cluster()
    cluster.answers[ONE] = PartitionProducers(35, [])

    with pytest.raises(TransportError):
        await checks_of(cluster).ask([ONE])


def batch_of(producer: int, *inputs: int) -> bytes:
    """A batch of that producer, as it stands in a log."""
    batch = RecordBatch(ONE)
    for offset in inputs:
        batch.add(with_input(ProducerRecord("t", b"k", b"v"), input_position(TWO, offset)), 0)
    batch.number(Producer(producer, 1), 0)
    return bytes(batch.data)


async def test_the_inputs_of_an_open_transaction_are_those_of_its_producer() -> None:
    """Others write in between, and the last batch may be cut off."""
    cluster = Cluster()
    cluster.log = batch_of(7, 4, 5) + batch_of(9, 6) + batch_of(7, 8) + batch_of(7, 11)[:-3]
    theirs: Any = cluster

    assert await inputs_of(theirs, ONE, FOUND) == {(TWO, 4), (TWO, 5), (TWO, 8)}
    cluster.log = b""
    assert await inputs_of(theirs, ONE, FOUND) == set()
    cluster.leaders[ONE] = None
    with pytest.raises(BrokerError):
        await inputs_of(theirs, ONE, FOUND)
