"""Run the embedded servers, each in its own task: they start concurrently, and restart if they end.

A server's code is loaded when it is started: the broker boots while the rest is still loading.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ops.embedded.server import Server
from ops.settings import Settings, cache_folder, maven_folder
from ops.supervisor import first

if TYPE_CHECKING:
    from ops.embedded.jars import Progress
    from ops.embedded.kafka import Kafka
    from ops.embedded.localmodel import LocalModel
    from ops.embedded.valkey import Valkey

LOOK_S = 0.2
KAFKA_PORT = 19_092
"""The port of the broker, unless it is taken. Ports for outgoing connections begin above it."""

S = TypeVar("S", bound=Server)
T = TypeVar("T")


class CodeLoader:
    """A loader that imports code in a thread beside the loop, one call after the other, in their order."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")

    async def __call__(self, work: Callable[[], T]) -> T:
        """Run *work*, which imports what it needs, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


@dataclass(slots=True)
class KeptServer(Generic[S]):
    """A server that is kept running until it is told to stop."""

    opened: Callable[[], AbstractAsyncContextManager[S]]
    tell: Callable[[str], None]
    """Called with each line for the person at the terminal."""

    load: CodeLoader
    after: Callable[[], Coroutine[Any, Any, object]] | None = None
    """Awaited before the server starts."""

    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _server: S | None = None

    async def server(self) -> S:
        """Return the server, once it serves clients."""
        while self._server is None:
            await self._up.wait()
        return self._server

    @property
    def pid(self) -> int:
        """The process id; 0 while the server is down."""
        return self._server.pid if self._server is not None and self._up.is_set() else 0

    def stop(self) -> None:
        """Stop the server cleanly."""
        self._over.set()

    async def run(self) -> None:
        """Keep the server running until ``stop``. Raises EmbeddedError if it does not start."""
        if self.after is not None:
            await first(self._over.wait(), self.after())
            if self._over.is_set():
                return
        async with await self.load(self.opened) as server:
            self._server = server
            while not self._over.is_set():
                self._up.set()
                await first(self._over.wait(), _ended(server.pid))
                self._up.clear()
                if not self._over.is_set():
                    self.tell(f"{server.what} ended, starting it again")
                    await server.stop()
                    await server.start()


async def _ended(pid: int) -> None:
    """Return when the process no longer exists."""
    while _runs(pid):  # noqa: ASYNC110 - a process that is no longer tells nobody
        await asyncio.sleep(LOOK_S)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of a local platform. None: it is not embedded, for example because an external one is used."""

    kafka: KeptServer[Kafka] | None
    valkey: KeptServer[Valkey] | None
    model: KeptServer[LocalModel] | None

    def all(self) -> list[KeptServer[Kafka] | KeptServer[Valkey] | KeptServer[LocalModel]]:
        """Return the embedded servers."""
        return [each for each in (self.kafka, self.valkey, self.model) if each is not None]

    def pids(self) -> dict[str, int]:
        """Return their process ids, by name."""
        named = (("kafka", self.kafka), ("valkey", self.valkey), ("model", self.model))
        return {name: each.pid for name, each in named if each is not None}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start them concurrently and enter the block at once; at its end, stop them and wait."""
        async with asyncio.TaskGroup() as tasks:
            for each in self.all():
                tasks.create_task(each.run())
            await asyncio.sleep(0)  # load the servers' code first: everything waits for the broker
            yield
            for each in self.all():
                each.stop()


def kafka_server(
    folder: Path, settings: Settings, *, port: int | None, record_aot: bool, progress: Progress | None
) -> Callable[[], AbstractAsyncContextManager[Kafka]]:
    """Return the function that opens the broker, which keeps its records in *folder*.

    Port 0 is any free one. None is ``KAFKA_PORT``, or any free one if that is taken.
    """

    def opened() -> AbstractAsyncContextManager[Kafka]:
        from ops.embedded.kafka import embedded_kafka  # noqa: PLC0415 - see above

        return embedded_kafka(
            folder / "kafka",
            cache_folder(),
            port=port or 0,
            preferred=KAFKA_PORT if port is None else 0,
            repository=settings.maven_repository,
            neighbour=maven_folder(),
            record_aot=record_aot,
            progress=progress,
        )

    return opened


def valkey_server(folder: Path) -> Callable[[], AbstractAsyncContextManager[Valkey]]:
    """Return the function that opens Valkey, which keeps its state in *folder*."""

    def opened() -> AbstractAsyncContextManager[Valkey]:
        from ops.embedded.valkey import embedded_valkey  # noqa: PLC0415 - see above

        return embedded_valkey(folder / "valkey")

    return opened


def model_server(folder: Path) -> Callable[[], AbstractAsyncContextManager[LocalModel]]:
    """Return the function that opens the local model, which logs to *folder*."""

    def opened() -> AbstractAsyncContextManager[LocalModel]:
        from ops.embedded.localmodel import embedded_model  # noqa: PLC0415 - see above

        return embedded_model(folder / "model")

    return opened
