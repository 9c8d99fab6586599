"""The SDK's tracer of agents. It hands each ended span, encoded, to the delivery of all spans.

Import this module only if there is a collector: the SDK takes time to load.
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from streams.telemetry.spans import Export

VALUE_LIMIT = 256 * 1_024
"""Characters of one attribute; the excess is cut."""


class EncodingProcessor(SpanProcessor):
    """Encodes spans as they end. The resource is added at delivery."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def on_end(self, span: ReadableSpan) -> None:
        """Encode one span and hand it on."""
        for resource in encode_spans([span]).resource_spans:
            for scope in resource.scope_spans:
                for each in scope.spans:
                    self._export(each.SerializeToString())


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
