"""Processes for text work: the worker's event loop never waits for a long text, and tenants take turns.

A thread would not do: one step of the work holds the interpreter, and with it the loop, for up to a quarter of a
second. The processes start when they are first needed. They get no environment, and end with the worker.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from consumers.guard.guard_time import waiting
from consumers.guard.text_queue import TextQueue
from ops.background import background
from ops.isolation.text_child import HEAD, message, result_of
from schemas.errors import GuardUnavailableError

PROGRAM: Final = "import sys; sys.path[:] = sys.argv[1:]; from ops.isolation.text_child import main; main()"
"""The process gets no environment, so it gets the module path as arguments."""

PROCESSES: Final = 2
"""One tenant keeps at most one of them busy, so that a second tenant finds one free."""

SILENCE_S: Final = 60.0
"""Seconds for one task until its process is killed. The longest takes half a second of CPU time."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class TextProcess:
    """One process, started at its first task and again after its end."""

    _process: asyncio.subprocess.Process | None = None

    async def run(self, task: str, texts: tuple[str, ...]) -> tuple[Any, ...]:
        """Return the task's result. Raise GuardUnavailableError if the process cannot start, ends or is silent."""
        answered = False
        try:
            async with asyncio.timeout(SILENCE_S):
                encoded = await self._ask(message((task, texts)))
            answered = True
        except (OSError, EOFError) as error:  # TimeoutError is an OSError, IncompleteReadError an EOFError
            log.warning("text_process_failed", error=type(error).__name__)
            raise GuardUnavailableError from error
        finally:
            if not answered:
                await self.end()
        return result_of(encoded)

    async def _ask(self, request: bytes) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-c",
                PROGRAM,
                *filter(None, sys.path),
                stdin=PIPE,
                stdout=PIPE,
                env={},
                start_new_session=True,
            )
        writer, reader = self._process.stdin, self._process.stdout
        if writer is None or reader is None:
            raise EOFError
        writer.write(request)
        await writer.drain()
        return await reader.readexactly(int.from_bytes(await reader.readexactly(HEAD)))

    async def end(self) -> None:
        """Kill the process if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


@dataclass(slots=True, eq=False)
class TextJob:
    """One task of a tenant, which waits for a process and then for its result."""

    tenant: str
    task: str
    texts: tuple[str, ...]
    begun: asyncio.Future[None]
    result: asyncio.Future[tuple[Any, ...]]

    def fail(self, error: Exception) -> None:
        """Raise *error* in the caller, unless the job has ended or the caller has gone."""
        if not self.result.done():
            self.result.set_exception(error)
            self.result.exception()  # the caller may go before it looks


@dataclass(slots=True, eq=False)
class TextProcesses:
    """Text work for the guards: an implementation of ``TextWork``."""

    _idle: list[TextProcess] = field(default_factory=lambda: [TextProcess() for _ in range(PROCESSES)])
    _queue: TextQueue[TextJob] = field(default_factory=TextQueue[TextJob])
    _group: asyncio.TaskGroup | None = None

    async def __call__(self, tenant: str, task: str, *texts: str) -> tuple[Any, ...]:
        """Return the task's result; the wait for a process takes no time of a guard's limit."""
        loop = asyncio.get_running_loop()
        job = TextJob(tenant, task, texts, loop.create_future(), loop.create_future())
        self._queue.add(tenant, job, sum(map(len, texts)))
        try:
            self._dispatch()
            with waiting():
                await job.begun
            return await job.result
        finally:
            self._queue.remove(tenant, job)

    async def serve(self) -> None:
        """Run the jobs until this is cancelled, then end the processes."""
        processes = tuple(self._idle)
        try:
            async with asyncio.TaskGroup() as group:
                await self._serve_in(group)
        finally:
            for process in processes:
                await process.end()

    async def _serve_in(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        try:
            self._dispatch()
            await asyncio.Event().wait()
        finally:
            self._group = None  # before the group cancels its jobs, each of which would start the next one

    def _dispatch(self) -> None:
        while self._group is not None and self._idle and (job := self._queue.next()) is not None:
            self._group.create_task(self._run(self._idle.pop(), job))

    async def _run(self, process: TextProcess, job: TextJob) -> None:
        """Run the job to its end even if its caller has gone: to end a process costs more than to end its task."""
        if not job.begun.done():
            job.begun.set_result(None)
        try:
            result = await process.run(job.task, job.texts)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller
            job.fail(error)
        else:
            if not job.result.done():
                job.result.set_result(result)
        finally:
            job.fail(GuardUnavailableError())  # if this was cancelled: the worker stops
            self._idle.append(process)
            self._queue.done(job.tenant)
            self._dispatch()


@asynccontextmanager
async def text_processes() -> AsyncGenerator[TextProcesses]:
    """Yield the text work, and run its processes until the block ends."""
    work = TextProcesses()
    async with background(work.serve()):
        yield work
