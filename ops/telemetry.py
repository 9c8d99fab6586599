"""Spans out of the process, where somebody has said to which collector; the SDK is loaded only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ops.settings import Settings
from schemas.clock import Clock
from streams.journey import group_of
from streams.spans import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

EXPORT_S = 2.0
"""For one attempt to deliver spans; a collector that is away must not hold a worker that has drained."""

EVERY_MS = 1_000
"""Between two deliveries."""


@asynccontextmanager
async def tracing_of(
    settings: Settings, stage: str, worker: str, clock: Clock, version: int = 1
) -> AsyncGenerator[Tracing]:
    """The stage's spans for as long as the block; at its end what is left is delivered, or lost."""
    if settings.otlp_endpoint is None:
        yield Tracing(clock=clock)
        return
    provider = _provider(settings.otlp_endpoint, stage, worker)
    try:
        yield Tracing(provider.get_tracer("headrace"), group_of(stage, version), settings.trace_ratio, clock)
    finally:
        await asyncio.to_thread(provider.shutdown)


def _provider(endpoint: str, stage: str, worker: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased  # noqa: PLC0415

    resource = Resource.create({"service.name": f"headrace-{stage}", "service.instance.id": worker})
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EVERY_MS))
    return provider
