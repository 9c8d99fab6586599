"""The span of a step as OpenTelemetry's current span: spans of an agent's own instrumentation become its children."""

from __future__ import annotations

from opentelemetry.context import Context, attach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from schemas.headers import TRACESTATE
from streams.telemetry.trace_context import Trace

_SAMPLED, _NOT = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
_NOTHING = Context()


class CurrentSpan(NonRecordingSpan):
    """A step's span as OpenTelemetry sees it. Its context is built on demand, because most steps never need it."""

    def __init__(self, current: Trace) -> None:  # without super(), which needs the span context
        self._current_span = current

    def get_span_context(self) -> SpanContext:
        """Return the span context, sampled as the step's headers say."""
        (_, place), *rest = self._current_span.headers
        state = next((value for name, value in rest if name == TRACESTATE), None)
        return SpanContext(
            int(self._current_span.trace_id, 16),
            int(self._current_span.span_id, 16),
            is_remote=False,
            trace_flags=_SAMPLED if place is not None and place.endswith(b"-01") else _NOT,
            trace_state=TraceState.from_header([state.decode()]) if state else None,
        )

    def __repr__(self) -> str:
        return f"Here({self.get_span_context()!r})"


def made_current(current: Trace) -> None:
    """Make *current* OpenTelemetry's current span for the rest of this task."""
    attach(set_span_in_context(CurrentSpan(current), _NOTHING))
