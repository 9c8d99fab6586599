"""Reject what OpenAI's chat endpoint rejects, so that a test double is not more tolerant than the real API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ops.embedded.scripts import ScriptedAnswer, ScriptedError
from ops.embedded.tool_rules import faults_of_calls, faults_of_tools

BAD_REQUEST = 400
UNAUTHORIZED = 401
ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def refusal_of(body: object) -> ScriptedAnswer | None:
    """Return the error answer to a body that is no valid conversation, or None if it is valid."""
    fault = next(_faults(body), None)
    return None if fault is None else ScriptedAnswer(status=BAD_REQUEST, error=fault)


def unauthorized(authorization: str | None, key: str) -> ScriptedAnswer | None:
    """Return the error answer to a caller without the right bearer key, or None with the right key."""
    if authorization == f"Bearer {key}":
        return None
    fault = (
        ScriptedError(message="a bearer key is needed in the Authorization header")
        if not authorization
        else ScriptedError(message="the key is not valid", code="invalid_api_key")
    )
    return ScriptedAnswer(status=UNAUTHORIZED, error=fault)


def _faults(body: object) -> Iterator[ScriptedError]:
    if not isinstance(body, dict):
        yield ScriptedError(message="the body is not a JSON object")
        return
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield ScriptedError(message="a model must be named", param="model", code="missing_required_parameter")
    messages = body.get("messages")
    if not isinstance(messages, list):
        yield ScriptedError(message="messages are missing", param="messages", code="missing_required_parameter")
        return
    if not messages:
        yield ScriptedError(message="messages must not be empty", param="messages", code="empty_array")
    for place, message in enumerate(messages):
        yield from _misshapen(message, f"messages[{place}]")
    yield from _pairs(cast("list[dict[str, Any]]", messages))
    yield from faults_of_tools(body)


def _misshapen(message: object, where: str) -> Iterator[ScriptedError]:
    if not isinstance(message, dict):
        yield ScriptedError(message="a message is an object", param=where, code="invalid_type")
        return
    if (role := message.get("role")) not in ROLES:
        roles = ", ".join(ROLES)
        yield ScriptedError(
            message=f"the role {role!r} is not one of {roles}", param=f"{where}.role", code="invalid_value"
        )
    elif role == "tool":
        yield from _faults_of_tool_message(message, where)
    yield from _faults_of_content(message, where)
    if (calls := message.get("tool_calls")) is not None:
        yield from faults_of_calls(calls, f"{where}.tool_calls")


def _faults_of_content(message: dict[str, Any], where: str) -> Iterator[ScriptedError]:
    """Yield a fault unless the content is a text or parts, or absent beside tool calls."""
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return
    if not isinstance(content, str | list):
        yield ScriptedError(message="a message needs content", param=f"{where}.content", code="invalid_type")
    elif isinstance(content, list) and not content:
        yield ScriptedError(message="content must not be an empty array", param=f"{where}.content", code="empty_array")
    for place, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            part_at = f"{where}.content[{place}]"
            yield ScriptedError(message="a part of a content has a type", param=part_at, code="invalid_type")


def _faults_of_tool_message(message: dict[str, Any], where: str) -> Iterator[ScriptedError]:
    if not isinstance(message.get("tool_call_id"), str):
        yield ScriptedError(
            message="a tool message names its call", param=f"{where}.tool_call_id", code="missing_required_parameter"
        )
    for place, part in enumerate(message["content"] if isinstance(message.get("content"), list) else ()):
        if isinstance(part, dict) and part.get("type") != "text":
            part_at = f"{where}.content[{place}].type"
            yield ScriptedError(message="a tool message has text only", param=part_at, code="invalid_value")


def _pairs(messages: list[dict[str, Any]]) -> Iterator[ScriptedError]:
    """Yield an error for each tool call without an immediate answer, and for each answer without a call."""
    waiting: list[str] = []
    answered: list[str] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            yield from _answer(place, message["tool_call_id"], waiting, answered)
            continue
        if waiting:
            yield _unanswered(place, waiting)
        waiting, answered = [str(call["id"]) for call in message.get("tool_calls") or ()], []
    if waiting:
        yield _unanswered(len(messages), waiting)


def _answer(place: int, call_id: str, waiting: list[str], answered: list[str]) -> Iterator[ScriptedError]:
    """Move the call from the waiting to the answered ones; yield an error if it did not wait."""
    if call_id in waiting:
        waiting.remove(call_id)
        answered.append(call_id)
    elif call_id in answered:
        message = f"the call {call_id!r} has two tool messages"
        yield ScriptedError(message=message, param=f"messages.[{place}].tool_call_id")
    else:
        yield _fault(place, "a tool message must answer a tool call of the assistant message before it")


def _unanswered(place: int, waiting: list[str]) -> ScriptedError:
    return _fault(place, f"tool calls without a tool message that answers them: {', '.join(waiting)}")


def _fault(place: int, message: str) -> ScriptedError:
    return ScriptedError(message=message, param=f"messages.[{place}].role")
