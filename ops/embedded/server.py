"""A child process that serves one loopback port, and can be killed and restarted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ops.embedded import ports
from ops.embedded.children import ChildProcess
from ops.embedded.errors import ChildEndedError, EmbeddedError

TRIES = 5
"""Attempts to start on different ports, if another process takes the free port first."""
LOST = ("Address already in use", "couldn't bind")
"""Log texts of a server whose port is taken by another process."""


@dataclass(slots=True)
class Server(ABC):
    """The base of Kafka, Valkey and the model. ``folder`` holds the data and the log."""

    what: ClassVar[str]
    patience: ClassVar[float]
    """Seconds that a start may take."""

    folder: Path
    port: int
    """The port, or 0 until the first start has found a free one."""
    preferred: int = field(default=0, init=False)
    """The port to try before any free one; 0 for none."""

    _child: ChildProcess | None = field(default=None, init=False)
    _running: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    @abstractmethod
    def process(self, port: int) -> AbstractAsyncContextManager[ChildProcess]:
        """Return the process, started to serve ``port``."""

    @abstractmethod
    async def serves(self, port: int) -> bool:
        """Return True if this server, and no other, answers at ``port``."""

    @property
    def pid(self) -> int:
        """The process id of the server itself. Raise EmbeddedError while it is not started."""
        return self._started().pid

    async def start(self) -> None:
        """Start on ``port``, or on a free one the first time, and return once clients are served.

        A running or crashed process is stopped first. Raise PortTakenError, ChildEndedError or NotReadyError.
        """
        await self.stop()
        for _ in range(TRIES - 1):
            try:
                return await self._start_once()
            except ChildEndedError as error:
                if not _lost_its_port(error):
                    raise
        return await self._start_once()

    async def stop(self) -> None:
        """Stop the process cleanly, also if it has already ended."""
        await self._running.aclose()
        self._child = None

    async def kill(self) -> None:
        """Send SIGKILL, as a crash. ``start`` restarts the server on the same port."""
        await self._started().kill()
        await self.stop()

    async def ended(self, within: float) -> None:
        """Wait until the process has ended by itself. Send SIGKILL after *within* seconds."""
        await self._started().stop_waiting(within)
        await self.stop()

    def _started(self) -> ChildProcess:
        if self._child is None:
            message = f"{self.what} is not started"
            raise EmbeddedError(message)
        return self._child

    def _free_port(self) -> int:
        return self.preferred if self.preferred and ports.is_free(self.preferred) else ports.free()

    async def _start_once(self) -> None:
        if self.port:
            ports.must_be_free(self.port, self.what)
        port = self.port or self._free_port()
        async with AsyncExitStack() as running:
            child = await running.enter_async_context(self.process(port))
            await child.ready(lambda: self.serves(port), self.patience)
            self._child, self._running, self.port = child, running.pop_all(), port


def _lost_its_port(error: ChildEndedError) -> bool:
    return any(words in line for line in error.tail for words in LOST)
