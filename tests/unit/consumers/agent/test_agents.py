"""Who may call themselves an agent."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest

from consumers.agent.agents import Agent, AgentCallable, agent
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.run import Run
from tests.unit.consumers.agent.fakes import ToldModel, run_of

pytestmark = pytest.mark.anyio


@agent("shout")
async def shout(text: str, run: Run) -> str:
    """Says it louder."""
    return f"{text.upper()} {run.request_id}"


@agent("quiet", model="small", instructions="hush", description="Says it softly.")
async def quiet(text: str) -> str:
    """Not shown: a description was given."""
    return text.lower()


async def test_a_function_of_text_and_run_is_an_agent() -> None:
    """The decorator leaves an Agent at the top of the module, where the registry looks."""
    assert isinstance(shout, Agent)
    assert (shout.name, shout.description) == ("shout", "Says it louder.")
    assert await shout.answer("hello", run_of()) == "HELLO r-1"


async def test_a_function_of_text_alone_is_an_agent() -> None:
    """Not every agent asks who it runs for."""
    assert await quiet.answer("HeLLo", run_of()) == "hello"
    assert (quiet.model, quiet.instructions, quiet.description) == ("small", "hush", "Says it softly.")


async def test_an_agent_without_a_function_asks_its_model_once() -> None:
    """Instructions first, then the text."""
    model = ToldModel(["fine"])

    assert await Agent("support").answer("how are you", run_of(model=model, instructions="be kind")) == "fine"
    assert [message.text for message in model.asked[0].messages] == ["be kind", "how are you"]


async def test_methods_partials_and_callable_objects_are_agents() -> None:
    """What Python awaits, an agent may be."""

    class Repeat:
        async def __call__(self, text: str) -> str:
            return text * 2

        async def method(self, text: str, run: Run) -> str:
            return text * run.attempt

    async def times(text: str, *, count: int) -> str:
        return text * count

    functions: list[Any] = [Repeat(), Repeat().method, functools.partial(times, count=2)]
    answers = [await Agent.from_callable(each, name="x").answer("ab", run_of(attempt=2)) for each in functions]

    assert answers == ["abab"] * 3


async def test_a_plain_function_runs_in_a_thread() -> None:
    """On the loop it would hold up every other run."""

    @agent("plain")
    def plain(text: str, run: Run) -> str:
        return f"{text} {run.request_id} {threading.current_thread() is threading.main_thread()}"

    @agent("short")
    def short(text: str) -> str:
        return text.title()

    assert await plain.answer("hello", run_of()) == "hello r-1 False"
    assert await short.answer("hello", run_of()) == "Hello"


async def test_a_plain_function_may_return_an_awaitable() -> None:
    """A decorator may hide that the function below it is asynchronous."""

    async def said(text: str) -> str:
        return text * 2

    def hidden(text: str) -> Awaitable[str]:
        return said(text)

    assert await Agent.from_callable(hidden, name="hidden").answer("ab", run_of()) == "abab"


def test_a_function_that_yields_is_refused() -> None:
    """It has no answer, and a result must be whole."""

    def parts(text: str) -> Iterator[str]:
        yield text

    async def later_parts(text: str) -> AsyncIterator[str]:
        yield text

    for function in (parts, later_parts):
        with pytest.raises(AgentDefinitionError, match="must return its answer"):
            Agent.from_callable(function, name="parts")


async def _nothing() -> None: ...


async def _three(_text: str, _run: Run, _more: str) -> None: ...


async def _defaulted(_text: str, _limit: int = 3) -> None: ...


async def _any_number(*_texts: str) -> None: ...


async def _keyword(_text: str, *, _limit: int) -> None: ...


MISFITS: tuple[Any, ...] = (_nothing, _three, _defaulted, _any_number, _keyword)


@pytest.mark.parametrize("function", MISFITS)
def test_a_function_that_takes_anything_else_is_refused(function: AgentCallable) -> None:
    """A run that lands in ``limit`` would be found in production."""
    with pytest.raises(AgentDefinitionError, match=r"\(text\) or \(text, run\)"):
        Agent.from_callable(function, name="odd")


@pytest.mark.parametrize("name", ["", "Shout", "a b", "-a", "a|b", "a" * 64])
def test_a_name_that_no_request_can_carry_is_refused(name: str) -> None:
    """At start, not at the first request."""
    with pytest.raises(AgentDefinitionError, match="cannot be named"):
        Agent(name)


@pytest.mark.parametrize("field", ["tools", "handoffs", "delegates", "memory"])
def test_a_text_in_the_place_of_a_list_is_refused(field: str) -> None:
    """A text is a sequence too: of letters."""
    with pytest.raises(AgentDefinitionError, match=rf"the {field} of the agent 'a' must be a list: \['session'\]"):
        Agent("a", **{field: "session"})  # type: ignore[arg-type]
