"""Spans and figures of agents: names, attributes and bounds as the GenAI conventions have them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from consumers.agent.captured_content import MESSAGES_LIMIT, PARTS_LIMIT, TEXT_LIMIT, messages_of
from consumers.agent.genai import AgentTelemetry
from consumers.agent.models.port import (
    AssistantMessage,
    Message,
    ModelResponse,
    ModelUsage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from consumers.meter import AgentEnded, HandoffEnded, Measurement, ModelCallEnded, ToolCallEnded
from consumers.spans import ATTRIBUTE_LIMIT, Attribute, OpenSpan, SpanKind, bounded
from schemas.errors import ModelOverloadedError
from tests.contract.planted import ROOT
from tests.unit.consumers.agent.fakes import TRACEPARENT, StillClock

COMMON = {
    "gen_ai.agent.name": "support",
    "agent.id": "support",
    "agent.planner": "react",
    "headrace.run_id": "run-1",
    "gen_ai.conversation.id": "s-1",
}
PROVIDER = {"gen_ai.provider.name": "openai", "gen_ai.system": "openai"}
ANSWER = ModelResponse("It rains.", usage=ModelUsage(7, 3), finish_reason="stop", model="gpt-4o-mini-2024")


@dataclass
class KeptSpan:
    """A span that keeps its attributes."""

    name: str
    kind: SpanKind
    attributes: dict[str, Attribute]
    above: str | None
    error: str | None = None
    traceparent: str | None = TRACEPARENT

    def set(self, attributes: Mapping[str, Attribute]) -> None:
        self.attributes |= attributes

    def fail(self, error_type: str) -> None:
        self.error = error_type


@dataclass
class KeptSpans:
    """Keeps each span that is opened."""

    captures_content: bool = False
    spans: list[KeptSpan] = field(default_factory=list)
    current: list[KeptSpan] = field(default_factory=list)

    @contextmanager
    def open(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute]) -> Generator[OpenSpan]:
        span = KeptSpan(name, kind, dict(attributes), self.current[-1].name if self.current else None)
        self.spans.append(span)
        self.current.append(span)
        try:
            yield span
        finally:
            self.current.pop()


@dataclass
class KeptMeter:
    """Keeps each measurement."""

    kept: list[Measurement] = field(default_factory=list)

    def record(self, measurement: Measurement) -> None:
        self.kept.append(measurement)


@dataclass
class Setup:
    """The telemetry of one agent, with its spans and measurements."""

    captures_content: bool = False

    def __post_init__(self) -> None:
        self.spans, self.meter, self.clock = KeptSpans(self.captures_content), KeptMeter(), StillClock()
        self.telemetry = AgentTelemetry(
            agent="support", run_id="run-1", session="s-1", clock=self.clock, spans=self.spans, meter=self.meter
        )


def test_an_invocation_names_its_agent_model_and_conversation() -> None:
    """Dashboards of older conventions read ``gen_ai.system`` and ``agent.*``."""
    setup = Setup()

    with setup.telemetry.invoke_agent(model="gpt-4o-mini", resumed=True, step="3") as operation:
        setup.clock.pass_by(2.0)
        operation.cost(0.25)

    (span,) = setup.spans.spans
    assert (span.name, span.kind) == ("invoke_agent support", "internal")
    assert span.attributes == {
        **COMMON,
        **PROVIDER,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.request.model": "gpt-4o-mini",
        "headrace.resumed": True,
        "headrace.step": "3",
        "headrace.cost_usd": 0.25,
    }
    assert setup.meter.kept == [AgentEnded(agent="support", outcome="ok", seconds=2.0, resumed=True)]


def test_each_attempt_of_a_model_call_is_a_span_of_its_own_below_the_invocation() -> None:
    """The failed attempt explains the time before the answer."""
    setup = Setup()

    with setup.telemetry.invoke_agent():
        with pytest.raises(ModelOverloadedError), setup.telemetry.chat(model="gpt-4o-mini", step="1"):
            raise ModelOverloadedError
        with setup.telemetry.chat(model="gpt-4o-mini", step="1", attempt=2, temperature=0.5, max_tokens=100) as chat:
            assert chat.traceparent == TRACEPARENT
            setup.clock.pass_by(1.0)
            chat.respond(ANSWER)

    _, first, second = setup.spans.spans
    assert (first.name, first.kind, first.above) == ("chat gpt-4o-mini", "client", "invoke_agent support")
    assert second.attributes == {
        **COMMON,
        **PROVIDER,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.response.model": "gpt-4o-mini-2024",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "headrace.step": "1",
        "headrace.model_attempt": 2,
    }
    assert setup.meter.kept[:2] == [
        ModelCallEnded(agent="support", model="gpt-4o-mini", outcome="model_overloaded", seconds=0.0),
        ModelCallEnded(
            agent="support", model="gpt-4o-mini", outcome="ok", seconds=1.0, input_tokens=7, output_tokens=3
        ),
    ]


def test_a_tool_call_and_a_handoff_are_spans() -> None:
    """A tool that failed inside the run, without an exception, is marked by its code."""
    setup = Setup()

    with setup.telemetry.execute_tool(tool="get_weather", call_id="call_1", description="Weather.", step="2") as tool:
        tool.fail("tool_failed")
    with setup.telemetry.handoff(target="billing", step="3"):
        pass
    with setup.telemetry.handed_to("billing").invoke_agent():
        pass

    executed, passed, billing = setup.spans.spans
    assert (executed.name, executed.kind, executed.error) == ("execute_tool get_weather", "internal", "tool_failed")
    assert executed.attributes == {
        **COMMON,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Weather.",
        "headrace.step": "2",
    }
    assert (passed.name, passed.attributes["headrace.handoff.target"]) == ("handoff billing", "billing")
    assert (billing.name, billing.attributes["agent.id"]) == ("invoke_agent billing", "billing")
    assert setup.meter.kept[:2] == [
        ToolCallEnded(agent="support", tool="get_weather", outcome="tool_failed", seconds=0.0),
        HandoffEnded(agent="support", target="billing", outcome="ok"),
    ]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (asyncio.CancelledError(), "cancelled"),
        (ValueError("private"), "internal"),
        (SystemExit(), "internal"),
        (ExceptionGroup("", [ModelOverloadedError()]), "model_overloaded"),
    ],
)
def test_any_exception_has_an_outcome(error: BaseException, outcome: str) -> None:
    """An agent may raise anything, and a deadline cancels what it waits for."""
    setup = Setup()

    with pytest.raises(type(error)), setup.telemetry.chat(model="m"):
        raise error

    assert [getattr(each, "outcome", "") for each in setup.meter.kept] == [outcome]


def test_no_content_is_captured_by_default() -> None:
    """Messages, arguments and results hold what users and tools wrote."""
    setup = Setup()

    with setup.telemetry.chat(model="m", messages=[SystemMessage("secret"), UserMessage("secret")]) as chat:
        chat.respond(ModelResponse("secret"))
    with setup.telemetry.execute_tool(tool="t", call_id="c", arguments="secret") as tool:
        tool.result("secret")

    assert "secret" not in repr([span.attributes for span in setup.spans.spans])


def test_content_is_captured_on_request_as_the_convention_has_it() -> None:
    """The JSON is valid, and instructions are apart from the conversation."""
    setup, call = Setup(captures_content=True), ToolCall("call_1", "get_weather", '{"city":"Oslo"}')
    asked: list[Message] = [
        SystemMessage("Be brief."),
        UserMessage("Rain?"),
        AssistantMessage("", (call,)),
        ToolMessage("call_1", "yes"),
    ]

    with setup.telemetry.chat(model="m", messages=asked) as chat:
        chat.respond(ANSWER)
    with setup.telemetry.execute_tool(tool="t", call_id="call_1", arguments=call.arguments) as tool:
        tool.result("yes")

    chatted, executed = (span.attributes for span in setup.spans.spans)
    assert json.loads(str(chatted["gen_ai.system_instructions"])) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(str(chatted["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "Rain?"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": '{"city":"Oslo"}'}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "yes"}]},
    ]
    assert json.loads(str(chatted["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "It rains."}], "finish_reason": "stop"}
    ]
    assert executed["gen_ai.tool.call.arguments"] == '{"city":"Oslo"}'
    assert executed["gen_ai.tool.call.result"] == "yes"


def test_captured_content_is_bounded_and_valid_json() -> None:
    """One conversation must not fill the buffer of spans. A lone surrogate has no encoding."""
    calls = tuple(ToolCall("c" * 5_000, "n" * 5_000, "a" * 5_000) for _ in range(100))
    odd = [AssistantMessage("\ud800" * 5_000, calls) for _ in range(50)]
    asked: list[Message] = [UserMessage("old"), *odd, UserMessage("new")]

    captured = messages_of(asked)

    kept = json.loads(captured)
    assert kept[-1]["parts"][0]["content"] == "new"
    assert kept[0]["role"] == "assistant"
    assert len(captured) < MESSAGES_LIMIT + 4 * TEXT_LIMIT * (PARTS_LIMIT + 1)


@pytest.mark.parametrize("value", ["é" * 300, "\ud800" * 300, "x" * 300, "😀" * 100, "x" * 255 + "é"])
def test_what_others_wrote_is_cut_to_valid_utf8(value: str) -> None:
    """A session, a tool's name and a model's name come from outside."""
    cut = bounded(value)

    assert 0 < len(cut.encode()) <= ATTRIBUTE_LIMIT


def test_every_text_from_outside_is_bounded() -> None:
    """One attribute must not carry a whole message."""
    long, setup = "x" * 10_000, Setup()
    setup.telemetry = AgentTelemetry(
        agent="support", run_id="run-1", session=long, clock=setup.clock, spans=setup.spans, meter=setup.meter
    )

    with setup.telemetry.invoke_agent(model=long), setup.telemetry.chat(model=long) as chat:
        chat.respond(ModelResponse("", model=long))
    with setup.telemetry.execute_tool(tool=long, call_id=long, description=long):
        pass
    with setup.telemetry.handoff(target=long):
        pass

    told = [value for span in setup.spans.spans for value in (span.name, *span.attributes.values())]
    assert max(len(value) for value in told if isinstance(value, str)) < ATTRIBUTE_LIMIT + len("execute_tool ") + 1


def test_the_reference_page_lists_each_attribute() -> None:
    """A dashboard is built from the page."""
    setup = Setup(captures_content=True)
    asked: list[Message] = [SystemMessage("Be brief."), UserMessage("Rain?")]

    with setup.telemetry.invoke_agent(model="m", step="1") as agent:
        agent.cost(0.5)
    with setup.telemetry.chat(model="m", messages=asked, temperature=0.5, max_tokens=1) as chat:
        chat.respond(ANSWER)
    with setup.telemetry.execute_tool(tool="t", call_id="c", description="d", arguments="{}") as tool:
        tool.result("yes")
    with setup.telemetry.handoff(target="billing", kind="delegate"):
        pass

    page = (ROOT / "docs" / "reference" / "spans.md").read_text(encoding="utf-8")
    names = {name for span in setup.spans.spans for name in span.attributes}
    assert sorted(name for name in names if f"`{name}`" not in page) == []
    assert [
        span.name.partition(" ")[0] for span in setup.spans.spans if f"`{span.name.partition(' ')[0]} {{" not in page
    ] == []
