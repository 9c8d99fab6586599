"""Write one hostile batch repeatedly: ``python -m tests.journey.hostile_sender BOOTSTRAP TOPIC KIND RATE SECONDS``.

A process of its own, so that the cost of sending is not the platform's. The batch is built once.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Callable

from schemas.records import Partition
from tests.integration.raw import Raw, batch, raw_client, varint

MIB = 1024 * 1024
ROOM = MIB - 512
"""Bytes of a value, so that its record stays within the limit."""

_GZIP = 1


def _value(before: bytes, unit: bytes, after: bytes = b"]}") -> bytes:
    """A value of about a mebibyte: *unit* as often as it fits, separated by commas."""
    count = (ROOM - len(before) - len(after)) // (len(unit) + 1)
    return before + b",".join([unit] * count) + after


def _text(unit: str) -> bytes:
    encoded = unit.encode()
    return b'{"agent":"echo","input":"' + encoded * ((ROOM - 64) // len(encoded)) + b'"}'


def _metadata() -> bytes:
    pairs = ",".join(f'"{number}":""' for number in range(90_000))
    return f'{{"agent":"echo","input":"x","metadata":{{{pairs}}}}}'.encode()


def _bomb(size: int) -> bytes:
    """A gzip body of some hundred kilobytes that unpacks to one record of *size* bytes."""
    inner = b"\0" + varint(0) + varint(0) + varint(-1) + varint(size)
    packer = zlib.compressobj(9, wbits=31)
    out = packer.compress(varint(len(inner) + size + 1) + inner)
    for _ in range(size // MIB):
        out += packer.compress(bytes(MIB))
    return out + packer.compress(varint(0)) + packer.flush()


def _claim() -> bytes:
    """A gzip body of some bytes whose record says that it has two gigabytes."""
    size = 2**31 - 200
    return gzip.compress(varint(size + 100) + b"\0" + varint(0) + varint(0) + varint(-1) + varint(size) + b"x" * 10)


def _plain(value: bytes, *headers: tuple[bytes, bytes | None]) -> bytes:
    return batch([Raw(None, value, headers)])


REQUEST = b'{"agent":"echo","input":"x"}'
KINDS: dict[str, Callable[[], bytes]] = {
    "empty headers": lambda: batch([Raw(None, b"x", [(b"", None)] * 500_000)]),
    "input parts": lambda: _plain(_value(b'{"agent":"echo","input":[', b'{"text":""}')),
    "metadata": lambda: _plain(_metadata()),
    "nested": lambda: _plain(b'{"agent":"echo","input":' + b"[" * 400_000),
    "ligatures": lambda: _plain(_text("\ufdfa")),
    "tag characters": lambda: _plain(_text("\U000e0041a")),
    "joiners": lambda: _plain(_text("\u200d")),
    "combining marks": lambda: _plain(_text("e\u0301\u0323")),
    "base64": lambda: _plain(_text("aGVsbG8gd29ybGQh ")),
    "tracestate": lambda: _plain(REQUEST, (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
                                 (b"tracestate", b"SECRET" * 10_000)),
    "bomb": lambda: batch([Raw()], attributes=_GZIP, body=_bomb(200 * MIB)),
    "claim": lambda: batch([Raw()], attributes=_GZIP, body=_claim()),
    "long cancels": lambda: _plain(json.dumps({"kind": "cancel", "request_id": "r" * 1_000_000}).encode()),
}  # fmt: skip


async def send(bootstrap: str, topic: str, kind: str, rate: float, seconds: float) -> dict[int, int]:
    """Write the batch of *kind* at *rate* a second; how often each error code of the broker came."""
    data, codes, loop = KINDS[kind](), dict[int, int](), asyncio.get_running_loop()
    async with raw_client(bootstrap) as client:
        began = loop.time()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            code = await client.write(Partition(topic, 0), data)
            codes[code] = codes.get(code, 0) + 1
    return codes


if __name__ == "__main__":
    bootstrap, topic, kind, rate, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(send(bootstrap, topic, kind, float(rate), float(seconds)))))  # noqa: T201 - its result
