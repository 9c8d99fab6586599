"""Runs over several attempts, tenants and sessions: what is counted, who may what, and what is remembered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consumers.agent.agents import Agent
from consumers.agent.executor import Executor
from consumers.agent.models.port import UserMessage
from consumers.agent.provenance import Source
from consumers.agent.seams import GuardedText, StepScope
from consumers.agent.tools.tool import tool
from consumers.resilience.cancel import Cancels
from schemas.clock import SystemClock
from schemas.errors import ModelOverloadedError, ModelRejectedError
from schemas.requests import Request
from schemas.usage import day_of
from tests.unit.consumers.agent.fakes import TENANT, context_of, screened_of
from tests.unit.consumers.agent.test_tools_in_a_run import AgentWorld, ToldAnswers, ToolEffects, calls

pytestmark = pytest.mark.anyio


async def test_a_second_attempt_counts_each_call_once() -> None:
    """The first attempt's usage comes with the record; its steps come from the journal."""
    effects, model = ToolEffects(), ToldAnswers([calls("order", order='{"item": "tea"}')])
    world = AgentWorld(model, (Agent("clerk", tools=[effects.order()]),))
    context = replace(context_of(world.clock))
    model.answers += [ModelOverloadedError(retry_after=3_600.0)]
    first = await _fails(world, context)
    assert (first.code, context.spending.usage.model_calls, context.spending.usage.tool_calls) == (
        "model_overloaded",
        1,
        1,
    )

    model.answers = ["done"]
    again = screened_of(Request(agent="clerk", input="raw"), attempt=2).model_copy(
        update={"usage": context.spending.itemized}
    )
    second = replace(context_of(world.clock))
    second.spending.resume(again.usage)
    result = await world.executor()(again, second)

    assert (result.usage.model_calls, result.usage.tool_calls, result.usage.input_tokens) == (2, 1, 20)
    assert [(each.agent, each.calls, each.input_tokens) for each in second.spending.itemized.agents] == [
        ("clerk", 2, 20)
    ]
    assert effects.made == ["tea"]


async def test_a_call_counts_for_its_agent_on_the_day_of_its_reservation() -> None:
    """Also if the worker dies after it, and another one resumes the attempt from the journal after midnight."""
    effects, model = ToolEffects(), ToldAnswers([calls("transfer_to_billing")])
    world = AgentWorld(model, (Agent("desk", handoffs=["billing"]), Agent("billing", tools=[effects.order()])))
    screened, today = screened_of(Request(agent="desk", input="raw"), left=7_200.0), day_of(world.clock.now_ms())
    model.answers += [calls("order", order='{"item": "tea"}'), ModelOverloadedError(retry_after=3_600.0)]
    with pytest.raises(ModelOverloadedError):
        await world.executor()(screened, replace(context_of(world.clock)))

    world.clock.pass_by(6_600.0)
    model.answers, resumed = ["done"], replace(context_of(world.clock))
    await world.executor()(screened, resumed)

    assert [(each.agent, (each.day - today).days, each.calls) for each in resumed.spending.itemized.agents] == [
        ("desk", 0, 1),
        ("billing", 0, 1),
        ("billing", 1, 1),
    ]


async def _fails(world: AgentWorld, context: Any) -> Any:  # noqa: ANN401 - the error of the run
    with pytest.raises(ModelOverloadedError) as raised:
        await world.executor()(screened_of(Request(agent="clerk", input="raw")), context)
    return raised.value


async def test_a_history_that_the_provider_refuses_is_not_tried_again() -> None:
    """It would be refused for ever; the record is dead-lettered."""
    model = ToldAnswers([ModelRejectedError(), "never"])
    error = await AgentWorld(model, (Agent("clerk", memory=["session"]),)).fails()
    assert (error.retryable, error.dead_letters, len(model.asked)) == (False, True, 1)


async def test_the_policy_is_asked_in_the_name_of_the_agent_in_charge() -> None:
    """The tenant may use the tool of one agent, and not the same tool of another."""
    effects = ToolEffects()
    order = effects.order()
    tenant = TENANT.model_copy(update={"tools": {"billing": (), "desk": ("order",)}})
    model = ToldAnswers(
        [
            calls("order", order='{"item": "tea"}'),
            calls("transfer_to_billing"),
            calls("order", order='{"item": "cake"}'),
            "no",
        ]
    )
    desk = Agent("desk", tools=[order], handoffs=["billing"])
    await AgentWorld(model, (desk, Agent("billing", tools=[order]))).run(tenant=tenant)
    assert effects.made == ["tea"]
    assert model.results()[-1].startswith("Error (tool_denied)")


async def test_two_tenants_and_two_callers_share_neither_session_nor_journal() -> None:
    """They use one session name and one request id."""
    world = AgentWorld(ToldAnswers(["a", "b", "c"]), (Agent("clerk", memory=["session"]),))
    for tenant, subject in (("acme", "ann"), ("globex", "ann"), ("acme", "ben")):
        screened = screened_of(Request(agent="clerk", input="raw", session="s"))
        identity = screened.authorized.identity.model_copy(update={"tenant": tenant, "subject": subject})
        authorized = screened.authorized.model_copy(update={"identity": identity, "run_id": identity.digest})
        context = replace(context_of(world.clock), tenant=TENANT.model_copy(update={"id": tenant}))
        await world.executor()(screened.model_copy(update={"authorized": authorized}), context)

    users = [[each.text for each in asked.messages if isinstance(each, UserMessage)] for asked in world.model.asked]
    assert users == [["screened"]] * 3


async def test_a_cancel_ends_a_batch_and_remembers_nothing() -> None:
    """Its tools are cancelled, and the result says so."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    world = AgentWorld(ToldAnswers([calls("slow", "slow")]), (Agent("clerk", tools=[slow], memory=["session"]),))
    cancels = Cancels(SystemClock())
    screened = screened_of(Request(agent="clerk", input="raw", session="s"))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(Executor(world.executor().services, cancels)(screened, context_of(world.clock)))
        await began.wait()
        cancels.cancel(screened.authorized.run_id)
    result = running.result()

    assert (result.status, result.usage.model_calls, ended.is_set()) == ("cancelled", 1, True)
    world.model.answers = ["hello"]
    other = screened.model_copy(update={"authorized": screened.authorized.model_copy(update={"run_id": "another"})})
    await world.executor()(other, context_of(world.clock))
    assert len(world.model.asked[-1].messages) == 1


async def test_exchanges_beyond_the_window_become_a_summary() -> None:
    """The next run reads the summary in their place, and it costs one model call once."""
    world = AgentWorld(ToldAnswers([]), (Agent("clerk", memory=["session"], memory_tokens=60),))
    for number in range(4):
        world.model.answers += ["x" * 60, "x" * 60]  # an answer, or a summary and an answer
        screened = screened_of(Request(agent="clerk", input="raw", session="s"), text=f"question {number}")
        authorized = screened.authorized.model_copy(update={"run_id": f"run-{number}"})
        await world.executor()(screened.model_copy(update={"authorized": authorized}), context_of(world.clock))

    asked = [str(each.messages[0]) for each in world.model.asked]
    assert any("You summarise a conversation" in each for each in asked)
    assert "Summary of the conversation" in str(world.model.asked[-1].messages)


async def test_what_the_output_guard_redacts_is_what_is_remembered() -> None:
    """Else the next answer would have it."""

    async def redacted(text: str, source: Source, scope: StepScope) -> GuardedText:
        return GuardedText(text.replace("secret", "***"))

    world = AgentWorld(ToldAnswers(["the secret", "again"]), (Agent("clerk", memory=["session"]),))
    services = replace(world.executor().services, output_guard=redacted)
    for run_id in ("one", "two"):
        screened = screened_of(Request(agent="clerk", input="raw", session="s"))
        authorized = screened.authorized.model_copy(update={"run_id": run_id})
        result = await Executor(services)(
            screened.model_copy(update={"authorized": authorized}), context_of(world.clock)
        )
        assert "secret" not in str(result.output)
    assert "the ***" in str(world.model.asked[-1].messages)
    assert "secret" not in str(world.model.asked[-1].messages)


async def test_a_batch_of_many_calls_is_answered_call_by_call() -> None:
    """128 is the most that a provider may ask for at once."""

    @tool(risk="read_only")
    async def number(n: int) -> int:
        return n

    model = ToldAnswers(
        [replace(calls(*["number"] * 128), tool_calls=tuple(_numbered(calls(*["number"] * 128).tool_calls))), "done"]
    )
    await AgentWorld(model, (Agent("clerk", tools=[number]),)).run()
    assert model.results() == [str(n) for n in range(128)]


def _numbered(made: Any) -> Any:  # noqa: ANN401 - tool calls
    return [replace(call, id=f"c{n}", arguments=f'{{"n": {n}}}') for n, call in enumerate(made)]
