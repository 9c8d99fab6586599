"""The built-in scenario calls any tool that the user names."""

from __future__ import annotations

import json

import pytest

from ops.embedded.scenario import ANY_TOOLS
from ops.embedded.scripts import ChatBody
from tests.unit.ops.embedded.chats import called, chat, returned, said

TOOLS = ("get_weather", "get_weather_alerts", "transfer_to_billing", "search")


def asked(text: str) -> ChatBody:
    """A first request with all tools."""
    return chat(said(text), tools=TOOLS)


def call(body: ChatBody) -> tuple[str, str]:
    """The tool that the model calls, and its argument."""
    answer = ANY_TOOLS(body)
    assert answer is not None
    (only,) = answer.tool_calls
    return only.name, json.loads(only.arguments)["city"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("get_weather Oslo", ("get_weather", "Oslo")),
        ("use get_weather for Oslo", ("get_weather", "Oslo")),
        ("Please use get_weather for New York, please!", ("get_weather", "New York")),
        ("GET WEATHER in Oslo.", ("get_weather", "Oslo")),
        ("get-weather Oslo", ("get_weather", "Oslo")),
        ("get_weather_alerts Oslo", ("get_weather_alerts", "Oslo")),
        ("get weather alerts for Oslo", ("get_weather_alerts", "Oslo")),
        ("Oslo: get_weather please", ("get_weather", "Oslo")),
        ("transfer_to_billing my invoice is wrong", ("transfer_to_billing", "my invoice is wrong")),
        ("transfer to billing: my invoice", ("transfer_to_billing", "my invoice")),
        ("get_weather", ("get_weather", "")),
    ],
)
def test_a_named_tool_is_called_with_the_words_that_belong_to_it(text: str, expected: tuple[str, str]) -> None:
    """As a person writes it who tries a tool without a paid model."""
    assert call(asked(text)) == expected


@pytest.mark.parametrize("text", ["hello", "", "target_weather Oslo", "research shoes", "my_get_weather Oslo"])
def test_a_text_without_the_name_of_a_tool_calls_none(text: str) -> None:
    """A name inside another word is no name."""
    assert ANY_TOOLS(asked(text)) is None


def test_the_answer_is_the_result_of_the_tool() -> None:
    """So that a person sees what the tool returned."""
    body = chat(said("get_weather Oslo"), called("get_weather"), returned("rain"), tools=TOOLS)

    answer = ANY_TOOLS(body)

    assert answer is not None
    assert (answer.text, answer.tool_calls) == ("rain", ())


def test_several_tools_are_called_one_after_the_other() -> None:
    """Each step of a run is a call of its own, and each tool is called once."""
    first = chat(said("get_weather Oslo, then search for boats"), tools=TOOLS)
    second = chat(*first["messages"], called("get_weather"), returned("rain"), tools=TOOLS)
    third = chat(*second["messages"], called("search", first=2), returned("two boats", 2), tools=TOOLS)

    answer = ANY_TOOLS(third)

    assert [call(first), call(second)] == [("get_weather", "Oslo"), ("search", "boats")]
    assert answer is not None
    assert answer.text == "rain\ntwo boats"


def test_a_handoff_is_no_answer() -> None:
    """The other agent goes on, and calls its own tools that the user named."""
    handed = [said("transfer_to_billing, then get_weather Oslo"), called("transfer_to_billing"), returned("ok")]

    assert ANY_TOOLS(chat(*handed)) is None
    assert call(chat(*handed, tools=TOOLS)) == ("get_weather", "Oslo")


def test_a_request_that_forbids_tools_gets_a_text() -> None:
    """As from every model."""
    assert ANY_TOOLS(asked("get_weather Oslo") | {"tool_choice": "none"}) is None


def test_a_long_text_is_searched_at_its_beginning_only() -> None:
    """A megabyte of text must not hold up the server."""
    assert ANY_TOOLS(asked("x " * 600_000 + "get_weather Oslo")) is None
