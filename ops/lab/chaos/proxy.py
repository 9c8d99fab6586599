"""A TCP proxy that parses Kafka's framing: latency, black holes, resets, and lost EndTxn responses."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ops.embedded.ports import LOOPBACK
from ops.supervisor import first

END_TXN = 26
"""Kafka's API key of EndTxn, the request that ends a transaction."""

LATE_S = (0.1, 0.5)
SLOW_S = (0.5, 2.0)
LINGER_S = 1.0
"""Seconds that a connection stays open after a late frame, so that the broker can read it."""

CLOSE_S = 2.0

EndTxn: TypeAlias = Literal["lost", "cut", "late", "slow"]
"""The fault that the proxy applies to an EndTxn request.

``lost``: the request reaches the broker, and its response is dropped.
``cut``: as ``lost``, and the connection closes.
``late``: the connection closes first, and the broker gets the request afterwards.
``slow``: the request is delayed.
"""


@dataclass(slots=True)
class _Link:
    """One client's connection, and its connection to the broker."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    marked: dict[bytes, EndTxn] = field(default_factory=dict[bytes, EndTxn])
    """The fault for a response, by correlation id."""

    deaf: bool = False
    """True once the client's connection is closed; the broker's responses are dropped."""


@dataclass(slots=True)
class Proxy:
    """The proxy of one broker. Its faults last until they are undone."""

    upstream: int
    random: random.Random
    port: int = 0
    latency: float = 0.0
    """Seconds of delay for each frame."""

    end_txn: EndTxn | None = None
    share: float = 0.2
    """The share of ``struck`` requests that the fault applies to."""

    struck: int = END_TXN
    """The API key of the request that the fault applies to: EndTxn by default."""

    hits: int = 0
    """The number of requests that the fault was applied to."""

    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _links: list[_Link] = field(default_factory=list[_Link])

    def freeze(self) -> None:
        """Hold all frames in both directions. New connections are accepted and hang."""
        self._flows.clear()

    def thaw(self) -> None:
        """Deliver the held frames, and all later ones."""
        self._flows.set()

    def reset(self) -> None:
        """Close every connection at once."""
        for link in list(self._links):
            link.client.transport.abort()
            link.broker.transport.abort()

    def heal(self) -> None:
        """Undo all faults, so that frames pass unchanged."""
        self.latency, self.end_txn = 0.0, None
        self.thaw()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[Proxy]:
        """Accept connections until the block ends."""
        self.thaw()
        server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            self.heal()
            self.reset()
            await self._ended()

    async def _ended(self) -> None:
        """Wait until all connections have closed, at most ``CLOSE_S`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while self._links:  # noqa: ASYNC110 - each ends by itself
                    await asyncio.sleep(0.01)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            answers, broker = await asyncio.open_connection(LOOPBACK, self.upstream)
        except OSError:  # the broker is down: the client sees a closed connection
            writer.close()
            return
        link = _Link(writer, broker)
        self._links.append(link)
        try:
            await first(self._ask(reader, link), self._answer(answers, link))
        finally:
            self._links.remove(link)
            writer.close()
            broker.close()

    async def _frame(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        size = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack(">i", size)[0])
        await self._flows.wait()
        if self.latency:
            await asyncio.sleep(self.latency)
        return size, body

    async def _ask(self, reader: asyncio.StreamReader, link: _Link) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while not link.deaf:
                size, body = await self._frame(reader)
                if self._strikes(body):
                    await self._strike(link, body[4:8])
                link.broker.write(size + body)
                await link.broker.drain()
            await asyncio.sleep(LINGER_S)

    def _strikes(self, body: bytes) -> bool:
        (request,) = struct.unpack(">h", body[:2])
        return request == self.struck and self.end_txn is not None and self.random.random() < self.share

    async def _strike(self, link: _Link, correlation: bytes) -> None:
        self.hits += 1
        match self.end_txn:
            case "late":
                link.deaf = True
                link.client.transport.abort()
                await asyncio.sleep(self.random.uniform(*LATE_S))
            case "slow":
                await asyncio.sleep(self.random.uniform(*SLOW_S))
            case "lost" | "cut" as fate:
                link.marked[correlation] = fate
            case None:
                return

    async def _answer(self, reader: asyncio.StreamReader, link: _Link) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                size, body = await self._frame(reader)
                fate = link.marked.pop(body[:4], None)
                if fate == "cut":
                    link.client.transport.abort()
                    return
                if fate == "lost" or link.deaf:
                    continue
                link.client.write(size + body)
                await link.client.drain()
