"""The span seam: agent, model, tool and handoff spans by OpenTelemetry's GenAI conventions.

Consumers know no exporter. ``streams.telemetry`` implements ``Spans``; by default nothing is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol, TypeAlias

from schemas.errors import CancelledRunError, resolve_error

Attribute: TypeAlias = str | int | float | bool | tuple[str, ...]
SpanKind: TypeAlias = Literal["internal", "client"]

ATTRIBUTE_LIMIT = 256
"""Bytes of an attribute that a client, a model or a provider wrote. The excess is cut."""


def bounded(value: str) -> str:
    """Return the first ``ATTRIBUTE_LIMIT`` bytes of a text as valid UTF-8."""
    if len(value) <= ATTRIBUTE_LIMIT and value.isascii():
        return value
    return value[:ATTRIBUTE_LIMIT].encode(errors="replace")[:ATTRIBUTE_LIMIT].decode(errors="ignore")


def error_type_of(error: BaseException) -> str:
    """Return the value of ``error.type`` for an exception: the code of its HeadraceError."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return CancelledRunError.code
    return resolve_error(error).code


class OpenSpan(Protocol):
    """A span that has begun."""

    @property
    def traceparent(self) -> str | None:
        """Return the W3C trace context to pass on; None if there is no trace."""
        ...

    def set(self, attributes: Mapping[str, Attribute]) -> None:
        """Add attributes."""
        ...

    def fail(self, error_type: str) -> None:
        """Mark the span as failed; *error_type* is the code of the error."""
        ...


class Spans(Protocol):
    """Opens spans below the current one."""

    @property
    def captures_content(self) -> bool:
        """True if attributes may hold messages, arguments and results. They are recorded only on request."""
        ...

    def open(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute]) -> AbstractContextManager[OpenSpan]:
        """Open a span that is current within the block. An exception that leaves the block marks it as failed."""
        ...


class _Unrecorded:
    """A span that is not recorded."""

    def __init__(self, traceparent: str | None) -> None:
        self._traceparent = traceparent

    @property
    def traceparent(self) -> str | None:
        return self._traceparent

    def set(self, attributes: Mapping[str, Attribute]) -> None:
        """Ignore the attributes."""

    def fail(self, error_type: str) -> None:
        """Ignore the error."""


class NoSpans:
    """Records nothing, and passes the given trace context on."""

    def __init__(self, traceparent: str | None = None) -> None:
        self._span = _Unrecorded(traceparent)

    @property
    def captures_content(self) -> bool:
        """False: no span is recorded."""
        return False

    @contextmanager
    def open(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute]) -> Generator[OpenSpan]:  # noqa: ARG002 - the seam's arguments
        """Yield a span that records nothing."""
        yield self._span
