"""Bounded reading of a provider's answer. Its size is limited while it arrives, before and after decompression."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from schemas.errors import ModelUnreadableError

ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer. The largest result holds 1 MiB of text; JSON may escape a character in six bytes."""

STREAM_LIMIT = 64 * 1024 * 1024
"""Bytes of a streamed answer. Each token comes with some 200 bytes of JSON around it."""

ERROR_LIMIT = 64 * 1024
"""Bytes of the body of an error. Its status decides, and the body only names the reason."""

LARGE = 256 * 1024
"""Bytes from which an answer counts as large."""

LARGE_AT_ONCE = 16
"""Large answers that are in memory at once. Further ones wait, and their senders with them."""

PIECE = 64 * 1024
"""Bytes that are decompressed before the event loop continues."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PLAIN = ("", "identity")
_PACKED = ("gzip", "x-gzip", "deflate")


class _Plain:
    """The pieces of a body that is not compressed."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk


class _Packed:
    """The pieces of a compressed body, each at most ``PIECE`` bytes. Bytes after its end are dropped."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        while not self._inflate.eof:
            piece = self._inflate.decompress(chunk, PIECE)
            chunk = self._inflate.unconsumed_tail
            yield piece
            if len(piece) < PIECE:
                return


@dataclass(slots=True)
class _Body:
    """One body while it is read."""

    limit: int
    large: asyncio.Semaphore
    received: int = 0
    holds: bool = False
    content: bytearray = field(default_factory=bytearray)

    def receive(self, chunk: bytes) -> bytes:
        """Count the bytes of a chunk before they are decompressed."""
        self.received += len(chunk)
        self._check(self.received)
        return chunk

    async def add(self, piece: bytes) -> None:
        """Add a decompressed piece. A body that has become large waits for its turn."""
        self._check(len(self.content) + len(piece))
        self.content += piece
        if len(piece) == PIECE:
            await asyncio.sleep(0)
        if len(self.content) > LARGE and not self.holds:
            self.holds = await self.large.acquire()

    def release(self) -> None:
        """Give the turn of a large body to another one."""
        if self.holds:
            self.large.release()

    def _check(self, size: int) -> None:
        if size > self.limit:
            raise ModelUnreadableError(f"the provider's answer is longer than {self.limit} bytes")


async def unpacked(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> AsyncIterator[bytes]:
    """Yield a stream's decompressed pieces as they come. Raise ModelUnreadableError as ``BodyReader.read`` does."""
    received, yielded, unpacker = 0, 0, _unpacker(encoding)
    try:
        async for chunk in chunks:
            received += len(chunk)
            for piece in unpacker.pieces(chunk):
                yielded += len(piece)
                if max(received, yielded) > limit:
                    raise ModelUnreadableError(f"the provider's stream is longer than {limit} bytes")
                yield piece
                if len(piece) == PIECE:
                    await asyncio.sleep(0)
    except zlib.error:
        raise ModelUnreadableError("the provider's answer is damaged: it cannot be decompressed") from None


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Reads bodies, and bounds the memory of all of them together."""

    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))

    async def read(self, chunks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
        """Return the decompressed body. Raise ModelUnreadableError if it is over the limit or wrongly compressed.

        *encoding* is the header ``content-encoding``. The event loop continues after each piece.
        """
        body, unpacker = _Body(limit, self.large), _unpacker(encoding)
        try:
            async for chunk in chunks:
                for piece in unpacker.pieces(body.receive(chunk)):
                    await body.add(piece)
        except zlib.error:
            raise ModelUnreadableError("the provider's answer is damaged: it cannot be decompressed") from None
        finally:
            body.release()
        return bytes(body.content)


def _unpacker(encoding: str) -> _Plain | _Packed:
    name = encoding.strip().lower()
    if name in _PLAIN:
        return _Plain()
    if name in _PACKED:
        return _Packed()
    raise ModelUnreadableError("the provider's answer has a content-encoding that was not asked for; only gzip is")
