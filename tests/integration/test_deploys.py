"""Deploys under load: workers are rolled, and the whole cluster moves, while requests come."""

from __future__ import annotations

import asyncio
import re
import signal
from asyncio.subprocess import PIPE
from collections import Counter
from pathlib import Path

import pytest
import structlog

from ops.lab.chaos.agents import NAME
from ops.lab.chaos.ledger import repeated
from ops.lab.chaos.workers import COMMAND, WorkerProcess
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.tenants import Limits, Tenant
from streams.transport.connection import Connection
from tests.integration.deployment import Deployment, deployment
from tests.integration.engine_setup import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

log = structlog.get_logger()

SPLIT = {"auth": 1, "guard": 1, "agent": 2, "retries": 1}
COMPACT = {"ingress": 2, "agent": 3, "retries": 1}

SERVED_S = 5.0
"""How soon a new tenant is served."""


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
        assert "runs the journey split, which has no stage ingress" in await _newcomer(running, "ingress")


async def test_f28_the_journey_changes_under_load(bare_cluster: Connection, tmp_path: Path) -> None:
    """From split to compact: what the door had let in is guarded by those who guarded before."""
    async with deployment(bare_cluster, tmp_path, "split", 4, dict(SPLIT)) as running:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.load.send(200, 30))
            await asyncio.sleep(6)
            await running.relayout(journey="compact")
            running.workers.wanted = {"ingress": 1, "agent": 2, "retries": 1, "auth": 0, "guard": 0}
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


async def test_f18_a_stop_ends_within_its_grace_whatever_runs(bare_cluster: Connection, tmp_path: Path) -> None:
    """A run longer than the grace is left to another worker; a second SIGTERM waits for nothing (I14)."""
    wanted = {"ingress": 1, "agent": 2, "retries": 1}
    async with deployment(bare_cluster, tmp_path, "compact", 4, wanted, HEADRACE_GRACE="1") as running:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.load.send(150, 30))
            await running.ask("north", "long", 30.0)
            await eventually(lambda: any(start.request_id == "long" for start in running.starts()))
            for worker in running.of("agent"):
                assert await _took(running, worker, 1) < 10
                assert worker.child.process.returncode == 0
                await eventually(lambda: len(running.of("agent")) == 2)
                await asyncio.sleep(4)
            hasty = running.of("agent")[0]
            assert await _took(running, hasty, 2) < 5
            assert hasty.child.process.returncode == -signal.SIGTERM
        verdict = await running.settled(151)

        assert verdict.clean, verdict
        assert (verdict.sent, verdict.answered) == (151, 151)
        assert sum(start.request_id == "long" for start in running.starts()) > 1


async def _took(running: Deployment, worker: WorkerProcess, signals: int) -> float:
    """Seconds from the first of some SIGTERMs to the end of the process."""
    began = running.load.clock.monotonic()
    running.workers.drain(worker)
    for _ in range(signals - 1):
        await asyncio.sleep(0.3)
        worker.signal(signal.SIGTERM)
    await asyncio.wait_for(worker.child.process.wait(), 60)
    return running.load.clock.monotonic() - began


async def test_f16_a_hundred_new_tenants_pause_nobody(bare_cluster: Connection, tmp_path: Path) -> None:
    """With a thousand runs in flight: no shard opens again, no run is repeated, and an old tenant notices nothing."""
    wanted = {"ingress": 1, "agent": 3, "retries": 1}
    async with deployment(bare_cluster, tmp_path, "compact", 6, wanted) as running:
        tenancy = Tenancy(bare_cluster, Settings(kafka_bootstrap=bare_cluster.bootstrap))
        busy = [Tenant(id=f"busy-{number}", agents=(NAME,), limits=Limits(concurrency=250)) for number in range(4)]
        running.more = tuple(busy)
        await tenancy.put(*busy)
        await tenancy.served(*busy)
        async with asyncio.TaskGroup() as tasks:
            for number in range(1_000):
                tasks.create_task(running.ask(f"busy-{number % 4}", f"b{number}", 60.0))
        await eventually(lambda: len(running.starts()) == 1_000, 60)
        before = await _pings(running, "calm", 20)
        opened, began = running.opened(), running.load.clock.monotonic()

        async with asyncio.TaskGroup() as tasks:
            during = tasks.create_task(_pings(running, "storm", 40))
            new = [Tenant(id=f"new-{number}", agents=(NAME,)) for number in range(100)]
            await tenancy.put(*new)
            registered = running.load.clock.monotonic()
            await tenancy.served(*new)
            served = running.load.clock.monotonic()
            await tenancy.put(Tenant(id="one-more", agents=(NAME,)))
            await tenancy.served(Tenant(id="one-more"))
            one_more = running.load.clock.monotonic()

        log.info("tenants_added", registered_s=registered - began, served_s=served - registered, one=one_more - served)
        log.info("pings", before=before, during=during.result())
        assert served - registered < SERVED_S
        assert one_more - served < SERVED_S, "from the command, topics and all"
        assert running.opened() == opened
        assert during.result()[1] < before[1] + 1.0
        verdict = await running.settled(1_060)
        assert (verdict.lost, verdict.answered_twice, verdict.unsuccessful) == (0, 0, 0)
        assert repeated(running.starts()) == 0


async def _pings(running: Deployment, name: str, count: int) -> tuple[float, float]:
    """The median and the longest time from a request to its run's start, in seconds, of *count* in a row."""
    took: list[float] = []
    for number in range(count):
        sent = running.load.clock.now_ms()
        await running.ask("north", f"{name}-{number}")
        await asyncio.sleep(0.25)
        began: list[int] = []
        while not began:
            await asyncio.sleep(0.05)
            began = [start.at_ms for start in running.starts() if start.request_id == f"{name}-{number}"]
        took.append((began[0] - sent) / 1_000)
    return sorted(took)[count // 2], max(took)


async def _newcomer(running: Deployment, stage: str) -> str:
    """What a worker that does not fit says: one line, before it ends with status 1."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stage, cwd=running.workers.folder, env=dict(running.workers.environment), stderr=PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    (line,) = said.decode().splitlines()
    return line
