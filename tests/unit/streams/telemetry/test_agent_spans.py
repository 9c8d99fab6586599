"""The spans of agents: their place in the trace, their errors, and the context that they pass on."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from contextlib import suppress

import pytest
from opentelemetry import trace as otel
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from consumers.agent.genai import AgentTelemetry
from consumers.agent.models.port import ModelResponse, ModelUsage
from consumers.spans import Attribute, Spans
from ops.agent_tracer import agent_tracer
from schemas.errors import ModelOverloadedError, ToolTimeoutError
from schemas.records import HeaderList
from streams.telemetry.agent_spans import AgentTracing, agent_spans
from tests.unit.streams.engine.shard_setup import StillClock

pytestmark = pytest.mark.anyio

TRACE_ID, STEP_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def headers(flag: str = "01") -> HeaderList:
    """Return the trace headers of a step."""
    return (("traceparent", f"00-{TRACE_ID}-{STEP_ID}-{flag}".encode()), ("tracestate", b"vendor=1"))


class Setup:
    """The spans of one run, and those that were exported."""

    def __init__(self, flag: str = "01", *, captures_content: bool = False) -> None:
        self._exported: list[bytes] = []
        self.times = iter(range(1_000, 99_000, 1_000))
        tracing = AgentTracing(agent_tracer("headrace", self._exported.append), self.times.__next__, captures_content)
        self.spans: Spans = agent_spans(tracing, headers(flag), "acme")

    @property
    def exported(self) -> list[Span]:
        """The exported spans, in the order of their ends."""
        return [Span.FromString(each) for each in self._exported]

    def named(self, name: str) -> Span:
        """Return the exported span of this name."""
        (found,) = [each for each in self.exported if each.name == name]
        return found


def attributes(span: Span) -> Mapping[str, Attribute | list[str]]:
    """Return the attributes of an exported span."""
    values = {each.key: each.value for each in span.attributes}
    read = {name: getattr(value, value.WhichOneof("value") or "") for name, value in values.items()}
    return {
        name: [each.string_value for each in value.values] if hasattr(value, "values") else value
        for name, value in read.items()
    }


async def test_spans_nest_below_the_step_and_pass_their_own_place_on() -> None:
    """The provider's own spans then belong to the attempt that called it."""
    setup = Setup()

    asked = {"gen_ai.request.model": "m"}
    with (
        setup.spans.open("invoke_agent support", "internal", {}) as agent,
        setup.spans.open("chat m", "client", asked) as chat,
    ):
        sent = chat.traceparent
    outer, inner = setup.named("invoke_agent support"), setup.named("chat m")

    assert (outer.trace_id.hex(), outer.parent_span_id.hex()) == (TRACE_ID, STEP_ID)
    assert (inner.trace_id.hex(), inner.parent_span_id) == (TRACE_ID, outer.span_id)
    assert (outer.kind, inner.kind) == (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)
    assert sent == f"00-{TRACE_ID}-{inner.span_id.hex()}-01"
    assert agent.traceparent == f"00-{TRACE_ID}-{outer.span_id.hex()}-01"
    assert outer.trace_state == inner.trace_state == "vendor=1"
    assert attributes(inner) == {"gen_ai.request.model": "m", "tenant.id": "acme"}
    assert (outer.start_time_unix_nano, outer.end_time_unix_nano) == (1_000, 4_000)


async def test_a_trace_that_is_not_sampled_is_passed_on_and_not_recorded() -> None:
    """The provider must not record it either."""
    setup = Setup("00")

    with setup.spans.open("invoke_agent support", "internal", {}), setup.spans.open("chat m", "client", {}) as chat:
        assert chat.traceparent == f"00-{TRACE_ID}-{STEP_ID}-00"

    assert not setup.exported
    assert agent_spans(None, headers(), "acme").open("x", "internal", {}) is not None


async def test_an_exception_marks_its_spans_with_the_code_and_without_its_message() -> None:
    """A message may hold what a user wrote."""
    setup = Setup()

    def run() -> None:
        with setup.spans.open("invoke_agent support", "internal", {}):
            with suppress(ValueError), setup.spans.open("execute_tool t", "internal", {}):
                raise ValueError("private")
            with suppress(asyncio.CancelledError), setup.spans.open("chat a", "client", {}):
                raise asyncio.CancelledError
            with setup.spans.open("chat b", "client", {}):
                raise ModelOverloadedError("private")

    with pytest.raises(ModelOverloadedError):
        run()

    codes = {each.name: attributes(each)["error.type"] for each in setup.exported}
    overloaded = "model_overloaded"
    assert codes == {
        "execute_tool t": "internal",
        "chat a": "cancelled",
        "chat b": overloaded,
        "invoke_agent support": overloaded,
    }
    assert {each.status.code for each in setup.exported} == {Status.STATUS_CODE_ERROR}
    assert "private" not in str(setup.exported)


async def test_spans_of_users_nest_in_tasks_and_threads() -> None:
    """An instrumented HTTP client inside a tool belongs to that tool's span."""
    setup, seen = Setup(), dict[str, otel.SpanContext]()

    def plain(name: str) -> None:
        seen[name] = otel.get_current_span().get_span_context()

    async def tool(name: str) -> None:
        with setup.spans.open(name, "internal", {}):
            await asyncio.sleep(0)
            await asyncio.to_thread(plain, name)

    with setup.spans.open("invoke_agent support", "internal", {}):
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(tool(f"execute_tool {number}"))
        plain("invoke_agent support")

    assert len(seen) == len(setup.exported) == 6
    for name, place in seen.items():
        assert setup.named(name).span_id.hex() == f"{place.span_id:016x}"
    above = setup.named("invoke_agent support").span_id
    assert all(each.parent_span_id == above for each in setup.exported if each.name.startswith("execute_tool"))


async def test_a_users_recorded_span_is_a_parent_and_one_that_is_not_recorded_is_none() -> None:
    """A parent that no collector has would cut the trace in two."""
    setup, theirs = Setup(), TracerProvider(shutdown_on_exit=False).get_tracer("theirs")
    dropped = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("theirs")

    with setup.spans.open("invoke_agent support", "internal", {}):
        with theirs.start_as_current_span("mine") as mine, setup.spans.open("chat a", "client", {}):
            pass
        with dropped.start_as_current_span("dropped"), setup.spans.open("chat b", "client", {}):
            pass
        root = otel.set_span_in_context(otel.INVALID_SPAN)
        with theirs.start_as_current_span("apart", root), setup.spans.open("chat c", "client", {}):
            pass

    agent = setup.named("invoke_agent support").span_id
    assert setup.named("chat a").parent_span_id.hex() == f"{mine.get_span_context().span_id:016x}"
    assert setup.named("chat b").parent_span_id == agent
    assert setup.named("chat c").trace_id.hex() == TRACE_ID


async def test_the_context_is_as_before_after_each_span() -> None:
    """The next step of the same task must not nest in a span that has ended."""
    setup, before = Setup(), contextvars.copy_context()

    with pytest.raises(ToolTimeoutError), setup.spans.open("execute_tool t", "internal", {}):
        raise ToolTimeoutError

    assert {name: value for name, value in contextvars.copy_context().items() if value} == {
        name: value for name, value in before.items() if value
    }


async def test_each_kind_of_attribute_arrives() -> None:
    """Dashboards query by type."""
    setup = Setup()
    telemetry = AgentTelemetry(agent="support", run_id="run-1", clock=StillClock(), spans=setup.spans)

    with telemetry.invoke_agent(resumed=True, step="4") as agent, telemetry.chat(model="m", temperature=0.5) as chat:
        chat.respond(ModelResponse("", usage=ModelUsage(7, 3), finish_reason="stop"))
        agent.cost(0.25)

    told = attributes(setup.named("chat m"))
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.request.temperature"]) == (7, 0.5)
    above = attributes(setup.named("invoke_agent support"))
    assert (above["headrace.resumed"], above["headrace.step"], above["headrace.cost_usd"]) == (True, "4", 0.25)


@pytest.mark.parametrize("odd", ["\ud800", "\x00", "x" * 1_000_000])
async def test_an_odd_value_does_not_fail_the_run(odd: str) -> None:
    """A model's text may hold a lone surrogate, which has no encoding."""
    setup = Setup()

    with setup.spans.open(f"chat {odd}", "client", {"a": odd}) as chat:
        chat.set({"b": (odd,), "c": odd})
        chat.fail(odd)
    with setup.spans.open("chat next", "client", {}):
        pass

    first, second = setup.exported
    assert attributes(first).keys() == {"a", "b", "c", "error.type", "tenant.id"}
    assert second.name == "chat next"
