"""Read a chat request: its texts, the tools it offers, and the calls and results since the last user message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.embedded.scripts import ChatBody, text_of

OPERATORS = ("system", "developer")


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool that the model may call."""

    name: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""


@dataclass(frozen=True, slots=True)
class TurnResult:
    """The text that a tool returned."""

    tool: str
    text: str


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """The state of a conversation that an answer may depend on."""

    user: str
    """The last user message; empty if there is none."""

    system: str
    """The instructions, one message a line."""

    offered: tuple[OfferedTool, ...]
    called: tuple[str, ...]
    """The tools that the model has called since the last user message."""

    results: tuple[TurnResult, ...]
    """The results since the last user message."""

    @classmethod
    def of(cls, body: ChatBody) -> ChatTurn:
        """Read a request that OpenAI would accept."""
        messages: list[dict[str, Any]] = body["messages"]
        turn = messages[_start(messages) :]
        names = {call["id"]: call["function"]["name"] for call in _calls(turn)}
        return cls(
            user=text_of(messages[_start(messages) - 1]) if _start(messages) else "",
            system="\n".join(text_of(message) for message in messages if message["role"] in OPERATORS),
            offered=tuple(_offered(body)),
            called=tuple(names.values()),
            results=tuple(
                TurnResult(names.get(message["tool_call_id"], ""), text_of(message))
                for message in turn
                if message["role"] == "tool"
            ),
        )

    @property
    def step(self) -> int:
        """The number of tool results since the last user message."""
        return len(self.results)

    @property
    def last_result(self) -> TurnResult:
        """The newest tool result since the last user message; an empty one if there is none."""
        return self.results[-1] if self.results else TurnResult("", "")


def _start(messages: list[dict[str, Any]]) -> int:
    """Return the index behind the last user message."""
    return max((place for place, message in enumerate(messages, 1) if message["role"] == "user"), default=0)


def _calls(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        yield from message.get("tool_calls") or ()


def _offered(body: ChatBody) -> Iterator[OfferedTool]:
    if body.get("tool_choice") == "none":
        return
    for tool in body.get("tools") or ():
        function = tool["function"]
        yield OfferedTool(function["name"], function.get("parameters") or {})
