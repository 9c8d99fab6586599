"""Deploys under load: workers are rolled, and the whole cluster moves, while requests come."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import PIPE
from collections import Counter
from pathlib import Path

import pytest

from ops.chaos.ledger import repeated
from ops.chaos.workers import COMMAND
from streams.transport.connection import Connection
from tests.integration.deployment import Deployment, deployment
from tests.integration.ground import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

SPLIT = {"auth": 1, "guard": 1, "agent": 2, "retries": 1}
COMPACT = {"admission": 2, "agent": 3, "retries": 1}


async def test_f28_shards_are_added_under_load(bare_cluster: Connection, tmp_path: Path) -> None:
    """From 4 to 7, with an agent that sleeps through it all: it wakes fenced, and ends with a line that says why."""
    async with deployment(bare_cluster, tmp_path, "split", 4, dict(SPLIT)) as running:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.load.send(200, 30))
            await asyncio.sleep(6)
            sleeper = running.of("agent")[0]
            running.workers.stop(sleeper, 20)
            await running.relayout(shards=7)
        verdict = await running.settled(200)
        await eventually(lambda: not sleeper.child.running, 60)

        assert verdict.clean, verdict
        assert (verdict.sent, verdict.answered) == (200, 200)
        assert re.search("the layout is being moved to 7|the cluster has moved to layout 2", sleeper.child.tail(1)[0])
        assert running.workers.exits[1] >= 5, "every worker of the old layout has ended by itself"
        assert "runs the journey split, which has no stage admission" in await _newcomer(running, "admission")


async def test_f28_the_journey_changes_under_load(bare_cluster: Connection, tmp_path: Path) -> None:
    """From split to compact: what the door had let in is guarded by those who guarded before."""
    async with deployment(bare_cluster, tmp_path, "split", 4, dict(SPLIT)) as running:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.load.send(200, 30))
            await asyncio.sleep(6)
            await running.relayout(journey="compact")
            running.workers.wanted = {"admission": 1, "agent": 2, "retries": 1, "auth": 0, "guard": 0}
        verdict = await running.settled(200)

        assert verdict.clean, verdict
        assert (verdict.sent, verdict.answered) == (200, 200)
        assert repeated(running.starts()) == 0
        assert "runs the journey compact, which has no stage guard" in await _newcomer(running, "guard")


async def test_a_rolling_restart_repeats_no_run(bare_cluster: Connection, tmp_path: Path) -> None:
    """All workers, one after another, by SIGTERM: nothing lost, nothing twice, and no run that fits into the drain."""
    async with deployment(bare_cluster, tmp_path, "compact", 6, dict(COMPACT)) as running:
        async with asyncio.TaskGroup() as tasks:
            load = tasks.create_task(running.load.send(400, 40))
            for worker in list(running.workers.all):
                await asyncio.sleep(3)
                running.workers.drain(worker)
                await asyncio.wait_for(worker.child.process.wait(), 60)
            rolled = not load.done()
        verdict = await running.settled(400)

        assert verdict.clean, verdict
        assert (verdict.sent, verdict.answered) == (400, 400)
        again = Counter((start.request_id, start.attempt) for start in running.starts())
        assert [run for run, count in again.items() if count > 1] == []
        assert running.workers.exits == {0: 6}
        assert rolled, "requests came all the while"


async def _newcomer(running: Deployment, stage: str) -> str:
    """What a worker that does not fit says: one line, before it ends with status 1."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stage, cwd=running.workers.folder, env=dict(running.workers.environment), stderr=PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    (line,) = said.decode().splitlines()
    return line
