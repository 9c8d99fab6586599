"""The answers of the engine to a run about its shard: token, time of ownership, and lost journals, on a real broker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from consumers.fencing_token import FencingToken
from ops.embedded.cluster import NodePorts, embedded_cluster
from ops.embedded.kafka import Kafka
from ops.lab.chaos.proxy import Proxy
from schemas.clock import SystemClock
from schemas.records import ProducerRecord, Record
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, RunScope, StageHandler
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually
from tests.integration.test_engine import child
from tests.integration.test_suspicion import die

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

MOMENT_S = 0.005


@dataclass
class Started:
    """One run, with the facts at its start."""

    value: bytes
    scope: RunScope
    token: FencingToken
    before: bool
    at: float


@dataclass
class OwnedStage:
    """A stage whose runs go on until they are let go."""

    setup: EngineSetup
    store: str | None = None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    started: list[Started] = field(default_factory=list[Started])

    def handler(self) -> StageHandler:
        async def run(record: Record, scope: RunScope) -> Outputs:
            before = await scope.started_before()
            self.started.append(Started(record.value or b"", scope, scope.token(), before, time.monotonic()))
            await self.release.wait()
            return [ProducerRecord(self.setup.output, record.key, record.value)]

        def prepare(_: int, record: Record) -> Job:
            return Job(record.key, list, run_owned=lambda scope: run(record, scope))

        return replace(
            self.setup.handler(nothing),
            prepare=prepare,
            prepare_isolated=prepare,
            journal_identity=self.identity if self.store else None,
            drains=False,
        )

    async def has_started(self, count: int) -> None:
        await eventually(lambda: len(self.started) == count)

    async def identity(self) -> str:
        return self.store or ""

    @asynccontextmanager
    async def worker(self, bootstrap: str | None = None) -> AsyncGenerator[Worker]:
        connection = replace(self.setup.connection, bootstrap=bootstrap or self.setup.connection.bootstrap)
        config = replace(self.setup.config(), connection=connection, request_timeout_ms=3_500)
        async with self.setup.worker(self.handler(), config) as worker:
            yield worker


async def nothing(_: Record) -> None:
    """Not called."""


async def test_every_opening_has_a_higher_token_and_a_run_sees_that_of_its_newest_one(kafka: Kafka) -> None:
    """Planned moves, ends without a word, and a reopening of the same worker while a run goes on."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await setup.feed(1, keys=1)
        stage = OwnedStage(setup)
        async with stage.worker():
            await eventually(lambda: len(stage.started) == 1)
        doomed = Worker(setup.config(), stage.handler(), SystemClock())
        await doomed.start()
        await eventually(lambda: len(stage.started) == 2)
        await die(doomed)
        async with stage.worker() as worker:
            await eventually(lambda: len(stage.started) == 3)
            run = stage.started[2].scope
            assert (run.token(), run.may_start()) == (FencingToken(1, 3), True)
            inside: Any = worker
            inside._shards[0].committer.reopen("a test")  # noqa: SLF001 - as a doubt does
            await eventually(lambda: run.token() == FencingToken(1, 4))
            await eventually(run.may_start)
            stage.release.set()
            await setup.collect(1)
        assert [each.token for each in stage.started] == [FencingToken(1, life) for life in (1, 2, 3)]
        assert [each.scope.token() for each in stage.started] == [FencingToken(1, life) for life in (1, 2, 4)]
        assert not any(each.scope.may_start() for each in stage.started), "their shards are gone"
        await setup.judge()


async def test_a_killed_process_is_followed_by_a_higher_token(kafka: Kafka, tmp_path: Path) -> None:
    """SIGKILL, and another worker after the session."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await setup.feed(1, keys=1)
        tokens = tmp_path / "tokens"
        async with child(setup, tokens=str(tokens), longest_s="60") as process:
            await eventually(lambda: tokens.exists() and tokens.read_text() == "1 1\n")
            process.kill()
            await process.wait()
        stage = OwnedStage(setup)
        stage.release.set()
        async with stage.worker():
            await setup.collect(1)
        assert [each.token for each in stage.started] == [FencingToken(1, 2)]


async def test_what_an_owner_with_another_store_may_have_started_is_known(kafka: Kafka) -> None:
    """Its journals may be lost; what comes later has none to lose, and a planned move in one store loses none."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await setup.feed(3, keys=3)
        stage = OwnedStage(setup, store="one")
        for store, count in (("one", 3), ("one", 6), ("two", 9)):
            stage.store = store
            async with stage.worker():
                await stage.has_started(count)
        assert [each.before for each in stage.started] == [False] * 6 + [True] * 3
        stage.started.clear()
        async with stage.worker():
            await eventually(lambda: len(stage.started) == 3)
            assert all(each.before for each in stage.started), "the doubt lasts until they are visible"
            await setup.feed(1, keys=1)
            stage.release.set()
            await setup.collect(4)
            await setup.committed_to_the_end()
        assert [each.before for each in stage.started] == [True, True, True, False]
        stage.release.clear()
        await setup.feed(2, keys=2)
        stage.started.clear()
        for count in (2, 4):
            async with stage.worker():
                await stage.has_started(count)
        assert not any(each.before for each in stage.started)


@pytest.mark.parametrize("other", ["waits already", "joins later"])
async def test_a_worker_cut_off_from_kafka_may_start_nothing_before_another_one_begins(
    other: Literal["waits already", "joins later"], embedded_cache: Path, tmp_path: Path
) -> None:
    """It can still reach its tools and models.

    A worker that joins makes the group wait for the one that is cut off for a rebalance only, not for a session.
    """
    async with Proxy(0, random.Random(1)).listening() as proxy:
        node = NodePorts.free(proxy.port)
        proxy.upstream = node.client
        async with (
            embedded_cluster(tmp_path, embedded_cache, [node]) as cluster,
            engine_setup(cluster.inner, partitions=1, shards=1) as setup,
        ):
            await setup.provision()
            await setup.feed(1, keys=1)
            cut, heir = OwnedStage(setup), OwnedStage(setup)
            async with cut.worker(cluster.bootstrap):
                await eventually(lambda: len(cut.started) == 1)
                run = cut.started[0].scope
                async with _cut_off(proxy, run, heir.worker(cluster.inner), joins_later=other == "joins later"):
                    await _begins_later(run, heir)
                    old, new = run.token(), heir.started[0].token
                    assert old < new
                    proxy.thaw()
                    await asyncio.sleep(2.5)
                    assert run.token() == old, "the shard is gone from here: its old runs never get a new token"
                    assert not run.may_start()
                    assert heir.started[0].scope.may_start()


@asynccontextmanager
async def _cut_off(
    proxy: Proxy, run: RunScope, heir: AbstractAsyncContextManager[Worker], *, joins_later: bool
) -> AsyncGenerator[None]:
    """Cut the owner off, with the heir as a member before or right after that."""
    await eventually(run.may_start)
    if joins_later:
        proxy.freeze()
    async with heir as worker:
        if not joins_later:
            await eventually(lambda: worker.joined)
            await asyncio.sleep(1.5)
            await eventually(run.may_start)
            proxy.freeze()
        yield


async def _begins_later(run: RunScope, heir: OwnedStage) -> None:
    """The run of the worker that is cut off may start steps until, at the latest, just before the heir begins."""
    last = time.monotonic()
    while not heir.started:
        last = time.monotonic() if run.may_start() else last
        await asyncio.sleep(MOMENT_S)
    assert last < heir.started[0].at
    assert not run.may_start()
