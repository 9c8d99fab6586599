"""Tools, handoffs, delegates and structured answers of one run, with an in-process journal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import BaseModel

from consumers.agent.agents import Agent
from consumers.agent.executor import Executor
from consumers.agent.handoff import Handoff
from consumers.agent.journal.memory import MemoryJournal
from consumers.agent.memory.session_local import LocalSessionMemory
from consumers.agent.middleware import Next, Operation
from consumers.agent.models.port import ModelRequest, ModelResponse, ModelUsage, ToolCall, ToolMessage
from consumers.agent.registry import AgentRegistry
from consumers.agent.run import Run
from consumers.agent.run_limits import RunLimits
from consumers.agent.services import AgentServices
from consumers.agent.tools.tool import Tool, tool
from consumers.spending import Spending
from schemas.errors import (
    BlockedError,
    HandoffCycleError,
    HeadraceError,
    LoopDetectedError,
    RunSupersededError,
    StepsExhaustedError,
    ToolFailedError,
    ToolOutcomeUnknownError,
    resolve_error,
)
from schemas.requests import Request
from schemas.results import Result
from tests.unit.consumers.agent.fakes import TENANT, StillClock, at_once, context_of, screened_of

pytestmark = pytest.mark.anyio


def calls(*names: str, **arguments: str) -> ModelResponse:
    """An answer that calls tools, each with the JSON in ``arguments``."""
    made = tuple(
        ToolCall(f"call_{place}", name, arguments.get(name, "{}")) for place, name in enumerate(names, start=1)
    )
    return ModelResponse("", made, ModelUsage(10, 1), "tool_calls", "told")


@dataclass
class ToldAnswers:
    """A model that answers in order, and keeps the requests that it got."""

    answers: list[Any]
    asked: list[ModelRequest] = field(default_factory=list[ModelRequest])
    name: str = "told"

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Return the next answer."""
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return ModelResponse(answer, usage=ModelUsage(10, 1), model="told") if isinstance(answer, str) else answer

    def results(self) -> list[str]:
        """Return the texts of the tool messages in the last request."""
        return [each.text for each in self.asked[-1].messages if isinstance(each, ToolMessage)]


@dataclass
class AgentWorld:
    """A worker's services around one model, whose journal and memory outlive the runs."""

    model: ToldAnswers
    agents: tuple[Agent, ...]
    clock: StillClock = field(default_factory=StillClock)
    journal: MemoryJournal = field(init=False)
    memory: LocalSessionMemory = field(init=False)

    def __post_init__(self) -> None:
        """Open the stores."""
        self.journal, self.memory = MemoryJournal(self.clock), LocalSessionMemory()

    def executor(self) -> Executor:
        """Return the executor of a new worker."""
        services = AgentServices(
            agents=AgentRegistry(self.agents),
            models={"default": self.model},
            journal=self.journal,
            memory=self.memory,
            retry=at_once(),
        )
        return Executor(services)

    async def run(self, *, attempt: int = 1, session: str | None = None, **context: Any) -> Result:  # noqa: ANN401
        """Run the first agent on the text ``screened``."""
        request = Request(agent=self.agents[0].name, input="raw", session=session)
        return await self.executor()(screened_of(request, attempt=attempt), replace(context_of(self.clock), **context))

    async def fails(self, **context: Any) -> HeadraceError:  # noqa: ANN401
        """Run, and return the error that decides its fate."""
        with pytest.raises((HeadraceError, ExceptionGroup)) as raised:
            await self.run(**context)
        return resolve_error(raised.value)


@dataclass
class ToolEffects:
    """The effects of tools."""

    made: list[str] = field(default_factory=list[str])

    def order(self) -> Tool:
        """A tool that must not run twice."""

        async def order(item: str) -> str:
            """Order an item."""
            self.made.append(item)
            await asyncio.sleep(0)
            return f"ordered {item}"

        return tool(order)


async def test_a_tool_is_called_with_validated_arguments_and_its_result_is_read() -> None:
    """The whole of a run with a tool: the offer, the call, the result, and the usage."""
    effects, model = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}'), "done"])
    result = await AgentWorld(model, (Agent("clerk", tools=[effects.order()]),)).run()

    assert (result.output, effects.made, model.results()) == ("done", ["tea"], ["ordered tea"])
    assert (result.usage.model_calls, result.usage.tool_calls, result.usage.input_tokens) == (2, 1, 20)
    assert model.asked[0].tools[0].parameters["required"] == ["item"]


@pytest.mark.parametrize("arguments", ["{", "[]", '{"item": 5}', '{"item": "a", "price": 1}', "{}", '"' * 9])
async def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: str) -> None:
    """The tool does not run, and the model may correct itself."""
    effects, model = ToolEffects(), ToldAnswers([calls("order", order=arguments), "sorry"])
    assert (await AgentWorld(model, (Agent("clerk", tools=[effects.order()]),)).run()).output == "sorry"
    assert effects.made == []
    assert model.results()[0].startswith("Error (tool_failed): the arguments of order are")


async def test_a_batch_runs_at_once_and_its_results_keep_the_models_order() -> None:
    """The second call ends first."""
    second = asyncio.Event()

    async def slow() -> str:
        await second.wait()
        return "slow"

    async def fast() -> str:
        second.set()
        return "fast"

    model = ToldAnswers([calls("slow", "fast"), "done"])
    await AgentWorld(model, (Agent("clerk", tools=[slow, fast]),)).run()
    assert model.results() == ["slow", "fast"]


async def test_calls_with_one_id_get_ids_of_their_own() -> None:
    """The API refuses two calls with one id."""
    twice = ModelResponse("", (ToolCall("c", "ping", "{}"), ToolCall("c", "ping", '{"n": 1}')))

    async def ping(n: int = 0) -> int:
        return n

    model = ToldAnswers([twice, "done"])
    await AgentWorld(model, (Agent("clerk", tools=[ping]),)).run()
    messages = model.asked[-1].messages
    assert [each.call_id for each in messages if isinstance(each, ToolMessage)] == ["c", "c_2"]
    assert model.results() == ["0", "1"]


async def test_errors_of_a_tool_are_told_to_the_model_and_hide_their_text() -> None:
    """An exception's text may hold a secret; the text of a ToolFailedError is meant for the model."""

    async def leaky() -> str:
        raise ValueError("password=1234")

    async def honest() -> str:
        raise ToolFailedError("no such city")

    model = ToldAnswers([calls("leaky", "honest"), "done"])
    await AgentWorld(model, (Agent("clerk", tools=[leaky, honest]),)).run()
    assert model.results() == [
        "Error (tool_failed): the tool leaky raised ValueError",
        "Error (tool_failed): no such city",
    ]


async def test_a_slow_tool_times_out_and_a_long_result_is_cut() -> None:
    """Both are told to the model."""

    @tool(timeout=0.01)
    async def slow() -> None:
        await asyncio.sleep(5)

    @tool(result_limit=4)
    async def long() -> str:
        return "äöüß"

    model = ToldAnswers([calls("slow", "long"), "done"])
    await AgentWorld(model, (Agent("clerk", tools=[slow, long]),)).run()
    assert model.results() == [
        "Error (tool_timeout): the tool slow did not answer within 0.01 s",
        "äö\n[cut: the first 4 of 8 bytes]",
    ]


async def test_a_plain_function_is_a_tool_and_gets_run_and_key() -> None:
    """It runs in a thread. The key is the same for the same step of the same run."""
    seen: list[tuple[str, str]] = []

    def note(text: str, *, run: Run, idempotency_key: str) -> None:
        seen.append((run.tenant.id, idempotency_key))

    model = ToldAnswers([calls("note", note='{"text": "x"}'), "done"])
    world = AgentWorld(model, (Agent("clerk", tools=[note]),))
    run_id = (await world.run()).run_id
    assert seen == [(TENANT.id, f"{run_id}.2.tool.1")]
    assert list(model.asked[0].tools[0].parameters["properties"]) == ["text"]


async def test_the_tenants_record_limits_the_tools_of_an_agent() -> None:
    """The tool does not run, and the model is told."""
    effects, model = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}'), "done"])
    tenant = TENANT.model_copy(update={"tools": {"clerk": ()}})
    await AgentWorld(model, (Agent("clerk", tools=[effects.order()]),)).run(tenant=tenant)
    assert effects.made == []
    assert model.results()[0].startswith("Error (tool_denied)")


async def test_a_run_that_is_redelivered_repeats_no_finished_step() -> None:
    """The worker died after the tool and before the second model call: only that call is made."""
    effects, model = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}')])
    world = AgentWorld(model, (Agent("clerk", tools=[effects.order()]),))
    with pytest.raises(IndexError):
        await _crashing(world)
    model.answers = ["done"]
    result = await world.run()

    assert (result.output, effects.made) == ("done", ["tea"])
    assert (len(model.asked), result.usage.model_calls, result.usage.tool_calls) == (3, 2, 1)


async def _crashing(world: AgentWorld) -> None:
    """Run until the model has no answer, and raise as a crash would: past the executor's own handling."""
    try:
        await world.run()
    except HeadraceError as error:
        raise IndexError from error


async def test_a_started_tool_without_an_outcome_is_not_repeated() -> None:
    """The worker died within the tool; a person must decide."""
    effects = ToolEffects()
    began, ended = asyncio.Event(), asyncio.Event()

    async def order(item: str) -> str:
        effects.made.append(item)
        began.set()
        await ended.wait()
        return ""

    world = AgentWorld(ToldAnswers([calls("order", order='{"item": "tea"}')]), (Agent("clerk", tools=[order]),))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(world.run())
        await began.wait()
        running.cancel()

    assert isinstance(await world.fails(), ToolOutcomeUnknownError)
    assert effects.made == ["tea"]


@pytest.mark.parametrize("settings", [{"risk": "read_only"}, {"idempotent": True}])
async def test_a_repeatable_tool_runs_again(settings: dict[str, Any]) -> None:
    """Its repetition changes nothing."""
    made: list[int] = []

    @tool(**settings)
    async def look() -> str:
        made.append(1)
        if len(made) == 1:
            raise BlockedError
        return "seen"

    world = AgentWorld(ToldAnswers([calls("look"), "done"]), (Agent("clerk", tools=[look]),))
    assert isinstance(await world.fails(), BlockedError)
    assert (await world.run()).output == "done"
    assert len(made) == 2


async def test_a_lost_journal_stops_a_run_before_its_first_effect() -> None:
    """The record may have been started before, and nothing tells what was done."""
    effects, model = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}')])
    world = AgentWorld(model, (Agent("clerk", tools=[effects.order()]),))
    assert isinstance(await world.fails(started_before=True), ToolOutcomeUnknownError)
    assert effects.made == []


@pytest.mark.parametrize("changed", [False, True])
async def test_a_journal_that_may_lack_its_newest_step_stops_a_run_too(*, changed: bool) -> None:
    """A replica that lagged has the model's answer, and not that the tool was started."""
    effects, model, owned = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}'), "done"]), [True]

    async def loses_ownership(operation: Operation, rest: Next) -> Any:  # noqa: ANN401 - as the operation's
        answer = await rest(operation)
        owned[0] = False
        return answer

    world = AgentWorld(model, (Agent("clerk", tools=[effects.order()], middleware=[loses_ownership]),))
    assert isinstance(await world.fails(may_start=lambda: owned[0]), RunSupersededError)

    if changed:
        assert isinstance(await world.fails(started_before=True, store_changed=True), ToolOutcomeUnknownError)
    else:
        assert (await world.run(started_before=True)).output == "done"
    assert effects.made == ([] if changed else ["tea"])


async def test_a_handoff_goes_on_in_the_other_agents_name_with_the_conversation() -> None:
    """One result; it names the path."""
    effects = ToolEffects()
    billing = Agent("billing", instructions="you bill", tools=[effects.order()], description="Bills.")
    model = ToldAnswers([calls("transfer_to_billing", transfer_to_billing='{"reason": "money"}'), "paid"])
    result = await AgentWorld(model, (Agent("desk", instructions="you greet", handoffs=["billing"]), billing)).run()

    assert (result.output, result.agent, result.handoffs) == ("paid", "desk", ("billing",))
    assert [each.text for each in model.asked[1].messages if hasattr(each, "text")][:2] == ["you bill", "screened"]
    assert model.results() == ["The conversation was handed over."]
    assert [each.name for each in model.asked[1].tools] == ["order"]


async def test_a_handoff_may_carry_only_the_request() -> None:
    """The context contract is the handing agent's choice."""
    desk = Agent("desk", handoffs=[Handoff("billing", context="request")])
    model = ToldAnswers([calls("transfer_to_billing", transfer_to_billing='{"reason": "money"}'), "paid"])
    await AgentWorld(model, (desk, Agent("billing"))).run()
    assert [each.text for each in model.asked[1].messages if hasattr(each, "text")] == [
        "screened",
        "desk hands this over to you: money",
    ]


async def test_agents_that_hand_over_in_a_circle_are_stopped() -> None:
    """With a limit on the way back and forth."""
    ping, pong = Agent("ping", handoffs=["pong"]), Agent("pong", handoffs=["ping"])
    model = ToldAnswers([*([calls("transfer_to_pong"), calls("transfer_to_ping")] * 5)])
    assert isinstance(await AgentWorld(model, (ping, pong)).fails(), HandoffCycleError)


async def test_a_handoff_narrows_the_capabilities() -> None:
    """The second agent's tool needs what the first agent does not hold."""
    effects = ToolEffects()
    paid = tool(capability="payments")(effects.order().function)
    desk = Agent("desk", handoffs=["billing"], capabilities=frozenset({"mail"}))
    model = ToldAnswers([calls("transfer_to_billing"), calls("order", order='{"item": "tea"}'), "no"])
    await AgentWorld(model, (desk, Agent("billing", tools=[paid]))).run()
    assert effects.made == []
    assert model.results()[-1] == "Error (tool_denied): this run does not hold the capability payments"


async def test_a_delegate_answers_as_a_tool_does() -> None:
    """Its steps are recorded below the call."""
    model = ToldAnswers([calls("ask_expert", ask_expert='{"request": "why?"}'), "because", "so it is"])
    result = await AgentWorld(model, (Agent("desk", delegates=["expert"]), Agent("expert"))).run()
    assert (result.output, model.results()) == ("so it is", ["because"])


async def test_delegates_that_ask_each_other_in_a_circle_are_stopped() -> None:
    """The outer one waits for the inner one for ever."""
    model = ToldAnswers([calls("ask_b", ask_b='{"request": "?"}'), calls("ask_a", ask_a='{"request": "?"}')])
    assert isinstance(
        await AgentWorld(model, (Agent("a", delegates=["b"]), Agent("b", delegates=["a"]))).fails(), HandoffCycleError
    )


class Order(BaseModel):
    """A structured answer."""

    item: str
    count: int


async def test_a_structured_answer_is_asked_for_again_once() -> None:
    """With the error."""
    model = ToldAnswers(['{"item": "tea"}', '```json\n{"item": "tea", "count": 2}\n```'])
    result = await AgentWorld(model, (Agent("clerk", output=Order),)).run()
    assert result.output == {"item": "tea", "count": 2}
    assert "count: Field required" in str(model.asked[1].messages[-1])
    assert "JSON Schema" in str(model.asked[0].messages[0])


async def test_a_second_wrong_structured_answer_fails_the_run() -> None:
    """It was paid for twice, and a third time would not help."""
    error = await AgentWorld(ToldAnswers(["no", "no", "yes"]), (Agent("clerk", output=Order),)).fails()
    assert error.code == "model_unreadable"


async def test_a_run_ends_at_its_limits() -> None:
    """Steps, tokens, and repeated calls."""

    async def ping() -> str:
        return "pong"

    endless = [calls("ping")] * 40
    assert isinstance(
        await AgentWorld(ToldAnswers(endless.copy()), (Agent("a", tools=[ping]),)).fails(), LoopDetectedError
    )
    for limits in (RunLimits(steps=2, repeats=99), RunLimits(tokens=20, repeats=99)):
        model = ToldAnswers(endless.copy())
        assert isinstance(
            await AgentWorld(model, (Agent("a", tools=[ping], limits=limits),)).fails(), StepsExhaustedError
        )
        assert len(model.asked) == 2


async def test_a_session_is_remembered_once_and_read_by_the_next_run() -> None:
    """The second run reads what the first one said."""
    world = AgentWorld(ToldAnswers(["hello Ann", "you are Ann"]), (Agent("clerk", memory=["session"]),))
    await world.run(session="s")
    await world.run(session="s")  # the same run again: it is answered from the journal, and remembered once
    assert [str(each.text) for each in world.model.asked[0].messages if hasattr(each, "text")] == ["screened"]
    assert len(world.model.asked) == 1


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), BaseException("panic")])
async def test_an_exit_in_a_tool_ends_the_call_only(raised: BaseException) -> None:
    """asyncio would pass it on to the loop, and the worker would end with all its runs."""

    async def leave() -> None:
        raise raised

    model = ToldAnswers([calls("leave"), "still here"])
    assert (await AgentWorld(model, (Agent("a", tools=[leave]),)).run()).output == "still here"
    assert model.results() == [f"Error (tool_failed): the tool leave raised {type(raised).__name__}"]


async def test_a_tool_error_inside_another_error_is_told_to_the_model() -> None:
    """The innermost cause decides, as everywhere."""

    async def wraps() -> None:
        raise ValueError("lookup") from ToolFailedError("no such city")

    model = ToldAnswers([calls("wraps"), "done"])
    await AgentWorld(model, (Agent("a", tools=[wraps]),)).run()
    assert model.results() == ["Error (tool_failed): no such city"]


@pytest.mark.parametrize("odd", ["\x00" * 60_000, "\ud800" * 30_000])
async def test_a_result_that_grows_as_json_does_not_fail_the_run(odd: str) -> None:
    """Each control character takes six bytes in the journal."""

    async def odd_text() -> str:
        return odd

    model = ToldAnswers([calls("odd_text"), "done"])
    assert (await AgentWorld(model, (Agent("a", tools=[odd_text]),)).run()).output == "done"


async def test_an_endless_result_is_refused() -> None:
    """Its encoding would block the loop for ever."""

    async def endless() -> object:
        return iter(int, 1)

    model = ToldAnswers([calls("endless"), "done"])
    await AgentWorld(model, (Agent("a", tools=[endless]),)).run()
    assert "returned an iterator" in model.results()[0]


async def test_a_recorded_call_of_a_removed_tool_is_replayed() -> None:
    """A deploy between two lives of a run must not change what was done."""
    effects, model = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}')])
    world = AgentWorld(model, (Agent("clerk", tools=[effects.order()]),))
    with pytest.raises(IndexError):
        await _crashing(world)
    world.agents, model.answers = (Agent("clerk", memory=["session"]),), ["done"]
    assert (await world.run()).output == "done"
    assert model.results() == ["ordered tea"]


@pytest.mark.parametrize(("kind", "asked"), [("model", 0), ("tool", 1)])
async def test_a_step_that_a_middleware_delays_beyond_the_session_does_not_start(kind: str, asked: int) -> None:
    """The ownership is checked again right before the model or the tool is called."""
    owned = [True]

    async def late(operation: Operation, rest: Next) -> Any:  # noqa: ANN401 - as the operation's
        owned[0] = operation.kind != kind
        return await rest(operation)

    effects, model = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}'), "done"])
    world = AgentWorld(model, (Agent("clerk", tools=[effects.order()], middleware=[late]),))

    assert isinstance(await world.fails(may_start=lambda: owned[0]), RunSupersededError)
    assert (effects.made, len(model.asked)) == ([], asked)


async def test_what_a_killed_process_has_told_of_an_attempt_is_not_counted_twice() -> None:
    """Its worker has heard of the calls, and the next process finds them in the journal."""
    effects = ToolEffects()
    model = ToldAnswers([calls("order", order='{"item": "tea"}')])
    world, spending = AgentWorld(model, (Agent("clerk", tools=[effects.order()]),)), Spending()
    await world.fails(spending=spending)
    model.answers.append("done")

    result = await world.run(spending=spending)

    assert (result.usage.model_calls, result.usage.tool_calls, effects.made) == (2, 1, ["tea"])
