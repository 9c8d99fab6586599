"""Answers of the chat completions endpoint: the content counts, and odd fields beside it are clamped or dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, TypeAlias, cast, get_args

from consumers.agent.models.answer_json import parse
from consumers.agent.models.countable import countable, is_countable
from consumers.agent.models.port import FinishReason, ModelResponse, ModelUsage, ToolCall
from schemas.errors import ModelUnreadableError

TOOL_CALLS_LIMIT = 128
NAME_LIMIT = 256
"""Characters of the name of a model, a tool or a call."""

Odd: TypeAlias = Callable[[str], None]
"""Called with the name of each field that is clamped or dropped."""


def decode(body: bytes, offered: Collection[str], odd: Odd) -> ModelResponse:
    """Return the response in a body. *offered* names the tools that the request offered.

    Raises ModelUnreadableError if the body is no chat completion, or has only calls of tools that were not offered.
    """
    return read_completion(parse(body), offered, odd)


def read_completion(completion: dict[str, Any], offered: Collection[str], odd: Odd) -> ModelResponse:
    """Return the response in a completion, as ``decode`` does."""
    usage = _usage(completion.get("usage", {}), odd)
    choice, message = _first(completion, usage)
    text, calls = _text(message, usage, odd), _calls(message, offered, odd)
    if not (text or calls) and (message.get("tool_calls") or message.get("function_call")):
        raise _unreadable("the model called a tool that the request did not offer", usage)
    return ModelResponse(
        text=text,
        tool_calls=calls,
        usage=usage,
        finish_reason=_finish(choice.get("finish_reason"), odd),
        model=_model(completion.get("model", ""), odd),
    )


def _unreadable(message: str, usage: ModelUsage) -> ModelUnreadableError:
    return ModelUnreadableError(
        message,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
    )


def _first(completion: dict[str, Any], usage: ModelUsage) -> tuple[dict[str, Any], dict[str, Any]]:
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise _unreadable("the provider's answer is not a chat completion: it has no message", usage)
    return choice, message


# --- the content ------------------------------------------------------------------------------------------------------


def _text(message: dict[str, Any], usage: ModelUsage, odd: Odd) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return valid_text(content) or _refusal(message, odd)
    if isinstance(content, list):
        return "".join(_part(part, odd) for part in content) or _refusal(message, odd)
    if content is not None:
        raise _unreadable(f"the content of the provider's answer is a {type(content).__name__}, not a text", usage)
    return _refusal(message, odd)


def _refusal(message: dict[str, Any], odd: Odd) -> str:
    refusal = message.get("refusal")
    if isinstance(refusal, str):
        return valid_text(refusal)
    if refusal is not None:
        odd("refusal")
    return ""


def _part(part: object, odd: Odd) -> str:
    """Return the text of one part of a content. Other parts, such as images or the model's thoughts, have none."""
    if isinstance(part, str):
        return valid_text(part)
    text = part.get("text") if isinstance(part, dict) and part.get("type", "text") == "text" else None
    if isinstance(text, str):
        return valid_text(text)
    odd("content")
    return ""


def valid_text(text: str) -> str:
    """Return the text with each lone surrogate replaced: JSON can hold one, and no encoding can."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# --- the fields beside it ---------------------------------------------------------------------------------------------


def _calls(message: dict[str, Any], offered: Collection[str], odd: Odd) -> tuple[ToolCall, ...]:
    given = message.get("tool_calls")
    if given is None:
        return ()
    listed = given[:TOOL_CALLS_LIMIT] if isinstance(given, list) else []
    calls = [call for number, each in enumerate(listed, start=1) if (call := _call(each, number)) is not None]
    kept = tuple(call for call in calls if call.name in offered)
    if not isinstance(given, list) or len(kept) < len(given):
        odd("tool_calls")
    return kept


def _call(given: object, number: int) -> ToolCall | None:
    """Return a tool call; None without the name of a tool. Some providers omit ids, or send arguments as an object."""
    function = given.get("function") if isinstance(given, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(given, dict) or not isinstance(function, dict) or not isinstance(name, str):
        return None
    identifier, arguments = given.get("id"), function.get("arguments", "{}")
    return ToolCall(
        id=valid_text(identifier)[:NAME_LIMIT] if identifier and isinstance(identifier, str) else f"call_{number}",
        name=valid_text(name),
        arguments=valid_text(arguments) if isinstance(arguments, str) else json.dumps(arguments),
    )


def _usage(given: object, odd: Odd) -> ModelUsage:
    if not isinstance(given, dict):
        odd("usage")
        return ModelUsage()
    sent, written = _tokens(given.get("prompt_tokens", 0), odd), _tokens(given.get("completion_tokens", 0), odd)
    return ModelUsage(sent, written, min(sent, _cached(given.get("prompt_tokens_details"), odd)))


def _cached(details: object, odd: Odd) -> int:
    if details is None:
        return 0
    if not isinstance(details, dict):
        odd("usage")
        return 0
    given = details.get("cached_tokens")
    return 0 if given is None else _tokens(given, odd)


def _tokens(given: object, odd: Odd) -> int:
    """Return a number of tokens, and note a value that is none."""
    if not is_countable(given):
        odd("usage")
    return countable(given)


def _finish(given: object, odd: Odd) -> FinishReason:
    if given is not None and not isinstance(given, str):
        odd("finish_reason")
    return cast("FinishReason", given) if given in get_args(FinishReason) else "other"


def _model(given: object, odd: Odd) -> str:
    if not isinstance(given, str) or len(given) > NAME_LIMIT:
        odd("model")
    return valid_text(given)[:NAME_LIMIT] if isinstance(given, str) else ""
