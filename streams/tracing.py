"""One trace from request to result: W3C Trace Context in the record headers.

Read and written here rather than by OpenTelemetry's global propagator, which costs twice as much and would bring
baggage along; a client's baggage goes no further than its record.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Span, SpanContext, TraceFlags, TraceState

from schemas.headers import TRACEPARENT, TRACESTATE
from schemas.records import HeaderList

_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_TRAVELS = frozenset({TRACEPARENT, TRACESTATE})
_SAMPLED, _NOT = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one step of the journey stands in its trace."""

    trace_id: str
    """32 hex digits."""

    span_id: str
    """16 hex digits."""

    headers: HeaderList
    """For what this step writes."""

    span: Span | None = None
    """What is recorded of it, if anything is."""


def follow(headers: HeaderList, *, sampled: bool = True) -> Trace:
    """A span below the record's, or the first of a new trace. The client's sampled flag is ignored."""
    came = _came(headers)
    match = None if TRACESTATE in came else _parent_in(came)
    if match is None:
        return below(_context_in(came), sampled=sampled)
    trace_id, span_id = match[2].decode(), f"{_new_id(64):016x}"  # most have no state: a third of the time
    place = f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"
    return Trace(trace_id, span_id, ((TRACEPARENT, place.encode()),))


def below(parent: SpanContext, *, sampled: bool) -> Trace:
    """A span below *parent* that nobody records, or the first of a new trace if that is not valid."""
    trace_id = parent.trace_id if parent.is_valid else _new_id(128)
    state = parent.trace_state if parent.is_valid else None
    here = SpanContext(
        trace_id, _new_id(64), is_remote=True, trace_flags=_SAMPLED if sampled else _NOT, trace_state=state
    )
    return trace_at(here)


def trace_at(here: SpanContext, span: Span | None = None) -> Trace:
    """The trace of a step whose context is *here*."""
    return Trace(trace.format_trace_id(here.trace_id), trace.format_span_id(here.span_id), _injected(here), span)


def parent_of(headers: HeaderList) -> SpanContext:
    """The context that a record came with; not valid if it came with none."""
    return _context_in(_came(headers))


def _came(headers: HeaderList) -> dict[str, bytes]:
    return {name: value for name, value in headers if name in _TRAVELS and value}


def _parent_in(came: Mapping[str, bytes]) -> re.Match[bytes] | None:
    """What the record's parent says, if that is a parent: neither of its ids is zero."""
    match = _PARENT.fullmatch(came.get(TRACEPARENT, b""))
    if match is None or (match[1] == b"00" and match[5]) or not (match[2].strip(b"0") and match[3].strip(b"0")):
        return None
    return match


def _context_in(came: Mapping[str, bytes]) -> SpanContext:
    match = _parent_in(came)
    if match is None:
        return INVALID_SPAN_CONTEXT
    state = came.get(TRACESTATE)
    return SpanContext(
        int(match[2], 16),
        int(match[3], 16),
        is_remote=True,
        trace_flags=_SAMPLED if int(match[4], 16) & TraceFlags.SAMPLED else _NOT,
        trace_state=TraceState.from_header([state.decode("ascii", "replace")]) if state else None,
    )


def chosen(ratio: float) -> bool:
    """Whether a trace is among the *ratio* of all; by chance of our own, for a client chooses its trace id."""
    return _new_id(64) < ratio * 2**64


def _injected(span: SpanContext) -> HeaderList:
    place = f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
    state = span.trace_state.to_header()
    parent = (TRACEPARENT, place.encode())
    return (parent, (TRACESTATE, state.encode())) if state else (parent,)


def _new_id(bits: int) -> int:
    """Random, and not zero, which W3C Trace Context calls invalid. The SDK has the same; loading it takes 0.1 s."""
    while not (new := random.getrandbits(bits)):
        pass
    return new
