"""What an agent finds in its run."""

from __future__ import annotations

import pytest

from consumers.agent.models.port import AssistantMessage, Message, SystemMessage, ToolSpec, UserMessage
from schemas.errors import ModelOverloadedError, ModelRejectedError, ModelUnreadableError
from schemas.results import Usage
from tests.unit.consumers.agent.fakes import NOW_MS, TRACEPARENT, StillClock, ToldModel, run_of

pytestmark = pytest.mark.anyio


async def test_every_answered_call_is_counted() -> None:
    """The result says what the run has spent."""
    run = run_of(model=ToldModel())

    await run.ask("one")
    await run.ask("two")

    assert run.usage == Usage(input_tokens=14, output_tokens=6, model_calls=2)


async def test_a_passing_failure_of_the_model_is_not_the_agents_business() -> None:
    """It asks again by itself, and counts what was answered."""
    run = run_of(model=ToldModel([ModelOverloadedError(), "there"]))

    assert (await run.ask("hello")).text == "there"
    assert run.usage.model_calls == 1


async def test_an_answer_that_cannot_be_read_is_counted_too() -> None:
    """It was paid for, whatever became of it."""
    unreadable = ModelUnreadableError(input_tokens=5, output_tokens=2)
    run = run_of(model=ToldModel([unreadable, unreadable]))

    with pytest.raises(ModelUnreadableError):
        await run.ask("hello")
    assert run.usage == Usage(input_tokens=10, output_tokens=4, model_calls=2)


async def test_a_permanent_failure_of_the_model_reaches_the_agent() -> None:
    """The agent may know what else to do."""
    with pytest.raises(ModelRejectedError):
        await run_of(model=ToldModel([ModelRejectedError()])).ask("hello")


async def test_a_conversation_is_asked_as_it_is() -> None:
    """Behind the agent's instructions, in order; the options travel with it."""
    model, tool = ToldModel(), ToolSpec("clock", "The time.", {"type": "object"})
    said: list[Message] = [UserMessage("hello"), AssistantMessage("hi"), UserMessage("the time?")]

    await run_of(model=model, instructions="be brief").ask(said, tools=[tool], temperature=0.0, max_output_tokens=5)

    asked = model.asked[0]
    assert asked.messages == (SystemMessage("be brief"), *said)
    assert (asked.tools, asked.temperature, asked.max_output_tokens) == ((tool,), 0.0, 5)
    assert asked.traceparent == TRACEPARENT


async def test_without_instructions_there_is_no_system_message() -> None:
    """An empty one would cost tokens and confuse small models."""
    model = ToldModel()

    await run_of(model=model).ask("hello")

    assert model.asked[0].messages == (UserMessage("hello"),)


def test_a_run_knows_its_request_and_its_time() -> None:
    """What an agent may ask without knowing our schemas."""
    clock = StillClock()
    run = run_of(clock=clock, metadata={"locale": "de"}, left=30)
    clock.pass_by(10)

    assert (run.session, dict(run.metadata), run.tenant.id) == ("s-1", {"locale": "de"}, "acme")
    assert (run.deadline_ms, run.remaining(), run.clock) == (NOW_MS + 30_000, 20.0, clock)
