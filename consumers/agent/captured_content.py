"""Messages, arguments and results as span attributes, bounded. They are recorded only if the operator asks for it.

The JSON is that of the conventions: ``gen-ai-input-messages.json``, ``gen-ai-output-messages.json`` and
``gen-ai-system-instructions.json`` of open-telemetry/semantic-conventions-genai 0.1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from consumers.agent.models.port import (
    AssistantMessage,
    Message,
    ModelResponse,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from consumers.spans import bounded

TEXT_LIMIT = 2_048
"""Characters of one text, such as a message's or a tool's result. The excess is cut."""

MESSAGES_LIMIT = 32 * 1_024
"""Characters from which no older message is added."""

PARTS_LIMIT = 8
"""Tool calls of one message, and instructions of one request."""


def text_of(text: str) -> str:
    """Return the first ``TEXT_LIMIT`` characters of a text, without lone surrogates."""
    return text[:TEXT_LIMIT].encode(errors="replace").decode()


def messages_of(messages: Sequence[Message]) -> str:
    """Return the newest messages of a conversation as JSON, without the instructions."""
    newest = [each for each in _newest(messages) if not isinstance(each, SystemMessage)]
    return _json([{"role": _role(each), "parts": _parts(each)} for each in reversed(newest)])


def _newest(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield messages from the last one on, until they are long enough together."""
    size = 0
    for each in reversed(messages):
        if size >= MESSAGES_LIMIT:
            return
        yield each
        size += _size(each)


def _size(message: Message) -> int:
    calls = message.tool_calls[:PARTS_LIMIT] if isinstance(message, AssistantMessage) else ()
    return min(len(message.text), TEXT_LIMIT) + sum(min(len(call.arguments), TEXT_LIMIT) for call in calls) + 100


def instructions_of(messages: Iterable[Message]) -> str | None:
    """Return the instructions as JSON; None if there are none."""
    parts = [_text(each.text) for each in messages if isinstance(each, SystemMessage)]
    return _json(parts[:PARTS_LIMIT]) if parts else None


def response_of(response: ModelResponse) -> str:
    """Return the model's answer as JSON."""
    parts = _parts(response.message)
    return _json([{"role": "assistant", "parts": parts, "finish_reason": response.finish_reason}])


def _role(message: Message) -> str:
    match message:
        case SystemMessage():
            return "system"
        case UserMessage():
            return "user"
        case AssistantMessage():
            return "assistant"
        case ToolMessage():
            return "tool"


def _parts(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, ToolMessage):
        return [{"type": "tool_call_response", "id": bounded(message.call_id), "response": text_of(message.text)}]
    said = [_text(message.text)] if message.text else []
    calls = message.tool_calls if isinstance(message, AssistantMessage) else ()
    return [*said, *map(_call, calls[:PARTS_LIMIT])]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text_of(text)}


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "type": "tool_call",
        "id": bounded(call.id),
        "name": bounded(call.name),
        "arguments": text_of(call.arguments),
    }


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
