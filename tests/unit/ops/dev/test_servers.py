"""An embedded server is kept up until it is told to stop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from ops.dev.servers import CodeLoader, KeptServer
from ops.embedded.children import ChildProcess
from ops.embedded.server import Server

pytestmark = pytest.mark.anyio

WITHIN_S = 20.0


@dataclass(slots=True)
class FakeServer(Server):
    """A process that sleeps."""

    what: ClassVar[str] = "the fake"
    patience: ClassVar[float] = 1.0

    starts: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    stops: int = 0

    def process(self, port: int) -> AbstractAsyncContextManager[ChildProcess]:
        raise AssertionError(f"nobody asked for port {port}")

    async def serves(self, port: int) -> bool:
        return bool(port)

    @property
    def pid(self) -> int:
        return self.starts[-1].pid

    async def start(self) -> None:
        self.starts.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))

    async def stop(self) -> None:
        self.stops += 1
        self.starts[-1].kill()
        self.starts[-1].wait()


@asynccontextmanager
async def opened(server: FakeServer) -> AsyncGenerator[FakeServer]:
    """The server, started, until the end of the block."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _starts(server: FakeServer, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while len(server.starts) < count:  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0.05)


async def test_a_server_that_dies_is_started_again_and_named(tmp_path: Path) -> None:
    """The platform goes on, and the person at the terminal knows why it halted."""
    server, told = FakeServer(tmp_path, 0), list[str]()
    kept = KeptServer(lambda: opened(server), told.append, CodeLoader())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kept.run())
        assert await kept.server() is server
        first = kept.pid

        server.starts[0].kill()
        server.starts[0].wait()
        await _starts(server, 2)

        assert told == ["the fake ended, starting it again"]
        assert server.starts[1].pid != first
        kept.stop()

    assert server.starts[1].poll() is not None


async def test_a_server_that_is_told_to_stop_is_not_started_again(tmp_path: Path) -> None:
    """And says nothing about it."""
    server, told = FakeServer(tmp_path, 0), list[str]()
    kept = KeptServer(lambda: opened(server), told.append, CodeLoader())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kept.run())
        await kept.server()
        kept.stop()

    assert (len(server.starts), server.stops, told) == (1, 1, [])


async def test_a_server_can_be_told_to_stop_before_its_turn(tmp_path: Path) -> None:
    """What it waits for may never come."""
    server = FakeServer(tmp_path, 0)
    kept = KeptServer(lambda: opened(server), print, CodeLoader(), asyncio.Event().wait)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kept.run())
        await asyncio.sleep(0)
        kept.stop()

    assert server.starts == []
