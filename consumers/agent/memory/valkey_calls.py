"""Calls of Valkey that end in bounded time, with one error for all failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from schemas.errors import MemoryUnavailableError

WAIT_S = 5.0
"""Seconds for one call, with the wait for a connection."""

CONNECTIONS = 64
"""Connections of one process; further calls wait."""


def memory_client(url: str, *, wait_s: float = WAIT_S, connections: int = CONNECTIONS) -> Redis:
    """Return a client that opens connections when they are needed. It is closed by the caller.

    A call whose connection is lost is sent once more, because a restarted server has closed all idle connections.
    Every call of the memories may be repeated: it has the same effect as one.
    Its reads and writes have no timeouts of their own, because ``ValkeyCalls`` bounds each call. With one, redis-py
    writes through ``asyncio.wait_for``, which loses a cancellation under Python 3.11.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=wait_s,
        socket_timeout=None,
        socket_connect_timeout=wait_s,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


@dataclass(frozen=True, slots=True)
class ValkeyCalls:
    """Calls of one Valkey."""

    client: Redis
    wait_s: float = WAIT_S
    _scripts: dict[str, AsyncScript] = field(default_factory=dict[str, AsyncScript], init=False)

    async def script(self, text: str, keys: Sequence[str], arguments: Sequence[bytes | str | float]) -> Any:  # noqa: ANN401 - the script decides
        """Run a Lua script and return its value. Raises MemoryUnavailableError."""
        script = self._scripts.setdefault(text, self.client.register_script(text))
        return await self.call(script(keys=list(keys), args=list(arguments)))

    async def fields(self, key: str) -> dict[bytes, bytes]:
        """Return all fields of a hash. Raises MemoryUnavailableError."""
        found: dict[bytes, bytes] = await self.call(self.client.hgetall(key))
        return found

    async def call(self, command: Awaitable[Any]) -> Any:  # noqa: ANN401 - the command decides
        """Return the answer to a command. Raises MemoryUnavailableError after ``wait_s`` seconds, or if it fails."""
        try:
            async with asyncio.timeout(self.wait_s):
                return await command
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            raise MemoryUnavailableError(detail=f"Valkey: {_kind(error)}") from None


def _kind(error: Exception) -> str:
    """Return the class of the error and the server's code. The rest of its message may quote a text of a user."""
    code = str(error).split(" ", 1)[0]
    return f"{type(error).__name__} {code}" if code.isascii() and code.isupper() else type(error).__name__
