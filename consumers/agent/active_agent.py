"""One agent in a run: its place, its tools, and the calls that it may make."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from consumers.agent.agents import Agent
from consumers.agent.contained import contained
from consumers.agent.genai import AgentTelemetry, name_of
from consumers.agent.handoff import ASK, Handoff, delegate_spec, handoff_spec
from consumers.agent.middleware import Operation
from consumers.agent.model_step import ModelCaller
from consumers.agent.models.port import ModelRequest, ModelResponse, SystemMessage, ToolCall, ToolSpec, UserMessage
from consumers.agent.provenance import OPERATOR, Source
from consumers.agent.run import Question, Run
from consumers.agent.run_state import RunState
from consumers.agent.source_log import SourceLog
from consumers.agent.step_values import HandoffStep, encode
from consumers.agent.taint import check_taint
from consumers.agent.tool_step import ToolCaller
from consumers.agent.tools.outcome import ToolOutcome, failed, succeeded
from schemas.errors import HandoffCycleError, InternalError, ToolDeniedError, ToolFailedError

DELEGATE_LIMIT = 64 * 1024
"""Bytes of a delegate's answer that its caller's model reads."""


class Planned(NamedTuple):
    """The calls of one batch, ready to run."""

    jobs: Sequence[Coroutine[Any, Any, ToolOutcome]]
    transfer: ToolCall | None
    """The handoff that follows the calls."""


@dataclass(frozen=True)
class ActiveAgent:
    """An agent at its place in a run."""

    state: RunState
    agent: Agent
    run: Run
    read: SourceLog
    """The sources of all texts that its models have read, those before a handoff or a delegation included."""

    prefix: str = ""
    """Start of the ids of its steps: a delegate's steps are below the step of its caller."""

    held: frozenset[str] | None = None
    """The capabilities that the run holds here; None for all."""

    stack: tuple[str, ...] = ()
    """The agents that wait for this one, outermost first."""

    @cached_property
    def telemetry(self) -> AgentTelemetry:
        """The spans and figures of the agent."""
        planner = self.agent.planner if isinstance(self.agent.planner, str) else "own"
        return AgentTelemetry.of(
            self.state.context,
            agent=self.agent.name,
            run_id=self.run.run_id,
            planner=planner,
            session=self.run.session,
        )

    @contextmanager
    def invoked(self) -> Generator[None]:
        """Open the span of the agent's part of the run."""
        model = self.state.services.models.get(self.agent.model)
        name = self.agent.model if model is None else name_of(model)
        with self.telemetry.invoke_agent(model=name, resumed=self.state.steps.resumed):
            yield

    def asked(self, text: str) -> ActiveAgent:
        """Return the agent with another text of the request, as the run's engine uses it from now on."""
        if text == self.run.request.text:
            return self
        engine = ActiveAgentEngine()
        request = self.run.request.model_copy(update={"input": text})
        engine.active = replace(self, run=replace(self.run, request=request, engine=engine))
        return engine.active

    # --- the model ----------------------------------------------------------------------------------------------------

    async def ask(self, request: ModelRequest, step: str) -> ModelResponse:
        """Make one model call."""
        caller = ModelCaller(self.state, self.agent, self.telemetry)
        return await caller(self.run, request, f"{self.prefix}{step}")

    async def answer(self, text: str) -> Any:  # noqa: ANN401 - an agent answers with what it likes
        """Return the agent's answer to a text, by its function or its planner."""
        with self.invoked():
            return await self.agent.answer(text, self.run)

    @cached_property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools, handoffs and delegates as the model sees them."""
        agents = self.state.services.agents
        return (
            *(each.spec for each in self.agent.toolbox),
            *(handoff_spec(each, agents[each.agent].description) for each in self.agent.transfers),
            *(delegate_spec(each, agents[each].description) for each in self.agent.delegates),
        )

    # --- tools --------------------------------------------------------------------------------------------------------

    def planned(self, calls: Sequence[ToolCall], steps: Sequence[str]) -> Planned:
        """Return the batch as jobs. Raises ToolOutcomeUnknownError before any of them begins."""
        transfers = [call for call in calls if call.name in self._transfers]
        caller = ToolCaller(self.state, self.agent, self.read, self.held, self.telemetry)
        names = [f"{self.prefix}{step}" for step in steps]
        for call, step in zip(calls, names, strict=True):
            if (tool := self._tools.get(call.name)) is not None:
                caller.check_outcome(tool, step)
        jobs = [
            contained(f"the call of {call.name}", self._job(caller, call, step, transfers))
            for call, step in zip(calls, names, strict=True)
        ]
        return Planned(jobs, transfers[0] if transfers else None)

    async def _job(self, caller: ToolCaller, call: ToolCall, step: str, transfers: list[ToolCall]) -> ToolOutcome:
        if (recorded := caller.replayed(self.run, step)) is not None:
            return recorded
        if (tool := self._tools.get(call.name)) is not None:
            return await caller(self.run, tool, call, step)
        if call.name in self._transfers:
            return _transferred(first=call is transfers[0])
        if call.name in self._delegates:
            return await self._delegated(call, step)
        return failed(ToolFailedError(f"there is no tool named {call.name}"))

    @cached_property
    def _tools(self) -> dict[str, Any]:
        return {each.name: each for each in self.agent.toolbox}

    @cached_property
    def _transfers(self) -> dict[str, Handoff]:
        return {each.tool_name: each for each in self.agent.transfers}

    @cached_property
    def _delegates(self) -> dict[str, str]:
        return {f"{ASK}{each}": each for each in self.agent.delegates}

    # --- other agents -------------------------------------------------------------------------------------------------

    async def _delegated(self, call: ToolCall, step: str) -> ToolOutcome:
        name, request = self._delegates[call.name], _text_in(call, "request")
        stack = (*self.stack, self.agent.name)
        if name in stack or len(stack) > self.state.limits.handoffs:
            raise HandoffCycleError(f"{self.agent.name} asks {name}: a cycle, or deeper than the limit allows")
        if not request:
            return failed(ToolFailedError("the argument request is missing"))
        try:
            check_taint(call.name, self.state.scope(self.run, self.agent, self.read))
        except ToolDeniedError as error:
            return failed(error)
        below = self._other(name, self.read.copy(), prefix=f"{step}/", stack=stack)
        with self.telemetry.handoff(target=name, kind="delegate", step=step):
            answer = await below.answer(request)
        outcome = succeeded(name, answer, DELEGATE_LIMIT, Source(kind="agent", name=name))
        return outcome.model_copy(update={"origins": below.read.ordered})

    async def handed_over(self, call: ToolCall, step: str) -> tuple[Handoff, str]:
        """Record a handoff, once, and return it with its reason. Raises HandoffCycleError at a limit."""
        handoff, reason = self._transfers[call.name], _text_in(call, "reason")
        self.state.note_handoff(self.agent.name, handoff.agent, self.prefix, of_run=not self.stack)
        steps, name = self.state.steps, f"{self.prefix}{step}"
        if steps.finished(name) is None:
            steps.may_start()
            with self.telemetry.handoff(target=handoff.agent, step=name):
                await self.state.chain(self.agent, _nothing)(
                    Operation("handoff", handoff.agent, reason, self.run, name)
                )
            await steps.finish(name, encode(HandoffStep(agent=self.agent.name, to=handoff.agent, reason=reason)))
        return handoff, reason

    def next(self, name: str) -> ActiveAgent:
        """Return the agent that takes over at this place."""
        return self._other(name, self.read, prefix=self.prefix, stack=self.stack)

    def _other(self, name: str, read: SourceLog, *, prefix: str, stack: tuple[str, ...]) -> ActiveAgent:
        agents = self.state.services.agents
        if name not in agents:
            raise InternalError(f"{self.agent.name} names an agent that this worker does not have: {name}")
        return place(self.state, agents[name], self.run, read, prefix=prefix, held=self.held, stack=stack)


def place(
    state: RunState,
    agent: Agent,
    run: Run,
    read: SourceLog,
    *,
    prefix: str = "",
    held: frozenset[str] | None = None,
    stack: tuple[str, ...] = (),
) -> ActiveAgent:
    """Return the agent at a place of the run, holding at most *held*. Its run is *run* in the agent's name.

    *read* has the sources of all that it is told.
    """
    engine = ActiveAgentEngine()
    own = replace(run, agent=agent.name, engine=engine)
    state.instructions[agent.name] = agent.instructions
    engine.active = ActiveAgent(state, agent, own, read, prefix, _narrowed(held, agent.capabilities), stack)
    return engine.active


def first_place(state: RunState, agent: Agent, run: Run, engine: ActiveAgentEngine) -> ActiveAgent:
    """Return the agent that the request names, at the start of its run, whose engine is *engine*."""
    state.instructions[agent.name] = agent.instructions
    engine.active = ActiveAgent(state, agent, run, state.read, "", agent.capabilities)
    return engine.active


class ActiveAgentEngine:
    """The engine of an agent's run."""

    active: ActiveAgent

    async def ask(self, run: Run, question: Question) -> ModelResponse:
        """Ask the agent's model once."""
        active = self.active
        prompt = question.prompt
        request = ModelRequest(
            messages=(*instructions_of(active.agent), *([UserMessage(prompt)] if isinstance(prompt, str) else prompt)),
            tools=question.tools,
            temperature=question.temperature,
            max_output_tokens=question.max_output_tokens,
            traceparent=run.traceparent,
        )
        return await active.ask(request, active.state.step_of("ask", active.prefix, active.agent.name, question))

    async def respond(self, run: Run, text: str) -> Any:  # noqa: ANN401, ARG002 - as the port
        """Run the agent's planner on a text."""
        return await self.active.state.respond(self.active, text)


def instructions_of(agent: Agent) -> tuple[SystemMessage, ...]:
    """Return the agent's instructions as a message; none without instructions."""
    return (SystemMessage(agent.instructions),) if agent.instructions else ()


def _narrowed(held: frozenset[str] | None, own: frozenset[str] | None) -> frozenset[str] | None:
    if held is None or own is None:
        return own if held is None else held
    return held & own


async def _nothing(operation: Operation) -> None:
    """Do nothing: the handoff itself follows."""


def _transferred(*, first: bool) -> ToolOutcome:
    if first:
        return ToolOutcome(text="The conversation was handed over.", source=OPERATOR)
    return failed(ToolFailedError("only one handoff at a time"))


def _text_in(call: ToolCall, name: str) -> str:
    try:
        given = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return ""
    found = given.get(name) if isinstance(given, dict) else None
    return found if isinstance(found, str) else ""
