"""The run that an agent receives beside its text: the tenant, the request, the deadline and the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from consumers.agent.models.port import Message, ModelResponse, ToolSpec
from consumers.resilience.deadline import Deadline
from consumers.resilience.thread_pool import ThreadPool
from consumers.spending import Spending
from schemas.clock import Clock
from schemas.requests import Request
from schemas.results import Usage
from schemas.tenants import Tenant

Prompt: TypeAlias = str | Sequence[Message]
"""A text of the user, or a whole conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question to an agent's model."""

    prompt: Prompt
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    max_output_tokens: int | None = None


class RunEngine(Protocol):
    """The part of the executor that a run calls."""

    async def ask(self, run: Run, question: Question) -> ModelResponse:
        """Ask the agent's model."""
        ...

    async def respond(self, run: Run, text: str) -> Any:  # noqa: ANN401 - a text, or what the agent's ``output`` says
        """Run the agent's planner on a text, with its tools."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt at one request, as an agent and its tools see it."""

    agent: str
    """The name of the agent that runs."""

    tenant: Tenant
    request: Request
    """The request, with the input that the guards passed."""

    request_id: str
    run_id: str
    """The same in every attempt."""

    subject: str = ""
    """The caller, as the request's identity names it."""

    issuer: str = ""
    """The issuer that vouches for the subject."""

    attempt: int
    """The number of this attempt, from 1."""

    deadline: Deadline
    engine: RunEngine = field(repr=False)
    """For the platform; agents use the methods below."""

    threads: ThreadPool = field(default_factory=ThreadPool, repr=False)
    """The worker's threads, which run agents and tools that are plain functions."""

    spending: Spending = field(default_factory=Spending, repr=False)
    traceparent: str | None = None

    @property
    def session(self) -> str | None:
        """The conversation that the request belongs to."""
        return self.request.session

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata that the client sent with the request."""
        return self.request.metadata

    @property
    def deadline_ms(self) -> int:
        """The deadline in milliseconds since the epoch."""
        return self.deadline.at_ms

    @property
    def clock(self) -> Clock:
        """The clock of the run. Read the time only from it."""
        return self.deadline.clock

    @property
    def usage(self) -> Usage:
        """The run's usage so far, its earlier attempts included."""
        return self.spending.usage

    def remaining(self) -> float:
        """Return the seconds until the deadline, never below zero."""
        return self.deadline.remaining()

    async def ask(
        self,
        prompt: Prompt,
        *,
        tools: Sequence[ToolSpec] = (),
        temperature: float | None = None,
        max_output_tokens: int | None = None,
    ) -> ModelResponse:
        """Ask the agent's model once, and retry temporary failures. The agent's instructions come first.

        The calls of an agent with tools or memory are recorded: a resumed run gets the same answers, call by call.
        Raises the last ModelError after the retries, or ExpiredError at the deadline.
        """
        question = Question(
            prompt=prompt, tools=tuple(tools), temperature=temperature, max_output_tokens=max_output_tokens
        )
        return await self.engine.ask(self, question)

    async def respond(self, text: str) -> Any:  # noqa: ANN401 - a text, or what the agent's ``output`` says
        """Run the agent's planner on *text*, with its tools, handoffs and memory, and return its answer.

        An agent without a function of its own does only this. Raises a RunError at a limit of the agent.
        """
        return await self.engine.respond(self, text)
