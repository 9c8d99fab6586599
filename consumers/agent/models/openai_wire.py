"""The chat completions endpoint's JSON: requests to bodies, and bodies to responses."""

from __future__ import annotations

from typing import Any, cast, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.agent.models.port import (
    AssistantMessage,
    FinishReason,
    Message,
    ModelRequest,
    ModelResponse,
    ModelUsage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from schemas.errors import ModelUnavailableError


class _Answered(BaseModel):
    """Part of a provider's answer. Providers send more fields than these, and omit some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Function(_Answered):
    name: str
    arguments: str = "{}"


class _ToolCall(_Answered):
    id: str
    function: _Function


class _Message(_Answered):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _Choice(_Answered):
    message: _Message
    finish_reason: str | None = None


class _Usage(_Answered):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(_Answered):
    model: str = ""
    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: _Usage | None = None


def encode(request: ModelRequest, model: str) -> bytes:
    """Return the body of a request to ``model``."""
    body: dict[str, Any] = {"model": model, "messages": [_message(message) for message in request.messages]}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_output_tokens is not None:
        body["max_completion_tokens"] = request.max_output_tokens
    return orjson.dumps(body)


def _message(message: Message) -> dict[str, Any]:
    match message:
        case SystemMessage(text):
            return {"role": "system", "content": text}
        case UserMessage(text):
            return {"role": "user", "content": text}
        case ToolMessage(call_id, text):
            return {"role": "tool", "tool_call_id": call_id, "content": text}
        case AssistantMessage(text, ()):
            return {"role": "assistant", "content": text}
        case AssistantMessage(text, calls):
            return {"role": "assistant", "content": text or None, "tool_calls": [_call(call) for call in calls]}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def decode(body: bytes) -> ModelResponse:
    """Return the response in a body.

    Raises ModelUnavailableError if the body is no chat completion: something else answered in the provider's place.
    """
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        raise ModelUnavailableError(
            "the provider's answer is not a chat completion", detail=f"{len(body)} bytes, {error.error_count()} faults"
        ) from None  # the error quotes the answer
    choice = completion.choices[0]
    return ModelResponse(
        text=choice.message.content or choice.message.refusal or "",
        tool_calls=tuple(_asked(call) for call in choice.message.tool_calls or ()),
        usage=_usage(completion.usage or _Usage()),
        finish_reason=_finish(choice.finish_reason),
        model=completion.model,
    )


def _asked(call: _ToolCall) -> ToolCall:
    return ToolCall(call.id, call.function.name, call.function.arguments)


def _usage(usage: _Usage) -> ModelUsage:
    return ModelUsage(usage.prompt_tokens, usage.completion_tokens)


def _finish(reason: str | None) -> FinishReason:
    return cast("FinishReason", reason) if reason in get_args(FinishReason) else "other"
