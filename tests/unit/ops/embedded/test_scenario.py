"""Rules choose an answer by the request alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from ops.embedded.scenario import ANY_TOOLS, Scenario
from ops.embedded.scripts import ChatBody, Script, ScriptedAnswer
from tests.unit.ops.embedded.chats import called, chat, returned, said


def scenario(*rules: dict[str, Any], **more: Any) -> Scenario:  # noqa: ANN401 - as a file has it
    """A scenario as a file has it."""
    return Scenario.model_validate({"rules": rules, **more})


def answer(match: dict[str, Any], body: ChatBody) -> str | None:
    """``hit`` if the rule matches, else None."""
    given = scenario({"match": match, "answer": {"text": "hit"}})(body)
    return given.text if given else None


AFTER = chat(said("Weather in Oslo?"), called("get_weather"), returned("rain"), tools=("get_weather", "now"))


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"user_contains": "oslo"},
        {"user_equals": " weather in oslo? "},
        {"step": 1},
        {"after_tool": "get_weather"},
        {"tools": ["now"]},
        {"tools": ["now", "get_weather"], "step": 1, "user_contains": "Oslo"},
    ],
)
def test_a_rule_matches_if_all_its_conditions_hold(match: dict[str, Any]) -> None:
    """The case of letters and the order of tools do not count."""
    assert answer(match, AFTER) == "hit"


@pytest.mark.parametrize(
    "match",
    [
        {"user_contains": "Bergen"},
        {"user_equals": "Weather"},
        {"step": 0},
        {"after_tool": "now"},
        {"tools": ["now", "missing"]},
        {"tools": []},
        {"system_contains": "support"},
        {"user_contains": "oslo", "step": 2},
    ],
)
def test_a_rule_does_not_match_if_one_condition_fails(match: dict[str, Any]) -> None:
    """Else a later rule would never be reached."""
    assert answer(match, AFTER) is None


def test_agents_are_told_apart_by_their_instructions() -> None:
    """All agents of a platform may share one model."""
    rules = [
        {"match": {"system_contains": "billing"}, "answer": {"text": "the bill"}},
        {"answer": {"text": "anything else"}},
    ]
    play = scenario(*rules)

    assert play(chat(said("x"), system="You do BILLING.")) == ScriptedAnswer(text="the bill")
    assert play(chat(said("x"))) == ScriptedAnswer(text="anything else")


def test_an_answer_uses_values_of_the_conversation() -> None:
    """In its text and inside its arguments, where a quote must not break the JSON."""
    call = {"name": "t", "arguments": {"deep": [{"text": "<{last_tool_result}>"}], "number": 3}}
    body = chat(said("q"), called("t"), returned('say "hi"'))

    given = scenario({"answer": {"text": "{user}: {last_tool_result} ({step})", "tool_calls": [call]}})(body)

    assert given is not None
    assert given.text == 'q: say "hi" (1)'
    assert json.loads(given.tool_calls[0].arguments) == {"deep": [{"text": '<say "hi">'}], "number": 3}


def test_a_value_is_not_filled_again() -> None:
    """A tool or a user could otherwise read the instructions by naming a placeholder."""
    body = chat(said("{system}"), system="secret")

    given = scenario({"answer": {"text": "{user}"}})(body)

    assert given is not None
    assert given.text == "{system}"


def test_arguments_that_are_no_json_stay_as_they_are() -> None:
    """A bad model is part of a test."""
    given = scenario({"answer": {"tool_calls": [{"name": "t", "arguments": '{"city": {user}'}]}})(chat(said("x")))

    assert given is not None
    assert given.tool_calls[0].arguments == '{"city": {user}'


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"answer": {"text": "{last_tool_resul}"}}, "is no placeholder"),
        ({"answer": {"tool_calls": [{"name": "t", "arguments": {"a": "{eval}"}}]}}, "is no placeholder"),
        ({"answer": {"text": "x", "times": 2}}, "neither `times` nor"),
        ({"answer": {"text": "x", "match": "y"}}, "neither `times` nor"),
        ({"match": {"user": "x"}, "answer": {}}, "user"),
        ({"match": {"step": -1}, "answer": {}}, "step"),
        ({}, "answer"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(rule: dict[str, Any], reason: str) -> None:
    """When it is read, not at the step that nobody reaches."""
    with pytest.raises(ValidationError, match=reason):
        scenario(rule)


def test_the_same_request_gets_the_same_answer_for_ever() -> None:
    """A resumed run, or another worker, repeats a step."""
    play = scenario({"match": {"step": 1}, "answer": {"text": "done"}}, otherwise="tools")
    body = chat(said("get_weather Oslo"), tools=("get_weather",))

    assert [play(body) for _ in range(5)] == [play(body)] * 5
    assert play(body) is not None


def test_without_a_rule_the_default_answers() -> None:
    """It calls no tool, even if the user names one."""
    assert Scenario()(chat(said("get_weather Oslo"), tools=("get_weather",))) is None
    assert ANY_TOOLS(chat(said("hello"), tools=("get_weather",))) is None


def test_a_queued_answer_comes_before_the_scenario() -> None:
    """A test injects one failure into a scenario by it."""
    script = Script(ScriptedAnswer(status=500), scenario=scenario({"answer": {"text": "played"}}))

    assert [script.answer(chat(said("x"))).status for _ in range(2)] == [500, 200]
