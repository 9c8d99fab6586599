"""The encoding of spans in OpenTelemetry's protocol (OTLP), written field by field.

The SDK's spans and encoder take twenty times as long, mostly for content that is the same in each span. Protobuf allows
the fields of a message in any order, so constant parts are encoded once. Source: opentelemetry-proto 1.x,
``opentelemetry/proto/trace/v1/trace.proto``. A test compares each span with the SDK's encoding of the same values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, TypeAlias

from opentelemetry.trace import SpanKind

from streams.telemetry.trace_context import RemoteSpan
from streams.varints import uvarint

AttributeValue: TypeAlias = str | int | float | bool | Sequence[str] | Sequence[int] | Sequence[float] | Sequence[bool]

_KINDS: Final = {kind: kind.value + 1 for kind in SpanKind}
_TIMES: Final = Struct("<cQcQ")
_DOUBLE: Final = Struct("<cd")
_UNSIGNED: Final = 2**64 - 1
_BYTE = 0x80
"""Numbers below this take one byte as a varint."""

_REMOTE, _ALONE = b"\x85\x01\x00\x03\x00\x00", b"\x85\x01\x00\x01\x00\x00"
"""The flags of a span: its parent is known to be in another process, or known not to be."""

_LINK: Final = b"\x6a\x21\x0a\x10%b\x12\x08%b\x35\x00\x03\x00\x00"
UNSET: Final = b"\x7a\x00"


def sized(tag: bytes, content: bytes) -> bytes:
    """Return a field with a length prefix: the tag, the length and the content."""
    return b"%b%b%b" % (tag, uvarint(len(content)), content)


class SpanAttribute:
    """A span attribute whose name is encoded once."""

    __slots__ = ("_head",)

    def __init__(self, name: str) -> None:
        self._head = sized(b"\x0a", name.encode()) + b"\x12"

    def text(self, value: bytes) -> bytes:
        """Return the attribute with a text value; *value* is UTF-8."""
        head, size = self._head, len(value)
        whole = len(head) + size + 3
        if whole < _BYTE:  # true for nearly every value: each length then takes one byte
            return b"\x4a%c%b%c\x0a%c%b" % (whole, head, size + 2, size, value)
        return sized(b"\x4a", head + _unmarked(sized(b"\x0a", value)))

    def number(self, value: int) -> bytes:
        """Return the attribute with a number that is not negative."""
        return sized(b"\x4a", self._head + _unmarked(b"\x18" + uvarint(value)))

    def any(self, value: AttributeValue) -> bytes:
        """Return the attribute with a value of any type; texts are valid Unicode."""
        return (
            self.text(value.encode()) if isinstance(value, str) else sized(b"\x4a", self._head + _unmarked(_any(value)))
        )


def _unmarked(value: bytes) -> bytes:
    return uvarint(len(value)) + value


def _any(value: AttributeValue) -> bytes:
    """Return a value (``AnyValue``) without its length."""
    match value:
        case str():
            return sized(b"\x0a", value.encode())
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            return b"\x18" + uvarint(value & _UNSIGNED)
        case float():
            return _DOUBLE.pack(b"\x21", value)
        case _:
            return sized(b"\x2a", b"".join([sized(b"\x0a", _any(each)) for each in value]))


@lru_cache(maxsize=256)
def attribute(name: str) -> SpanAttribute:
    """Return the attribute of this name."""
    return SpanAttribute(name)


def attributes(values: Mapping[str, str | int]) -> bytes:
    """Return several encoded attributes."""
    return b"".join(
        attribute(name).number(value) if isinstance(value, int) else attribute(name).text(value.encode())
        for name, value in values.items()
    )


def titled(name: str, kind: SpanKind) -> bytes:
    """Return the name and the kind of a span."""
    return sized(b"\x2a", name.encode()) + b"\x30" + uvarint(_KINDS[kind])


def failed(message: str) -> bytes:
    """Return the error status of a span, with its message."""
    return sized(b"\x7a", sized(b"\x12", message.encode()) + b"\x18\x02")


def local(span_id: int, state: bytes) -> bytes:
    """Return the parent and the ``tracestate`` of a span whose parent is in this process. Its flags say so anyway."""
    return b"\x22\x08" + span_id.to_bytes(8) + (sized(b"\x1a", state) if state else b"")


def linked(places: Iterable[tuple[str, str]]) -> bytes:
    """Return links to spans of other processes; *places* are their trace and span ids in hex."""
    return b"".join([_LINK % (bytes.fromhex(trace_id), bytes.fromhex(span_id)) for trace_id, span_id in places])


def span(trace_id: str, span_id: str, parent: RemoteSpan | None, times: tuple[int, int], *rest: bytes) -> bytes:
    """Return an encoded span.

    The ids are in hex. *times* are its start and end in nanoseconds since the epoch. *rest* are further encoded fields.
    """
    begin, end = times
    whole = (
        b"\x0a\x10",
        bytes.fromhex(trace_id),
        b"\x12\x08",
        bytes.fromhex(span_id),
        _ALONE if parent is None else _below(parent),
        _TIMES.pack(b"\x39", begin, b"\x41", end),
        *rest,
    )
    return b"".join(whole)


def _below(parent: RemoteSpan) -> bytes:
    state = sized(b"\x1a", parent.state) if parent.state else b""
    return b"%b\x22\x08%b%b" % (_REMOTE, bytes.fromhex(parent.span_id), state)


def scoped(resource: bytes, scope: bytes, spans: Iterable[bytes]) -> bytes:
    """Return a request that exports *spans* of one scope (``ScopeSpans``) of one resource (``ResourceSpans``)."""
    body = b"".join([scope, *[sized(b"\x12", each) for each in spans]])
    return sized(b"\x0a", resource + sized(b"\x12", body))
