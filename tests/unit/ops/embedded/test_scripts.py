"""Which answer a scripted model gives."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ops.embedded.scripts import ChatBody, Script, ScriptedAnswer, ScriptedError, ScriptedToolCall


def body(text: str = "hello") -> ChatBody:
    """A request in which the user said something, and something else before."""
    said = [{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes?"}]
    return {"model": "m", "messages": [*said, {"role": "user", "content": text}]}


def test_answers_are_given_in_order_and_as_often_as_they_say() -> None:
    """And then the default, for ever."""
    script = Script(ScriptedAnswer(text="twice", times=2))
    script.add(ScriptedAnswer(text="once"))

    assert len(script) == 3
    assert [script.answer(body()).text for _ in range(5)] == ["twice", "twice", "once", None, None]


def test_an_answer_may_wait_for_its_question() -> None:
    """So that concurrent tests can share one server."""
    script = Script(ScriptedAnswer(text="a", match="alpha"), ScriptedAnswer(text="any"))

    assert script.answer(body("beta")).text == "any"
    assert script.answer(body("beta")).text is None
    assert script.answer(body("the alpha one")).text == "a"


def test_the_matcher_is_asked_first() -> None:
    """It sees the whole request; None leaves it to the queue."""

    def matcher(seen: ChatBody) -> ScriptedAnswer | None:
        return ScriptedAnswer(text="matched") if seen["model"] == "special" else None

    script = Script(ScriptedAnswer(text="queued"), matcher=matcher)

    assert script.answer(body() | {"model": "special"}).text == "matched"
    assert script.answer(body()).text == "queued"


def test_what_has_not_been_said_can_be_forgotten() -> None:
    """Between two tests on one server."""
    script = Script(ScriptedAnswer(text="old"))

    script.clear()

    assert script.answer(body()).text is None


def test_a_misspelt_field_is_an_error() -> None:
    """A test whose failure never happens would pass for ever."""
    with pytest.raises(ValidationError):
        ScriptedAnswer.model_validate({"txt": "hi"})


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate_limit_error"), (400, "invalid_request_error"), (500, "server_error")]
)
def test_a_failure_is_shaped_as_openais(status: int, kind: str) -> None:
    """All four fields, always; the type follows the status unless it is scripted."""
    answer = ScriptedAnswer(status=status, error=ScriptedError(message="no", code="why"))

    assert answer.error_body() == {"error": {"message": "no", "type": kind, "param": None, "code": "why"}}


def test_tool_calls_without_an_id_get_different_ones() -> None:
    """Results find their call by it."""
    answer = ScriptedAnswer(tool_calls=(ScriptedToolCall(name="a"), ScriptedToolCall(name="b", id="mine")))

    assert [call.id for call in answer.tools()] == ["call_1", "mine"]
