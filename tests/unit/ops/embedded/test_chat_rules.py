"""A double that takes what the real endpoint refuses would hide our faults."""

from __future__ import annotations

from typing import Any

import pytest

from ops.embedded.chat_rules import refusal_of, unauthorized

USER = {"role": "user", "content": "hello"}


def call(call_id: str, **function: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A tool call of the model."""
    return {"id": call_id, "type": "function", "function": {"name": "t", "arguments": "{}"} | function}


def calling(*calls: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A message of the model that calls tools."""
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


CALLS = calling(call("a"), call("b"))


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
        ([calling({"type": "function", "function": {"name": "t", "arguments": "{}"}})], "messages[0].tool_calls[0].id"),
        ([USER, result("a")], "messages.[1].role"),
        ([USER, CALLS, result("a"), result("b"), result("a")], "messages.[4].tool_call_id"),
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


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        (calling(), "content", "invalid_type"),
        ({"role": "assistant", "content": "x", "tool_calls": []}, "tool_calls", "empty_array"),
        ({"role": "assistant", "content": None}, "content", "invalid_type"),
        ({"role": "assistant", "content": ""} | {"tool_calls": {}}, "tool_calls", "invalid_type"),
        ({"role": "user", "content": 3}, "content", "invalid_type"),
        ({"role": "user", "content": []}, "content", "empty_array"),
        ({"role": "user", "content": ["text"]}, "content[0]", "invalid_type"),
        (calling("t"), "tool_calls[0]", "invalid_type"),
        (calling({"id": "a", "type": "function"}), "tool_calls[0].function", "missing_required_parameter"),
        (calling(call("a") | {"type": "tool"}), "tool_calls[0].type", "missing_required_parameter"),
        (calling(call("a", name="")), "tool_calls[0].function.name", "empty_string"),
        (calling(call("a", name="get weather")), "tool_calls[0].function.name", "invalid_value"),
        (calling(call("a", arguments={"city": "Oslo"})), "tool_calls[0].function.arguments", "invalid_type"),
        (calling(call("a", arguments=None)), "tool_calls[0].function.arguments", "invalid_type"),
        (calling(call("a"), call("a")), "tool_calls", "invalid_value"),
    ],
)
def test_openai_refuses_a_misshapen_message_with_its_place(message: dict[str, Any], param: str, code: str) -> None:
    """OpenAI: "Invalid 'messages[1].tool_calls': empty array" and the like, each with the parameter and a code."""
    refused = refusal_of({"model": "m", "messages": [USER, message]})

    assert refused is not None
    assert refused.error is not None
    assert (refused.error.param, refused.error.code) == (f"messages[1].{param}", code)


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ({"content": None}, "content", "invalid_type"),
        ({"content": {"temperature": 3}}, "content", "invalid_type"),
        ({"content": [{"type": "image_url", "image_url": {"url": "u"}}]}, "content[0].type", "invalid_value"),
        ({"tool_call_id": None}, "tool_call_id", "missing_required_parameter"),
    ],
)
def test_openai_refuses_a_tool_result_that_is_no_text(message: dict[str, Any], param: str, code: str) -> None:
    """OpenAI takes a text or text parts as a tool's result: no null, no object, no image."""
    refused = refusal_of({"model": "m", "messages": [USER, calling(call("a")), result("a") | message]})

    assert refused is not None
    assert refused.error is not None
    assert (refused.error.param, refused.error.code) == (f"messages[2].{param}", code)


def test_a_tool_result_in_text_parts_is_taken() -> None:
    """OpenAI accepts parts of type text."""
    parts = {"content": [{"type": "text", "text": "done"}]}

    assert refusal_of({"model": "m", "messages": [USER, calling(call("a")), result("a") | parts]}) is None
