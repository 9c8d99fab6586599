"""The model port: a conversation goes in, the model's next message comes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from schemas.errors import ModelUnreadableError

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's call of a tool. ``arguments`` is the text it wrote, which may not be valid JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """The operator's instructions."""

    text: str


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A message of the user."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """An earlier message of the model. A ToolMessage right after it answers each tool call."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """A tool's answer to the call with this id."""

    call_id: str
    text: str


Message: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model may call. ``parameters`` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One question to a model. It does not fix how the answer travels: a streaming model takes the same request."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    max_output_tokens: int | None = None
    traceparent: str | None = None
    """W3C trace context, passed on to the provider."""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """The tokens that one call was charged, and their price."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    """The part of ``input_tokens`` that the provider read from its cache; 0 if it does not state it."""

    cost_pico: int = 0
    """The price in picodollars, by the price table (``prices.py``); 0 for a model without a price."""


def usage_of(error: ModelUnreadableError) -> ModelUsage:
    """Return the usage of an answer that cannot be used."""
    return ModelUsage(error.input_tokens, error.output_tokens, error.cached_input_tokens, error.cost_pico)


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """The model's next message, its finish reason, and its token usage."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: ModelUsage = ModelUsage()
    finish_reason: FinishReason = "stop"
    model: str = ""
    """The provider's name for the model that answered."""

    @property
    def message(self) -> AssistantMessage:
        """The answer as part of the conversation."""
        return AssistantMessage(self.text, self.tool_calls)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer."""

    text: str = ""
    response: ModelResponse | None = None
    """The whole answer, in the last piece only."""


class Model(Protocol):
    """A model that continues a conversation."""

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Ask once. Cancelling closes the call.

        Raises a ModelError that holds neither the prompt nor a key. A ModelUnreadableError states the usage, if known.
        An answer has only calls of tools that the request offered.
        """
        ...


@runtime_checkable
class StreamingModel(Model, Protocol):
    """A model that also sends its answer in pieces."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Ask once, and yield each piece as it comes; the last one has the whole answer. Closing ends the call.

        Raises as ``complete`` does, also after pieces: a stream that breaks off is a ModelUnreadableError.
        """
        ...
