"""The run that an agent receives beside its text: the tenant, the request, the deadline and the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from consumers.agent.models.port import (
    Message,
    Model,
    ModelRequest,
    ModelResponse,
    ModelUsage,
    SystemMessage,
    ToolSpec,
    UserMessage,
)
from consumers.resilience.deadline import Deadline
from consumers.resilience.retry import Retry
from schemas.clock import Clock
from schemas.requests import Request
from schemas.results import Usage
from schemas.tenants import Tenant

NOTHING = Usage()
"""Usage of a run that has called no model."""

Prompt: TypeAlias = str | Sequence[Message]
"""A text of the user, or a whole conversation."""


@dataclass(slots=True)
class Spending:
    """The run's usage so far."""

    input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0

    def add(self, usage: ModelUsage) -> None:
        """Count one answered call."""
        self.model_calls += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt at one request."""

    agent: str
    """The name of the agent that runs."""

    instructions: str
    """The agent's instructions."""

    tenant: Tenant
    request: Request
    """The request, with the input that the guards passed."""

    request_id: str
    run_id: str
    """The same in every attempt."""

    attempt: int
    """The number of this attempt, from 1."""

    deadline: Deadline
    model: Model
    retry: Retry = field(default_factory=Retry)
    traceparent: str | None = None
    spending: Spending = field(default_factory=Spending)

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
        """The run's usage so far."""
        spent = self.spending
        if not spent.model_calls:
            return NOTHING
        return Usage(input_tokens=spent.input_tokens, output_tokens=spent.output_tokens, model_calls=spent.model_calls)

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
        """Ask the agent's model, and retry temporary failures. The agent's instructions come first.

        Raises the last ModelError after the retries, or ExpiredError at the deadline.
        """

        async def attempt() -> ModelResponse:
            return await self.model.complete(
                ModelRequest(
                    messages=self._conversation(prompt),
                    tools=tuple(tools),
                    temperature=temperature,
                    max_output_tokens=max_output_tokens,
                    traceparent=self.traceparent,
                )
            )

        response = await self.retry(attempt, self.deadline)
        self.spending.add(response.usage)
        return response

    def _conversation(self, prompt: Prompt) -> tuple[Message, ...]:
        messages = (UserMessage(prompt),) if isinstance(prompt, str) else tuple(prompt)
        return (SystemMessage(self.instructions), *messages) if self.instructions else messages
