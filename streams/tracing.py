"""One trace from request to result: W3C Trace Context in the record headers.

Read and written here rather than by OpenTelemetry's global propagator, which costs twice as much and would bring
baggage along; a client's baggage goes no further than its record.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.trace import TraceFlags, TraceState

from schemas.headers import TRACEPARENT, TRACESTATE
from schemas.records import HeaderList

_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_LENGTH = 55
"""Of a ``traceparent`` of version 00."""


class Place(NamedTuple):
    """A span's place in its trace, as a record says it."""

    trace_id: str
    """32 hex digits."""

    span_id: str
    """16 hex digits."""

    sampled: bool
    state: bytes = b""
    """What ``tracestate`` says, as far as it can be read."""


class Begun(NamedTuple):
    """A span that is being recorded."""

    at_ns: int
    """Since the epoch."""

    parent: Place | None


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one step of the journey stands in its trace."""

    trace_id: str
    """32 hex digits."""

    span_id: str
    """16 hex digits."""

    headers: HeaderList
    """For what this step writes."""

    span: Begun | None = None
    """What is recorded of it, if anything is."""


def follow(headers: HeaderList, *, sampled: bool = True) -> Trace:
    """A span below the record's, or the first of a new trace. The client's sampled flag is ignored."""
    return below(place_in(headers), sampled=sampled)


def below(parent: Place | None, *, sampled: bool, span: Begun | None = None) -> Trace:
    """A span below *parent*, or the first of a new trace if there is none."""
    trace_id = new_id(128) if parent is None else parent.trace_id
    span_id = new_id(64)
    place = (TRACEPARENT, f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}".encode())
    state = b"" if parent is None else parent.state
    return Trace(trace_id, span_id, (place, (TRACESTATE, state)) if state else (place,), span)


def place_in(headers: HeaderList) -> Place | None:
    """The place of the span that a record was written by; None if the record came with none that can be read."""
    parent = state = b""
    for name, value in headers:
        if name == TRACEPARENT:
            parent = value or parent
        elif name == TRACESTATE:
            state = value or state
    match = _PARENT.fullmatch(parent) if parent else None
    if match is None or (match[1] == b"00" and match[5]) or not (match[2].strip(b"0") and match[3].strip(b"0")):
        return None  # W3C: an id of zeros is none
    sampled = int(match[4], 16) & TraceFlags.SAMPLED == TraceFlags.SAMPLED
    return Place(match[2].decode(), match[3].decode(), sampled, _readable(state) if state else b"")


def sampled_in(headers: HeaderList) -> Place | None:
    """The place of the span that wrote one of our own records, if that span is recorded; most often none is."""
    for name, value in headers:
        if name == TRACEPARENT and value is not None and len(value) == _LENGTH and value.endswith(b"-00"):
            return None
    place = place_in(headers)
    return place if place is not None and place.sampled else None


def chosen(ratio: float) -> bool:
    """Whether a trace is among the *ratio* of all; by chance of our own, for a client chooses its trace id."""
    return ratio > 0 and random.random() < ratio  # noqa: S311 - nobody gains by guessing


def new_id(bits: int) -> str:
    """Random hex digits, and not all zero, which W3C Trace Context calls invalid."""
    while not (new := random.getrandbits(bits)):
        pass
    return f"{new:0{bits // 4}x}"


def _readable(state: bytes) -> bytes:
    return TraceState.from_header([state.decode("ascii", "replace")]).to_header().encode()
