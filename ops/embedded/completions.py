"""Format a scripted answer as OpenAI's chat endpoint does: one object, or the chunks of a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ops.embedded.scripts import ChatBody, ScriptedAnswer, ScriptedUsage, calls_in, spoken, text_of

CREATED = 1_700_000_000
"""A fixed time, in seconds, so that the same script gives the same bytes."""

_WORDS = re.compile(r"\s*\S+\s*")


def completion(answer: ScriptedAnswer, body: ChatBody, number: int) -> dict[str, Any]:
    """Return the complete answer to call ``number``."""
    message: dict[str, Any] = {"role": "assistant", "content": spoken(answer, body), "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = _tool_calls(answer, body)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
    return _frame("chat.completion", body, number) | {"choices": [choice], "usage": usage(answer, body)}


def chunks(answer: ScriptedAnswer, body: ChatBody, number: int) -> Iterator[dict[str, Any]]:
    """Yield the answer as a stream of deltas: role, text word by word, tool calls, end, usage."""
    frame = _frame("chat.completion.chunk", body, number)
    yield frame | _delta({"role": "assistant", "content": "" if answer.text or not answer.tool_calls else None})
    for word in _WORDS.findall(spoken(answer, body) or ""):
        yield frame | _delta({"content": word})
    for index, call in enumerate(_tool_calls(answer, body)):
        yield frame | _delta({"tool_calls": [{"index": index, **call}]})
    yield frame | _delta({}, _finish(answer))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield frame | {"choices": [], "usage": usage(answer, body)}


def usage(answer: ScriptedAnswer, body: ChatBody) -> dict[str, int]:
    """Return the token usage of the call: as scripted, or one token for each word."""
    spent = answer.usage or ScriptedUsage(
        prompt_tokens=sum(_count(text_of(message)) for message in body["messages"]),
        completion_tokens=_count(spoken(answer, body) or "")
        + sum(_count(call.arguments) for call in answer.tool_calls),
    )
    total = spent.prompt_tokens + spent.completion_tokens
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": total,
    }


def _frame(kind: str, body: ChatBody, number: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": CREATED, "model": body["model"]}


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def _tool_calls(answer: ScriptedAnswer, body: ChatBody) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in answer.tools(calls_in(body))
    ]


def _finish(answer: ScriptedAnswer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")


def _count(text: str) -> int:
    return len(text.split())
