"""Kafka's flexible encoding (KIP-482). A request is one byte string; a response is decoded in place.

The requests of a transaction are sent hundreds of times a second. aiokafka's schemas walk a tree of types for each
field. aiokafka's connections accept any object with the methods of its own requests. ``ApiRequest`` has exactly those.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from streams.transport.aiokafka_types import errors
from streams.varints import uvarint

NO_TAGS: Final = b"\x00"
NULL: Final = b"\x00"
"""A null text or array."""

_HEADER: Final = struct.Struct(">hhih")  # key, version, correlation id, length of the client's name
_CORRELATION: Final = struct.Struct(">i")
_SHORT, _INT, _LONG = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_MORE: Final = 0x80

Bytes: TypeAlias = bytes | bytearray
Response = TypeVar("Response")


def sized(data: bytes) -> bytes:
    """Return *data* with its length as prefix."""
    return uvarint(len(data) + 1) + data


def text(words: str) -> bytes:
    """Encode a text. For values that repeat, use the cached ``name``."""
    return sized(words.encode())


name = lru_cache(4_096)(text)
"""Encode a text that repeats: a topic, a group or a transactional id. Results are cached."""


def array(items: Sequence[bytes]) -> bytes:
    """Return the encoded *items* with their count as prefix."""
    return uvarint(len(items) + 1) + b"".join(items)


class ResponseReader:
    """The decoder of a response, from front to back. Raises ``struct.error`` or IndexError if the data is too short."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at
        """The position of the next field."""

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Return several numbers, decoded at once."""
        found: tuple[int, ...] = layout.unpack_from(self._data, self.at)
        self.at += layout.size
        return found

    def flag(self) -> bool:
        """Return a number of one byte as a truth value."""
        self.at += 1
        return self._data[self.at - 1] != 0

    def int16(self) -> int:
        """Return a number of two bytes."""
        return self.unpack(_SHORT)[0]

    def int32(self) -> int:
        """Return a number of four bytes."""
        return self.unpack(_INT)[0]

    def int64(self) -> int:
        """Return a number of eight bytes."""
        return self.unpack(_LONG)[0]

    def uvarint(self) -> int:
        """Return an unsigned varint."""
        number = shift = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < _MORE:
                return number
            shift += 7

    def text(self) -> str:
        """Return a text; an empty one if it is null."""
        size = max(0, self.uvarint() - 1)
        self.at += size
        return self._data[self.at - size : self.at].decode()

    def items(self) -> Iterator[int]:
        """Iterate over the items of an array. The caller decodes each item before the next step."""
        return iter(range(self.uvarint() - 1))

    def tags(self) -> dict[int, ResponseReader]:
        """Return the tagged (optional) fields by number."""
        found: dict[int, ResponseReader] = {}
        for _ in range(self.uvarint()):
            tag, size = self.uvarint(), self.uvarint()
            found[tag] = ResponseReader(self._data, self.at)
            self.at += size
        return found


class _Header(NamedTuple):
    """The header of a response."""

    correlation_id: int


class _Whole(NamedTuple):
    """A whole request with its header."""

    data: bytes

    def encode(self) -> bytes:
        """Return the whole request. The body that the connection appends is empty, so it has nothing to copy."""
        return self.data


class ApiRequest(Generic[Response]):
    """A request in a fixed version, with the decoder of its response. It can be sent any number of times."""

    __slots__ = ("_body", "_read", "_tagged", "key", "version")

    def __init__(
        self,
        key: int,
        version: int,
        body: Sequence[Bytes],
        read: Callable[[ResponseReader], Response],
        *,
        tagged: bool = True,
    ) -> None:
        """Set *tagged* to False if the response's header has no tagged fields, as for ApiVersions."""
        self.key, self.version = key, version
        self._body, self._read, self._tagged = body, read, tagged

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> ApiRequest[Response]:
        """Return this request, or raise IncompatibleBrokerVersion if the broker does not know its version."""
        least, most = versions.get(self.key, (0, -1))
        if not least <= self.version <= most:
            raise errors.IncompatibleBrokerVersion(
                f"request {self.key} in version {self.version}, of {least} to {most}"
            )
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> _Whole:
        """Return the header followed by the body."""
        client = client_id.encode()
        header = _HEADER.pack(self.key, self.version, correlation_id, len(client))
        return _Whole(b"".join((header, client, NO_TAGS, *self._body)))

    def encode(self) -> bytes:
        """Return an empty body, because ``build_request_header`` includes the body."""
        return b""

    def parse_response_header(self, buffer: BytesIO) -> _Header:
        """Return the response's header with its correlation id. Leave *buffer* at the body."""
        header = ResponseReader(buffer.getvalue())
        correlation_id = header.int32()
        if self._tagged:
            header.tags()
        buffer.seek(header.at)
        return _Header(correlation_id)

    @property
    def RESPONSE_TYPE(self) -> ApiRequest[Response]:  # noqa: N802 - as aiokafka calls it
        """The decoder of the response."""
        return self

    def decode(self, buffer: BytesIO) -> Response:
        """Return the decoded response."""
        return self._read(ResponseReader(buffer.getvalue(), buffer.tell()))
