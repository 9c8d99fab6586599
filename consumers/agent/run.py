"""What an agent gets beside its text: whose run it is, how long it may take, and the model."""

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
"""Of a run that has asked no model."""

Prompt: TypeAlias = str | Sequence[Message]
"""A text of the user, or a whole conversation."""


@dataclass(slots=True)
class Spending:
    """What the run has spent so far."""

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
    """The agent's."""

    tenant: Tenant
    request: Request
    """With the input that the guards let through."""

    request_id: str
    run_id: str
    """The same in every attempt."""

    attempt: int
    """From 1; retries count it up."""

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
        """What the client sent along."""
        return self.request.metadata

    @property
    def deadline_ms(self) -> int:
        """When the answer is worth nothing any more, in milliseconds since the epoch."""
        return self.deadline.at_ms

    @property
    def clock(self) -> Clock:
        """The time, to be read here and nowhere else."""
        return self.deadline.clock

    @property
    def usage(self) -> Usage:
        """What the run has spent so far."""
        spent = self.spending
        if not spent.model_calls:
            return NOTHING
        return Usage(input_tokens=spent.input_tokens, output_tokens=spent.output_tokens, model_calls=spent.model_calls)

    def remaining(self) -> float:
        """Seconds until the deadline; never below zero."""
        return self.deadline.remaining()

    async def ask(
        self,
        prompt: Prompt,
        *,
        tools: Sequence[ToolSpec] = (),
        temperature: float | None = None,
        max_output_tokens: int | None = None,
    ) -> ModelResponse:
        """Ask the agent's model, again if it fails for now. The agent's instructions come first.

        Raises the ModelError that is left after the retries, or ExpiredError at the deadline.
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
