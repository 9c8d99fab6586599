"""The spans of agents, by OpenTelemetry's SDK, below the span of the step that runs them.

Each is OpenTelemetry's current span within its block: spans of users and of their instrumentations become its children.
The context follows into tasks, and into threads that run in a copy of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context, attach, create_key, detach, get_current, get_value, set_value
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from consumers import spans as seam
from consumers.spans import Attribute, NoSpans, OpenSpan, Spans, error_type_of
from schemas.headers import TRACEPARENT
from schemas.records import HeaderList
from streams.telemetry.current_span import CurrentSpan
from streams.telemetry.trace_context import Trace, remote_span

_KINDS: Final = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
_INNERMOST: Final = create_key("headrace-span")
"""The key of our innermost span in OpenTelemetry's context."""


@dataclass(frozen=True, slots=True)
class AgentTracing:
    """The tracer of agents in one worker."""

    tracer: Tracer
    now_ns: Callable[[], int]
    """Returns the time in nanoseconds since the epoch: the same as for the messaging spans."""

    captures_content: bool = False
    """True if spans may hold messages, arguments and results."""


def agent_spans(tracing: AgentTracing | None, trace: HeaderList, tenant: str) -> Spans:
    """Return the spans below the step with these trace headers. They are recorded if the step is sampled."""
    place = remote_span(trace)
    if tracing is None or place is None or not place.sampled:
        return NoSpans(_traceparent(trace))
    return AgentSpans(tracing, Trace(place.trace_id, place.span_id, trace), tenant)


def _traceparent(trace: HeaderList) -> str | None:
    value = dict(trace).get(TRACEPARENT)
    return None if value is None else value.decode(errors="replace")


class AgentSpans:
    """The recorded spans of one run."""

    __slots__ = ("_step", "_tenant", "_trace_id", "_tracing")

    def __init__(self, tracing: AgentTracing, step: Trace, tenant: str) -> None:
        self._tracing, self._step, self._tenant = tracing, step, tenant
        self._trace_id = int(step.trace_id, 16)

    @property
    def captures_content(self) -> bool:
        """True if attributes may hold messages, arguments and results."""
        return self._tracing.captures_content

    @contextmanager
    def open(self, name: str, kind: seam.SpanKind, attributes: Mapping[str, Attribute]) -> Generator[OpenSpan]:
        """Open a span with the tenant beside *attributes*. An exception that leaves the block marks it as failed."""
        above, told = self._above(), _encodable({**attributes, "tenant.id": self._tenant})
        span = self._tracing.tracer.start_span(
            _text(name), above, _KINDS[kind], told, start_time=self._tracing.now_ns()
        )
        recorded = RecordedAgentSpan(span)
        token = attach(set_value(_INNERMOST, span, set_span_in_context(span, above)))
        try:
            yield recorded
        except BaseException as error:
            recorded.fail(error_type_of(error))
            raise
        finally:
            detach(token)
            span.end(self._tracing.now_ns())

    def _above(self) -> Context:
        """Return the context with the parent: the current span if it is recorded in this trace, else our innermost."""
        current = get_current()
        for span in (get_current_span(current), get_value(_INNERMOST, current)):
            if isinstance(span, Span) and self._is_in_trace(span.get_span_context()):
                return set_span_in_context(span, current)
        return set_span_in_context(CurrentSpan(self._step), current)

    def _is_in_trace(self, place: SpanContext) -> bool:
        return place.trace_id == self._trace_id and place.trace_flags.sampled


class RecordedAgentSpan:
    """A recorded span that has begun."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """The W3C trace context of this span."""
        place = self._span.get_span_context()
        return f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}"

    def set(self, attributes: Mapping[str, Attribute]) -> None:
        """Add attributes."""
        self._span.set_attributes(_encodable(attributes))

    def fail(self, error_type: str) -> None:
        """Mark the span as failed; *error_type* is the code of the error. Its message may hold content."""
        self._span.set_attribute("error.type", _text(error_type))
        self._span.set_status(Status(StatusCode.ERROR, _text(error_type)))


def _encodable(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return the attributes with valid Unicode: the SDK drops others, and logs a traceback for each."""
    return {name: _value(value) for name, value in attributes.items()}


def _value(value: Attribute) -> Attribute:
    if isinstance(value, str):
        return _text(value)
    return tuple(map(_text, value)) if isinstance(value, tuple) else value


def _text(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()
