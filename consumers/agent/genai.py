"""Spans and figures of agents, by OpenTelemetry's GenAI conventions.

Source: open-telemetry/semantic-conventions-genai 0.1.0, ``gen-ai-agent-spans.md``, ``client-inference.md`` and
``execute-tool.md``. Dashboards that know older versions still find ``gen_ai.system`` and ``agent.*``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from consumers.agent.captured_content import instructions_of, messages_of, response_of, text_of
from consumers.agent.models.port import Message, Model, ModelResponse
from consumers.context import StepContext
from consumers.meter import (
    OK,
    AgentEnded,
    AgentMeter,
    HandoffEnded,
    Measurement,
    ModelCallEnded,
    NoMeter,
    ToolCallEnded,
)
from consumers.spans import Attribute, NoSpans, OpenSpan, Spans, bounded, error_type_of
from schemas.clock import Clock
from schemas.usage import usd_of

OPENAI = "openai"
"""The provider of each model with OpenAI's API: the convention names the API, not its operator."""

UNKNOWN = "unknown"

ToolType: TypeAlias = Literal["function", "extension", "datastore"]
HandoffKind: TypeAlias = Literal["handoff", "delegate"]
Attributes: TypeAlias = dict[str, Attribute]


def name_of(model: Model) -> str:
    """Return the provider's name for a model; ``unknown`` if it has none."""
    name = getattr(model, "name", UNKNOWN)
    return name if isinstance(name, str) else UNKNOWN


@dataclass(slots=True)
class AgentOperation:
    """An operation of an agent that has begun."""

    span: OpenSpan
    captures_content: bool
    outcome: str = field(default=OK, init=False)

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context to pass on to other services; None if there is no trace."""
        return self.span.traceparent

    def fail(self, error_type: str) -> None:
        """Mark the operation as failed; *error_type* is the code of the error. An exception does so by itself."""
        self.outcome = error_type
        self.span.fail(error_type)

    def cost(self, usd: float) -> None:
        """Add the price of the operation in US dollars."""
        self.span.set({"headrace.cost_usd": usd})


@dataclass(slots=True)
class ChatAttempt(AgentOperation):
    """An attempt of a model call that has begun. Send its ``traceparent`` with the call."""

    input_tokens: int = field(default=0, init=False)
    output_tokens: int = field(default=0, init=False)

    def tokens(self, input_tokens: int, output_tokens: int) -> None:
        """Add the usage. An unreadable answer may have one too."""
        self.input_tokens, self.output_tokens = input_tokens, output_tokens
        self.span.set({"gen_ai.usage.input_tokens": input_tokens, "gen_ai.usage.output_tokens": output_tokens})

    def respond(self, response: ModelResponse) -> None:
        """Add the model's answer: model, finish reason and usage, and its content if spans may hold it."""
        usage = response.usage
        self.input_tokens, self.output_tokens = usage.input_tokens, usage.output_tokens
        told: Attributes = {
            "gen_ai.response.finish_reasons": (response.finish_reason,),
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
        }
        if usage.cost_pico:
            told["headrace.cost_usd"] = usd_of(usage.cost_pico)
        if response.model:
            told["gen_ai.response.model"] = bounded(response.model)
        if self.captures_content:
            told["gen_ai.output.messages"] = response_of(response)
        self.span.set(told)


@dataclass(slots=True)
class ToolExecution(AgentOperation):
    """A tool call that has begun."""

    def result(self, text: str) -> None:
        """Add the tool's result if spans may hold content."""
        if self.captures_content:
            self.span.set({"gen_ai.tool.call.result": text_of(text)})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTelemetry:
    """Opens the spans of one agent in one run, and records their figures."""

    agent: str
    run_id: str
    planner: str = "react"
    session: str | None = None
    """The conversation, as the client named it."""

    clock: Clock
    spans: Spans = field(default_factory=NoSpans)
    meter: AgentMeter = field(default_factory=NoMeter)

    @classmethod
    def of(
        cls, context: StepContext, *, agent: str, run_id: str, planner: str = "react", session: str | None = None
    ) -> AgentTelemetry:
        """Return the telemetry of an agent that runs in a step."""
        return cls(
            agent=agent,
            run_id=run_id,
            planner=planner,
            session=session,
            clock=context.clock,
            spans=context.spans,
            meter=context.meter,
        )

    def handed_to(self, agent: str, planner: str = "react") -> AgentTelemetry:
        """Return the telemetry of another agent in the same run."""
        return replace(self, agent=agent, planner=planner)

    @contextmanager
    def invoke_agent(
        self, *, model: str | None = None, provider: str = OPENAI, resumed: bool = False, step: str | None = None
    ) -> Generator[AgentOperation]:
        """Open the span of the agent's part of the run. *step* is the first that is not replayed from the journal."""
        named = self._named("invoke_agent", step) | _model(model, provider) | {"headrace.resumed": resumed}
        with self.spans.open(f"invoke_agent {self.agent}", "internal", named) as span:
            operation = AgentOperation(span, self.spans.captures_content)
            with self._measured(operation, lambda seconds: self._ended(operation, seconds, resumed=resumed)):
                yield operation

    @contextmanager
    def chat(
        self,
        *,
        model: str,
        provider: str = OPENAI,
        step: str | None = None,
        attempt: int = 1,
        messages: Sequence[Message] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Generator[ChatAttempt]:
        """Open the span of one attempt of a model call. Each further attempt is a span of its own."""
        named = self._named("chat", step) | _model(model, provider)
        _add(named, "gen_ai.request.temperature", temperature)
        _add(named, "gen_ai.request.max_tokens", max_tokens)
        named["headrace.model_attempt"] = attempt
        if self.spans.captures_content:
            named |= _content(messages)
        with self.spans.open(f"chat {bounded(model)}", "client", named) as span:
            chat = ChatAttempt(span, self.spans.captures_content)
            with self._measured(chat, lambda seconds: self._answered(chat, model, seconds)):
                yield chat

    @contextmanager
    def execute_tool(
        self,
        *,
        tool: str,
        call_id: str,
        tool_type: ToolType = "function",
        description: str | None = None,
        step: str | None = None,
        arguments: str | None = None,
    ) -> Generator[ToolExecution]:
        """Open the span of one tool call. *arguments* is the model's JSON text."""
        named = self._named("execute_tool", step)
        named |= {"gen_ai.tool.name": bounded(tool), "gen_ai.tool.call.id": bounded(call_id)}
        named["gen_ai.tool.type"] = tool_type
        _add(named, "gen_ai.tool.description", description)
        if self.spans.captures_content and arguments is not None:
            named["gen_ai.tool.call.arguments"] = text_of(arguments)
        with self.spans.open(f"execute_tool {bounded(tool)}", "internal", named) as span:
            execution = ToolExecution(span, self.spans.captures_content)
            with self._measured(execution, lambda seconds: self._executed(execution, tool, seconds)):
                yield execution

    @contextmanager
    def handoff(
        self, *, target: str, kind: HandoffKind = "handoff", step: str | None = None
    ) -> Generator[AgentOperation]:
        """Open the span of the step that passes the run to *target*. The convention has no span for it."""
        named = self._named(kind, step) | {"headrace.handoff.target": bounded(target)}
        with self.spans.open(f"{kind} {bounded(target)}", "internal", named) as span:
            operation = AgentOperation(span, self.spans.captures_content)
            with self._measured(operation, lambda _: self._passed(operation, target)):
                yield operation

    def _named(self, operation: str, step: str | None) -> Attributes:
        named: Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.agent.name": self.agent,
            "agent.id": self.agent,
            "agent.planner": self.planner,
            "headrace.run_id": self.run_id,
        }
        _add(named, "gen_ai.conversation.id", self.session)
        _add(named, "headrace.step", step)
        return named

    @contextmanager
    def _measured(self, operation: AgentOperation, ended: Callable[[float], Measurement]) -> Generator[None]:
        """Record the figures of the block. An exception decides the outcome."""
        began = self.clock.monotonic()
        try:
            yield
        except BaseException as error:
            operation.outcome = error_type_of(error)
            raise
        finally:
            self.meter.record(ended(self.clock.monotonic() - began))

    def _ended(self, operation: AgentOperation, seconds: float, *, resumed: bool) -> AgentEnded:
        return AgentEnded(agent=self.agent, outcome=operation.outcome, seconds=seconds, resumed=resumed)

    def _answered(self, chat: ChatAttempt, model: str, seconds: float) -> ModelCallEnded:
        return ModelCallEnded(
            agent=self.agent,
            model=model,
            outcome=chat.outcome,
            seconds=seconds,
            input_tokens=chat.input_tokens,
            output_tokens=chat.output_tokens,
        )

    def _executed(self, execution: ToolExecution, tool: str, seconds: float) -> ToolCallEnded:
        return ToolCallEnded(agent=self.agent, tool=tool, outcome=execution.outcome, seconds=seconds)

    def _passed(self, operation: AgentOperation, target: str) -> HandoffEnded:
        return HandoffEnded(agent=self.agent, target=target, outcome=operation.outcome)


def _model(model: str | None, provider: str) -> Attributes:
    named: Attributes = {"gen_ai.provider.name": provider, "gen_ai.system": provider}
    _add(named, "gen_ai.request.model", model)
    return named


def _content(messages: Sequence[Message]) -> Attributes:
    content: Attributes = {"gen_ai.input.messages": messages_of(messages)}
    if instructions := instructions_of(messages):
        content["gen_ai.system_instructions"] = instructions
    return content


def _add(named: Attributes, name: str, value: str | float | None) -> None:
    """Add an attribute unless it is unknown."""
    if value is not None:
        named[name] = bounded(value) if isinstance(value, str) else value
