"""Identify a broker with one Metadata request over a socket, in Kafka's protocol, without a client library."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import NamedTuple

from ops.embedded.ports import LOOPBACK

METADATA, VERSION = 3, 4
"""The request's API key and version. All brokers since 0.11 have version 4; later ones only add unused fields."""
NO_TOPICS = struct.pack(">i?", 0, False)  # noqa: FBT003
CLIENT = b"headrace-probe"
LARGEST = 1 << 20
"""The most bytes of a response. A larger one is not from an embedded broker."""
PATIENCE = 1.0
"""Seconds for the whole exchange."""


class ProbedCluster(NamedTuple):
    """The cluster as a broker reports it: its id, and the ports of its brokers."""

    id: str
    ports: frozenset[int]


async def cluster_at(port: int) -> ProbedCluster | None:
    """Return the cluster of the broker at ``port`` on loopback, or None if no broker answers."""
    with suppress(OSError, TimeoutError, EOFError, struct.error, ValueError):
        async with asyncio.timeout(PATIENCE):
            return _parsed(await _answer(port))
    return None


async def _answer(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        header = struct.pack(">hhih", METADATA, VERSION, 1, len(CLIENT))
        writer.write(_sized(header + CLIENT + NO_TOPICS))
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        if not 0 <= size <= LARGEST:
            message = "not a broker's answer"
            raise ValueError(message)
        return await reader.readexactly(size)
    finally:
        writer.close()


def _sized(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


class _Fields:
    """Read one field after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from(f">{code}", self._content, self._at)
        self._at += struct.calcsize(f">{code}")
        return int(value)

    def text(self) -> str:
        size = max(self.number("h"), 0)
        self._at += size
        return self._content[self._at - size : self._at].decode()


def _parsed(content: bytes) -> ProbedCluster:
    fields = _Fields(content)
    _correlation, _throttled = fields.number("i"), fields.number("i")
    ports = [_port_of_a_broker(fields) for _ in range(fields.number("i"))]
    return ProbedCluster(fields.text(), frozenset(ports))


def _port_of_a_broker(fields: _Fields) -> int:
    _node, _host = fields.number("i"), fields.text()
    port, _rack = fields.number("i"), fields.text()
    return port
