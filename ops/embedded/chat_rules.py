"""Reject what OpenAI's chat endpoint rejects, so that a test double is not more tolerant than the real API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ops.embedded.scripts import ScriptedAnswer, ScriptedError

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


def _misshapen(message: object, where: str) -> Iterator[ScriptedError]:
    if not isinstance(message, dict):
        yield ScriptedError(message="a message is an object", param=where, code="invalid_type")
        return
    if (role := message.get("role")) not in ROLES:
        roles = ", ".join(ROLES)
        yield ScriptedError(
            message=f"the role {role!r} is not one of {roles}", param=f"{where}.role", code="invalid_value"
        )
    if message.get("content") is None and not message.get("tool_calls"):
        yield ScriptedError(message="a message needs content", param=f"{where}.content", code="invalid_type")
    if not all(isinstance(call, dict) and call.get("id") for call in message.get("tool_calls") or ()):
        yield ScriptedError(
            message="a tool call needs an id", param=f"{where}.tool_calls", code="missing_required_parameter"
        )


def _pairs(messages: list[dict[str, Any]]) -> Iterator[ScriptedError]:
    """Yield an error for each tool call without an immediate answer, and for each answer without a call."""
    waiting: list[str] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                yield _fault(place, "a tool message must answer a tool call of the assistant message before it")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            yield _unanswered(place, waiting)
        waiting = [str(call["id"]) for call in message.get("tool_calls") or ()]
    if waiting:
        yield _unanswered(len(messages), waiting)


def _unanswered(place: int, waiting: list[str]) -> ScriptedError:
    return _fault(place, f"tool calls without a tool message that answers them: {', '.join(waiting)}")


def _fault(place: int, message: str) -> ScriptedError:
    return ScriptedError(message=message, param=f"messages.[{place}].role")
