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
from ops.processes import Changes
from ops.settings import Settings, revealed, stage_environment
from ops.supervisor import KILL_AFTER_S, StageProcess

log = structlog.get_logger()


async def run_many(stage: str, count: int, settings: Settings) -> None:
    """Run one stage in *count* processes until SIGTERM, then drain them all. They share this process's log output."""
    logs.configure(settings, stage=stage)
    changes: asyncio.Future[Changes] = asyncio.get_running_loop().create_future()
    changes.set_result(_changes(settings))
    launch = functools.partial(_inheriting, grace=settings.grace + KILL_AFTER_S)
    on_exit = functools.partial(_died, settings, stage)
    processes = [StageProcess(stage, launch, _log_line, changes, on_exit=on_exit) for _ in range(count)]
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


def _changes(settings: Settings) -> Changes:
    """Return the settings to send. Processes cannot share a port: each takes a free one, and logs it."""
    given = revealed(settings)
    return given if settings.http_port is None else {**given, "http_port": 0}


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
