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

    def __init__(self, here: Trace) -> None:  # without super(), which needs the span context
        self._here = here

    def get_span_context(self) -> SpanContext:
        """Return the span context, sampled as the step's headers say."""
        (_, place), *rest = self._here.headers
        state = next((value for name, value in rest if name == TRACESTATE), None)
        return SpanContext(
            int(self._here.trace_id, 16),
            int(self._here.span_id, 16),
            is_remote=False,
            trace_flags=_SAMPLED if place is not None and place.endswith(b"-01") else _NOT,
            trace_state=TraceState.from_header([state.decode()]) if state else None,
        )

    def __repr__(self) -> str:
        return f"Here({self.get_span_context()!r})"


def made_current(here: Trace) -> None:
    """Make *here* OpenTelemetry's current span for the rest of this task."""
    attach(set_span_in_context(CurrentSpan(here), _NOTHING))
