"""Kafka records, read and to be written, as plain values that depend on no client library."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

HeaderList: TypeAlias = tuple[tuple[str, bytes | None], ...]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.number}"


class Missing(NamedTuple):
    """The bytes that were cut off a record because it exceeds every limit. 1 may also mean an unknown number."""

    headers: int = 0
    value: int = 0


COMPLETE = Missing()


class Record(NamedTuple):
    """A record that was read. ``timestamp`` is in milliseconds since the epoch; the broker sets it on edge topics."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: HeaderList
    missing: Missing = COMPLETE
    """The bytes that the transport did not read. A record that misses any is too large."""

    @property
    def size(self) -> int:
        """Return the bytes of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value or b"")
        return size

    @property
    def position(self) -> str:
        """Return ``topic:partition:offset``, unique in the cluster for the lifetime of the topic."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class ProducerRecord(NamedTuple):
    """A record to write. If ``partition`` is None, the hash of the key selects it (``partition_of``).

    ``timestamp`` is in milliseconds since the epoch; None is the time of the write. Platform topics set their own.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: HeaderList = ()
    partition: int | None = None
    timestamp: int | None = None

    @property
    def size(self) -> int:
        """Return the size of key, value and headers in bytes."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += (len(name) if name.isascii() else len(name.encode())) + len(value or b"")
        return size
