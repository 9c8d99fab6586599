"""A run that blocks its worker's event loop is named, and is a suspect the second time."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack

import pytest

from ops.embedded.kafka import Kafka
from streams.engine.loop_watch import BLOCKED
from tests.integration.engine_setup import engine_setup
from tests.integration.test_poison import answered, answers, ask, said, worker

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

JOIN_S = 5.0
"""Seconds in which a second worker joins, so that it takes over as soon as the session ends."""


async def line_with(process: Process, *parts: str) -> str:
    """The first line of the log with all *parts*."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if all(part in line for part in parts):
                return line
    raise AssertionError(f"it ended without a line with {parts}")


async def test_a_run_that_blocks_for_ever_ends_its_worker_and_runs_apart_the_second_time(kafka: Kafka) -> None:
    """A lone worker too: nothing else would end it, and its shards would stand still."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await ask(setup, "hang")
        for _ in range(2):
            async with worker(setup, PIPE, watchdog_s="2") as victim:
                line = await line_with(victim, "loop_blocked", "agent=deadly", "deadly_agents.py", "_hang")
                assert "ends=False" in line
                async with asyncio.timeout(60):
                    assert await victim.wait() == BLOCKED
        async with worker(setup, PIPE, watchdog_s="2") as last:
            await said(last, b"shard_suspected")
            await ask(setup, "innocent")
            await answered(setup, 1)
            assert answers(setup)["innocent"] == f"innocent {last.pid}"
            assert last.returncode is None


async def test_a_block_longer_than_the_session_makes_the_run_a_suspect_the_second_time(kafka: Kafka) -> None:
    """Two workers lose their shard one after the other. The third answers the run from a process of its own."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        async with AsyncExitStack() as others:
            first = await others.enter_async_context(worker(setup, PIPE))
            await said(first, b"shard_opened")
            async with worker(setup, PIPE) as second:
                await asyncio.sleep(JOIN_S)
                await ask(setup, "block")
                await said(second, b"shard_owner_lost")
                await others.aclose()
                await said(second, b"loop_blocked")
                async with worker(setup, PIPE) as third:
                    await said(third, b"shard_suspected")
                    second.kill()
                    await answered(setup, 1)
                    text, pid = answers(setup)["block"].split()
                    assert text == "block"
                    assert int(pid) not in {first.pid, second.pid, third.pid}
