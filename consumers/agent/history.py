"""The history of a conversation, valid by the rules of the chat completions API.

One tool message answers each tool call, right after the assistant message. There are no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from consumers.agent.models.port import AssistantMessage, Message, ToolCall, ToolMessage

NO_RESULT = "Error: this call has no result."


def valid(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages with an error result for each call without one, and without results that have no call."""
    return tuple(_valid(list(messages)))


def _valid(messages: list[Message]) -> Iterator[Message]:
    place = 0
    while place < len(messages):
        message = messages[place]
        place += 1
        if isinstance(message, ToolMessage):
            continue
        yield message
        if isinstance(message, AssistantMessage) and message.tool_calls:
            results, place = _results(messages, place)
            for call in message.tool_calls:
                yield results.get(call.id, ToolMessage(call.id, NO_RESULT))


def _results(messages: list[Message], place: int) -> tuple[dict[str, ToolMessage], int]:
    """Return the tool messages from *place* on by their call, and the place after them. The first of a call counts."""
    found: dict[str, ToolMessage] = {}
    while place < len(messages) and isinstance(message := messages[place], ToolMessage):
        found.setdefault(message.call_id, message)
        place += 1
    return found, place


def with_unique_ids(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Return the calls, with a new id for each one whose id another call of the batch has."""
    seen: set[str] = set()
    return tuple(_unique(call, seen) for call in calls)


def _unique(call: ToolCall, seen: set[str]) -> ToolCall:
    name, number = call.id, 1
    while name in seen:
        number += 1
        name = f"{call.id}_{number}"
    seen.add(name)
    return call if name == call.id else ToolCall(name, call.name, call.arguments)
