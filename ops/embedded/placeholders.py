"""Fill the placeholders of a scripted answer with texts of the conversation, in one pass and without evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ops.embedded.chat_turn import ChatTurn
from ops.embedded.scripts import ScriptedAnswer, ScriptedToolCall

PLACEHOLDERS: Mapping[str, Callable[[ChatTurn], str]] = {
    "user": lambda turn: turn.user,
    "system": lambda turn: turn.system,
    "last_tool_result": lambda turn: turn.last_result.text,
    "tool_results": lambda turn: "\n".join(result.text for result in turn.results),
    "step": lambda turn: str(turn.step),
}
"""The names that an answer may have in braces."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def unknown_placeholders(answer: ScriptedAnswer) -> tuple[str, ...]:
    """Return the names in braces that are no placeholders."""
    texts = [answer.text or "", *(call.arguments for call in answer.tool_calls)]
    return tuple(name for text in texts for name in _PLACEHOLDER.findall(text) if name not in PLACEHOLDERS)


def filled(answer: ScriptedAnswer, turn: ChatTurn) -> ScriptedAnswer:
    """Return the answer with the values of this conversation in its text and its arguments."""
    changes: dict[str, Any] = {"tool_calls": tuple(_filled_call(call, turn) for call in answer.tool_calls)}
    if answer.text is not None:
        changes["text"] = _filled_text(answer.text, turn)
    return answer.model_copy(update=changes)


def _filled_call(call: ScriptedToolCall, turn: ChatTurn) -> ScriptedToolCall:
    """Fill the texts inside the arguments, so that a value cannot break their JSON."""
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        return call
    return call.model_copy(update={"arguments": json.dumps(_filled_value(arguments, turn))})


def _filled_value(value: Any, turn: ChatTurn) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case str():
            return _filled_text(value, turn)
        case list():
            return [_filled_value(each, turn) for each in value]
        case dict():
            return {name: _filled_value(each, turn) for name, each in value.items()}
        case _:
            return value


def _filled_text(text: str, turn: ChatTurn) -> str:
    return _PLACEHOLDER.sub(lambda found: PLACEHOLDERS[found[1]](turn), text)
