"""The process for suspects: it runs the worker's agents and nothing else, under a memory limit."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import resource
import socket
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from consumers.agent.executor import Executor
from consumers.agent.services import AgentServices
from consumers.context import StepContext
from consumers.meter import Measurement
from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.thread_pool import ThreadPool
from consumers.spending import Spending
from ops import import_guard, logs
from ops.agent_stores import agent_stores
from ops.agents import agents_of, models_of
from ops.failures import report
from ops.isolation.frames import (
    HEAD,
    SETUP,
    WORDS,
    Beat,
    Drop,
    Failure,
    HostSetup,
    Measured,
    RunAnswer,
    SpanEnded,
    Spent,
    Task,
    frame,
    read,
)
from ops.settings import Settings, debugging
from ops.telemetry import tracer_to
from schemas.clock import Clock, ContinuedClock, SystemClock
from schemas.errors import InternalError, chain_of, resolve_error
from schemas.results import Result
from schemas.usage import RunUsage
from streams.telemetry.agent_spans import AgentTracing, agent_spans
from streams.telemetry.timestamps import Timestamps

BEAT_S = 1.0
OUT_OF_MEMORY = 86
"""The exit status of a process at its memory limit. The failing run may not be the one that used the memory."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FrameMeter:
    """Sends each measurement to the worker."""

    writer: asyncio.StreamWriter

    def record(self, measurement: Measurement) -> None:
        """Send the measurement."""
        self.writer.write(frame(Measured(measurement=measurement)))


@dataclass(slots=True)
class SuspectHost:
    """Run tasks concurrently, and report the outcome of each."""

    execute: Executor
    writer: asyncio.StreamWriter
    clock: Clock = field(default_factory=SystemClock)
    tracing: AgentTracing | None = None
    running: dict[int, asyncio.Task[None]] = field(default_factory=dict[int, asyncio.Task[None]])

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Serve tasks until the worker ends."""
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beat())
            while (word := await read(reader, WORDS)) is not None:
                if isinstance(word, Task):
                    self.running[word.number] = group.create_task(self._run(word))
                else:
                    self._drop(word)
            beating.cancel()
            for task in self.running.values():
                task.cancel()

    async def _beat(self) -> None:
        while True:
            self.writer.write(frame(Beat()))
            await asyncio.sleep(BEAT_S)

    def _drop(self, word: Drop) -> None:
        task = self.running.get(word.number)
        if task is not None:
            task.cancel()

    async def _run(self, task: Task) -> None:
        try:
            reply: RunAnswer | Failure = RunAnswer(number=task.number, result=await self._execute(task))
        except Exception as error:  # noqa: BLE001 - whatever an agent raises has a fate
            reply = _failure(task.number, error)
        finally:
            del self.running[task.number]
        self.writer.write(frame(reply))

    def _spent(self, number: int, usage: RunUsage) -> None:
        self.writer.write(frame(Spent(number=number, usage=usage)))

    async def _execute(self, task: Task) -> Result:
        before, spending = cancel_count(), Spending(counted=partial(self._spent, task.number))
        spending.resume(task.usage)
        context = StepContext(
            tenant=task.tenant,
            clock=self.clock,
            trace=task.trace,
            spending=spending,
            spans=agent_spans(self.tracing, task.trace, task.tenant.id),
            meter=FrameMeter(self.writer),
        )
        try:
            return await self.execute(task.screened, context)
        except asyncio.CancelledError as error:
            if cancel_count() > before:
                raise
            raise InternalError(detail="the run was cancelled from within") from error


def _failure(number: int, error: Exception) -> Failure:
    if any(isinstance(each, MemoryError) for each in chain_of(error)):
        os._exit(OUT_OF_MEMORY)
    fate = resolve_error(error)
    if fate.code == "internal":
        log.error("suspect_failed", exc_info=error)
    return Failure.of(number, fate)


async def run(settings: Settings, setup: HostSetup, clock: Clock, channel: socket.socket) -> None:
    """Load the agents, report readiness, and run tasks."""
    reader, writer = await asyncio.open_connection(sock=channel)
    tracing = _tracing(setup, writer, clock) if setup.spans else None
    agents, threads = agents_of(settings), ThreadPool(settings.threads)
    async with models_of(settings, clock) as models, agent_stores(settings, clock, agents) as stores:
        services = AgentServices(
            agents=agents, models=models, journal=stores.journal, memory=stores.memory, threads=threads
        )
        await SuspectHost(Executor(services), writer, clock, tracing).serve(reader)


def _tracing(setup: HostSetup, writer: asyncio.StreamWriter, clock: Clock) -> AgentTracing:
    """Return the tracer whose spans the worker exports."""

    def send(span: bytes) -> None:
        writer.write(frame(SpanEnded(span=span)))

    return AgentTracing(tracer_to(send), Timestamps(clock).now_ns, setup.captures_content)


def limit_memory(size: int) -> None:
    """Limit this process to *size* bytes of allocated memory. The limit is enforced on Linux only."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _setup(channel: socket.socket) -> HostSetup:
    size = int.from_bytes(channel.recv(HEAD, socket.MSG_WAITALL))
    return SETUP.validate_json(channel.recv(size, socket.MSG_WAITALL))


def serve(descriptor: int) -> None:
    """Serve the worker at the other end of the descriptor until that worker ends."""
    with socket.socket(fileno=descriptor) as channel:
        setup = _setup(channel)
        clock = ContinuedClock(setup.now_ms, SystemClock())
        settings = Settings.model_validate(setup.settings)
        logs.configure(settings, stage="agent")
        import_guard.add_user_folder(Path.cwd(), settings.agents)
        limit_memory(setup.memory)
        asyncio.run(run(settings, setup, clock, channel))


def main(arguments: list[str]) -> int:
    """Serve a worker and return the exit status. An error of the agents' module becomes one line."""
    faulthandler.enable()  # a crash report shows the place in the code, and no data
    try:
        serve(int(arguments[0]))
    except Exception as error:  # noqa: BLE001 - the last place where an error can still become a sentence
        return report(error, debug=debugging())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
