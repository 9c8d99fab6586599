"""One trace from request to result: W3C context in the record headers, through OpenTelemetry's global propagator."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags

from schemas.headers import TRACEPARENT, TRACESTATE
from schemas.records import HeaderList

_ids = RandomIdGenerator()
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
    return below(parent_of(headers), sampled=sampled)


def below(parent: SpanContext, *, sampled: bool) -> Trace:
    """A span below *parent* that nobody records, or the first of a new trace if that is not valid."""
    trace_id = parent.trace_id if parent.is_valid else _ids.generate_trace_id()
    state = parent.trace_state if parent.is_valid else None
    here = SpanContext(
        trace_id, _ids.generate_span_id(), is_remote=True, trace_flags=_SAMPLED if sampled else _NOT, trace_state=state
    )
    return trace_at(here)


def trace_at(here: SpanContext, span: Span | None = None) -> Trace:
    """The trace of a step whose context is *here*."""
    return Trace(trace.format_trace_id(here.trace_id), trace.format_span_id(here.span_id), _injected(here), span)


def parent_of(headers: HeaderList) -> SpanContext:
    """The context that a record came with; not valid if it came with none."""
    carrier = {name: value.decode("ascii", "replace") for name, value in headers if _travels(name) and value}
    return trace.get_current_span(propagate.extract(carrier, Context())).get_span_context()


def _travels(name: str) -> bool:
    return name in {TRACEPARENT, TRACESTATE}


def chosen(ratio: float) -> bool:
    """Whether a trace is among the *ratio* of all; by chance of our own, for a client chooses its trace id."""
    return _ids.generate_span_id() < ratio * 2**64


def _injected(span: SpanContext) -> HeaderList:
    carrier: dict[str, str] = {}
    propagate.inject(carrier, trace.set_span_in_context(NonRecordingSpan(span), Context()))
    return tuple((name, value.encode()) for name, value in carrier.items() if _travels(name))
