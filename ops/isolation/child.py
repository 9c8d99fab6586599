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
from consumers.context import StepContext
from consumers.fencing_token import FencingToken
from consumers.guard.tenant_pipelines import TenantPipelines
from consumers.meter import Measurement
from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.thread_pool import ThreadPool
from consumers.spending import Spending
from ops import import_guard, logs
from ops.agent_services import agent_services
from ops.agents import agents_of
from ops.failures import report
from ops.guard_settings import guard_registry
from ops.isolation.frames import (
    HEAD,
    SETUP,
    WORDS,
    Beat,
    Drop,
    Failure,
    HostSetup,
    Lease,
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
class HostedRun:
    """One run, and its ownership as the worker has last reported it."""

    lease: Lease
    clock: Clock
    task: asyncio.Task[None] | None = None

    def token(self) -> FencingToken:
        """Return the fencing token."""
        return self.lease.token

    def owned_until(self) -> float:
        """Return the monotonic time until which the run may start steps."""
        return self.lease.owned_until

    def may_start(self) -> bool:
        """Return True if the run may start a step now."""
        return self.clock.monotonic() < self.lease.owned_until


@dataclass(slots=True)
class SuspectHost:
    """Run tasks concurrently, and report the outcome of each."""

    execute: Executor
    writer: asyncio.StreamWriter
    clock: Clock = field(default_factory=SystemClock)
    tracing: AgentTracing | None = None
    running: dict[int, HostedRun] = field(default_factory=dict[int, HostedRun])

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Serve tasks until the worker ends."""
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beat())
            while (word := await read(reader, WORDS)) is not None:
                if isinstance(word, Task):
                    hosted = self.running[word.number] = HostedRun(word.lease, self.clock)
                    hosted.task = group.create_task(self._run(word, hosted))
                    hosted.task.add_done_callback(partial(self._forget, word.number))
                else:
                    self._change(word)
            beating.cancel()
            for hosted in list(self.running.values()):
                _cancel(hosted)

    async def _beat(self) -> None:
        while True:
            self.writer.write(frame(Beat()))
            await asyncio.sleep(BEAT_S)

    def _forget(self, number: int, _: object) -> None:
        del self.running[number]

    def _change(self, word: Lease | Drop) -> None:
        hosted = self.running.get(word.number)
        if hosted is None:
            return
        if isinstance(word, Lease):
            hosted.lease = word
        else:
            _cancel(hosted)

    async def _run(self, task: Task, hosted: HostedRun) -> None:
        try:
            reply: RunAnswer | Failure = RunAnswer(number=task.number, result=await self._execute(task, hosted))
        except Exception as error:  # noqa: BLE001 - whatever an agent raises has a fate
            reply = _failure(task.number, error)
        self.writer.write(frame(reply))

    def _spent(self, number: int, usage: RunUsage) -> None:
        self.writer.write(frame(Spent(number=number, usage=usage)))

    async def _execute(self, task: Task, hosted: HostedRun) -> Result:
        before, spending = cancel_count(), Spending(counted=partial(self._spent, task.number))
        spending.resume(task.usage)
        context = StepContext(
            tenant=task.tenant,
            clock=self.clock,
            trace=task.trace,
            spending=spending,
            spans=agent_spans(self.tracing, task.trace, task.tenant.id),
            meter=FrameMeter(self.writer),
            token=hosted.token,
            may_start=hosted.may_start,
            owned_until=hosted.owned_until,
            started_before=task.started_before,
            store_changed=task.store_changed,
        )
        try:
            return await self.execute(task.screened, context)
        except asyncio.CancelledError as error:
            if cancel_count() > before:
                raise
            raise InternalError(detail="the run was cancelled from within") from error


def _cancel(hosted: HostedRun) -> None:
    if hosted.task is not None:
        hosted.task.cancel()


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
    # Long texts are judged in threads: this process ends with its parent, and takes no child along.
    pipelines = TenantPipelines(guard_registry(settings), clock)
    async with agent_services(settings, clock, agents, threads, pipelines) as services:
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
