"""The loop of one run: plan, call the model, call tools, hand over, until there is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from consumers.agent.active_agent import ActiveAgent, instructions_of
from consumers.agent.agents import Agent
from consumers.agent.conversation import Conversation
from consumers.agent.history import with_unique_ids
from consumers.agent.models.port import (
    AssistantMessage,
    Message,
    ModelRequest,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from consumers.agent.planners.port import CallModel, CallTools, Finish, Planner, PlanState
from consumers.agent.provenance import OPERATOR, Source
from consumers.agent.structured import instructions_for, parsed
from consumers.agent.tools.outcome import ToolOutcome
from schemas.errors import InternalError, ModelUnreadableError


@dataclass(slots=True)
class AgentLoop:
    """One conversation, from a text to an answer. The agent in charge changes with each handoff."""

    active: ActiveAgent
    """The agent in charge, with its tools and its place in the run."""

    conversation: Conversation = field(default_factory=Conversation)
    number: int = 0
    """Steps so far; they name the journal's entries."""

    model_calls: int = 0
    """Model calls of the agent in charge."""

    corrected: bool = False
    """True if the model was asked to correct its structured answer."""

    async def answer_to(self, text: str) -> Any:  # noqa: ANN401 - as answer
        """Return the answer to a text."""
        self._add(UserMessage(text), self._user)
        return await self.answer()

    async def answer(self) -> Any:  # noqa: ANN401 - a text, or what the agent's ``output`` says
        """Return the answer. Raises a RunError at a limit, and what its steps raise."""
        while True:
            state = PlanState(self.active.agent.name, self.conversation.messages, self.model_calls)
            action: object = self._planner(state)  # a planner of a user may return anything
            match action:
                case CallModel(added, offers_tools):
                    await self._ask(added, offers_tools=offers_tools)
                case CallTools((_, *_) as calls):
                    transfer = await self._call(calls)
                    if transfer is not None:
                        return await self._hand_over(transfer)
                case Finish(text):
                    if not self._needs_correction(text):
                        return self._output(text)
                case other:
                    named = type(other).__name__
                    raise InternalError(f"the planner of {self.active.agent.name!r} returned a {named}: no action")

    @property
    def _planner(self) -> Planner:
        planner = self.active.agent.planner
        if not isinstance(planner, str):
            return planner
        found = self.active.state.services.planners.get(planner)
        if found is None:
            raise InternalError(f"there is no planner named {planner!r}")
        return found

    # --- the model ----------------------------------------------------------------------------------------------------

    async def _ask(self, added: Sequence[Any], *, offers_tools: bool) -> None:
        self.number += 1
        self.model_calls += 1
        for message in added:
            self._add(message, OPERATOR)
        request = ModelRequest(
            messages=(*_instructions(self.active.agent), *self.conversation.messages),
            tools=self.active.specs if offers_tools else (),
            traceparent=self.active.run.traceparent,
        )
        response = await self.active.ask(request, f"{self.number}.model")
        self._add(response.message, Source(kind="model", name=response.model))

    def _add(self, message: Message, *sources: Source) -> None:
        """Add a message of the first source; the others are those that it was made from."""
        self.conversation.add(message, sources[0])
        self.active.read.note(*sources)

    def _needs_correction(self, text: str) -> bool:
        """Return True once, if the answer is not of the output type. The model is then told why."""
        if self.active.agent.output is None or self.corrected:
            return False
        try:
            parsed(self.active.agent.output, text)
        except ModelUnreadableError as error:
            self.corrected = True
            self._add(UserMessage(f"{error.public_message}. Answer again."), OPERATOR)
            return True
        return False

    def _output(self, text: str) -> Any:  # noqa: ANN401 - as answer
        output = self.active.agent.output
        return text if output is None else parsed(output, text)

    # --- tools and handoffs -------------------------------------------------------------------------------------------

    async def _call(self, calls: tuple[ToolCall, ...]) -> ToolCall | None:
        """Make all calls of one batch, and add their results in the model's order. Return the handoff among them."""
        self.number += 1
        self.active.state.check_batches()
        calls = self._made_by_planner(calls)
        steps = [f"{self.number}.tool.{place}" for place in range(1, len(calls) + 1)]
        planned = self.active.planned(calls, steps)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(each) for each in planned.jobs]
        for call, task in zip(calls, running, strict=True):
            self._result(call, task.result())
        return planned.transfer

    def _made_by_planner(self, calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
        """Return the calls, which are in the conversation: a provider refuses results without their calls."""
        last = self.conversation.turns[-1].message
        asked = {call.id for call in last.tool_calls} if isinstance(last, AssistantMessage) else set[str]()
        if not calls or asked.issuperset(call.id for call in calls):
            return calls
        own = with_unique_ids(calls)
        self._add(AssistantMessage("", own), Source(kind="agent", name=self.active.agent.name))
        return own

    def _result(self, call: ToolCall, outcome: ToolOutcome) -> None:
        self.active.state.note_call(call.name, call.arguments, outcome.text)
        self.active.state.note_verdicts(outcome.verdicts)
        self._add(ToolMessage(call.id, outcome.text), outcome.source, *outcome.origins)

    async def _hand_over(self, call: ToolCall) -> Any:  # noqa: ANN401 - as answer
        """Return the answer of the agent that takes over."""
        self.number += 1
        handoff, reason = await self.active.handed_over(call, f"{self.number}.handoff")
        if handoff.context == "request":
            told = f"{self.active.agent.name} hands this over to you: {reason}" if reason else ""
            request = self._request()
            self.conversation = Conversation()
            self._add(UserMessage(request), self._user)
            if told:
                self._add(UserMessage(told), Source(kind="agent", name=self.active.agent.name))
        self.active = self.active.next(handoff.agent)
        self.model_calls, self.corrected = 0, False
        if self.active.agent.has_function:
            return await self.active.answer(self._request())
        with self.active.invoked():
            return await self.answer()

    @property
    def _user(self) -> Source:
        return Source(kind="user", name=self.active.run.subject)

    def _request(self) -> str:
        """Return the user's text of this conversation."""
        users = [turn for turn in self.conversation.turns if turn.source.kind == "user"]
        return users[-1].message.text if users and isinstance(users[-1].message, UserMessage) else ""


async def respond(active: ActiveAgent, text: str) -> Any:  # noqa: ANN401 - a text, or what the agent's ``output`` says
    """Return the answer of the agent, or of the one that it hands over to. Each call has its own steps."""
    state = active.state
    state.responded += 1
    only = not active.agent.has_function and state.take_place(active.prefix)
    prefix = active.prefix if only else f"{state.step_of(f'{active.prefix}r', active.agent.name, text)}/"
    loop = AgentLoop(replace(active, prefix=prefix))
    if not active.stack and state.responded == 1:
        loop.conversation.turns += state.history
    return await loop.answer_to(text)


def _instructions(agent: Agent) -> tuple[SystemMessage, ...]:
    told = [each.text for each in instructions_of(agent)]
    if agent.output is not None:
        told.append(instructions_for(agent.output))
    return (SystemMessage("\n\n".join(told)),) if told else ()
