"""A stage's process is started again unless it was told to end."""

from __future__ import annotations

import asyncio
import json
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from ops.errors import StackError
from ops.processes import READY, Changes
from ops.supervisor import StageProcess

pytestmark = pytest.mark.anyio

WITHIN_S = 10.0


@dataclass
class FakeProcess:
    """Ends when it is told to; speaks over the inherited socket."""

    pid: int
    channel: socket.socket
    returncode: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> int:
        await self.ended.wait()
        return self.returncode or 0

    def end(self, status: int) -> None:
        self.returncode = status
        self.ended.set()


@dataclass
class Launcher:
    """Keeps what it has started."""

    started: list[FakeProcess] = field(default_factory=list)
    stopped: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def __call__(self, _command: Sequence[str], descriptor: int, /) -> AsyncGenerator[Process]:
        process = FakeProcess(len(self.started) + 1, socket.socket(fileno=socket.dup(descriptor)))
        self.started.append(process)
        self.news.set()
        try:
            yield cast("Process", process)
        finally:
            self.stopped += 1
            process.channel.close()
            process.end(process.returncode or 0)

    async def number(self, count: int) -> FakeProcess:
        """The process of this number, once it is started."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.started) < count:
                self.news.clear()
                await self.news.wait()
        return self.started[count - 1]


@dataclass
class Stage:
    """A supervised stage, its launcher, and what it has told."""

    launcher: Launcher
    process: StageProcess
    told: list[str]
    mourned: list[int]
    running: asyncio.Task[None]


@pytest.fixture
async def stage() -> AsyncGenerator[Stage]:
    """A stage that has been started; it is told to stop at the end of the test."""
    changes: asyncio.Future[Changes] = asyncio.get_running_loop().create_future()
    launcher, told, mourned = Launcher(), list[str](), list[int]()

    async def on_exit(pid: int) -> None:
        mourned.append(pid)

    process = StageProcess(
        "agent", launcher, told.append, changes, last_words=lambda: "its last words", on_exit=on_exit
    )
    async with asyncio.TaskGroup() as tasks:
        yield Stage(launcher, process, told, mourned, tasks.create_task(_hearing(process)))
        process.stop()


async def _hearing(process: StageProcess) -> None:
    """A failure is the test's to look at, not the fixture's."""
    try:
        await process.run()
    except StackError as error:
        process.tell(f"failed: {error}")


async def _line(process: FakeProcess) -> dict[str, str]:
    process.channel.settimeout(0)
    raw = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(process.channel, 4_096), WITHIN_S)
    return dict(json.loads(raw))


async def test_a_stage_is_started_before_it_is_known_where_everything_is(stage: Stage) -> None:
    """It loads its code while the broker boots; the settings follow, and not on its command line."""
    process = await stage.launcher.number(1)

    stage.process.changes.set_result({"kafka_bootstrap": "127.0.0.1:9"})

    assert await _line(process) == {"kafka_bootstrap": "127.0.0.1:9"}
    assert stage.process.pid == process.pid


async def test_a_stage_says_itself_when_it_is_ready(stage: Stage) -> None:
    """A process that runs is not yet one that serves."""
    process = await stage.launcher.number(1)
    stage.process.changes.set_result({})
    assert not stage.process.ready.is_set()

    process.channel.sendall(READY + b"\n")

    await asyncio.wait_for(stage.process.ready.wait(), WITHIN_S)


async def test_a_stage_says_where_its_health_is_until_it_ends(stage: Stage) -> None:
    """Its lines may come in pieces; another process has another port."""
    process = await stage.launcher.number(1)
    stage.process.changes.set_result({})

    process.channel.sendall(b"http://127.0.0.1:1")
    process.channel.sendall(b"234\n" + READY + b"\n")

    await asyncio.wait_for(stage.process.ready.wait(), WITHIN_S)
    assert stage.process.http == "http://127.0.0.1:1234"
    process.end(-9)
    await stage.launcher.number(2)
    assert stage.process.http == ""


async def test_a_stage_that_dies_is_started_again_and_named(stage: Stage) -> None:
    """With the same settings, and a line that says what has happened."""
    stage.process.changes.set_result({"a": "b"})
    (await stage.launcher.number(1)).end(-9)

    second = await stage.launcher.number(2)

    assert await _line(second) == {"a": "b"}
    assert stage.told == ["agent ended with status -9, starting it again in 0.2 s; its last output: its last words"]


async def test_a_stage_is_not_ready_while_it_is_away(stage: Stage) -> None:
    """Readiness is that of the process that runs now."""
    stage.process.changes.set_result({})
    first = await stage.launcher.number(1)
    first.channel.sendall(READY + b"\n")
    await asyncio.wait_for(stage.process.ready.wait(), WITHIN_S)

    first.end(-9)
    await stage.launcher.number(2)

    assert not stage.process.ready.is_set()


async def test_a_restart_by_plan_is_no_accident(stage: Stage) -> None:
    """The agents have changed: at once, and without a warning."""
    stage.process.changes.set_result({})
    await stage.launcher.number(1)

    stage.process.restart()
    await stage.launcher.number(2)

    assert stage.launcher.stopped == 1
    assert stage.told == []


async def test_a_stage_that_is_told_to_stop_is_not_started_again(stage: Stage) -> None:
    """It has been drained by then: the process is stopped by its launcher."""
    stage.process.changes.set_result({})
    await stage.launcher.number(1)

    stage.process.stop()
    await asyncio.wait_for(stage.running, WITHIN_S)

    assert (len(stage.launcher.started), stage.launcher.stopped) == (1, 1)


async def test_a_stage_that_makes_no_sense_is_given_up_at_its_first_start(stage: Stage) -> None:
    """Exit status 2 says that asking again will not help."""
    (await stage.launcher.number(1)).end(2)

    await asyncio.wait_for(stage.running, WITHIN_S)

    assert stage.told == ["failed: the stage agent cannot start: its last words"]


async def test_a_stage_that_served_before_is_not_given_up(stage: Stage) -> None:
    """An edit that breaks the agents will be followed by one that mends them."""
    stage.process.changes.set_result({})
    first = await stage.launcher.number(1)
    first.channel.sendall(READY + b"\n")
    await asyncio.wait_for(stage.process.ready.wait(), WITHIN_S)

    first.end(2)

    assert await stage.launcher.number(2)


async def test_a_death_is_told_before_another_is_started(stage: Stage) -> None:
    """Its shards go to those who live; one that ends as it was asked to has said its own goodbye."""
    stage.process.changes.set_result({})
    (await stage.launcher.number(1)).end(-9)
    await stage.launcher.number(2)
    assert stage.mourned == [1]

    stage.process.restart()
    await stage.launcher.number(3)
    assert stage.mourned == [1]
