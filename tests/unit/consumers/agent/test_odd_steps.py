"""Steps that end in unusual ways: exits, cancels of their own, guards that refuse in the middle of a batch."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator

from consumers.agent.agents import Agent
from consumers.agent.journal.memory import MemoryJournal
from consumers.agent.journal.port import Entry, RunKey
from consumers.agent.middleware import Next, Operation
from consumers.agent.run import Run
from consumers.agent.step_values import ModelStep, encode
from consumers.agent.tools.tool import tool
from consumers.context import FIRST_TOKEN
from schemas.errors import BlockedError, InternalError
from tests.unit.consumers.agent.test_tools_in_a_run import AgentWorld, ToldAnswers, calls

pytestmark = pytest.mark.anyio

FIRST_CALL = encode(ModelStep.of(calls("look"), "a", 1))
EXITS = [SystemExit(1), KeyboardInterrupt(), BaseException("panic")]


async def look() -> str:
    """Look."""
    return "seen"


@pytest.mark.parametrize("raised", EXITS)
@pytest.mark.parametrize("kind", ["tool", "model", "memory", "handoff"])
async def test_an_exit_in_middleware_ends_the_run_only(raised: BaseException, kind: str) -> None:
    """asyncio would pass it on to the loop, and the worker would end with all its runs."""

    async def leaves(operation: Operation, call_next: Next) -> Any:  # noqa: ANN401 - as Middleware
        if operation.kind == kind:
            raise raised
        return await call_next(operation)

    one = Agent("a", tools=[look], handoffs=["b"], memory=["session"], middleware=[leaves])
    world = AgentWorld(ToldAnswers([calls("look", "transfer_to_b"), "done"]), (one, Agent("b")))
    assert isinstance(await world.fails(session="s"), InternalError)


async def test_a_tool_that_cancels_itself_has_failed() -> None:
    """No one has cancelled the run, so its worker must not see a cancel."""

    async def awaits_a_cancelled_task() -> None:
        task = asyncio.get_running_loop().create_task(asyncio.sleep(1))
        task.cancel()
        await task

    model = ToldAnswers([calls("awaits_a_cancelled_task"), "done"])
    assert (await AgentWorld(model, (Agent("a", tools=[awaits_a_cancelled_task]),)).run()).output == "done"
    assert model.results() == ["Error (tool_failed): the tool awaits_a_cancelled_task raised CancelledError"]


async def test_an_agent_that_cancels_itself_has_failed() -> None:
    """As a tool does."""

    async def answer(text: str) -> str:
        raise asyncio.CancelledError(text)

    world = AgentWorld(ToldAnswers([]), (Agent.from_callable(answer, name="a", description="x"),))
    assert isinstance(await world.fails(), InternalError)


async def test_a_refusal_in_a_batch_ends_its_other_calls() -> None:
    """The run has ended: nothing of it may go on."""
    ended: list[str] = []
    began = asyncio.Event()

    async def slow() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")

    async def refused() -> None:
        await began.wait()
        raise BlockedError("no")

    model = ToldAnswers([calls("slow", "refused")])
    assert isinstance(await AgentWorld(model, (Agent("a", tools=[slow, refused]),)).fails(), BlockedError)
    assert ended == ["slow"]


def _raises(_value: object) -> object:
    raise KeyError("secret")


async def test_a_validator_that_raises_is_told_to_the_model() -> None:
    """The model wrote the arguments, so the run must not end by them."""

    async def order(item: Annotated[str, BeforeValidator(_raises)]) -> str:
        return item

    model = ToldAnswers([calls("order", order='{"item": "x"}'), "done"])
    assert (await AgentWorld(model, (Agent("a", tools=[order]),)).run()).output == "done"
    assert model.results() == ["Error (tool_failed): the arguments of order are invalid: KeyError"]


@pytest.mark.parametrize("item", ["[" * 10_000, '"\\ud800"}', "9" * 9_000 + "}"])
async def test_odd_arguments_of_any_type_are_bounded(item: str) -> None:
    """A parameter of type Any takes what JSON can hold."""

    async def order(item: Any) -> Any:  # noqa: ANN401 - what the model sends
        return item

    order_of = f'{{"item": {item}'
    model = ToldAnswers([calls("order", order=order_of), "done"])
    agents = (Agent("a", tools=[order]),)
    assert (await AgentWorld(model, agents).run()).output == "done"
    assert len(model.results()[0]) < 70_000


async def test_a_deep_result_is_refused() -> None:
    """It is not JSON that anyone reads."""

    async def deep() -> Any:  # noqa: ANN401 - a list of lists
        made: list[Any] = []
        for _ in range(100_000):
            made = [made]
        return made

    model = ToldAnswers([calls("deep"), "done"])
    assert (await AgentWorld(model, (Agent("a", tools=[deep]),)).run()).output == "done"
    assert model.results()[0].startswith("Error (tool_failed)")


async def test_calls_that_no_tool_ran_for_are_not_counted_by_a_resumed_run() -> None:
    """The usage of a run must not depend on where its worker died."""

    @tool
    async def order(item: str) -> str:
        return item

    world = AgentWorld(ToldAnswers([calls("order", "order", "none"), "done"]), (Agent("a", tools=[order]),))
    first = await world.run()
    assert (await world.run()).usage.tool_calls == first.usage.tool_calls == 0


async def test_a_repeated_call_of_a_middleware_is_counted_alike_by_a_resumed_run() -> None:
    """Both calls were made and paid for."""

    async def twice(operation: Operation, call_next: Next) -> Any:  # noqa: ANN401 - as Middleware
        if operation.kind == "tool":
            await call_next(operation)
        return await call_next(operation)

    world = AgentWorld(ToldAnswers([calls("look"), "done"]), (Agent("a", tools=[look], middleware=[twice]),))
    first = (await world.run()).usage
    assert (first.model_calls, first.tool_calls) == (2, 2)
    assert (await world.run()).usage == first


async def test_a_delegate_may_hand_over_in_each_of_several_calls() -> None:
    """The calls are no cycle, and the run itself was handed to no one."""
    agents = (Agent("a", delegates=["b"]), Agent("b", handoffs=["c"]), Agent("c"))
    asks = calls("ask_b", "ask_b", "ask_b", ask_b='{"request": "?"}')
    over = [calls("transfer_to_c")] * 3
    result = await AgentWorld(ToldAnswers([asks, *over, "1", "2", "3", "done"]), agents).run()
    assert (result.output, result.handoffs) == ("done", ())


async def test_questions_asked_at_once_are_replayed_to_those_who_asked() -> None:
    """The tool that ended before the crash does not ask again, and its answer is not the other tool's."""
    crash = asyncio.Event()
    crash.set()

    @tool(risk="read_only")
    async def one(run: Run) -> str:
        return (await run.ask("one?")).text

    @tool(risk="read_only")
    async def two(run: Run) -> str:
        answer = (await run.ask("two?")).text
        if crash.is_set():
            await asyncio.sleep(0.01)
            raise BlockedError("died")
        return answer

    model = ToldAnswers([calls("one", "two"), "first", "second", "done"])
    world = AgentWorld(model, (Agent("a", tools=[one, two]),))
    assert isinstance(await world.fails(), BlockedError)
    crash.clear()
    assert (await world.run()).output == "done"
    assert model.results() == ["first", "second"]


async def test_questions_of_a_function_are_replayed_whatever_their_order() -> None:
    """Tasks may take another order in another worker."""
    order = ["x", "y"]

    async def answer(_text: str, run: Run) -> dict[str, str]:
        async with asyncio.TaskGroup() as group:
            asked = {each: group.create_task(run.ask(each)) for each in order}
            told = {each: group.create_task(run.respond(each)) for each in order}
        return {
            f"{name}{each}": str(getattr(task.result(), "text", task.result()))
            for name, tasks in (("ask ", asked), ("respond ", told))
            for each, task in tasks.items()
        }

    model = ToldAnswers(["1", "2", "3", "4"])
    agent = Agent.from_callable(answer, name="a", description="x", memory=["session"])
    world = AgentWorld(model, (agent,))
    first = (await world.run(session="s")).output
    order.reverse()
    assert (await world.run(session="s")).output == first
    assert len(model.asked) == 4


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"agent": 1}', b"\xff"])
@pytest.mark.parametrize("step", ["1.model", "2.tool.1", "memory.session"])
async def test_a_journal_that_cannot_be_read_fails_the_run_for_good(value: bytes, step: str) -> None:
    """Another attempt would read the same."""
    world = AgentWorld(ToldAnswers([calls("look"), "done"]), (Agent("a", tools=[look], memory=["session"]),))
    run = RunKey("acme", (await world.run(session="s")).run_id)
    world.journal = MemoryJournal(world.clock)
    await world.journal.open(run, FIRST_TOKEN, lost=False, expires_ms=world.clock.now_ms())
    before = [Entry("2.tool.1", "finished", value), Entry("1.model", "finished", FIRST_CALL)]
    entries = {each.step: each for each in before} | {step: Entry(step, "finished", value)}
    await world.journal.write(run, FIRST_TOKEN, tuple(entries.values()), known=0)
    error = await world.fails(session="s")
    assert isinstance(error, InternalError)
    assert not error.retryable
