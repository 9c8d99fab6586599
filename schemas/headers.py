"""Record headers: tolerant reading, strict writing. A reserved header may appear only once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from schemas.errors import MalformedError, TooLargeError
from schemas.records import HeaderList, Partition, ProducerRecord

CONTENT_TYPE = "content-type"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
CORRELATION_ID = "correlation_id"
SPRING_CORRELATION_ID = "kafka_correlationId"
REPLY_TO = "reply_to"
SIGNATURE = "headrace-signature"
SEAL = "headrace-seal"
ERROR_CODE = "headrace-error-code"
RELOCATED = "headrace-relocated"
INPUT = "headrace-input"
"""Names the input record of an output. Only the platform writes it, and only to tell an output's fate after a fault."""

OWN_PREFIX = "headrace-"
EVENT_PREFIX = "ce_"

_POSITION = re.compile(rb"([a-zA-Z0-9._-]{1,249}):([0-9]{1,10}):(-?[0-9]{1,19})")
_RESERVED = frozenset({CONTENT_TYPE, TRACEPARENT, REPLY_TO})


def is_reserved(name: str) -> bool:
    """Return True if a repeated header of this name is malformed: two readers might use different values."""
    return name in _RESERVED or name.startswith((OWN_PREFIX, EVENT_PREFIX))


class Headers:
    """The headers of one record. A NULL value, or a value that is not UTF-8 where text is needed, counts as missing."""

    __slots__ = ("_first", "raw")

    def __init__(self, raw: HeaderList) -> None:
        self.raw = raw
        self._first: dict[str, bytes | None] = {}
        for name, value in raw:
            self._first.setdefault(name, value)

    def binary(self, name: str) -> bytes | None:
        """Return the raw value of the first header of this name, or None."""
        return self._first.get(name)

    def text(self, name: str) -> str | None:
        """Return the value as text, or None if it is missing or not UTF-8."""
        value = self._first.get(name)
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None

    def items(self) -> Iterator[tuple[str, bytes | None]]:
        """Iterate over all headers in order."""
        return iter(self.raw)

    def check(self, *, count: int, size: int) -> None:
        """Raise TooLargeError above *count* headers or *size* bytes, MalformedError for a repeated reserved header."""
        if len(self.raw) > count:
            message = f"more than {count} headers"
            raise TooLargeError(message)
        if self._size() > size:
            message = f"more than {size} bytes of headers"
            raise TooLargeError(message)
        if len(self._first) == len(self.raw):
            return
        for name in self._twice():
            message = f"the header {name[:64]} appears twice"
            raise MalformedError(message)

    def _size(self) -> int:
        size = 0
        for name, value in self.raw:
            size += len(name) if name.isascii() else len(name.encode(errors="replace"))
            if value is not None:
                size += len(value)
        return size

    def _twice(self) -> Iterator[str]:
        seen: set[str] = set()
        for name, _ in self.raw:
            if name in seen and is_reserved(name):
                yield name
            seen.add(name)


def input_position(partition: Partition, offset: int) -> bytes:
    """Return the value of the header ``INPUT``. The offset before a partition's first one names its first commit."""
    return input_prefix(partition) + b"%d" % offset


def input_prefix(partition: Partition) -> bytes:
    """Return the value of the header ``INPUT`` up to the offset."""
    return f"{partition}:".encode()


def with_input(output: ProducerRecord, position: bytes) -> ProducerRecord:
    """Return *output* with the header that names its input. Copies of other records must leave out theirs."""
    topic, key, value, headers, partition, timestamp = output
    return ProducerRecord(topic, key, value, (*headers, (INPUT, position)), partition, timestamp)


def input_of(headers: Iterable[tuple[str, bytes | None]]) -> tuple[Partition, int] | None:
    """Return the input record that the header names: partition and offset. None if it is missing or malformed."""
    values = [value for name, value in headers if name == INPUT]
    place = _POSITION.fullmatch(values[-1] or b"") if values else None
    return None if place is None else (Partition(place[1].decode(), int(place[2])), int(place[3]))


def write(**texts: str | None) -> HeaderList:
    """Build headers from texts in order, without None values. An underscore in a name stays an underscore."""
    return tuple((name, value.encode()) for name, value in texts.items() if value is not None)
