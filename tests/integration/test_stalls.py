"""F22: a stall that outlasts the transaction's timeout makes the broker abort, and the engine look before it writes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ops.embedded.cluster import NodePorts, embedded_cluster
from ops.lab.chaos.proxy import Proxy
from schemas.clock import SystemClock
from schemas.records import Record
from streams.engine.worker import Worker
from streams.telemetry.metric_definitions import REOPENS, TRANSACTIONS
from streams.transport.aiokafka_types import Untyped
from streams.transport.brokers import Brokers
from streams.transport.protocol.encoding import ApiRequest
from streams.transport.protocol.requests import END_TXN
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TIMEOUT_MS = 1_500
STALL_S = 4.5
"""The broker looks once a second for transactions that have taken too long. Less than the group's session."""

RECORDS = 300


class Stall:
    """Before the end of one transaction, whose records and offsets are written, the network stands still."""

    def __init__(self, proxy: Proxy, nth: int) -> None:
        self.proxy, self.left = proxy, nth
        self.send: Untyped = Brokers.send

    def method(self) -> Callable[..., Awaitable[object]]:
        """In place of ``Brokers.send``."""

        async def send(brokers: Brokers, node: int, request: ApiRequest[object], group: object) -> object:
            if request.key == END_TXN:
                await self.strike()
            answer: object = await self.send(brokers, node, request, group)
            return answer

        return send

    async def strike(self) -> None:
        """Stand still, if it is the one."""
        self.left -= 1
        if self.left == 0:
            self.proxy.freeze()
            await asyncio.sleep(STALL_S)
            self.proxy.thaw()


async def work_through(setup: EngineSetup, bootstrap: str) -> Worker:
    """A worker behind the proxy runs everything."""

    async def a_moment(_: Record) -> None:
        await asyncio.sleep(random.uniform(0, 0.05))

    config = replace(
        setup.config(),
        connection=replace(setup.connection, bootstrap=bootstrap),
        transaction_timeout_ms=TIMEOUT_MS,
        transaction_deadline_s=STALL_S + 4,
        request_timeout_ms=int(STALL_S * 1_000) + 3_000,
    )
    worker = Worker(config, setup.handler(a_moment), SystemClock())
    await worker.start()
    try:
        await eventually(lambda: worker.ready)
        for _ in range(3):
            await setup.feed(RECORDS // 3, keys=20)
        await setup.collect(RECORDS)
        await setup.committed_to_the_end()
    finally:
        await worker.stop(5.0)
    return worker


async def test_f22_a_transaction_that_the_broker_gave_up_is_not_written_again_blindly(
    embedded_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is aborted while its end waits; the shard opens anew, reads what is there, and each outcome is there once."""
    async with Proxy(0, random.Random(1)).listening() as proxy:
        node = NodePorts.free(proxy.port)
        proxy.upstream = node.client
        async with (
            embedded_cluster(tmp_path, embedded_cache, [node]) as cluster,
            engine_setup(cluster.inner, partitions=2, shards=1) as setup,
        ):
            await setup.provision()
            stall = Stall(proxy, nth=3)
            monkeypatch.setattr(Brokers, "send", stall.method())

            worker = await work_through(setup, cluster.bootstrap)

            monkeypatch.undo()
            await setup.judge()
    assert stall.left <= 0
    assert worker.fatal is None
    assert worker.metrics.total(REOPENS) >= 1
    assert worker.metrics.total(TRANSACTIONS) > 1
    assert set(setup.runs.values()) == {1}
