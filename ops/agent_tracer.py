"""The SDK's tracer of agents. It hands each ended span, encoded, to the delivery of all spans.

Import this module only if there is a collector: the SDK takes time to load. The encoding is our own (``otlp``): the
SDK's takes as long as the span itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanKind, Status, StatusCode, Tracer

from streams.telemetry import otlp
from streams.telemetry.spans import Export

VALUE_LIMIT = 256 * 1_024
"""Characters of one attribute; the excess is cut."""


class EncodingProcessor(SpanProcessor):
    """Encodes spans as they end. The resource is added at delivery."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def on_end(self, span: ReadableSpan) -> None:
        """Encode one span and hand it on."""
        self._export(encoded(span))


def agent_tracer(scope: str, export: Export) -> Tracer:
    """Return a tracer that records each span; the caller opens none in a trace that is not sampled."""
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource.get_empty(),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_span_attribute_length=VALUE_LIMIT),
    )
    provider.add_span_processor(EncodingProcessor(export))
    return provider.get_tracer(scope)


def encoded(span: ReadableSpan) -> bytes:
    """Return an ended span in OpenTelemetry's protocol. Spans of agents have neither events nor links."""
    place, begin, end = span.context or INVALID_SPAN_CONTEXT, span.start_time or 0, span.end_time or 0
    attributes = cast("Mapping[str, otlp.AttributeValue]", span.attributes or {})
    told = [otlp.attribute(name).any(value) for name, value in attributes.items()]
    if span.parent is not None:
        told.append(otlp.local(span.parent.span_id, place.trace_state.to_header().encode()))
    fixed = _titled(span.name, span.kind), _ending(span.status)
    return otlp.span(f"{place.trace_id:032x}", f"{place.span_id:016x}", None, (begin, end), *fixed, *told)


@lru_cache(maxsize=1_024)
def _titled(name: str, kind: SpanKind) -> bytes:
    return otlp.titled(name, kind)


def _ending(status: Status) -> bytes:
    return otlp.failed(status.description or "") if status.status_code is StatusCode.ERROR else otlp.UNSET
