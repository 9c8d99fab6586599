"""The values of a run's steps as the journal keeps them."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import Field

from consumers.agent.models.port import FinishReason, ModelResponse, ModelUsage, ToolCall
from consumers.agent.provenance import Source
from consumers.agent.tools.outcome import ToolOutcome
from consumers.spending import SpendShare
from schemas.errors import InternalError
from schemas.models import Payload
from schemas.results import VerdictInfo


class ModelStep(Payload):
    """The answer to one model call."""

    agent: str
    attempt: int
    """The attempt that paid for the call. Its usage is counted again only if that attempt is resumed."""

    source: Source
    text: str
    tool_calls: tuple[tuple[str, str, str], ...] = ()
    """Id, name and arguments of each call."""

    finish_reason: FinishReason = "stop"
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_pico: int = 0
    day: date | None = None
    generation: str = ""
    """The day for which the call counts, and the state of the store that has counted it; None if it is not known."""

    @classmethod
    def of(cls, response: ModelResponse, agent: str, attempt: int, share: SpendShare | None = None) -> ModelStep:
        """Return the step of a response."""
        return cls(
            agent=agent,
            attempt=attempt,
            day=share.day if share else None,
            generation=share.generation if share else "",
            source=Source(kind="model", name=response.model),
            text=response.text,
            tool_calls=tuple((each.id, each.name, each.arguments) for each in response.tool_calls),
            finish_reason=response.finish_reason,
            model=response.model,
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            cached_input_tokens=response.usage.cached_input_tokens,
            cost_pico=response.usage.cost_pico,
        )

    @property
    def share(self) -> SpendShare | None:
        """Return the share for which the call counts; None if it is not known."""
        return SpendShare(self.agent, self.day, self.generation) if self.day else None

    @property
    def response(self) -> ModelResponse:
        """Return the response of the step."""
        return ModelResponse(
            text=self.text,
            tool_calls=tuple(ToolCall(*each) for each in self.tool_calls),
            usage=ModelUsage(self.input_tokens, self.output_tokens, self.cached_input_tokens, self.cost_pico),
            finish_reason=self.finish_reason,
            model=self.model,
        )


class ToolStep(Payload):
    """The outcome of one tool call."""

    agent: str
    attempt: int
    tool: str
    outcome: ToolOutcome
    calls: int = 1
    """Calls that began: none of a refused one, several of a middleware that repeats."""


class HandoffStep(Payload):
    """A handoff from one agent to another."""

    agent: str
    to: str
    reason: str


class GuardStep(Payload):
    """The outcome of the guards about a memory or an answer, kept if they have found something."""

    text: str = ""
    """The answer that the guards pass on; empty for a memory, whose texts are in its own step."""

    verdicts: tuple[VerdictInfo, ...] = ()
    placeholders: dict[str, str] = Field(default_factory=dict, repr=False)
    """The placeholders in the text, with the personal data that each stands for."""

    refusal: str = ""
    """The reason for which the answer must not leave; empty if it may."""


def encode(step: Payload) -> bytes:
    """Return a step as JSON."""
    return step.model_dump_json().encode()


def decode(kind: type[Any], value: bytes) -> Any:  # noqa: ANN401 - of the kind
    """Return the step of this kind. Raises InternalError if the value is none: another attempt reads the same."""
    try:
        return kind.model_validate_json(value)
    except ValueError as error:
        raise InternalError(f"the journal has a {kind.__name__} that this worker cannot read") from error
