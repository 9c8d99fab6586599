"""Who is known to be dead is not waited for: the parent speaks for it, and the others take over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Record
from streams.engine.worker import Worker
from streams.transport.groups import Groups
from tests.integration.engine_setup import engine_setup, eventually
from tests.integration.test_engine import child

pytestmark = pytest.mark.anyio

SESSION_S = 40


async def test_the_shards_of_a_dead_worker_are_dealt_again_at_once(kafka: Kafka) -> None:
    """Not after its session: LeaveGroup on its behalf, by the member id that its client id leads to."""

    async def at_once(_: Record) -> None:
        return

    async with engine_setup(kafka.bootstrap, shards=4) as setup, await Groups.open(setup.connection) as groups:
        await setup.provision()
        handler, clock = setup.handler(at_once), SystemClock()
        survivor = Worker(replace(setup.config(), name="survivor"), handler, clock)
        async with child(setup, session_ms=str(SESSION_S * 1_000)) as process:
            await survivor.start()
            try:
                await eventually(lambda: len(survivor.owned) == 2 and survivor.ready)
                process.kill()
                await process.wait()
                died = clock.monotonic()
                (dead,) = [member for member in await groups.members(setup.group) if member.client != "survivor"]

                await groups.expel(setup.group, dead.id)
                await groups.expel(setup.group, dead.id)

                await eventually(lambda: len(survivor.owned) == 4 and survivor.ready)
                assert clock.monotonic() - died < SESSION_S / 2
                assert [member.client for member in await groups.members(setup.group)] == ["survivor"]
            finally:
                await survivor.stop(2.0)


async def test_a_group_that_there_is_not_has_no_members(kafka: Kafka) -> None:
    """An old layout's group may never have been used."""
    async with engine_setup(kafka.bootstrap) as setup, await Groups.open(setup.connection) as groups:
        assert await groups.members("nobody-ever") == []
        assert await groups.offsets("nobody-ever") == {}
