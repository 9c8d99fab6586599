"""Export spans to the collector that the settings name. Only then is the SDK loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import Tracer

from ops.settings import Settings
from ops.span_export import Post, SpanExport
from schemas.clock import Clock
from streams.journey import group_of
from streams.telemetry.agent_spans import AgentTracing
from streams.telemetry.metric_definitions import SPANS
from streams.telemetry.metric_store import MetricStore
from streams.telemetry.otlp import scoped
from streams.telemetry.spans import Export, Tracing
from streams.telemetry.timestamps import Timestamps

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

SCOPE = "headrace"
EXPORT_S = 2.0
"""Timeout in seconds of one delivery: an unreachable collector must not delay a worker that has drained."""


@asynccontextmanager
async def tracing_of(
    settings: Settings, stage: str, worker: str, clock: Clock, metrics: MetricStore, version: int = 1
) -> AsyncGenerator[Tracing]:
    """Yield the stage's spans during the block; at its end, the remaining spans are delivered or lost."""
    if settings.otlp_endpoint is None:
        yield Tracing(clock=clock)
        return
    exporter = exporter_to(settings.otlp_endpoint)
    delivery = SpanExport(post_by(exporter, stage, worker))

    def look() -> None:
        metrics.set(SPANS, delivery.delivered, "delivered")
        metrics.set(SPANS, delivery.lost, "lost")

    metrics.look.append(look)
    try:
        agents = AgentTracing(tracer_to(delivery.take), Timestamps(clock).now_ns, settings.capture_content)
        yield Tracing(delivery.take, group_of(stage, version), settings.trace_ratio, clock, agents)
    finally:
        await asyncio.to_thread(delivery.close)
        exporter.shutdown()  # type: ignore[no-untyped-call]


def tracer_to(export: Export) -> Tracer:
    """Return the SDK's tracer, which hands each ended span, encoded, to *export*."""
    from ops.agent_tracer import agent_tracer  # noqa: PLC0415 - see above

    return agent_tracer(SCOPE, export)


def exporter_to(endpoint: str) -> OTLPSpanExporter:
    """Return the SDK's exporter, which reads headers, certificates and compression from the environment."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above

    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)


def post_by(exporter: OTLPSpanExporter, stage: str, worker: str) -> Post:
    """Return the function that delivers a worker's spans through *exporter*."""
    resource, scope = _around(stage, worker)

    def post(spans: list[bytes]) -> bool:
        # The public `export` takes only the SDK's own spans. A test checks that `_client` still exists.
        return exporter._client.export(scoped(resource, scope, spans)).success  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    return post


def _around(stage: str, worker: str) -> tuple[bytes, bytes]:
    """Return the resource and the scope as the SDK encodes them, without spans."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    named = Resource.create({"service.name": f"headrace-{stage}", "service.instance.id": worker})
    provider, kept = TracerProvider(sampler=ALWAYS_ON, resource=named, shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.get_tracer(SCOPE).start_span(SCOPE).end()
    (whole,) = encode_spans(kept.get_finished_spans()).resource_spans
    (scope,) = whole.scope_spans
    del whole.scope_spans[:], scope.spans[:]
    return whole.SerializeToString(), scope.SerializeToString()
