"""Kafka's flexible encoding by hand (KIP-482): a request in one piece of bytes, an answer read where it lies.

aiokafka's schemas walk a tree of types for each field; the requests of a transaction are sent hundreds of times a
second. Its connections take whatever has the methods of its own requests, and ``Request`` has no more than those.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from streams.transport.library import errors
from streams.varints import uvarint

NO_TAGS: Final = b"\x00"
NULL: Final = b"\x00"
"""A text or an array that is not there."""

_HEADER: Final = struct.Struct(">hhih")  # key, version, correlation id, length of the client's name
_CORRELATION: Final = struct.Struct(">i")
_SHORT, _INT, _LONG = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_MORE: Final = 0x80

Bytes: TypeAlias = bytes | bytearray
Said = TypeVar("Said")


def sized(data: bytes) -> bytes:
    """*data* behind its length."""
    return uvarint(len(data) + 1) + data


def text(words: str) -> bytes:
    """A text that differs each time."""
    return sized(words.encode())


name = lru_cache(4_096)(text)
"""A text that comes again: of a topic, a group or a transactional id."""


def array(items: Sequence[bytes]) -> bytes:
    """*items* behind their number."""
    return uvarint(len(items) + 1) + b"".join(items)


class Answer:
    """Reads an answer from front to back. Raises ``struct.error`` or IndexError where it ends too early."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at
        """Where the next field begins."""

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Several numbers at once."""
        found: tuple[int, ...] = layout.unpack_from(self._data, self.at)
        self.at += layout.size
        return found

    def int16(self) -> int:
        """Two bytes."""
        return self.unpack(_SHORT)[0]

    def int32(self) -> int:
        """Four bytes."""
        return self.unpack(_INT)[0]

    def int64(self) -> int:
        """Eight bytes."""
        return self.unpack(_LONG)[0]

    def uvarint(self) -> int:
        """A number of as many bytes as it takes."""
        number = shift = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < _MORE:
                return number
            shift += 7

    def text(self) -> str:
        """A text; an empty one if it is not there."""
        size = max(0, self.uvarint() - 1)
        self.at += size
        return self._data[self.at - size : self.at].decode()

    def items(self) -> Iterator[int]:
        """One step for each item of an array, which is to be read before the next step."""
        return iter(range(self.uvarint() - 1))

    def tags(self) -> dict[int, Answer]:
        """The fields that need not be there, by number."""
        found: dict[int, Answer] = {}
        for _ in range(self.uvarint()):
            tag, size = self.uvarint(), self.uvarint()
            found[tag] = Answer(self._data, self.at)
            self.at += size
        return found


class _Header(NamedTuple):
    """What stands before an answer."""

    correlation_id: int


class _Whole(NamedTuple):
    """A request, header and all."""

    data: bytes

    def encode(self) -> bytes:
        """All of it: what the connection takes for the body is empty, so that it has nothing to copy."""
        return self.data


class Request(Generic[Said]):
    """One request of a known version, and how its answer is read. To be sent any number of times."""

    __slots__ = ("_body", "_read", "_tagged", "key", "version")

    def __init__(
        self, key: int, version: int, body: Sequence[Bytes], read: Callable[[Answer], Said], *, tagged: bool = True
    ) -> None:
        """*tagged*: whether the header of the answer has fields that need not be there; that of ApiVersions has not."""
        self.key, self.version = key, version
        self._body, self._read, self._tagged = body, read, tagged

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Request[Said]:
        """What is sent, if the broker knows this version of it; nothing leaves otherwise."""
        least, most = versions.get(self.key, (0, -1))
        if not least <= self.version <= most:
            raise errors.IncompatibleBrokerVersion(
                f"request {self.key} in version {self.version}, of {least} to {most}"
            )
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> _Whole:
        """The header, and behind it everything else."""
        client = client_id.encode()
        header = _HEADER.pack(self.key, self.version, correlation_id, len(client))
        return _Whole(b"".join((header, client, NO_TAGS, *self._body)))

    def encode(self) -> bytes:
        """The body, which has gone with the header."""
        return b""

    def parse_response_header(self, buffer: BytesIO) -> _Header:
        """Whose answer it is; *buffer* is left at what follows."""
        header = Answer(buffer.getvalue())
        correlation_id = header.int32()
        if self._tagged:
            header.tags()
        buffer.seek(header.at)
        return _Header(correlation_id)

    @property
    def RESPONSE_TYPE(self) -> Request[Said]:  # noqa: N802 - as aiokafka calls it
        """Who reads the answer."""
        return self

    def decode(self, buffer: BytesIO) -> Said:
        """The answer."""
        return self._read(Answer(buffer.getvalue(), buffer.tell()))
