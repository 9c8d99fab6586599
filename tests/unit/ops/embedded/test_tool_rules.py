"""The tools that a request may offer, as OpenAI checks them."""

from __future__ import annotations

from typing import Any

import pytest

from ops.embedded.chat_rules import refusal_of
from tests.unit.ops.embedded.chats import chat, said, tool


def refused(**more: Any) -> tuple[str | None, str | int | None] | None:  # noqa: ANN401 - any JSON
    """The parameter and the code of the refusal; None if the request is taken."""
    answer = refusal_of(chat(said("x")) | more)
    if answer is None:
        return None
    assert answer.error is not None
    assert answer.status == 400
    return answer.error.param, answer.error.code


@pytest.mark.parametrize(
    "more",
    [
        {"tools": None},
        {"tools": [tool("get_weather"), tool("get-weather"), tool("A1")]},
        {"tools": [tool(f"t{number}") for number in range(128)]},
        {"tools": [tool("n" * 64)], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tools": [tool("t")], "tool_choice": {"type": "function", "function": {"name": "t"}}},
        {"tools": [{"type": "function", "function": {"name": "now"}}]},
    ],
)
def test_good_tools_are_taken(more: dict[str, Any]) -> None:
    """Up to 128, with names of up to 64 characters; parameters are optional."""
    assert refused(**more) is None


@pytest.mark.parametrize(
    ("tools", "param", "code"),
    [
        ([], "tools", "empty_array"),
        ({}, "tools", "invalid_type"),
        ([tool(f"t{number}") for number in range(129)], "tools", "array_above_max_length"),
        (["t"], "tools[0].type", "invalid_value"),
        ([tool("t") | {"type": "retrieval"}], "tools[0].type", "invalid_value"),
        ([{"type": "function"}], "tools[0].function", "missing_required_parameter"),
        ([{"type": "function", "function": {}}], "tools[0].function.name", "missing_required_parameter"),
        ([tool("ok"), tool("")], "tools[1].function.name", "empty_string"),
        ([tool("get weather")], "tools[0].function.name", "invalid_value"),
        ([tool("caf\u00e9")], "tools[0].function.name", "invalid_value"),
        ([tool("t\n")], "tools[0].function.name", "invalid_value"),
        ([tool("n" * 65)], "tools[0].function.name", "string_above_max_length"),
        ([tool("t", {"type": "string"})], "tools[0].function.parameters", "invalid_function_parameters"),
        ([tool("t", {"properties": {}})], "tools[0].function.parameters", "invalid_function_parameters"),
        ([tool("t"), tool("u"), tool("t")], "tools", "invalid_value"),
    ],
)
def test_openai_refuses_bad_tools_with_their_place(tools: Any, param: str, code: str) -> None:  # noqa: ANN401 - any JSON
    """OpenAI names the parameter and a code. Two tools of one name are our rule, which other providers have too."""
    assert refused(tools=tools) == (param, code)


@pytest.mark.parametrize("given", [{"tool_choice": "auto"}, {"parallel_tool_calls": True}])
def test_openai_refuses_a_choice_without_tools(given: dict[str, Any]) -> None:
    """OpenAI: "'tool_choice' is only allowed when 'tools' are specified"."""
    assert refused(**given) == (next(iter(given)), None)


@pytest.mark.parametrize("choice", ["any", {"type": "function", "function": {"name": "u"}}, {"function": 3}, 3])
def test_openai_refuses_the_choice_of_a_tool_that_is_not_offered(choice: object) -> None:
    """A model could not make the call."""
    assert refused(tools=[tool("t")], tool_choice=choice) == ("tool_choice", None)
