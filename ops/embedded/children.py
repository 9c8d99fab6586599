"""A child process that is stopped gracefully, and that ends with this process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.embedded.errors import ChildEndedError, NotReadyError, NotTheMainThreadError
from ops.settings import child_environment

TETHER = Path(__file__).with_name("tether.py")
KERNEL_TELLS = sys.platform == "linux"
"""True if the kernel signals a child when its parent dies. On other systems a pipe does it."""
LOOK = 0.02
"""Seconds between two checks whether the child is ready."""
TAIL = 8192
"""Bytes read from the end of a log for an error message."""


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A running process. Its output goes to ``log``. The log of the run before is kept as ``NAME.before.log``."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """The process id of the command itself, not of a wrapper."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """True if the process has not ended, as far as the event loop knows."""
        return self.process.returncode is None

    async def ready(self, answers: Callable[[], Awaitable[bool]], within: float) -> None:
        """Wait until ``answers`` returns True. ``within`` is in seconds.

        Raise ChildEndedError or NotReadyError.
        """
        try:
            async with asyncio.timeout(within):
                while self.running and not await answers():  # noqa: ASYNC110  (a program has no event to set)
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            raise NotReadyError(self.name, within, str(self.log)) from None
        if not self.running:
            raise self.ended()

    async def finished(self) -> None:
        """Wait until the process has ended. Raise ChildEndedError for an exit status other than 0."""
        if await self.process.wait():
            raise self.ended()

    async def stop_waiting(self, within: float) -> None:
        """Wait until the process ends by itself. Send SIGKILL after *within* seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.process.wait()
        await self.kill()

    async def stop(self, grace: float) -> None:
        """Send SIGTERM, then SIGKILL after ``grace`` seconds, or at once if this task is cancelled."""
        try:
            with suppress(TimeoutError, ProcessLookupError):
                async with asyncio.timeout(grace):
                    self.process.terminate()
                    await self.process.wait()
            await self.kill()
        finally:
            self._kill()

    async def kill(self) -> None:
        """Send SIGKILL to the process and its children, and wait until it has ended."""
        self._kill()
        await self.process.wait()

    def ended(self) -> ChildEndedError:
        """Return the error for an ended process, with the last lines of its log."""
        return ChildEndedError(self.name, self.process.returncode or 0, self.tail(), str(self.log))

    def tail(self, lines: int = 20) -> list[str]:
        """Return the last non-blank lines of the log, oldest first."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def _kill(self) -> None:
        """Send SIGKILL to the process group, which only this child has. Skip an ended process: its id may be reused."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


@asynccontextmanager
async def started(  # noqa: PLR0913 - one argument an option
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    grace: float,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
    terminal: bool = False,
    kernel: bool = KERNEL_TELLS,
) -> AsyncGenerator[ChildProcess]:
    """Run ``command`` (an absolute path first) until the block ends, or until this process ends.

    The child works in ``folder``, with the environment ``env``, or else with the system's variables only. It inherits
    the file descriptors ``inherit``. It has a session of its own, so that a Ctrl-C reaches only this process. With
    ``terminal`` it only has a process group of its own, and this process's standard input and output.
    ``grace`` is in seconds. Raise NotTheMainThreadError on another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        message = f"{name} must be started on the main thread: a thread's children end with the thread"
        raise NotTheMainThreadError(message)
    with leash(kernel=kernel) as pipe:
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(pipe)]
        kept = [fd for fd in (*inherit, pipe) if fd >= 0]
        child = ChildProcess(name, await _spawned([*tether, *command], log, folder, env, kept, terminal=terminal), log)
        try:
            yield child
        finally:
            await child.stop(grace)


async def _spawned(
    command: Sequence[str],
    log: Path,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    kept: Sequence[int],
    *,
    terminal: bool,
) -> asyncio.subprocess.Process:
    """Start the process without a ``preexec_fn``: Python code between fork and exec may deadlock with threads."""
    _keep(log)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
        os.fchmod(out.fileno(), 0o600)
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=None if terminal else DEVNULL,
            stdout=None if terminal else out,
            stderr=out if terminal else STDOUT,
            cwd=cwd,
            env=child_environment() if env is None else env,
            pass_fds=kept,
            **_group(terminal=terminal),
        )


def _group(*, terminal: bool) -> dict[str, Any]:
    """Return the arguments for a process group of its own, in this session or in another."""
    return {"process_group": 0} if terminal else {"start_new_session": True}


def _keep(log: Path) -> None:
    """Rename the log of the run before, unless it is empty. Only this user may read it."""
    if log.exists() and log.stat().st_size:
        log.chmod(0o600)
        log.replace(log.with_suffix(f".before{log.suffix}"))


@contextmanager
def leash(*, kernel: bool = KERNEL_TELLS) -> Generator[int]:
    """Yield the reading end of a pipe that closes with this process, or -1 if the kernel needs no pipe."""
    if kernel:
        yield -1
        return
    theirs, ours = os.pipe()
    try:
        yield theirs
    finally:
        os.close(theirs)
        os.close(ours)
