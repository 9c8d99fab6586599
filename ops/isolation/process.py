"""A process that its tasks may kill: the worker starts it, monitors it, and ends it when the worker ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from consumers.context import StepContext
from consumers.meter import AgentMeter, NoMeter
from consumers.resilience.suspect_pool import ProcessEndedError
from ops.background import background
from ops.embedded.children import TETHER, leash
from ops.isolation.frames import (
    REPLIES,
    Beat,
    Drop,
    HostSetup,
    Lease,
    Measured,
    Reply,
    RunAnswer,
    SpanEnded,
    Spent,
    Task,
    frame,
    read,
)
from ops.settings import Settings, child_environment
from schemas.clock import Clock, SystemClock
from schemas.results import Result
from schemas.stage_records import Screened
from streams.telemetry.spans import Export

COMMAND = (sys.executable, "-P", "-m", "ops.isolation.child")
"""The command of the process; its argument is a file descriptor."""

START_S = 60.0
"""Seconds for the process to load the agents, even on a busy machine."""

SILENCE_S = 20.0
"""Seconds without a heartbeat until the process is killed. A blocked worker would be fenced much earlier."""

LAST_WORDS_S = 2.0
"""Seconds from the end of the connection to the end of the process."""

OWNED_S = 6.0
"""The longest time of ownership without a further message, in seconds. It is the session of the group."""

LEASE_S = 0.5
"""Seconds between two messages about the ownership of each run."""

HINT = "variables that agents read have to be named in HEADRACE_SUSPECT_ENVIRONMENT"

MIB = 1024 * 1024

log = structlog.get_logger()


class Suspected(NamedTuple):
    """One request with the arguments of its step."""

    screened: Screened
    context: StepContext

    def task(self, number: int) -> Task:
        """Return the message that runs the request."""
        return Task(
            number=number,
            screened=self.screened,
            tenant=self.context.tenant,
            trace=tuple(self.context.trace),
            usage=self.context.spending.itemized,
            lease=self.lease(number),
            started_before=self.context.started_before,
            store_changed=self.context.store_changed,
        )

    def lease(self, number: int) -> Lease:
        """Return the message about the ownership of the run now."""
        context = self.context
        until = min(context.owned_until(), context.clock.monotonic() + OWNED_S) if context.may_start() else 0.0
        return Lease(number=number, token=context.token(), owned_until=until)


@dataclass(frozen=True, slots=True)
class SuspectTelemetry:
    """The worker's exports for its processes."""

    meter: AgentMeter = field(default_factory=NoMeter)
    export: Export | None = None
    captures_content: bool = False


@dataclass(slots=True)
class SuspectProcess:
    """The worker's side of one process for suspects."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    telemetry: SuspectTelemetry = field(default_factory=SuspectTelemetry)
    beating: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the process has loaded its agents, and when it has ended."""

    ended: bool = False
    silent: bool = False
    _waiting: dict[int, asyncio.Future[Result]] = field(default_factory=dict[int, asyncio.Future[Result]])
    _suspected: dict[int, Suspected] = field(default_factory=dict[int, Suspected])
    _count: int = 0

    async def run(self, suspected: Suspected) -> Result:
        """Return the agent's result, or raise its HeadraceError; ProcessEndedError if the process dies."""
        self._count += 1
        number = self._count
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[number], self._suspected[number] = answer, suspected
        try:
            await self._tell(suspected.task(number))
            return await answer
        except asyncio.CancelledError:
            with suppress(ProcessEndedError):
                await self._tell(Drop(number=number))
            raise
        finally:
            del self._waiting[number], self._suspected[number]

    async def _tell(self, word: HostSetup | Task | Lease | Drop) -> None:
        if self.ended:
            raise ProcessEndedError
        try:
            self.writer.write(frame(word))
            await self.writer.drain()
        except ConnectionError:
            raise ProcessEndedError from None

    async def renew(self) -> None:
        """Report the ownership of all runs from time to time, until the process ends."""
        with suppress(ProcessEndedError):
            while True:
                await asyncio.sleep(LEASE_S)
                for number, suspected in list(self._suspected.items()):
                    await self._tell(suspected.lease(number))

    async def begin(self, setup: HostSetup) -> None:
        """Send the setup. Raise ProcessEndedError if the process is not ready in time."""
        await self._tell(setup)
        try:
            async with asyncio.timeout(START_S):
                await self.beating.wait()
        except TimeoutError:
            raise ProcessEndedError(f"it was not ready in {START_S:g} s") from None
        if self.ended:
            status = await self.process.wait()
            raise ProcessEndedError(f"it ended with status {status} before it was ready, its log says why: {HINT}")

    async def listen(self) -> None:
        """Handle replies until the process ends. Kill it if it has been silent for too long."""
        try:
            while (reply := await self._next()) is not None:
                self._take(reply)
            with suppress(TimeoutError):  # no more replies: wait briefly for the exit status
                async with asyncio.timeout(0 if self.silent else LAST_WORDS_S):
                    await self.process.wait()
        finally:
            self._end()
        log.warning("suspect_process_ended", pid=self.process.pid, status=await self.process.wait())

    async def _next(self) -> Reply | None:
        try:
            async with asyncio.timeout(SILENCE_S if self.beating.is_set() else START_S):
                return await read(self.reader, REPLIES)
        except TimeoutError:
            log.warning("suspect_process_silent", pid=self.process.pid)
            self.silent = True
            return None

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Beat):
            self.beating.set()
        elif isinstance(reply, Spent):
            if reply.number in self._suspected:
                self._suspected[reply.number].context.spending.resume(reply.usage)
        elif isinstance(reply, SpanEnded):
            if self.telemetry.export is not None:
                self.telemetry.export(reply.span)
        elif isinstance(reply, Measured):
            self.telemetry.meter.record(reply.measurement)
        elif (answer := self._waiting.get(reply.number)) is not None and not answer.done():
            if isinstance(reply, RunAnswer):
                answer.set_result(reply.result)
            else:
                answer.set_exception(reply.error())

    def _end(self) -> None:
        self.ended = True
        self.kill()
        self.beating.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ProcessEndedError())

    def kill(self) -> None:
        """Send SIGKILL to the process and its children. Skip an ended process: its id may be reused."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


@asynccontextmanager
async def suspect_process(
    settings: Settings, clock: Clock | None = None, telemetry: SuspectTelemetry | None = None
) -> AsyncGenerator[SuspectProcess]:
    """Run a process with the worker's agents for the block. It continues the time of *clock*.

    Raise ProcessEndedError if it does not start.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs, leash() as pipe:
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(pipe)]
        process = await asyncio.create_subprocess_exec(
            *tether,
            *COMMAND,
            str(theirs.fileno()),
            stdin=DEVNULL,
            env=child_environment(*_names(settings)),
            pass_fds=[each for each in (theirs.fileno(), pipe) if each >= 0],
            start_new_session=True,
        )
        theirs.close()
        telemetry = telemetry or SuspectTelemetry()
        child = SuspectProcess(process, *await asyncio.open_connection(sock=ours), telemetry)
        try:
            async with background(child.listen()), background(child.renew()):
                await child.begin(_setup(settings, clock or SystemClock(), telemetry))
                yield child
        finally:
            child.kill()
            await process.wait()
            child.writer.close()


def _names(settings: Settings) -> list[str]:
    """Return the names of the variables that the agents read."""
    return [name.strip() for name in settings.suspect_environment.split(",")]


def _setup(settings: Settings, clock: Clock, telemetry: SuspectTelemetry) -> HostSetup:
    """Return the settings that the agents need, without those of the broker and the seals."""
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    valkey = settings.valkey_url.get_secret_value() if settings.valkey_url else None
    known = {
        "agents": settings.agents,
        "model_base_url": settings.model_base_url,
        "model_api_key": key,
        "model_name": settings.model_name,
        "model_client": settings.model_client,
        "prices": None if settings.prices is None else str(settings.prices),
        "guards": None if settings.guards is None else str(settings.guards),
        "valkey_url": valkey,
        "session_ttl": str(settings.session_ttl),
        "threads": str(settings.threads),
        "log": settings.log,
        "log_level": settings.log_level,
    }
    return HostSetup(
        settings={name: value for name, value in known.items() if value is not None},
        memory=settings.suspect_memory * MIB,
        now_ms=clock.now_ms(),
        spans=telemetry.export is not None,
        captures_content=telemetry.captures_content,
    )
