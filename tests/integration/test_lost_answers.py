"""Transactions whose requests or answers a network loses, whose leader dies, whose epochs run out (F6)."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ops.embedded.cluster import EmbeddedCluster, NodePorts, embedded_cluster
from ops.lab.chaos.proxy import EndTxn, Proxy
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord
from streams.transport import transactions
from streams.transport.admin import NewTopicSpec
from streams.transport.aiokafka_types import Client
from streams.transport.brokers import Brokers, of_transactions
from streams.transport.errors import OutcomeUnknownError
from streams.transport.protocol import requests
from streams.transport.protocol.encoding import NO_TAGS, ApiRequest, ResponseReader, array, name
from streams.transport.protocol.requests import Producer, ProducerAnswer
from streams.transport.reader import Reader
from streams.transport.transactional_producer import TransactionalProducer
from tests.integration.changes import replicas_of
from tests.integration.engine_setup import EngineSetup, engine_setup

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ANNOUNCED = [requests.ADD_PARTITIONS, requests.ADD_OFFSETS]
SENT = [requests.PRODUCE, requests.TXN_OFFSET_COMMIT, requests.END_TXN]
UPDATE_FEATURES = 57
SAFE_DOWNGRADE = b"\x02"
LAST_EPOCH = 2**15 - 2
"""The broker keeps the one above for itself."""

AT_ONCE = 100


class Once(random.Random):
    """Strikes the first time, and then no more."""

    def __init__(self) -> None:
        super().__init__()
        self.struck = False

    def random(self) -> float:
        before, self.struck = self.struck, True
        return float(before)


@pytest.fixture(scope="module")
async def proxied(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[tuple[EmbeddedCluster, Proxy]]:
    """One broker behind a proxy."""
    async with Proxy(0, random.Random(1), share=0.5).listening() as proxy:
        node = NodePorts.free(proxy.port)
        proxy.upstream = node.client
        async with embedded_cluster(tmp_path_factory.mktemp("proxied"), embedded_cache, [node]) as cluster:
            yield cluster, proxy


@asynccontextmanager
async def fenced(setup: EngineSetup, bootstrap: str, name: str = "t") -> AsyncGenerator[TransactionalProducer]:
    """A publisher that has its id, by way of *bootstrap*, and waits a second for an answer."""
    connection = replace(setup.connection, bootstrap=bootstrap)
    producer = TransactionalProducer(
        connection, f"{name}-{setup.tag}", SystemClock(), name="lost", timeout_ms=8_000, request_timeout_ms=1_000
    )
    try:
        await producer.fence()
        yield producer
    finally:
        await producer.kill()


def output(setup: EngineSetup, value: bytes) -> list[ProducerRecord]:
    """One record."""
    return [ProducerRecord(setup.output, None, value, partition=0)]


@pytest.mark.parametrize("fate", ["lost", "cut", "late", "slow"])
@pytest.mark.parametrize(("version", "key"), [(2, key) for key in SENT] + [(1, key) for key in [*ANNOUNCED, *SENT]])
async def test_f6_whatever_the_network_loses_a_transaction_is_there_once_or_not_at_all(
    proxied: tuple[EmbeddedCluster, Proxy], monkeypatch: pytest.MonkeyPatch, version: int, key: int, fate: EndTxn
) -> None:
    """The next follows at once, under a copy that may still be on its way: it is whole, and nothing of the first is in
    it. Version 2 never doubts; version 1 doubts whatever a coordinator was asked.
    """
    cluster, proxy = proxied
    if version == 1:
        monkeypatch.setattr(transactions, "IMPLIED_FROM", 3)
    async with engine_setup(cluster.inner, partitions=1) as setup:
        source = Partition(setup.source, 0)
        async with fenced(setup, cluster.bootstrap) as producer:
            proxy.struck, proxy.end_txn, proxy.random, proxy.hits = key, fate, Once(), 0
            try:
                async with asyncio.timeout(20):
                    await producer.transact(output(setup, b"first"), {source: (1, "")}, setup.group)
                doubted = False
            except OutcomeUnknownError:
                doubted = True
            finally:
                proxy.heal()
            assert proxy.hits == 1
            if not doubted:
                await producer.transact(output(setup, b"second"), {source: (2, "")}, setup.group)
        may_doubt = version == 1 and key != requests.PRODUCE
        assert doubted == may_doubt or (fate == "slow" and not doubted)  # slow may be soon enough
        async with fenced(setup, cluster.bootstrap) as heir:
            if doubted:
                await heir.transact(output(setup, b"second"), {source: (2, "")}, setup.group)
        async with fenced(setup, cluster.bootstrap):
            assert await setup.admin.committed(setup.group) == {source: 2}
        await setup.collect(1)
        setup.seen += await setup.reader.poll(0.3)
        values = [record.value for record in setup.seen]
        assert values in ([b"first", b"second"], [b"second"])
        assert doubted or values == [b"first", b"second"]


async def test_epochs_that_run_out_go_on_under_a_new_producer_id(proxied: tuple[EmbeddedCluster, Proxy]) -> None:
    """The end of the last transaction of an id names the next id; its records are numbered from the beginning."""
    cluster, _ = proxied
    async with engine_setup(cluster.inner, partitions=1) as setup:
        last = await exhausted(setup, cluster.bootstrap)
        async with fenced(setup, cluster.bootstrap) as producer:
            seen = [producer._transactions.producer]  # noqa: SLF001
            assert seen[0].id == last.id
            for number in range(5):
                await producer.transact(output(setup, b"%d" % number), {}, None)
                seen.append(producer._transactions.producer)  # noqa: SLF001
        await setup.collect(5)
        assert [record.value for record in setup.seen] == [b"%d" % number for number in range(5)]
        assert {each.id for each in seen[:2]} == {last.id}
        assert seen[-1].id != last.id
        assert seen[-1].epoch < 5


def _epoch(known: ProducerAnswer) -> int:
    return known.producer.epoch


async def exhausted(setup: EngineSetup, bootstrap: str) -> Producer:
    """Take the id over, again and again, until it has hardly an epoch left."""
    client = Client(bootstrap_servers=bootstrap, client_id="exhaust")
    brokers = Brokers(client)
    await brokers.connect()
    whom, ask = of_transactions(f"t-{setup.tag}"), requests.init_producer(f"t-{setup.tag}", 8_000)
    known, _ = await brokers.settled(whom, ask, resend=True)
    while (left := LAST_EPOCH - 3 - known.producer.epoch) > 0:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(brokers.once(whom, ask)) for _ in range(min(left, AT_ONCE))]
        known = max((said for task in asked if (said := task.result())), key=_epoch, default=known)
    await brokers.close()
    return known.producer


async def test_a_cluster_whose_transactions_are_of_version_1_is_spoken_to_in_version_1(
    proxied: tuple[EmbeddedCluster, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its brokers could do does not count, but what the cluster has agreed on."""
    cluster, _ = proxied
    async with engine_setup(cluster.inner, partitions=1) as setup:
        await set_level(cluster.bootstrap, transactions.FEATURE, 1)
        sent: list[int] = []
        send = Brokers.send

        async def noted(brokers: Brokers, node: int, request: ApiRequest[object], group: object) -> object:
            sent.append(request.key)
            return await send(brokers, node, request, group)

        monkeypatch.setattr(Brokers, "send", noted)
        async with fenced(setup, cluster.bootstrap) as producer:
            await producer.transact(output(setup, b"1"), {Partition(setup.source, 0): (1, "")}, setup.group)
        await setup.collect(1)
        assert set(sent) >= {*ANNOUNCED, *SENT}


async def set_level(bootstrap: str, feature: str, level: int) -> None:
    """UpdateFeatures, version 1 (KIP-584)."""
    brokers = Brokers(Client(bootstrap_servers=bootstrap, client_id="features"))
    await brokers.connect()
    change = name(feature) + struct.pack(">h", level) + SAFE_DOWNGRADE + NO_TAGS
    body = [struct.pack(">i", 30_000), array([change]), b"\x00", NO_TAGS]

    def answered(answer: ResponseReader) -> tuple[int, str]:
        answer.int32()
        return answer.int16(), answer.text()

    node = brokers.client.get_random_node()
    assert await brokers.to_leader(node, ApiRequest(UPDATE_FEATURES, 1, body, answered)) == (0, "")
    while await brokers.level(feature) != level:
        pass
    await brokers.close()


@pytest.mark.timeout(240)
async def test_a_leader_and_a_coordinator_may_die_and_the_publisher_goes_on(
    three: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every transaction of it is there once, under the same epoch after epoch, though a broker is killed among them."""
    async with engine_setup(three.bootstrap, partitions=1) as setup:
        topic = f"copied-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(topic, 6, 3, {"min.insync.replicas": "1"})])
        leader, _ = (await replicas_of(setup.admin, topic))[0]
        async with fenced(setup, three.bootstrap) as producer:
            began = producer._transactions.producer  # noqa: SLF001
            for number in range(40):
                if number == 10:
                    await three.node(leader).kill()
                records = [ProducerRecord(topic, None, b"%d" % number, partition=each) for each in range(6)]
                await producer.transact(records, {Partition(setup.source, 0): (number, "")}, setup.group)
            ended = producer._transactions.producer  # noqa: SLF001
        await three.node(leader).start()
        assert ended == Producer(began.id, began.epoch + 40)
        async with await Reader.open(setup.connection, topic) as reader:
            found = [record async for record in reader.until(await reader.high_watermarks())]
        for each in range(6):
            values = [record.value for record in found if record.partition == each]
            assert values == [b"%d" % number for number in range(40)]
