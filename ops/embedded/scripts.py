"""The script of a model: answers by a matcher, answers in order, answers of a scenario, and a default answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.models import Base64

ChatBody: TypeAlias = dict[str, Any]
"""The body of a chat completion request, as received."""

OK = 200
_PREFIX = "scripted: "

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "permission_error",
    404: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


class ScriptedValue(BaseModel):
    """The base of script models. A misspelt field in a script raises a validation error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _json_text(value: Any) -> Any:  # noqa: ANN401 - a validator sees any value
    return json.dumps(value, allow_nan=False, default=str) if isinstance(value, dict) else value


class ScriptedToolCall(ScriptedValue):
    """A tool call by the model."""

    name: str
    arguments: Annotated[str, BeforeValidator(_json_text)] = "{}"
    """JSON, or the invalid JSON of a bad model. A script may give an object, which becomes its JSON."""

    id: str | None = None
    """The id of the call. None generates one: ``call_1`` is the first of a conversation."""


class ScriptedUsage(ScriptedValue):
    """The tokens that the provider will charge."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ScriptedError(ScriptedValue):
    """The ``error`` object of a provider."""

    message: str = "scripted failure"
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


FaultKind: TypeAlias = Literal[
    "cut",
    "reset",
    "close",
    "garbage",
    "long_header",
    "many_headers",
    "informational",
    "flood",
    "drip",
    "bomb",
    "switching",
]
"""The faults that ``ops.embedded.scripted_faults`` describes."""


class ScriptedFault(ScriptedValue):
    """A fault below HTTP, in place of an answer."""

    kind: FaultKind
    size: Annotated[int, Field(ge=0)] = 0
    """The size of the fault: MiB of a flood or bomb, headers, or bytes of a header. 0 has no end where that can be."""


class ScriptedAnswer(ScriptedValue):
    """One answer. A ``status`` other than 200 makes it a failure with an error body."""

    text: str | None = None
    """The text. None derives it from the last user message, unless tools are called."""

    tool_calls: tuple[ScriptedToolCall, ...] = ()
    finish_reason: str | None = None
    usage: ScriptedUsage | None = None
    """The token usage. None counts each word as one token."""

    delay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Seconds before the first byte."""

    status: Annotated[int, Field(ge=200, le=999)] = OK
    error: ScriptedError | None = None
    retry_after: int | float | str | None = None
    """The ``retry-after`` header as sent: seconds or an HTTP date."""

    raw: str | None = None
    """The raw body that replaces all other fields, as from a broken proxy."""

    body: Base64 | None = None
    """The raw body as bytes, where a text cannot hold it."""

    headers: dict[str, str] = Field(default_factory=dict)
    """Headers of the answer, beside or instead of the usual ones."""

    fault: ScriptedFault | None = None
    """A fault that replaces the answer."""

    times: Annotated[int, Field(ge=1)] = 1
    """The number of calls that this answer is used for."""

    match: str | None = None
    """Use this answer only if the last user message contains this text."""

    def tools(self, before: int = 0) -> tuple[ScriptedToolCall, ...]:
        """Return the tool calls, each with an id; *before* calls precede them in the conversation."""
        return tuple(
            call if call.id else call.model_copy(update={"id": f"call_{number}"})
            for number, call in enumerate(self.tool_calls, start=before + 1)
        )

    def error_body(self) -> dict[str, Any]:
        """Return the body of a failure, in OpenAI's format."""
        error = self.error or ScriptedError()
        kind = error.type or ERROR_TYPES.get(self.status, "server_error")
        return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


Matcher: TypeAlias = Callable[[ChatBody], ScriptedAnswer | None]
"""A function that returns the answer to a request, or None if it has none."""


class Script:
    """Choose the answer: the matcher's, else the first matching one in the queue, else the scenario's, else a default.

    The scenario depends on the request only, so that every process and every resumed run gets the same answer.
    """

    def __init__(
        self, *answers: ScriptedAnswer, matcher: Matcher | None = None, scenario: Matcher | None = None
    ) -> None:
        self.matcher = matcher
        self.scenario = scenario
        self._queue = list(answers)

    def __len__(self) -> int:
        """Return the number of calls that the queue still answers."""
        return sum(answer.times for answer in self._queue)

    def add(self, *answers: ScriptedAnswer) -> None:
        """Add answers to the end of the queue."""
        self._queue.extend(answers)

    def clear(self) -> None:
        """Remove all queued answers."""
        self._queue.clear()

    def answer(self, body: ChatBody) -> ScriptedAnswer:
        """Take the answer to this request."""
        matched = self.matcher(body) if self.matcher else None
        return matched or self._take(last_user_text(body)) or self._played(body) or ScriptedAnswer()

    def _played(self, body: ChatBody) -> ScriptedAnswer | None:
        return self.scenario(body) if self.scenario else None

    def _take(self, text: str) -> ScriptedAnswer | None:
        for place, answer in enumerate(self._queue):
            if answer.match is None or answer.match in text:
                self._spend(place, answer)
                return answer
        return None

    def _spend(self, place: int, answer: ScriptedAnswer) -> None:
        if answer.times == 1:
            del self._queue[place]
        else:
            self._queue[place] = answer.model_copy(update={"times": answer.times - 1})


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def calls_in(body: ChatBody) -> int:
    """Return the number of tool calls in the conversation so far."""
    return sum(len(message.get("tool_calls") or ()) for message in body["messages"])


def last_user_text(body: ChatBody) -> str:
    """Return the last user message; empty if there is none."""
    said = [text_of(message) for message in body["messages"] if message["role"] == "user"]
    return said[-1] if said else ""


def spoken(answer: ScriptedAnswer, body: ChatBody) -> str | None:
    """Return the text of the answer, or None if it has only tool calls."""
    if answer.text is not None or answer.tool_calls:
        return answer.text
    return _PREFIX + last_user_text(body)
