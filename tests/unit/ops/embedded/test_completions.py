"""A scripted answer in OpenAI's words."""

from __future__ import annotations

from ops.embedded.completions import chunks, completion
from ops.embedded.scripts import ChatBody, ScriptedAnswer, ScriptedToolCall, ScriptedUsage

BODY: ChatBody = {"model": "m", "messages": [{"role": "user", "content": "how are you"}]}


def test_without_a_script_the_answer_says_what_was_asked() -> None:
    """The same every time, so that a demonstration reads well and a test can foretell it."""
    whole = completion(ScriptedAnswer(), BODY, 3)

    assert whole["choices"][0]["message"]["content"] == "scripted: how are you"
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert (whole["id"], whole["object"], whole["model"]) == ("chatcmpl-3", "chat.completion", "m")


def test_an_answer_of_tools_has_no_text() -> None:
    """Content is null, as the real one's is."""
    whole = completion(ScriptedAnswer(tool_calls=(ScriptedToolCall(name="clock"),)), BODY, 1)
    choice = whole["choices"][0]

    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    ]


def test_a_stream_adds_up_to_the_whole_answer() -> None:
    """Role first, then the text without a character lost, then the end."""
    answer = ScriptedAnswer(text="one  two\nthree ", usage=ScriptedUsage(prompt_tokens=1, completion_tokens=2))
    sent = list(chunks(answer, BODY | {"stream_options": {"include_usage": True}}, 1))
    deltas = [chunk["choices"][0]["delta"] for chunk in sent if chunk["choices"]]

    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "one  two\nthree "
    assert len(deltas) > 3
    assert sent[-2]["choices"][0]["finish_reason"] == "stop"
    assert (sent[-1]["choices"], sent[-1]["usage"]["total_tokens"]) == ([], 3)


def test_a_stream_says_its_cost_only_when_asked() -> None:
    """Clients that did not ask stumble over a chunk without choices."""
    assert all(chunk["choices"] for chunk in chunks(ScriptedAnswer(), BODY, 1))


def test_tool_calls_are_streamed_by_index() -> None:
    """Clients put the pieces together by it."""
    answer = ScriptedAnswer(tool_calls=(ScriptedToolCall(name="a"), ScriptedToolCall(name="b")))
    calls = [call for chunk in chunks(answer, BODY, 1) for call in chunk["choices"][0]["delta"].get("tool_calls", [])]

    assert [(call["index"], call["id"], call["function"]["name"]) for call in calls] == [
        (0, "call_1", "a"),
        (1, "call_2", "b"),
    ]
