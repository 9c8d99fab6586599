"""A Kafka record as it is read, and one as it will be written: values, with no client library behind them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

HeaderList: TypeAlias = tuple[tuple[str, bytes | None], ...]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.number}"


class Record(NamedTuple):
    """A record that was read. ``timestamp`` is in milliseconds since the epoch, set by the broker on edge topics."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: HeaderList

    @property
    def position(self) -> str:
        """``topic:partition:offset``, unique in the cluster for the life of the topic."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class Outgoing(NamedTuple):
    """A record to write. Without a ``partition`` the key's hash chooses it (``partition_of``).

    ``timestamp`` is in milliseconds since the epoch, now if it is None; topics of the platform set their own.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: HeaderList = ()
    partition: int | None = None
    timestamp: int | None = None

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += (len(name) if name.isascii() else len(name.encode())) + len(value or b"")
        return size
