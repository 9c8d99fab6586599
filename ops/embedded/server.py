"""A child process that serves one loopback port, and can be killed and started again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ops.embedded import ports
from ops.embedded.children import Child
from ops.embedded.errors import ChildEndedError, EmbeddedError

TRIES = 5
"""Starts with other ports, when somebody was faster to take the free one."""
LOST = ("Address already in use", "couldn't bind")
"""How a server says that somebody else has its port."""


@dataclass(slots=True)
class Server(ABC):
    """What Kafka, Valkey and the model have in common; ``folder`` holds its data and its log."""

    what: ClassVar[str]
    patience: ClassVar[float]
    """Seconds that a start may take."""

    folder: Path
    port: int
    """0 until the first start has found a free one."""
    _child: Child | None = field(default=None, init=False)
    _running: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    @abstractmethod
    def process(self, port: int) -> AbstractAsyncContextManager[Child]:
        """Its process, told to serve ``port``."""

    @abstractmethod
    async def serves(self, port: int) -> bool:
        """Whether it, and nobody else, answers at ``port``."""

    @property
    def pid(self) -> int:
        """Process id of the server itself. Raises EmbeddedError while it is not started."""
        return self._started().pid

    async def start(self) -> None:
        """Start on ``port``, or on a free one the first time; return when clients are served.

        One that runs, or has crashed, is stopped first. Raises PortTakenError, ChildEndedError, NotReadyError.
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
        """Stop cleanly; no matter if it has ended already."""
        await self._running.aclose()
        self._child = None

    async def kill(self) -> None:
        """SIGKILL, as a crash does. ``start`` brings it back, on the same port."""
        await self._started().kill()
        await self.stop()

    async def ended(self, within: float) -> None:
        """Wait until it has ended by itself; SIGKILL after *within* seconds."""
        await self._started().stop_waiting(within)
        await self.stop()

    def _started(self) -> Child:
        if self._child is None:
            message = f"{self.what} is not started"
            raise EmbeddedError(message)
        return self._child

    async def _start_once(self) -> None:
        if self.port:
            ports.must_be_free(self.port, self.what)
        port = self.port or ports.free()
        async with AsyncExitStack() as running:
            child = await running.enter_async_context(self.process(port))
            await child.ready(lambda: self.serves(port), self.patience)
            self._child, self._running, self.port = child, running.pop_all(), port


def _lost_its_port(error: ChildEndedError) -> bool:
    return any(words in line for line in error.tail for words in LOST)
