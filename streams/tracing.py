"""One trace from request to result: W3C context in the record headers, through OpenTelemetry's global propagator."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from schemas.headers import TRACEPARENT, TRACESTATE
from schemas.records import HeaderList

_ids = RandomIdGenerator()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one step of the journey stands in its trace."""

    trace_id: str
    """32 hex digits."""

    span_id: str
    """16 hex digits."""

    headers: HeaderList
    """For what this step writes."""


def follow(headers: HeaderList) -> Trace:
    """A span below the record's, or the first of a new trace. The client's sampled flag is ignored."""
    parent = _parent(headers)
    trace_id = parent.trace_id if parent.is_valid else _ids.generate_trace_id()
    state = parent.trace_state if parent.is_valid else None
    here = SpanContext(trace_id, _ids.generate_span_id(), is_remote=True, trace_flags=_SAMPLED, trace_state=state)
    return Trace(trace.format_trace_id(trace_id), trace.format_span_id(here.span_id), _injected(here))


def _parent(headers: HeaderList) -> SpanContext:
    carrier = {name: value.decode("ascii", "replace") for name, value in headers if _travels(name) and value}
    return trace.get_current_span(propagate.extract(carrier, Context())).get_span_context()


def _travels(name: str) -> bool:
    return name in {TRACEPARENT, TRACESTATE}


def _injected(span: SpanContext) -> HeaderList:
    carrier: dict[str, str] = {}
    propagate.inject(carrier, trace.set_span_in_context(NonRecordingSpan(span), Context()))
    return tuple((name, value.encode()) for name, value in carrier.items() if _travels(name))
