"""F32: a flood that lasts longer than its topic remembers: every request is answered before it is forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ops.embedded.kafka import embedded_kafka
from ops.lab.chaos.agents import NAME
from ops.lab.chaos.ledger import LedgerEntry
from ops.settings import Settings
from ops.tenancy import Tenancy
from producers.requests import request_record
from schemas.records import Partition
from schemas.requests import Request
from schemas.tenants import Limits, Tenant
from schemas.topics import REQUESTS
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from tests.integration.changes import set_config
from tests.integration.deployment import Deployment, deployment

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(400)]

RETENTION_MS = 20_000
FLOOD = Tenant(id="flood", agents=(NAME,), limits=Limits(concurrency=2, max_wait=RETENTION_MS / 1_000 / 2 - 1))
"""What it sends waits for less than half of what its topic remembers."""

REQUESTS_SENT, PAUSE_S = 400, 0.1
"""Twice the retention, and twenty times what the tenant may have done meanwhile."""


async def flood(running: Deployment) -> None:
    """Far more than the tenant may have done at a time."""
    for number in range(REQUESTS_SENT):
        request = Request(agent=NAME, input=f"f{number}", metadata={"sleep": "1"})
        record = request_record(FLOOD.id, request, request_id=f"f{number}", now_ms=running.load.clock.now_ms())
        running.load.ledger.sent.append(LedgerEntry(FLOOD.id, None, f"f{number}", frozenset({"succeeded", "refused"})))
        await running.load.writer.send(record)
        await asyncio.sleep(PAUSE_S)


async def first_offset(connection: Connection, topic: str) -> int:
    """Where the log begins by now."""
    async with await Reader.open(connection, topic) as reader:
        ends = await reader.high_watermarks()
        async for record in reader.until(ends):
            return record.offset
    return ends[Partition(topic, 0)]


async def test_f32_a_flood_beyond_retention_is_answered_to_the_last_request(
    embedded_cache: Path, tmp_path: Path
) -> None:
    """What is over the tenant's limits is refused before its topic forgets it, and no worker dies."""
    more = {"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "500"}
    wanted = {"ingress": 1, "agent": 1, "retries": 1}
    async with embedded_kafka(tmp_path / "kafka", embedded_cache, more=more) as broker:
        connection, topic = Connection(broker.bootstrap), REQUESTS.of(FLOOD.id)
        (folder := tmp_path / "workers").mkdir()
        async with deployment(connection, folder, "compact", 2, wanted) as running:
            tenancy = Tenancy(connection, Settings(kafka_bootstrap=connection.bootstrap))
            await tenancy.put(FLOOD)
            await tenancy.served(FLOOD, within=60)
            running.more = (FLOOD,)
            async with await Admin.open(connection) as admin:
                stamped = {"message_timestamp_type": "LogAppendTime"}
                await set_config(admin, topic, retention_ms=str(RETENTION_MS), segment_ms="2000", **stamped)
            await flood(running)

            verdict = await running.settled(REQUESTS_SENT)

            assert verdict.clean, verdict
            assert await first_offset(connection, topic) > 0
        assert set(running.workers.exits) == {0}
