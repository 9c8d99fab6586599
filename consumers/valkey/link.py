"""A connection to Valkey that sends the calls of one loop turn together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import RedisError, ResponseError

from consumers.valkey.errors import ValkeyCallError

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]

BATCH_CALLS = 256
BATCH_BYTES = 4 << 20
"""The batch in which a connection sends at most this, and one call."""


OPTIONS: dict[str, Any] = {
    "protocol": 2,
    "decode_responses": False,
    "socket_timeout": None,
    "socket_connect_timeout": None,
    "health_check_interval": 0,
    "retry": Retry(NoBackoff(), 0),
}
"""Options of a connection. They override those of the URL: each call has its own timeout, and values are bytes."""


class _Call(NamedTuple):
    command: Command
    reply: asyncio.Future[Any]


class Durability(NamedTuple):
    """Acknowledgements that a batch waits for: of the server's own disk, and of the disks of its replicas."""

    replicas: int
    timeout_ms: int

    @property
    def command(self) -> Command:
        """Return the command that waits. It counts the writes of its own connection only."""
        return ("WAITAOF", 1, self.replicas, self.timeout_ms)

    def check(self, reply: object) -> None:
        """Raise ValkeyCallError unless *reply* has enough acknowledgements."""
        if isinstance(reply, ResponseError):
            raise ValkeyCallError(str(reply))
        disks, replicas = reply if isinstance(reply, list) else (0, 0)
        if disks < 1 or replicas < self.replicas:
            detail = f"{disks} of 1 disks and {replicas} of {self.replicas} replicas acknowledged the write in time"
            raise ValkeyCallError(detail)


class ValkeyLink:
    """One connection, which one task serves. Calls wait in a queue while a batch is on its way."""

    def __init__(self, url: str, timeout: float, durability: Durability | None = None) -> None:
        options: dict[str, Any] = {**parse_url(url), **OPTIONS}
        kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        self._connection = kind(**options)
        self._timeout, self._durability = timeout, durability
        self._secrets = [str(each) for each in map(options.get, ("username", "password")) if each]
        self._waiting: deque[_Call] = deque()
        self._wake = asyncio.Event()

    async def call(self, *command: Argument) -> Any:  # noqa: ANN401 - any reply of Valkey
        """Return the reply to *command*; a ResponseError is returned as a value.

        Raises ValkeyCallError after the timeout, and if the connection or the acknowledgement fails.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(command, reply))
        self._wake.set()
        try:
            async with asyncio.timeout(self._timeout):
                return await reply
        except TimeoutError as error:
            raise ValkeyCallError(f"Valkey did not answer within {self._timeout} s") from error

    async def serve(self) -> None:
        """Send calls until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._next_batch():
                    await self._answer(batch)
        finally:
            await self._connection.disconnect(nowait=True)

    def _next_batch(self) -> list[_Call]:
        """Return calls that still wait, oldest first, up to the limits of a batch."""
        batch: list[_Call] = []
        size = 0
        while self._waiting and len(batch) < BATCH_CALLS and size < BATCH_BYTES:
            call = self._waiting.popleft()
            if not call.reply.done():
                batch.append(call)
                size += sum(len(each) for each in call.command if not isinstance(each, int))
        return batch

    async def _answer(self, batch: Sequence[_Call]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                replies = await self._exchanged([call.command for call in batch])
        except ValkeyCallError as error:
            self._fail(batch, error.detail)
        except (RedisError, OSError) as error:
            await self._connection.disconnect(nowait=True)
            self._fail(batch, f"{type(error).__name__}: {error}")
        else:
            _resolve(batch, replies)

    def _fail(self, batch: Sequence[_Call], detail: str) -> None:
        """Fail each call with an error of its own. An old server's message may quote the password: leave it out."""
        for secret in self._secrets:
            detail = detail.replace(secret, "***")
        for call in batch:
            if not call.reply.done():
                call.reply.set_exception(ValkeyCallError(detail[:500]))

    async def _exchanged(self, commands: list[Command]) -> list[Any]:
        """Send commands once; twice if the connection was from before, because the server may have restarted."""
        if self._connection.is_connected:
            try:
                return await self._sent(commands)
            except (LostConnectionError, OSError):
                await self._connection.disconnect(nowait=True)
        await self._connection.connect()  # type: ignore[no-untyped-call]
        return await self._sent(commands)

    async def _sent(self, commands: list[Command]) -> list[Any]:
        closing = [] if self._durability is None else [self._durability.command]
        packed = self._connection.pack_commands([*commands, *closing])
        await self._connection.send_packed_command(packed, check_health=False)
        replies = [await self._reply() for _ in commands]
        if self._durability is not None:
            self._durability.check(await self._reply())
        return replies

    async def _reply(self) -> Any:  # noqa: ANN401 - any reply of Valkey
        try:
            return await self._connection.read_response(disconnect_on_error=True)
        except ResponseError as error:
            return error


def _resolve(batch: Sequence[_Call], replies: Sequence[Any]) -> None:
    for call, reply in zip(batch, replies, strict=True):
        if not call.reply.done():
            call.reply.set_result(reply)


@asynccontextmanager
async def served(*links: ValkeyLink) -> AsyncGenerator[None]:
    """Serve *links* during the block. An exception of the block is raised as it is, not inside an ExceptionGroup."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        serving = [tasks.create_task(link.serve()) for link in links]
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again, outside of the group
            failure = error
        for task in serving:
            task.cancel()
    if failure is not None:
        raise failure
