"""The bounds of a body while it is read."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from consumers.agent.models.answer_body import LARGE, LARGE_AT_ONCE, PIECE, BodyReader
from schemas.errors import ModelUnreadableError

pytestmark = pytest.mark.anyio

BOMB = gzip.compress(b"A" * 50_000_000)


async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    """The body in parts, as a connection has it."""
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
async def test_a_packed_body_is_unpacked_whole(size: int, length: int) -> None:
    """However it is cut, and wherever its pieces end."""
    body = (b"0123456789" * length)[:length]

    for encoding, packed in (("gzip", gzip.compress(body)), (" GZip ", gzip.compress(body)), ("", body)):
        assert await BodyReader().read(chunks(packed, size), encoding, length + 100) == body
    assert await BodyReader().read(chunks(zlib.compress(body), size), "deflate", length + 100) == body


@pytest.mark.parametrize(("body", "encoding"), [(BOMB, "gzip"), (b"A" * 2_000, ""), (b"A" * 2_000, "gzip")])
async def test_a_body_beyond_its_limit_is_read_no_further(body: bytes, encoding: str) -> None:
    """Neither packed nor unpacked."""
    read = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal read
        async for chunk in chunks(body, 100):
            read += len(chunk)
            yield chunk

    with pytest.raises(ModelUnreadableError):
        await BodyReader().read(counted(), encoding, 1_000)
    assert read <= 1_100


async def test_bytes_after_a_packed_body_are_dropped() -> None:
    """They count against the limit, and mean nothing."""
    packed = gzip.compress(b"hi")

    assert await BodyReader().read(chunks(packed + b"x" * 500, 10), "gzip", 1_000) == b"hi"
    with pytest.raises(ModelUnreadableError):
        await BodyReader().read(chunks(packed + b"x" * 5_000, 10), "gzip", 1_000)


async def test_large_bodies_are_held_in_turn() -> None:
    """The memory of all of them together is bounded; small ones do not wait for them."""
    reader, held, peak = BodyReader(), 0, 0

    async def large() -> AsyncIterator[bytes]:
        nonlocal held, peak
        yield b"A" * (LARGE + 1)
        held, peak = held + 1, max(peak, held + 1)
        await asyncio.sleep(0.01)
        yield b"A"
        held -= 1

    async with asyncio.TaskGroup() as group:
        reads = [group.create_task(reader.read(large(), "", 2 * LARGE)) for _ in range(3 * LARGE_AT_ONCE)]
        await asyncio.sleep(0.005)
        assert await reader.read(chunks(b"hi", 1), "", 10) == b"hi"
        assert sum(read.done() for read in reads) < len(reads)

    assert {len(read.result()) for read in reads} == {LARGE + 2}
    assert peak == LARGE_AT_ONCE


async def test_a_large_body_that_fails_gives_its_turn_back() -> None:
    """Else a few of them would stop all others."""
    reader = BodyReader()
    for _ in range(2 * LARGE_AT_ONCE):
        with pytest.raises(ModelUnreadableError):
            await reader.read(chunks(b"A" * (3 * LARGE), LARGE), "", 2 * LARGE)

    assert len(await reader.read(chunks(b"A" * (2 * LARGE), LARGE), "", 2 * LARGE)) == 2 * LARGE
