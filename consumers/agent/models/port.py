"""The model port: a conversation goes in, the model's next message comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. ``arguments`` is the JSON it wrote, which may be none."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """What the operator says."""

    text: str


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the user says."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the model said before. Each tool call is answered by a ToolMessage right after it."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """What a tool answered to the call of this id."""

    call_id: str
    text: str


Message: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model may ask for. ``parameters`` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One question to a model. It does not say how the answer travels: a model that streams takes the same request."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    max_output_tokens: int | None = None
    traceparent: str | None = None
    """W3C trace context, passed on to the provider."""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """The tokens that one call was charged."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """The model's next message, why it ended there, and what it cost."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: ModelUsage = ModelUsage()
    finish_reason: FinishReason = "stop"
    model: str = ""
    """What the provider calls the model that answered."""

    @property
    def message(self) -> AssistantMessage:
        """The answer as part of the conversation."""
        return AssistantMessage(self.text, self.tool_calls)


class Model(Protocol):
    """Something that continues a conversation."""

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Ask once. Raises a ModelError that holds neither the prompt nor a key. Cancelling closes the call."""
        ...
