"""The state of a conversation, as a scenario's rules see it."""

from __future__ import annotations

from ops.embedded.chat_turn import ChatTurn, TurnResult
from tests.unit.ops.embedded.chats import called, chat, returned, said, tool


def test_a_turn_begins_with_the_last_user_message() -> None:
    """Results of earlier questions are no steps of this one."""
    earlier = [said("old"), called("a"), returned("one"), {"role": "assistant", "content": "so"}]
    body = chat(*earlier, said("new"), called("b", "c", first=2), returned("two", 2), returned("three", 3))

    turn = ChatTurn.of(body)

    assert (turn.user, turn.step, turn.called) == ("new", 2, ("b", "c"))
    assert turn.results == (TurnResult("b", "two"), TurnResult("c", "three"))
    assert turn.last_result == TurnResult("c", "three")


def test_a_chat_without_a_user_message_is_read() -> None:
    """An agent may begin with instructions only."""
    turn = ChatTurn.of({"model": "m", "messages": [{"role": "system", "content": "go"}]})

    assert (turn.user, turn.system, turn.step, turn.last_result) == ("", "go", 0, TurnResult("", ""))


def test_the_instructions_are_all_messages_of_the_operator() -> None:
    """OpenAI has two roles for them."""
    body = chat({"role": "developer", "content": "two"}, said("x"), system="one")

    assert ChatTurn.of(body).system == "one\ntwo"


def test_a_request_that_forbids_tools_offers_none() -> None:
    """``tool_choice: none`` keeps the tools in the prompt, but the model may not call them."""
    body = chat(said("x"), tools=("get_weather",))

    assert [each.name for each in ChatTurn.of(body).offered] == ["get_weather"]
    assert ChatTurn.of(body | {"tool_choice": "none"}).offered == ()


def test_a_tool_without_parameters_takes_none() -> None:
    """OpenAI lets them out for a tool without arguments."""
    bare = {"type": "function", "function": {"name": "now"}}

    turn = ChatTurn.of(chat(said("x")) | {"tools": [bare, tool("get_weather")]})

    assert turn.offered[0].parameters == {}
