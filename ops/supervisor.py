"""Run stages in their own processes, and restart one that ends before it is told to."""

from __future__ import annotations

import asyncio
import socket
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from ops.errors import StackError
from ops.processes import COMMAND, READY, Changes, settings_line
from schemas.clock import Clock, SystemClock

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
STEADY_S = 30.0
"""A stage that has run this many seconds is restarted after the shortest pause again."""
EXIT_USAGE = 2
"""Exit status of a stage with a usage error: a restart would not help."""
LINE = 4_096
"""Maximum bytes read at a time."""
KILL_AFTER_S = 5.0
"""Seconds beyond the grace after which a process is killed."""


class Launch(Protocol):
    """A function that starts a command with one inherited descriptor, and stops it cleanly at the end of the block."""

    def __call__(self, command: Sequence[str], descriptor: int, /) -> AbstractAsyncContextManager[Process]:
        """Yield the running process."""
        ...


async def no_callback(_pid: int) -> None:
    """Do nothing: the default of ``on_exit``."""


@dataclass(slots=True)
class StageProcess:
    """One stage's process. It is started at once, and gets its settings when they are known."""

    stage: str
    launch: Launch
    tell: Callable[[str], None]
    """Called with each line for the person at the terminal."""

    changes: asyncio.Future[Changes]
    last_words: Callable[[], str] = lambda: ""
    """Returns the last output of the process."""

    on_exit: Callable[[int], Awaitable[None]] = no_callback
    """Called with the id of a process that ended in an unexpected way; awaited before another is started."""

    clock: Clock = field(default_factory=SystemClock)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the stage serves its shards."""

    http: str = ""
    """Address of the stage's health and metrics; empty if it has sent none, or has none."""

    pid: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _anew: asyncio.Event = field(default_factory=asyncio.Event)
    _was_ready: bool = False

    def stop(self) -> None:
        """Drain the process, and do not start it again."""
        self._over.set()

    def restart(self) -> None:
        """Drain the process, and start it again; if it waits for a restart, start it at once."""
        self._anew.set()

    async def run(self) -> None:
        """Keep the stage running until ``stop``. Raises StackError if it cannot be started at all."""
        pause = FIRST_PAUSE_S
        while not self._over.is_set():
            began = self.clock.monotonic()
            status = await self._once()
            if status not in (0, EXIT_USAGE):
                await self.on_exit(self.pid)
            if self._over.is_set():
                return
            if self._anew.is_set():
                self._anew.clear()
                continue
            self._check_hope(status)
            pause = FIRST_PAUSE_S if self.clock.monotonic() - began > STEADY_S else pause
            self.tell(f"{self.stage} ended with status {status}, starting it again in {pause:g} s{self._output()}")
            await first(self._over.wait(), self._anew.wait(), within=pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _output(self) -> str:
        words = self.last_words()
        return f"; its last output: {words}" if words else ""

    def _check_hope(self, status: int) -> None:
        if status == EXIT_USAGE and not self._was_ready:
            raise StackError(f"the stage {self.stage} cannot start: {self.last_words() or 'see the line above'}")

    async def _once(self) -> int:
        """Run the process until it ends, by itself or because it is told to. Return its exit status."""
        ours, theirs = socket.socketpair()
        with ours:  # open until it has ended: a stage ends when its parent closes it
            command = [*COMMAND, self.stage, str(theirs.fileno())]
            async with self.launch(command, theirs.fileno()) as process:
                theirs.close()
                self.pid = process.pid
                await first(self._talk(ours), process.wait(), self._over.wait(), self._anew.wait())
                self.ready.clear()
                self.http = ""
        return process.returncode or 0

    async def _talk(self, channel: socket.socket) -> None:
        """Send the settings and read the stage's lines.

        It never returns: a process that closed its end may still run.
        """
        channel.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(channel, settings_line(await asyncio.shield(self.changes)))
        said = b""
        with suppress(ConnectionError):
            while heard := await loop.sock_recv(channel, LINE):
                *lines, said = (said + heard).split(b"\n")
                for line in lines:
                    self._hear(line)
        await asyncio.Event().wait()

    def _hear(self, line: bytes) -> None:
        if line == READY:
            self.ready.set()
            self._was_ready = True
        else:
            self.http = line.decode()


async def first(*waits: Coroutine[Any, Any, object], within: float | None = None) -> None:
    """Return when one of *waits* has ended, or after *within* seconds; cancel the others."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(wait) for wait in waits]
        await asyncio.wait(running, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
