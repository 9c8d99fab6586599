"""A stage's spans, as a collector gets them over the SDK's own connection."""

from __future__ import annotations

import time

import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope

from consumers.agent.genai import AgentTelemetry
from ops.settings import Settings
from ops.telemetry import tracing_of
from schemas.clock import SystemClock
from schemas.records import ProducerRecord, Record
from streams.telemetry.metric_definitions import SPANS
from streams.telemetry.metric_store import MetricStore
from streams.telemetry.spans import Tracing
from tests.journey.collector import collecting

pytestmark = pytest.mark.anyio


async def record_one(tracing: Tracing) -> None:
    """A record that is processed and written on."""
    record = Record("tenants.acme.requests", 0, 0, 0, None, b"v", ())
    here = tracing.begin(record)
    tracing.around(record, here, lambda: [ProducerRecord("platform.screened", b"acme|s", b"v", here.headers)])()


def told(metrics: MetricStore) -> tuple[float, float]:
    """Spans that were delivered, and lost."""
    metrics.text()
    return metrics.total(SPANS, "delivered"), metrics.total(SPANS, "lost")


async def test_a_collector_gets_a_stages_spans_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the headers that operators set for the SDK, without which many collectors take nothing."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    metrics = MetricStore("auth")
    with collecting() as collector:
        async with tracing_of(Settings(otlp_endpoint=collector.address), "auth", "w-1", SystemClock(), metrics) as own:
            await record_one(own)

        ((service, span),) = collector.spans
        (sent,) = collector.requests
    assert (service, span.name) == ("headrace-auth", "process tenants.acme.requests")
    (stage,) = sent.resource_spans
    resource = {each.key: each.value.string_value for each in stage.resource.attributes}
    assert resource["service.instance.id"] == "w-1"
    assert resource["deployment.environment.name"] == "test"
    assert resource["telemetry.sdk.name"] == "opentelemetry"
    assert stage.scope_spans[0].scope == InstrumentationScope(name="headrace")
    assert collector.headers["authorization"] == "secret"
    assert told(metrics) == (1, 0)


async def test_without_a_collector_a_stage_ends_all_the_same_and_says_what_was_lost() -> None:
    """A worker that has drained is not held by its telemetry."""
    with collecting() as collector:
        address = collector.address
    metrics, began = MetricStore("auth"), time.monotonic()

    async with tracing_of(Settings(otlp_endpoint=address), "auth", "w-1", SystemClock(), metrics) as own:
        await record_one(own)

    assert time.monotonic() - began < 10
    assert told(metrics) == (0, 1)


@pytest.mark.parametrize(("flag", "captured"), [(False, []), (True, ["secret"])])
async def test_agent_spans_take_the_same_way_and_hold_content_only_on_request(flag: bool, captured: list[str]) -> None:  # noqa: FBT001 - a parameter of the test
    """The collector may be in other hands than the users' data."""
    metrics, clock = MetricStore("agent"), SystemClock()
    with collecting() as collector:
        settings = Settings(otlp_endpoint=collector.address, capture_content=flag)
        async with tracing_of(settings, "agent", "w-1", clock, metrics) as own:
            here = own.begin(Record("tenants.acme.requests", 0, 0, 0, None, b"v", ()))
            telemetry = AgentTelemetry(agent="a", run_id="r", clock=clock, spans=own.below(here, "acme"))
            with telemetry.execute_tool(tool="t", call_id="c", arguments="secret"):
                pass

        ((service, span),) = collector.spans
    values = {each.key: each.value.string_value for each in span.attributes}
    assert (service, span.name, span.trace_id.hex()) == ("headrace-agent", "execute_tool t", here.trace_id)
    assert span.parent_span_id.hex() == here.span_id
    assert [values[name] for name in values if name == "gen_ai.tool.call.arguments"] == captured
    assert told(metrics) == (1, 0)
