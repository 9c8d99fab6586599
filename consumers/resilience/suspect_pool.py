"""The suspect pool: it runs tasks that may kill their process in separate processes, in cohorts that it halves.

It is a binary search over real process deaths. A task whose process dies beside other tasks only stays a suspect. A
task is condemned if it twice killed a process that ran nothing else, before or beside it. Every other task is answered,
however often its process has died.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

import structlog

from schemas.errors import PoisonError

T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")

STRIKES = 2
"""Deaths of a task's own process after which no other task can be the cause."""

PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
"""Seconds before the next start of a process after a failed start; doubled each time, up to the longest."""

log = structlog.get_logger()


class ProcessEndedError(Exception):
    """The process has ended, or could not be started."""


class Process(Protocol[T_contra, R_co]):
    """A process that runs several tasks at once and may die of any of them."""

    async def run(self, task: T_contra, /) -> R_co:
        """Return or raise the task's own outcome; ProcessEndedError if its process dies. A cancel stops the task."""
        ...


@dataclass(eq=False, slots=True)
class Suspect(Generic[T, R]):
    """A task, the future of its answer, and its deaths in a process of its own."""

    task: T
    answer: asyncio.Future[R]
    strikes: int = 0

    async def run(self, process: Process[T, R]) -> None:
        """Run the task and settle its answer. If its process dies, the answer stays open."""
        try:
            answer = await process.run(self.task)
        except ProcessEndedError:
            return
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            self._settle(error)
        else:
            if not self.answer.done():
                self.answer.set_result(answer)

    def judge(self) -> None:
        """Count a death of the task's own process; condemn the task after ``STRIKES``."""
        self.strikes += 1
        if self.strikes >= STRIKES:
            self._settle(PoisonError(detail=f"{self.strikes} processes died of it alone"))

    def _settle(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(slots=True)
class SuspectPool(Generic[T, R]):
    """The suspect pool: cohorts of *size* tasks, each cohort in a process, with *processes* of them side by side."""

    start: Callable[[], AbstractAsyncContextManager[Process[T, R]]]
    """Starts a process that ends with the block. Raises ProcessEndedError or OSError if it cannot start."""

    size: int = 64
    processes: int = 4
    linger_s: float = 2.0
    """Seconds for which a process without work is kept."""

    died: Callable[[int], None] = lambda _: None
    """Called at each death under a cohort, with the number of its tasks that are still unanswered."""

    _fresh: deque[Suspect[T, R]] = field(default_factory=deque[Suspect[T, R]])
    _halves: deque[list[Suspect[T, R]]] = field(default_factory=deque[list[Suspect[T, R]]])
    _starting: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, task: T) -> R:
        """Return or raise the task's outcome; PoisonError if it is condemned. Needs ``serve`` to run."""
        suspect = Suspect[T, R](task, asyncio.get_running_loop().create_future())
        self._fresh.append(suspect)
        self._news.set()
        return await suspect.answer

    async def serve(self) -> None:
        """Run cohorts until cancelled. Without suspects there is no process."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.processes):
                group.create_task(self._tend())

    # --- one process after another ------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        pause = PAUSE_S
        while True:
            await self._wanted()
            try:
                async with self._started() as process:
                    pause = PAUSE_S
                    await self._serve_by(process)
            except (ProcessEndedError, OSError) as error:
                log.error("suspect_pool_failed", error=repr(error), again_in_s=pause)  # noqa: TRY400 - no defect
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _wanted(self) -> None:
        """Wait until there are more cohorts than processes that are about to take one."""
        while len(self._halves) + -(-len(self._fresh) // self.size) <= self._starting:
            self._news.clear()
            await self._news.wait()

    @asynccontextmanager
    async def _started(self) -> AsyncGenerator[Process[T, R]]:
        async with AsyncExitStack() as stack:
            self._starting += 1
            try:
                process = await stack.enter_async_context(self.start())
            finally:
                self._starting -= 1
            yield process

    async def _serve_by(self, process: Process[T, R]) -> None:
        """Run cohorts until the process dies, has no work, or the next task needs a process of its own."""
        used = False
        while cohort := await self._next(used=used):
            if await self._dies_of(process, cohort, used=used):
                return
            used = True

    async def _next(self, *, used: bool) -> list[Suspect[T, R]]:
        """Return the next cohort for a process that was *used* before or not; empty if the process is to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.linger_s):
                while not (self._halves or self._fresh):
                    self._news.clear()
                    await self._news.wait()
        if self._halves:
            return [] if used and len(self._halves[0]) == 1 else self._halves.popleft()
        return [self._fresh.popleft() for _ in range(min(self.size, len(self._fresh)))]

    # --- one cohort ---------------------------------------------------------------------------------------------------

    async def _dies_of(self, process: Process[T, R], cohort: list[Suspect[T, R]], *, used: bool) -> bool:
        """Run the cohort; return True if the process died of it. Suspects whose caller has left are omitted."""
        running = _waited_for(cohort)
        async with asyncio.TaskGroup() as group:
            for suspect in running:
                task = group.create_task(suspect.run(process))
                suspect.answer.add_done_callback(partial(_cancel, task))
        left = _waited_for(running)
        if not left:
            return False
        self.died(len(left))
        if len(running) == 1 and not used:
            running[0].judge()
        self._put_back(_waited_for(left))
        return True

    def _put_back(self, left: list[Suspect[T, R]]) -> None:
        middle = len(left) // 2
        self._halves.extend(half for half in (left[:middle], left[middle:]) if half)
        self._news.set()


def _waited_for(cohort: list[Suspect[T, R]]) -> list[Suspect[T, R]]:
    """Return the suspects without an answer whose caller still waits."""
    return [suspect for suspect in cohort if not suspect.answer.done()]


def _cancel(task: asyncio.Task[None], _: object) -> None:
    task.cancel()
