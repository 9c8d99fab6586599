"""Chat requests as an agent sends them, for tests of the scripted model."""

from __future__ import annotations

from typing import Any

from ops.embedded.scripts import ChatBody

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """A tool that a request offers."""
    return {"type": "function", "function": {"name": name, "parameters": parameters or CITY}}


def said(text: str) -> dict[str, Any]:
    """A message of the user."""
    return {"role": "user", "content": text}


def called(*names: str, first: int = 1) -> dict[str, Any]:
    """A message of the model that calls tools."""
    calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for number, name in enumerate(names, first)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def returned(text: str, number: int = 1) -> dict[str, Any]:
    """The result of a tool."""
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": text}


def chat(*messages: dict[str, Any], tools: tuple[str, ...] = (), system: str = "") -> ChatBody:
    """A request with these messages."""
    first = [{"role": "system", "content": system}] if system else []
    body: ChatBody = {"model": "m", "messages": [*first, *messages]}
    return body | {"tools": [tool(name) for name in tools]} if tools else body
