"""The trace from request to result: W3C Trace Context in the record headers.

The headers are read and written here: OpenTelemetry's global propagator costs twice as much and passes baggage on. A
client's baggage goes no further than its record.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.trace import TraceFlags

from schemas.headers import TRACEPARENT, TRACESTATE
from schemas.records import HeaderList

_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    rb"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})="
    rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
"""A member of ``tracestate``, by W3C Trace Context, section 3.3.1."""

_MEMBERS, _STATE_LIMIT = 32, 512
"""Members and bytes of a ``tracestate`` that is passed on: as many as every implementation must."""

_LENGTH = 55
"""The length of a ``traceparent`` of version 00."""


class RemoteSpan(NamedTuple):
    """A span's place in its trace, as record headers give it."""

    trace_id: str
    """The trace id, 32 hex digits."""

    span_id: str
    """The span id, 16 hex digits."""

    sampled: bool
    state: bytes = b""
    """The readable part of ``tracestate``."""


class RecordedSpan(NamedTuple):
    """A span that is being recorded."""

    at_ns: int
    """The start, in nanoseconds since the epoch."""

    parent: RemoteSpan | None


@dataclass(frozen=True, slots=True)
class Trace:
    """The place of one step of the journey in its trace."""

    trace_id: str
    """The trace id, 32 hex digits."""

    span_id: str
    """The span id, 16 hex digits."""

    headers: HeaderList
    """The trace headers of the records that this step writes."""

    span: RecordedSpan | None = None
    """The recorded span; None if this step is not recorded."""


def follow(headers: HeaderList, *, sampled: bool = True) -> Trace:
    """Return a span below the record's, or the first of a new trace. The client's sampled flag is ignored."""
    return below(remote_span(headers), sampled=sampled)


def below(parent: RemoteSpan | None, *, sampled: bool, span: RecordedSpan | None = None) -> Trace:
    """Return a span below *parent*, or the first of a new trace if there is none."""
    trace_id = new_id(128) if parent is None else parent.trace_id
    span_id = new_id(64)
    place = (TRACEPARENT, f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}".encode())
    state = b"" if parent is None else parent.state
    return Trace(trace_id, span_id, (place, (TRACESTATE, state)) if state else (place,), span)


def remote_span(headers: HeaderList) -> RemoteSpan | None:
    """Return the place of the span that wrote the record; None if its headers have no readable one."""
    parent = state = b""
    for name, value in headers:
        if name == TRACEPARENT:
            parent = value or parent
        elif name == TRACESTATE:
            state = value or state
    match = _PARENT.fullmatch(parent) if parent else None
    if match is None or (match[1] == b"00" and match[5]) or not (match[2].strip(b"0") and match[3].strip(b"0")):
        return None  # W3C Trace Context: an id of zeros is invalid
    sampled = int(match[4], 16) & TraceFlags.SAMPLED == TraceFlags.SAMPLED
    return RemoteSpan(match[2].decode(), match[3].decode(), sampled, _readable(state) if state else b"")


def sampled_span(headers: HeaderList) -> RemoteSpan | None:
    """Return the place of the span that wrote one of our own records, if it is recorded. Most are not."""
    for name, value in headers:
        if name == TRACEPARENT and value is not None and len(value) == _LENGTH and value.endswith(b"-00"):
            return None
    place = remote_span(headers)
    return place if place is not None and place.sampled else None


def chosen(ratio: float) -> bool:
    """Return True if a new trace is among the *ratio* to record.

    The choice is random and not by trace id, because clients choose their trace ids.
    """
    return ratio > 0 and random.random() < ratio  # noqa: S311 - nobody gains by guessing


def new_id(bits: int) -> str:
    """Return random hex digits. They are never all zero, which W3C Trace Context calls invalid."""
    while not (new := random.getrandbits(bits)):
        pass
    return f"{new:0{bits // 4}x}"


def _readable(state: bytes) -> bytes:
    """Return a client's ``tracestate``, or no bytes if it is invalid or long.

    OpenTelemetry's reader has no bound, and writes what it cannot read into the log.
    """
    if len(state) > _STATE_LIMIT:
        return b""
    members = [member for part in state.split(b",") if (member := part.strip(b" \t"))]
    keys = {member.partition(b"=")[0] for member in members}
    if len(keys) != len(members) or len(keys) > _MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return b""
    return b",".join(members)
