"""The processes of the stages: started as a user starts them, disturbed, and kept at the wanted number."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from ops.background import background
from ops.embedded.children import ChildProcess, started
from ops.lab.chaos.clock import setting_of
from schemas.clock import Clock

COMMAND = (sys.executable, "-P", "-m", "ops.lab.chaos.stage")
GRACE_S = 40.0
"""Seconds for a worker to stop, more than its own grace."""
TEND_S = 0.2
CROWD = (1, 2, 3)
"""The numbers of processes that a stage may be scaled to."""

log = structlog.get_logger()


@dataclass(slots=True)
class WorkerProcess:
    """One process of one stage."""

    stage: str
    child: ChildProcess
    running: AsyncExitStack
    leaving: bool = False
    wakes_at: float | None = None
    """The monotonic time of the SIGCONT, or None if the process is not stopped."""

    @property
    def awake(self) -> bool:
        """True if the process runs, is not stopped, and is not shutting down."""
        return self.child.running and not self.leaving and self.wakes_at is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.child.running:
            self.child.process.send_signal(number)


@dataclass(slots=True)
class WorkerProcesses:
    """All processes of all stages."""

    wanted: dict[str, int]
    folder: Path
    environment: Mapping[str, str]
    clock: Clock
    random: random.Random
    all: list[WorkerProcess] = field(default_factory=list[WorkerProcess])
    exits: Counter[int] = field(default_factory=Counter[int])
    """The number of processes by exit status. A negative status is a signal number."""

    started: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep the wanted number of processes of each stage; at the end, let all of them drain."""
        try:
            async with background(self._tend()):
                yield
        finally:
            await self._end()

    def choose(self) -> WorkerProcess | None:
        """Return a random worker that is awake, or None."""
        awake = [worker for worker in self.all if worker.awake]
        return self.random.choice(awake) if awake else None

    def stop(self, worker: WorkerProcess, seconds: float) -> None:
        """Send SIGSTOP, and SIGCONT after *seconds*. Another process is started meanwhile."""
        worker.signal(signal.SIGSTOP)
        worker.wakes_at = self.clock.monotonic() + seconds

    def drain(self, worker: WorkerProcess) -> None:
        """Send SIGTERM, as a deploy does."""
        worker.signal(signal.SIGTERM)
        worker.leaving = True

    def scale(self) -> None:
        """Change the number of processes of a random stage."""
        stage = self.random.choice(sorted(self.wanted))
        others = [number for number in CROWD if number != self.wanted[stage]]
        self.wanted[stage] = self.random.choice(others)

    def set_clock(self, worker: WorkerProcess, seconds: float) -> None:
        """Set the wall clock of *worker* wrong by *seconds* from now on; 0 corrects it."""
        setting_of(self.folder, worker.child.pid).write_text(str(int(seconds * 1_000)))

    @property
    def calm(self) -> bool:
        """True if no process is stopped by SIGSTOP."""
        return all(worker.wakes_at is None for worker in self.all)

    async def _tend(self) -> None:
        while True:
            self._wake()
            await self._reap()
            for stage in self._missing():
                await self._start(stage)
            for worker in self._spare():
                self.drain(worker)
            await asyncio.sleep(TEND_S)

    def _wake(self) -> None:
        now = self.clock.monotonic()
        for worker in self.all:
            if worker.wakes_at is not None and worker.wakes_at < now:
                worker.signal(signal.SIGCONT)
                worker.wakes_at = None

    async def _reap(self) -> None:
        for worker in [each for each in self.all if not each.child.running]:
            self.all.remove(worker)
            status = worker.child.process.returncode or 0
            self.exits[status] += 1
            if status > 0:  # it ended by itself, with an error
                log.warning("worker_ended", stage=worker.stage, status=status, said=worker.child.tail(3))
            await worker.running.aclose()

    def _missing(self) -> Iterator[str]:
        for stage, wanted in self.wanted.items():
            yield from [stage] * (wanted - len(self._awake(stage)))

    def _spare(self) -> Iterator[WorkerProcess]:
        for stage, wanted in self.wanted.items():
            yield from self._awake(stage)[wanted:]

    def _awake(self, stage: str) -> list[WorkerProcess]:
        return [worker for worker in self.all if worker.stage == stage and worker.awake]

    async def _start(self, stage: str) -> None:
        self.started += 1
        log = self.folder / f"{stage}-{self.started}.log"
        command = [*COMMAND, stage]
        async with AsyncExitStack() as stack:
            child = await stack.enter_async_context(
                started(f"{stage} {self.started}", command, log, grace=0.0, folder=self.folder, env=self.environment)
            )
            self.all.append(WorkerProcess(stage, child, stack.pop_all()))

    async def _end(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for worker in self.all:
                worker.signal(signal.SIGCONT)
                tasks.create_task(worker.child.stop(GRACE_S))
        await self._reap()
