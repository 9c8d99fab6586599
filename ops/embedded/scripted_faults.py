"""Misbehaviour of a scripted model below HTTP: answers that are cut, flood, stall, or are no HTTP at all."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache

from aiohttp import web

from ops.embedded.scripts import FaultKind, ScriptedFault

MIB = 1024 * 1024
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
_CHUNKED = _HEAD + b"transfer-encoding: chunked\r\n\r\n"
_OPENING = b'{"choices":[{"message":{"content":"'
_CLOSING = b'"}}]}'
_PAUSE_S = 0.05


async def misbehave(request: web.Request, fault: ScriptedFault) -> web.StreamResponse:
    """Write the fault to the client's connection until the client has gone, and close it."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    with suppress(ConnectionResetError):
        await FAULTS[fault.kind](transport, fault)
    if not transport.is_closing():
        transport.close()
    return web.Response()


async def _write(transport: asyncio.Transport, data: bytes) -> None:
    """Write without a bound on the buffer, but not faster than the client reads."""
    transport.write(data)
    while transport.get_write_buffer_size() > MIB:  # noqa: ASYNC110 - the transport has no event for it
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    if transport.is_closing():
        raise ConnectionResetError


async def _cut(transport: asyncio.Transport, _fault: ScriptedFault) -> None:
    await _write(transport, _HEAD + b"content-length: 1000\r\n\r\n" + _OPENING)


async def _reset(transport: asyncio.Transport, fault: ScriptedFault) -> None:
    await _cut(transport, fault)
    await asyncio.sleep(_PAUSE_S)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _close(_transport: asyncio.Transport, _fault: ScriptedFault) -> None:
    """Close without a byte."""


async def _garbage(transport: asyncio.Transport, _fault: ScriptedFault) -> None:
    await _write(transport, b"\x16\x03\x01\x00\x01garbage\r\n\r\n")


async def _long_header(transport: asyncio.Transport, fault: ScriptedFault) -> None:
    await _write(transport, _HEAD + b"x-a: " + b"a" * fault.size + b"\r\ncontent-length: 2\r\n\r\n{}")


async def _many_headers(transport: asyncio.Transport, fault: ScriptedFault) -> None:
    headers = b"".join(b"x-%d: a\r\n" % number for number in range(fault.size))
    await _write(transport, _HEAD + headers + b"content-length: 2\r\n\r\n{}")


async def _informational(transport: asyncio.Transport, fault: ScriptedFault) -> None:
    """Write interim answers: as many as *size*, then a good answer; or without end."""
    body = _OPENING + b"hi" + _CLOSING
    for _ in range(fault.size) if fault.size else itertools.repeat(None):
        await _write(transport, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
    await _write(transport, _HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)


async def _flood(transport: asyncio.Transport, fault: ScriptedFault) -> None:
    """Write *size* MiB of white space in chunks, or without end."""
    await _write(transport, _CHUNKED)
    for _ in range(fault.size) if fault.size else itertools.repeat(None):
        await _write(transport, b"100000\r\n" + b" " * MIB + b"\r\n")
    await _write(transport, b"0\r\n\r\n")


async def _drip(transport: asyncio.Transport, _fault: ScriptedFault) -> None:
    """Write one byte now and then, without end."""
    await _write(transport, _CHUNKED)
    while True:
        await _write(transport, b"1\r\n \r\n")
        await asyncio.sleep(_PAUSE_S)


async def _bomb(transport: asyncio.Transport, fault: ScriptedFault) -> None:
    """Write a good answer of *size* MiB, in a thousandth of it."""
    packed = await asyncio.to_thread(bomb, fault.size)
    head = _HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    await _write(transport, head + packed)


async def _switching(transport: asyncio.Transport, _fault: ScriptedFault) -> None:
    await _write(transport, b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")


FAULTS: Mapping[FaultKind, Callable[[asyncio.Transport, ScriptedFault], Awaitable[None]]] = {
    "cut": _cut,
    "reset": _reset,
    "close": _close,
    "garbage": _garbage,
    "long_header": _long_header,
    "many_headers": _many_headers,
    "informational": _informational,
    "flood": _flood,
    "drip": _drip,
    "bomb": _bomb,
    "switching": _switching,
}


@lru_cache(maxsize=8)
def bomb(mib: int) -> bytes:
    """Return a chat completion with a content of *mib* MiB, as gzip."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    return b"".join(packer.compress(piece) for piece in _pieces(mib)) + packer.flush()


def _pieces(mib: int) -> Iterator[bytes]:
    yield _OPENING
    yield from itertools.repeat(b"A" * MIB, mib)
    yield _CLOSING
