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

from ops.chaos.proxy import EndTxn, Proxy
from ops.embedded.cluster import Cluster, Place, embedded_cluster
from schemas.clock import SystemClock
from schemas.records import Outgoing, Partition
from streams.transport import requests, transactions
from streams.transport.admin import NewTopicSpec
from streams.transport.brokers import Brokers, of_transactions
from streams.transport.errors import OutcomeUnknownError
from streams.transport.library import Client
from streams.transport.publisher import Publisher
from streams.transport.reader import Reader
from streams.transport.requests import Known, Producer
from streams.transport.wire import NO_TAGS, Answer, Request, array, name
from tests.integration.changes import replicas_of
from tests.integration.ground import Ground, ground

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
) -> AsyncGenerator[tuple[Cluster, Proxy]]:
    """One broker behind a proxy."""
    async with Proxy(0, random.Random(1), share=0.5).listening() as proxy:
        node = Place.free(proxy.port)
        proxy.upstream = node.client
        async with embedded_cluster(tmp_path_factory.mktemp("proxied"), embedded_cache, [node]) as cluster:
            yield cluster, proxy


@asynccontextmanager
async def fenced(place: Ground, bootstrap: str, name: str = "t") -> AsyncGenerator[Publisher]:
    """A publisher that has its id, by way of *bootstrap*, and waits a second for an answer."""
    connection = replace(place.connection, bootstrap=bootstrap)
    publisher = Publisher(
        connection, f"{name}-{place.tag}", SystemClock(), name="lost", timeout_ms=8_000, request_timeout_ms=1_000
    )
    try:
        await publisher.fence()
        yield publisher
    finally:
        await publisher.kill()


def output(place: Ground, value: bytes) -> list[Outgoing]:
    """One record."""
    return [Outgoing(place.output, None, value, partition=0)]


@pytest.mark.parametrize("fate", ["lost", "cut", "late", "slow"])
@pytest.mark.parametrize(("version", "key"), [(2, key) for key in SENT] + [(1, key) for key in [*ANNOUNCED, *SENT]])
async def test_f6_whatever_the_network_loses_a_transaction_is_there_once_or_not_at_all(
    proxied: tuple[Cluster, Proxy], monkeypatch: pytest.MonkeyPatch, version: int, key: int, fate: EndTxn
) -> None:
    """The next follows at once, under a copy that may still be on its way: it is whole, and nothing of the first is in
    it. Version 2 never doubts; version 1 doubts whatever a coordinator was asked.
    """
    cluster, proxy = proxied
    if version == 1:
        monkeypatch.setattr(transactions, "IMPLIED_FROM", 3)
    async with ground(cluster.inner, partitions=1) as place:
        source = Partition(place.source, 0)
        async with fenced(place, cluster.bootstrap) as publisher:
            proxy.struck, proxy.end_txn, proxy.random, proxy.hits = key, fate, Once(), 0
            try:
                async with asyncio.timeout(20):
                    await publisher.transact(output(place, b"first"), {source: (1, "")}, place.group)
                doubted = False
            except OutcomeUnknownError:
                doubted = True
            finally:
                proxy.heal()
            assert proxy.hits == 1
            if not doubted:
                await publisher.transact(output(place, b"second"), {source: (2, "")}, place.group)
        may_doubt = version == 1 and key != requests.PRODUCE
        assert doubted == may_doubt or (fate == "slow" and not doubted)  # slow may be soon enough
        async with fenced(place, cluster.bootstrap) as heir:
            if doubted:
                await heir.transact(output(place, b"second"), {source: (2, "")}, place.group)
        async with fenced(place, cluster.bootstrap):
            assert await place.admin.committed(place.group) == {source: 2}
        await place.collect(1)
        place.seen += await place.reader.poll(0.3)
        values = [record.value for record in place.seen]
        assert values in ([b"first", b"second"], [b"second"])
        assert doubted or values == [b"first", b"second"]


async def test_epochs_that_run_out_go_on_under_a_new_producer_id(proxied: tuple[Cluster, Proxy]) -> None:
    """The end of the last transaction of an id names the next id; its records are numbered from the beginning."""
    cluster, _ = proxied
    async with ground(cluster.inner, partitions=1) as place:
        last = await exhausted(place, cluster.bootstrap)
        async with fenced(place, cluster.bootstrap) as publisher:
            seen = [publisher._transactions.producer]  # noqa: SLF001
            assert seen[0].id == last.id
            for number in range(5):
                await publisher.transact(output(place, b"%d" % number), {}, None)
                seen.append(publisher._transactions.producer)  # noqa: SLF001
        await place.collect(5)
        assert [record.value for record in place.seen] == [b"%d" % number for number in range(5)]
        assert {each.id for each in seen[:2]} == {last.id}
        assert seen[-1].id != last.id
        assert seen[-1].epoch < 5


def _epoch(known: Known) -> int:
    return known.producer.epoch


async def exhausted(place: Ground, bootstrap: str) -> Producer:
    """Take the id over, again and again, until it has hardly an epoch left."""
    client = Client(bootstrap_servers=bootstrap, client_id="exhaust")
    brokers = Brokers(client)
    await brokers.connect()
    whom, ask = of_transactions(f"t-{place.tag}"), requests.init_producer(f"t-{place.tag}", 8_000)
    known, _ = await brokers.settled(whom, ask, resend=True)
    while (left := LAST_EPOCH - 3 - known.producer.epoch) > 0:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(brokers.once(whom, ask)) for _ in range(min(left, AT_ONCE))]
        known = max((said for task in asked if (said := task.result())), key=_epoch, default=known)
    await brokers.close()
    return known.producer


async def test_a_cluster_whose_transactions_are_of_version_1_is_spoken_to_in_version_1(
    proxied: tuple[Cluster, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its brokers could do does not count, but what the cluster has agreed on."""
    cluster, _ = proxied
    async with ground(cluster.inner, partitions=1) as place:
        await set_level(cluster.bootstrap, transactions.FEATURE, 1)
        sent: list[int] = []
        send = Brokers.send

        async def noted(brokers: Brokers, node: int, request: Request[object], group: object) -> object:
            sent.append(request.key)
            return await send(brokers, node, request, group)

        monkeypatch.setattr(Brokers, "send", noted)
        async with fenced(place, cluster.bootstrap) as publisher:
            await publisher.transact(output(place, b"1"), {Partition(place.source, 0): (1, "")}, place.group)
        await place.collect(1)
        assert set(sent) >= {*ANNOUNCED, *SENT}


async def set_level(bootstrap: str, feature: str, level: int) -> None:
    """UpdateFeatures, version 1 (KIP-584)."""
    brokers = Brokers(Client(bootstrap_servers=bootstrap, client_id="features"))
    await brokers.connect()
    change = name(feature) + struct.pack(">h", level) + SAFE_DOWNGRADE + NO_TAGS
    body = [struct.pack(">i", 30_000), array([change]), b"\x00", NO_TAGS]

    def answered(answer: Answer) -> tuple[int, str]:
        answer.int32()
        return answer.int16(), answer.text()

    node = brokers.client.get_random_node()
    assert await brokers.to_leader(node, Request(UPDATE_FEATURES, 1, body, answered)) == (0, "")
    while await brokers.level(feature) != level:
        pass
    await brokers.close()


@pytest.mark.timeout(240)
async def test_a_leader_and_a_coordinator_may_die_and_the_publisher_goes_on(
    three: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every transaction of it is there once, under the same epoch after epoch, though a broker is killed among them."""
    async with ground(three.bootstrap, partitions=1) as place:
        topic = f"copied-{place.tag}"
        await place.admin.create_topics([NewTopicSpec(topic, 6, 3, {"min.insync.replicas": "1"})])
        leader, _ = (await replicas_of(place.admin, topic))[0]
        async with fenced(place, three.bootstrap) as publisher:
            began = publisher._transactions.producer  # noqa: SLF001
            for number in range(40):
                if number == 10:
                    await three.node(leader).kill()
                records = [Outgoing(topic, None, b"%d" % number, partition=each) for each in range(6)]
                await publisher.transact(records, {Partition(place.source, 0): (number, "")}, place.group)
            ended = publisher._transactions.producer  # noqa: SLF001
        await three.node(leader).start()
        assert ended == Producer(began.id, began.epoch + 40)
        async with await Reader.open(place.connection, topic) as reader:
            found = [record async for record in reader.until(await reader.high_watermarks())]
        for each in range(6):
            values = [record.value for record in found if record.partition == each]
            assert values == [b"%d" % number for number in range(40)]
