"""The run that an agent receives beside its text: the tenant, the request, the deadline and the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from consumers.agent.models.port import (
    Message,
    Model,
    ModelRequest,
    ModelResponse,
    SystemMessage,
    ToolSpec,
    UserMessage,
)
from consumers.resilience.deadline import Deadline
from consumers.resilience.retry import Retry
from consumers.spending import Spending
from schemas.clock import Clock
from schemas.errors import ModelUnreadableError
from schemas.requests import Request
from schemas.results import Usage
from schemas.tenants import Tenant

Prompt: TypeAlias = str | Sequence[Message]
"""A text of the user, or a whole conversation."""


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
        """Ask the agent's model, and retry temporary failures. The agent's instructions come first.

        Raises the last ModelError after the retries, or ExpiredError at the deadline.
        """
        request = ModelRequest(
            messages=self._conversation(prompt),
            tools=tuple(tools),
            temperature=temperature,
            max_output_tokens=max_output_tokens,
            traceparent=self.traceparent,
        )
        return await self.retry(partial(self._complete, request), self.deadline)

    async def _complete(self, request: ModelRequest) -> ModelResponse:
        """Ask once, and count what was answered, of use or not."""
        try:
            response = await self.model.complete(request)
        except ModelUnreadableError as error:
            self.spending.add(error.input_tokens, error.output_tokens)
            raise
        self.spending.add(response.usage.input_tokens, response.usage.output_tokens)
        return response

    def _conversation(self, prompt: Prompt) -> tuple[Message, ...]:
        messages = (UserMessage(prompt),) if isinstance(prompt, str) else tuple(prompt)
        return (SystemMessage(self.instructions), *messages) if self.instructions else messages
