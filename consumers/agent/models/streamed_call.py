"""One streamed call of a model while it runs: its time limits, and the texts in its pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from consumers.agent.models.openai_stream import ChunkReader
from consumers.agent.models.server_sent_events import EventReader
from schemas.errors import ModelError, ModelTimeoutError

T = TypeVar("T")

DRAIN_S = 0.1
"""Seconds for the end of a stream after the answer's. A connection that has ended properly is used again."""

EVENT_STREAM = "text/event-stream"
_SUCCESS = 2


def is_event_stream(response: aiohttp.ClientResponse) -> bool:
    """Return True for a stream. Errors are none, and some providers ignore the wish for one."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.status // 100 == _SUCCESS and kind == EVENT_STREAM


async def drain(pieces: AsyncIterator[bytes]) -> None:
    """Read a stream to its end if that comes soon, so that the connection can be used again."""
    try:
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass
    except (TimeoutError, ModelError):
        return  # the answer is complete, and the caller closes the connection


@dataclass(frozen=True, slots=True)
class StreamedCall:
    """The time limits of one call. They hold while it waits for the provider, not while its reader works."""

    total_s: float
    pause_s: float
    ends_at: float
    """Time of the event loop."""

    @classmethod
    def of(cls, total_s: float, pause_s: float) -> StreamedCall:
        """Return a call that begins now."""
        return cls(total_s, pause_s, asyncio.get_running_loop().time() + total_s)

    async def within(self, wait: Awaitable[T]) -> T:
        """Await within the time of the whole call. Raise ModelTimeoutError after it."""
        try:
            async with asyncio.timeout_at(self.ends_at):
                return await wait
        except TimeoutError:
            raise ModelTimeoutError(f"the model did not answer within {self.total_s:g} s") from None

    async def texts(self, pieces: AsyncIterator[bytes], reader: ChunkReader) -> AsyncGenerator[str]:
        """Yield the texts of a stream's events, up to the end mark or the end of the stream."""
        events = EventReader()
        async with aclosing(self._timed(pieces)) as timed:
            async for piece in timed:
                for event in events.feed(piece):
                    if text := reader.take(event):
                        yield text
                if reader.done:
                    return
        for event in events.end():
            if text := reader.take(event):
                yield text

    async def _timed(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        piece = await self.within(anext(pieces, None))
        while piece is not None:
            yield piece
            piece = await self._next(pieces)

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self.pause_s):
                return await self.within(anext(pieces, None))
        except TimeoutError:
            raise ModelTimeoutError(f"the model's stream paused for {self.pause_s:g} s") from None
