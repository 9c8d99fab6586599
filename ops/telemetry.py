"""Spans out of the process, where somebody has said to which collector; the SDK is loaded only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ops.delivery import Delivery, Post
from ops.settings import Settings
from schemas.clock import Clock
from streams.journey import group_of
from streams.measures import Metrics
from streams.metrics import SPANS
from streams.otlp import scoped
from streams.spans import Tracing

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

SCOPE = "headrace"
EXPORT_S = 2.0
"""For one attempt to deliver spans; a collector that is away must not hold a worker that has drained."""


@asynccontextmanager
async def tracing_of(
    settings: Settings, stage: str, worker: str, clock: Clock, metrics: Metrics, version: int = 1
) -> AsyncGenerator[Tracing]:
    """The stage's spans for as long as the block; at its end what is left is delivered, or lost."""
    if settings.otlp_endpoint is None:
        yield Tracing(clock=clock)
        return
    exporter = exporter_to(settings.otlp_endpoint)
    delivery = Delivery(post_by(exporter, stage, worker))

    def look() -> None:
        metrics.set(SPANS, delivery.delivered, "delivered")
        metrics.set(SPANS, delivery.lost, "lost")

    metrics.look.append(look)
    try:
        yield Tracing(delivery.take, group_of(stage, version), settings.trace_ratio, clock)
    finally:
        await asyncio.to_thread(delivery.close)
        exporter.shutdown()  # type: ignore[no-untyped-call]


def exporter_to(endpoint: str) -> OTLPSpanExporter:
    """The SDK's, which knows the headers, certificates and compression that operators set in the environment."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above

    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)


def post_by(exporter: OTLPSpanExporter, stage: str, worker: str) -> Post:
    """Deliver a worker's spans by *exporter*."""
    resource, scope = _around(stage, worker)

    def post(spans: list[bytes]) -> bool:
        # Its public `export` takes the SDK's own spans; a test sees that the way below is still there.
        return exporter._client.export(scoped(resource, scope, spans)).success  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    return post


def _around(stage: str, worker: str) -> tuple[bytes, bytes]:
    """Resource and scope as the SDK encodes them, with nothing in them."""
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
