"""A double that takes what the real endpoint refuses would hide our faults."""

from __future__ import annotations

from typing import Any

import pytest

from ops.embedded.chat_rules import refusal_of, unauthorized

USER = {"role": "user", "content": "hello"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}, {"id": "b"}]}


def result(call_id: str) -> dict[str, str]:
    """A tool's answer."""
    return {"role": "tool", "tool_call_id": call_id, "content": "done"}


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, USER],
        [{"role": "user", "content": [{"type": "text", "text": "in parts"}]}],
        [USER, CALLS, result("a"), result("b")],
        [USER, CALLS, result("b"), result("a"), {"role": "assistant", "content": "both"}, USER],
        [USER, CALLS, result("a"), result("b"), CALLS, result("a"), result("b")],
    ],
)
def test_a_conversation_is_taken(messages: list[dict[str, Any]]) -> None:
    """Every call answered right after it, in any order."""
    assert refusal_of({"model": "m", "messages": messages}) is None


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        (None, "messages"),
        (["hello"], "messages[0]"),
        ([USER, {"role": "robot", "content": "x"}], "messages[1].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "messages[0].content"),
        ([{"role": "assistant", "tool_calls": [{"type": "function"}]}], "messages[0].tool_calls"),
        ([USER, result("a")], "messages.[1].role"),
        ([USER, CALLS, result("a"), result("b"), result("a")], "messages.[4].role"),
        ([USER, CALLS, result("a"), result("c")], "messages.[3].role"),
        ([USER, CALLS, result("a")], "messages.[3].role"),
        ([USER, CALLS, result("a"), USER, result("b")], "messages.[3].role"),
        ([USER, CALLS], "messages.[2].role"),
    ],
)
def test_a_broken_conversation_is_refused_where_it_breaks(messages: Any, param: str) -> None:  # noqa: ANN401 - any JSON
    """Orphans, unanswered calls, unknown roles, nothing at all."""
    refused = refusal_of({"model": "m", "messages": messages})

    assert refused is not None
    assert refused.error is not None
    assert (refused.status, refused.error.param) == (400, param)


@pytest.mark.parametrize(
    "body", [{"messages": [USER]}, {"model": "", "messages": [USER]}, {"model": 3, "messages": [USER]}]
)
def test_a_request_without_a_model_is_refused(body: dict[str, Any]) -> None:
    """A server with one model might guess; the real one does not."""
    refused = refusal_of(body)

    assert refused is not None
    assert refused.error is not None
    assert (refused.status, refused.error.param) == (400, "model")


@pytest.mark.parametrize("body", [[], "text", None])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    """JSON, but no request."""
    refused = refusal_of(body)

    assert refused is not None
    assert refused.status == 400


@pytest.mark.parametrize(
    ("given", "code"), [(None, None), ("Bearer wrong", "invalid_api_key"), ("right", "invalid_api_key")]
)
def test_a_caller_without_the_key_is_unauthorized(given: str | None, code: str | None) -> None:
    """Missing and wrong are told apart, as OpenAI does."""
    refused = unauthorized(given, "right")

    assert refused is not None
    assert refused.error is not None
    assert (refused.status, refused.error.code) == (401, code)
    assert unauthorized("Bearer right", "right") is None
