"""The proxy strikes the ends of transactions as it is told, and lets everything else pass."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from ops.lab.chaos.proxy import END_TXN, EndTxn, Proxy

pytestmark = pytest.mark.anyio
METADATA = 3


def frame(request: int, correlation: int) -> bytes:
    """A request as Kafka frames it."""
    body = struct.pack(">hhi", request, 0, correlation)
    return struct.pack(">i", len(body)) + body


@asynccontextmanager
async def broker(heard: list[int]) -> AsyncGenerator[int]:
    """Answers each request with its correlation id, and notes which request it was."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            while True:
                size = await reader.readexactly(4)
                body = await reader.readexactly(struct.unpack(">i", size)[0])
                heard.append(struct.unpack(">h", body[:2])[0])
                writer.write(struct.pack(">i", 4) + body[4:8])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait([task for task in tasks if task is not None], timeout=5)


@asynccontextmanager
async def client(heard: list[int], fate: EndTxn | None) -> AsyncGenerator[tuple[Proxy, Client]]:
    """A client of such a broker, behind a proxy that strikes every end of a transaction."""
    async with (
        broker(heard) as upstream,
        Proxy(upstream, random.Random(1), end_txn=fate, share=1.0).listening() as proxy,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            yield proxy, Client(reader, writer)
        finally:
            writer.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: int, correlation: int) -> None:
        self.writer.write(frame(request, correlation))
        await self.writer.drain()

    async def answer(self, within: float = 5.0) -> int:
        async with asyncio.timeout(within):
            return int(struct.unpack(">ii", await self.reader.readexactly(8))[1])


async def until(heard: list[int], request: int) -> None:
    """Wait until the broker has got it."""
    async with asyncio.timeout(5):
        while request not in heard:  # noqa: ASYNC110 - a socket tells nobody
            await asyncio.sleep(0.01)


async def test_without_a_fault_all_passes() -> None:
    """It must not be the proxy that is measured."""
    async with client([], None) as (proxy, ours):
        await ours.ask(END_TXN, 7)

        assert await ours.answer() == 7
        assert proxy.hits == 0


async def test_a_lost_answer_is_lost_alone() -> None:
    """The transaction has ended, its client does not know, and the connection lives."""
    heard: list[int] = []
    async with client(heard, "lost") as (proxy, ours):
        await ours.ask(END_TXN, 1)
        await ours.ask(METADATA, 2)

        assert await ours.answer() == 2
        assert heard == [END_TXN, METADATA]
        assert proxy.hits == 1


async def test_a_cut_answer_takes_the_connection_along() -> None:
    """The client will ask again, on another."""
    heard: list[int] = []
    async with client(heard, "cut") as (_, ours):
        await ours.ask(END_TXN, 1)

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await ours.answer()
        assert heard == [END_TXN]


async def test_a_late_end_arrives_when_its_client_has_gone() -> None:
    """The case that may end the next transaction of the same epoch."""
    heard: list[int] = []
    async with client(heard, "late") as (_, ours):
        await ours.ask(END_TXN, 1)

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await ours.answer()
        assert heard == []
        await until(heard, END_TXN)


async def test_what_a_frozen_proxy_holds_is_delivered_afterwards() -> None:
    """A black hole, not a loss."""
    async with client([], None) as (proxy, ours):
        await ours.ask(METADATA, 1)
        assert await ours.answer() == 1
        proxy.freeze()
        await ours.ask(METADATA, 2)
        with pytest.raises(TimeoutError):
            await ours.answer(within=0.2)
        proxy.thaw()

        assert await ours.answer() == 2


async def test_a_reset_closes_every_connection() -> None:
    """At once, in both directions."""
    async with client([], None) as (proxy, ours):
        await ours.ask(METADATA, 1)
        assert await ours.answer() == 1
        proxy.reset()

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await ours.answer()
