"""Streams of the chat completions endpoint: chunks in, pieces of text and at the end the whole answer out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from consumers.agent.models.answer_body import ANSWER_LIMIT
from consumers.agent.models.answer_json import parse
from consumers.agent.models.openai_answer import TOOL_CALLS_LIMIT, Odd, read_completion, valid_text
from consumers.agent.models.openai_errors import BY_REASON
from consumers.agent.models.port import ModelResponse
from schemas.errors import ModelError, ModelUnreadableError

DONE = b"[DONE]"


@dataclass(slots=True)
class _CallPieces:
    """The pieces of one tool call. Only the first has its id and its name."""

    id: object = None
    name: object = None
    arguments: list[str] = field(default_factory=list[str])

    def joined(self) -> dict[str, Any]:
        return {"id": self.id, "function": {"name": self.name, "arguments": "".join(self.arguments)}}


@dataclass(slots=True)
class ChunkReader:
    """The answer of one stream so far. Odd fields are dropped, as in an answer that is not streamed."""

    odd: Odd
    done: bool = False
    """True after the provider's end mark."""

    _text: list[str] = field(default_factory=list[str])
    _refusal: list[str] = field(default_factory=list[str])
    _calls: dict[int, _CallPieces] = field(default_factory=dict[int, _CallPieces])
    _usage: object = field(default_factory=dict[str, Any])
    _model: object = ""
    _finish: object = None
    _size: int = 0

    def take(self, event: bytes) -> str:
        """Add one event, and return its text. Raise a ModelError if it is an error, or if the answer is too large."""
        if event.strip() == DONE:
            self.done = True
        if self.done:
            return ""
        chunk = parse(event)
        if (error := chunk.get("error")) is not None:
            raise _error(error)
        if chunk.get("usage") is not None:
            self._usage = chunk["usage"]
        self._model = self._model or chunk.get("model") or ""
        return self._choice(chunk.get("choices"))

    def response(self, offered: Collection[str]) -> ModelResponse:
        """Return the whole answer. Raise ModelUnreadableError if the stream ended before the answer did."""
        if not self.done and self._finish is None:
            raise ModelUnreadableError("the provider's stream ended before the answer")
        message = {
            "content": "".join(self._text) or None,
            "refusal": "".join(self._refusal) or None,
            "tool_calls": [call.joined() for call in self._calls.values()] or None,
        }
        choice = {"message": message, "finish_reason": self._finish}
        return read_completion({"model": self._model, "choices": [choice], "usage": self._usage}, offered, self.odd)

    def _choice(self, choices: object) -> str:
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        if choice.get("finish_reason") is not None:
            self._finish = choice["finish_reason"]
        delta = choice.get("delta")
        return self._delta(delta) if isinstance(delta, dict) else ""

    def _delta(self, delta: dict[str, Any]) -> str:
        self._tool_calls(delta.get("tool_calls"))
        self._refusal.append(self._string(delta.get("refusal"), "refusal"))
        text = self._string(delta.get("content"), "content")
        self._text.append(text)
        return text

    def _tool_calls(self, given: object) -> None:
        for position, piece in enumerate(given if isinstance(given, list) else ()):
            index = piece.get("index", position) if isinstance(piece, dict) else None
            if type(index) is int and (index in self._calls or len(self._calls) < TOOL_CALLS_LIMIT):
                self._piece(self._calls.setdefault(index, _CallPieces()), piece)
            else:
                self.odd("tool_calls")

    def _piece(self, call: _CallPieces, piece: dict[str, Any]) -> None:
        function = piece.get("function")
        named = function if isinstance(function, dict) else {}
        call.id, call.name = call.id or piece.get("id"), call.name or named.get("name")
        call.arguments.append(self._string(named.get("arguments"), "tool_calls"))

    def _string(self, given: object, name: str) -> str:
        """Return a text, counted; nothing for another value."""
        if given is None:
            return ""
        if not isinstance(given, str):
            self.odd(name)
            return ""
        self._size += len(given)
        if self._size > ANSWER_LIMIT:
            raise ModelUnreadableError(f"the provider's answer is longer than {ANSWER_LIMIT} characters")
        return valid_text(given)


def _error(error: object) -> ModelError:
    """Return the error for one within a stream. What came before it is paid for, so most allow one more call."""
    facts: dict[str, Any] = error if isinstance(error, dict) else {}
    for reason in (facts.get("code"), facts.get("type")):
        if isinstance(reason, str) and reason in BY_REASON:
            kind, message = BY_REASON[reason]
            found = kind(message)
            found.uncharged = False
            return found
    return ModelUnreadableError("the provider ended its stream with an error")
