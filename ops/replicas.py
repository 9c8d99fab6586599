"""Run one stage in several processes, which share this process's output and drain with it."""

from __future__ import annotations

import asyncio
import functools
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from ops import logs
from ops.addresses import HIGHEST_PORT
from ops.agent_check import names_of
from ops.connection import check_connection
from ops.errors import InvalidError
from ops.processes import AGENT, Changes
from ops.settings import Settings, revealed, stage_environment
from ops.supervisor import KILL_AFTER_S, StageProcess

log = structlog.get_logger()


async def run_many(stage: str, count: int, settings: Settings) -> None:
    """Run one stage in *count* processes until SIGTERM, then drain them all. They share this process's log output.

    Raises InvalidError if there are not enough ports after HEADRACE_HTTP_PORT, AgentsError if the user's agents cannot
    be loaded, and the errors of ``check_connection``: once, and not once a process.
    """
    check_connection(settings)
    if stage == AGENT:
        await names_of(settings.agents)
    logs.configure(settings, stage=stage)
    launch = functools.partial(_inheriting, grace=settings.grace + KILL_AFTER_S)
    on_exit = functools.partial(_died, settings, stage)
    processes = [
        StageProcess(stage, launch, _log_line, _resolved(changes), on_exit=on_exit)
        for changes in changes_of(settings, count)
    ]
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, _stop, processes)
    async with asyncio.TaskGroup() as tasks:
        for process in processes:
            tasks.create_task(process.run())


async def _died(settings: Settings, stage: str, pid: int) -> None:
    """Expel a dead worker, so that its shards move to the others at once.

    The import is late because most processes never die.
    """
    from ops.expel_member import expel_dead_worker  # noqa: PLC0415 - see above

    await expel_dead_worker(settings, stage, pid)


def changes_of(settings: Settings, count: int) -> list[Changes]:
    """Return the settings to send to each of *count* processes.

    Processes cannot share a port. They take the configured one and those after it, or free ones if it is 0. Each keeps
    its port after a restart, so that a list of targets stays true. Raises InvalidError if the ports do not suffice.
    """
    given = revealed(settings)
    first = settings.http_port
    if first is None:
        return [given] * count
    if first + count - 1 > HIGHEST_PORT:
        raise InvalidError(
            f"HEADRACE_HTTP_PORT is `{first}`: {count} processes need as many ports up to {HIGHEST_PORT};"
            f" write {HIGHEST_PORT - count + 1} or less, or 0 for free ones"
        )
    return [{**given, "http_port": first and first + number} for number in range(count)]


def _resolved(changes: Changes) -> asyncio.Future[Changes]:
    found: asyncio.Future[Changes] = asyncio.get_running_loop().create_future()
    found.set_result(changes)
    return found


def _stop(processes: Sequence[StageProcess]) -> None:
    """Drain every process on the first signal. The next one ends this process, and with it the others."""
    for process in processes:
        process.stop()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(name)


def _log_line(text: str) -> None:
    log.warning("stage_ended", message=text)


@asynccontextmanager
async def _inheriting(command: Sequence[str], descriptor: int, *, grace: float) -> AsyncGenerator[Process]:
    """Start a process that shares this process's output, and stop it at the end of the block.

    It has its own session: a Ctrl-C reaches only this process, which passes it on once.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, env=stage_environment(), pass_fds=[descriptor], start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(grace):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
