"""The state of one attempt at a run: what all of its agents share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from consumers.agent.agents import Agent
from consumers.agent.conversation import Turn
from consumers.agent.journal.steps import JournaledSteps
from consumers.agent.memory.port import MemoryEntry
from consumers.agent.middleware import Next, compose
from consumers.agent.run import Run
from consumers.agent.run_limits import RunLimits
from consumers.agent.run_placeholders import RunPlaceholders
from consumers.agent.seams import StepScope
from consumers.agent.services import AgentServices
from consumers.agent.source_log import SourceLog
from consumers.context import StepContext
from consumers.spending import SpendShare
from schemas.errors import HandoffCycleError, LoopDetectedError, StepsExhaustedError
from schemas.results import VerdictInfo

Respond: TypeAlias = Callable[[Any, str], Awaitable[Any]]
"""Runs the planner of an ActiveAgent on a text. The executor gives it, since a loop may start further agents."""

HANDOFFS_BACK = 2
"""Handoffs from one agent to the same other one. One more is a cycle."""


@dataclass(slots=True)
class RunState:
    """The services, the journal and the counts of one attempt."""

    services: AgentServices
    context: StepContext
    steps: JournaledSteps
    recorded: bool
    """True if the steps are kept in a journal."""

    limits: RunLimits
    began: float
    """Monotonic seconds."""

    respond: Respond
    model_calls: int = 0
    batches: int = 0
    """Batches of tool calls: a planner may call tools without a model."""

    responded: int = 0
    handoffs: list[str] = field(default_factory=list[str])
    """The agents that took over, in order."""

    remembers: bool = False
    """True if the run's session is kept."""

    history: list[Turn] = field(default_factory=list[Turn])
    """The session so far."""

    summarised: str = ""
    """The text of the summary that its models read."""

    summary: MemoryEntry | None = None
    """The summary that this run has made of older exchanges."""

    placeholders: RunPlaceholders = field(default_factory=RunPlaceholders)

    instructions: dict[str, str] = field(default_factory=dict[str, str])
    """By agent, the instructions of all that have taken part: an answer may repeat those of any."""

    verdicts: list[VerdictInfo] = field(default_factory=list[VerdictInfo])
    """The verdicts of guards in this worker, those that pass excepted."""

    read: SourceLog = field(default_factory=SourceLog)
    """The sources of all texts that the run's first agent, and those that took over, have read."""

    shares: dict[str, SpendShare] = field(default_factory=dict[str, SpendShare])
    """By the id of a model call's step, the share for which its last answer counts."""

    _places: set[str] = field(default_factory=set[str])
    _named: Counter[str] = field(default_factory=Counter[str])
    _edges: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    _repeats: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])

    def scope(self, run: Run, agent: Agent, read: SourceLog | None = None) -> StepScope:
        """Return the run as it is now, for a step of *agent* that has *read* these sources; None: those of the run."""
        return StepScope(
            run=run,
            context=self.context,
            instructions=agent.instructions,
            sources=tuple(self.read if read is None else read),
            placeholders=dict(self.placeholders.known),  # as it is now: guards of other calls may add to it meanwhile
        )

    def note_verdicts(self, verdicts: Iterable[VerdictInfo]) -> None:
        """Note the verdicts about a step, in the order of the run: a resumed run notes the same ones."""
        self.verdicts += verdicts

    def chain(self, agent: Agent, core: Next) -> Next:
        """Return *core* inside the worker's middleware and that of the agent."""
        return compose((*self.services.middleware, *agent.middleware), core)

    def check_limits(self, run: Run) -> None:
        """Count a model call. Raises StepsExhaustedError if the run has used all that its limits and budget allow."""
        self.model_calls += 1
        if self.model_calls > self.limits.steps:
            raise StepsExhaustedError(f"the run has used all of its {self.limits.steps} steps")
        budget = run.request.budget
        tokens = _least(self.limits.tokens, budget.tokens if budget else None)
        if tokens is not None and run.usage.input_tokens + run.usage.output_tokens >= tokens:
            raise StepsExhaustedError(f"the run has used all of its {tokens} tokens")
        usd = _least(self.limits.usd, budget.usd if budget else None)
        if usd is not None and run.usage.cost_usd >= usd:
            raise StepsExhaustedError(f"the run has used all of its {usd:g} US dollars")
        seconds = self.limits.seconds
        if seconds is not None and self.context.clock.monotonic() - self.began >= seconds:
            raise StepsExhaustedError(f"the run has used all of its {seconds:g} seconds")

    def check_batches(self) -> None:
        """Count a batch of tool calls. Raises StepsExhaustedError for more batches than model calls are allowed."""
        self.batches += 1
        if self.batches > self.limits.steps:
            raise StepsExhaustedError(f"the run has called tools {self.limits.steps} times")

    def note_call(self, tool: str, arguments: str, text: str) -> None:
        """Count a finished tool call. Raises LoopDetectedError if the run repeats itself."""
        self._repeats[tool, arguments, text] += 1
        if self._repeats[tool, arguments, text] > self.limits.repeats:
            raise LoopDetectedError(f"the tool {tool} was called {self.limits.repeats + 1} times with the same result")

    def note_handoff(self, agent: str, to: str, prefix: str, *, of_run: bool) -> None:
        """Count a handoff at a place of the run; *of_run* is False below a delegate.

        Raises HandoffCycleError if the agents hand over in a cycle.
        """
        handoffs = sum(self._edges.values())
        self._edges[prefix, agent, to] += 1
        if handoffs >= self.limits.handoffs or self._edges[prefix, agent, to] > HANDOFFS_BACK:
            raise HandoffCycleError(f"{agent} handed the run over to {to}: a cycle, or more than the limit allows")
        if of_run:
            self.handoffs.append(to)

    def take_place(self, prefix: str) -> bool:
        """Return True for the first planner at a place of the run."""
        first = prefix not in self._places
        self._places.add(prefix)
        return first

    def step_of(self, start: str, *content: object) -> str:
        """Return the id of a step, by its content: tasks of one run may take another order in another worker."""
        digest = hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()[:12]
        name = f"{start}.{digest}"
        self._named[name] += 1
        return f"{name}.{self._named[name]}"


def _least(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
