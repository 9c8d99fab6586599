"""A child process that is stopped politely, and that never outlives us."""

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

from ops.embedded.errors import ChildEndedError, NotReadyError, NotTheMainThreadError

TETHER = Path(__file__).with_name("tether.py")
KERNEL_TELLS = sys.platform == "linux"
"""Whether the kernel tells a child that its parent has died; elsewhere a pipe does."""
LOOK = 0.02
"""Seconds between two questions whether the child is ready."""
TAIL = 8192
"""Bytes of a log's end that are read for an error."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process; what it prints is in ``log``, which it starts anew."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """Of the command itself, not of a wrapper."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended, as far as the loop knows."""
        return self.process.returncode is None

    async def ready(self, answers: Callable[[], Awaitable[bool]], within: float) -> None:
        """Ask until it answers. ``within`` is in seconds.

        Raises ChildEndedError or NotReadyError.
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
        """Wait until it has done its work. Raises ChildEndedError for a status other than 0."""
        if await self.process.wait():
            raise self.ended()

    async def stop_waiting(self, within: float) -> None:
        """Wait until it ends by itself; SIGKILL after *within* seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.process.wait()
        await self.kill()

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after ``grace`` seconds, or at once if we are cancelled meanwhile."""
        try:
            with suppress(TimeoutError, ProcessLookupError):
                async with asyncio.timeout(grace):
                    self.process.terminate()
                    await self.process.wait()
            await self.kill()
        finally:
            self._kill()

    async def kill(self) -> None:
        """SIGKILL, also for what it has started, and wait until it is gone."""
        self._kill()
        await self.process.wait()

    def ended(self) -> ChildEndedError:
        """Say with which last words it ended."""
        return ChildEndedError(self.name, self.process.returncode or 0, self.tail(), str(self.log))

    def tail(self, lines: int = 20) -> list[str]:
        """Read the last lines of its log that say anything, oldest first."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def _kill(self) -> None:
        """Its session is its own, so its process group is too. Not once it has ended: the number may be another's."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


@asynccontextmanager
async def started(
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    grace: float,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
    kernel: bool = KERNEL_TELLS,
) -> AsyncGenerator[Child]:
    """Run ``command`` (an absolute path first) until the block ends, or until this process does.

    It works in ``folder``, with ``env`` instead of our environment if given, inherits the file descriptors ``inherit``,
    and has its own session, so that a Ctrl-C reaches only us. ``grace`` is in seconds. Raises NotTheMainThreadError.
    """
    if threading.current_thread() is not threading.main_thread():
        message = f"{name} must be started on the main thread: a thread's children end with the thread"
        raise NotTheMainThreadError(message)
    with leash(kernel=kernel) as pipe:
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(pipe)]
        kept = [fd for fd in (*inherit, pipe) if fd >= 0]
        child = Child(name, await _spawned([*tether, *command], log, folder, env, kept), log)
        try:
            yield child
        finally:
            await child.stop(grace)


async def _spawned(
    command: Sequence[str], log: Path, cwd: Path | None, env: Mapping[str, str] | None, kept: Sequence[int]
) -> asyncio.subprocess.Process:
    """Not with a ``preexec_fn``: Python code between fork and exec may deadlock where there are threads."""
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=out,
            stderr=STDOUT,
            cwd=cwd,
            env=env,
            pass_fds=kept,
            start_new_session=True,
        )


@contextmanager
def leash(*, kernel: bool = KERNEL_TELLS) -> Generator[int]:
    """The reading end of a pipe that closes with this process; -1 where the kernel needs none."""
    if kernel:
        yield -1
        return
    theirs, ours = os.pipe()
    try:
        yield theirs
    finally:
        os.close(theirs)
        os.close(ours)
