"""An ingress worker learns of new topics, added partitions and changed tenants by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import pytest

from schemas.records import Partition
from schemas.tenants import Tenant
from streams.engine.admission_memory import AdmissionMemory
from streams.stages.ingress import ingress_partitions
from streams.stages.tenant_follower import ABSENT_S, LOOK_S, TenantFollower
from streams.transport.errors import BrokerError
from tests.unit.streams.engine.shard_setup import (
    ACME,
    REQUESTS,
    SHARDS,
    FakeLog,
    FakeReader,
    StillClock,
    registry,
    registry_record,
)

pytestmark = pytest.mark.anyio

NEW = Tenant(id="initech", partitions=2)
NEW_REQUESTS = "tenants.initech.requests"


class FakeWorker:
    """Owns all shards, and counts how often it was repartitioned."""

    owned = frozenset(range(SHARDS))

    def __init__(self) -> None:
        self.repartitioned = 0

    async def repartition(self) -> None:
        await asyncio.sleep(0)
        self.repartitioned += 1


class FollowerSetup:
    """A follower on a broker that has these topics."""

    def __init__(self) -> None:
        self.clock, self.worker = StillClock(), FakeWorker()
        self.topics: dict[str, int] = {REQUESTS: 1}
        self.away = False
        self.registry = registry(ACME)
        memory = AdmissionMemory(FakeReader(FakeLog()), SHARDS, self.clock)
        self.follower = TenantFollower(self.registry, memory, SHARDS, self.counts_of, self.clock)

    async def counts_of(self, topics: Collection[str]) -> Mapping[str, int]:
        await asyncio.sleep(0)
        if self.away:
            raise BrokerError("nobody is there")
        return {topic: self.topics.get(topic, 0) for topic in topics}

    async def passes(self, seconds: float = 0.0) -> None:
        """Time passes, and the follower has looked."""
        self.clock.at_ms += int(seconds * 1_000)
        await asyncio.sleep(0.5)

    def partitions(self, tenant: Tenant) -> frozenset[Partition]:
        return ingress_partitions(tenant, self.follower.counts)


async def test_partitions_that_the_record_does_not_name_are_served() -> None:
    """Also while the broker does not always answer; the record's own are served whatever it says."""
    setup = FollowerSetup()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(setup.follower.follow(setup.worker))
        await setup.passes()
        assert setup.partitions(ACME) == {Partition(REQUESTS, 0)}

        setup.away = True
        setup.topics[REQUESTS] = 3
        await setup.passes(2 * LOOK_S)
        assert setup.partitions(ACME) == {Partition(REQUESTS, 0)}
        setup.away, before = False, setup.worker.repartitioned
        await setup.passes(2 * LOOK_S)

        assert setup.partitions(ACME) == {Partition(REQUESTS, number) for number in range(3)}
        assert setup.worker.repartitioned > before
        following.cancel()


async def test_a_new_tenant_is_served_once_its_topics_exist() -> None:
    """Its record comes first; a topic that is still missing after seconds is the engine's to report."""
    setup = FollowerSetup()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(setup.follower.follow(setup.worker))
        await setup.passes()
        setup.registry.apply(registry_record(NEW))
        await setup.passes()
        assert setup.partitions(NEW) == frozenset()

        setup.topics[NEW_REQUESTS] = 2
        await setup.passes()
        assert len(setup.partitions(NEW)) == 2

        late = Tenant(id="late")
        setup.registry.apply(registry_record(late))
        await setup.passes()
        assert setup.partitions(late) == frozenset()
        await setup.passes(ABSENT_S + LOOK_S)
        assert len(setup.partitions(late)) == 1
        following.cancel()
