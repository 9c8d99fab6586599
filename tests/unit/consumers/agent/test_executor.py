"""The step between the guards and the result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from consumers.agent.agents import Agent, AgentFunction
from consumers.agent.builtin import BUILTIN
from consumers.agent.executor import Executor
from consumers.agent.models.port import Model, ModelRequest, ModelResponse
from consumers.agent.registry import AgentRegistry
from consumers.agent.run import Run
from consumers.agent.services import AgentServices
from consumers.resilience.thread_pool import ThreadPool
from schemas.errors import (
    ExpiredError,
    ForbiddenError,
    InternalError,
    ModelOverloadedError,
    ModelTimeoutError,
    UnknownAgentError,
    resolve_error,
)
from schemas.requests import Request
from schemas.results import Result, Timing, Usage, VerdictInfo
from schemas.stage_records import Verdict
from tests.unit.consumers.agent.fakes import TRACEPARENT, StillClock, ToldModel, at_once, context_of, screened_of

pytestmark = pytest.mark.anyio


def execute(answer: AgentFunction | None = None, models: Mapping[str, Model] | None = None) -> Executor:
    """The built-in agents, and ``mine`` if it is given."""
    mine = [Agent("mine", answer=answer)] if answer else []
    agents = AgentRegistry(BUILTIN).joined(mine)
    return Executor(AgentServices(agents=agents, models=models or {}, retry=at_once()))


def asking(agent: str = "mine", **metadata: str) -> Request:
    """A request to an agent, as the client wrote it."""
    return Request(agent=agent, input="raw", metadata=metadata)


async def test_a_succeeded_run_says_everything() -> None:
    """The whole result, so that a field which is forgotten is seen."""
    clock, model = StillClock(), ToldModel(["hi"])

    async def slow(text: str, run: Run) -> dict[str, str]:
        clock.pass_by(0.25)
        return {"said": (await run.ask(text)).text}

    verdicts = (Verdict(guard="pii", action="redact", score=0.9, evidence=((0, 3),), note="an e-mail"),)
    screened = screened_of(asking()).model_copy(update={"verdicts": verdicts})

    result = await execute(slow, {"default": model})(screened, context_of(clock))

    assert result == Result(
        request_id="r-1",
        run_id=screened.authorized.run_id,
        agent="mine",
        status="succeeded",
        output={"said": "hi"},
        usage=Usage(input_tokens=7, output_tokens=3, model_calls=1),
        timing=Timing(queued_ms=11, auth_ms=12, guard_ms=13, agent_ms=250),
        verdicts=(VerdictInfo(guard="pii", action="redact"),),
    )


async def test_the_agent_sees_only_what_the_guards_let_through() -> None:
    """Neither as its text nor in the request that its run carries."""
    seen: list[str] = []

    async def look(text: str, run: Run) -> None:
        seen.extend((text, run.request.text, repr(run.request)))

    await execute(look)(screened_of(asking(), text="redacted"), context_of())

    assert seen[:2] == ["redacted", "redacted"]
    assert "raw" not in seen[2]


async def test_the_trace_goes_on_to_the_model() -> None:
    """One trace from submit to the provider."""
    model = ToldModel()
    context = context_of(trace=(("traceparent", TRACEPARENT.encode()),))

    await execute(models={"default": model})(screened_of(asking("assistant")), context)

    assert model.asked[0].traceparent == TRACEPARENT


async def test_an_unknown_agent_is_refused() -> None:
    """Deployed here means in this worker's registry."""
    with pytest.raises(UnknownAgentError, match="'nobody'"):
        await execute()(screened_of(asking("nobody")), context_of())


async def test_an_expired_request_costs_nothing() -> None:
    """The agent is not even started."""
    started: list[str] = []

    async def start(text: str, _run: Run) -> None:
        started.append(text)

    with pytest.raises(ExpiredError):
        await execute(start)(screened_of(asking(), left=0), context_of())
    assert started == []


async def test_a_run_is_cancelled_at_its_deadline() -> None:
    """Whatever it is waiting for."""
    with pytest.raises(ExpiredError):
        await execute()(screened_of(asking("echo", sleep="30"), left=0.02), context_of())


async def test_an_answer_after_the_deadline_is_late() -> None:
    """A run that blocked the loop, or never waited, is not cancelled in time: its caller has gone."""
    clock = StillClock()

    async def blocks(_text: str, _run: Run) -> str:
        clock.pass_by(31)
        return "late"

    with pytest.raises(ExpiredError):
        await execute(blocks)(screened_of(asking()), context_of(clock))


async def test_plain_functions_share_the_workers_threads() -> None:
    """One pool for all runs, so that its bound holds."""
    pools: list[ThreadPool] = []

    async def look(_text: str, run: Run) -> None:
        pools.append(run.threads)

    executor = execute(look)
    for _ in range(2):
        await executor(screened_of(asking()), context_of())

    assert pools == [executor.services.threads, executor.services.threads]


async def test_a_model_that_hangs_is_cut_off_at_the_deadline() -> None:
    """It expired; it did not fail."""

    class Hanging(ToldModel):
        async def complete(self, request: ModelRequest) -> ModelResponse:
            await asyncio.sleep(30)
            return await super().complete(request)

    with pytest.raises(ExpiredError):
        await execute(models={"default": Hanging()})(screened_of(asking("assistant"), left=0.02), context_of())


async def test_a_run_that_is_taken_back_ends_at_once_and_says_what_it_has_spent() -> None:
    """Nothing further is paid: what was, the caller is told."""
    step, asked = execute(_asks_and_hangs, {"default": ToldModel(["hi"])}), screened_of(asking())
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(step(asked, context_of()))
        for _ in range(20):
            await asyncio.sleep(0)
        step.cancels.cancel(asked.authorized.run_id)
        result = await running

    assert (result.status, result.output) == ("cancelled", None)
    assert result.error is not None
    assert result.error.code == "cancelled"
    assert result.usage == Usage(input_tokens=7, output_tokens=3, model_calls=1)


async def _asks_and_hangs(text: str, run: Run) -> str:
    await run.ask(text)
    await asyncio.sleep(30)
    return text


async def test_a_run_that_was_taken_back_before_it_came_costs_nothing() -> None:
    """It waited in a retry tier, or with the guards."""
    model = ToldModel(["hi"])
    step, asked = execute(_asks_and_hangs, {"default": model}), screened_of(asking())
    step.cancels.cancel(asked.authorized.run_id)

    result = await step(asked, context_of())

    assert (result.status, result.usage) == ("cancelled", Usage())


async def test_an_unknown_error_is_internal_and_says_no_more() -> None:
    """The caller reads the class of it; what it says may hold anything, and stays in the logs."""

    async def fail(text: str, _run: Run) -> None:
        raise KeyError(f"secret {text}")

    with pytest.raises(InternalError) as raised:
        await execute(fail)(screened_of(asking()), context_of())
    assert raised.value.public_message == "the agent 'mine' raised KeyError"
    assert "secret screened" in raised.value.detail
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), BaseException("a panic of a native library")])
async def test_an_exit_or_a_panic_ends_the_run_and_not_the_worker(raised: BaseException) -> None:
    """Raised out of a task, the one would end the process, and the other leave the record open for ever."""

    async def leave(_text: str, _run: Run) -> None:
        raise raised

    with pytest.raises(InternalError, match=type(raised).__name__):
        await execute(leave)(screened_of(asking()), context_of())


async def test_a_time_limit_of_the_agents_own_is_not_an_expiry() -> None:
    """Its deadline is far away."""

    async def hasty(_text: str, _run: Run) -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(30)

    with pytest.raises(InternalError, match="TimeoutError"):
        await execute(hasty)(screened_of(asking()), context_of())


async def test_an_error_of_ours_keeps_its_fate_however_it_is_wrapped() -> None:
    """Plainly, as a cause, or in a task group."""

    async def plain(_text: str, _run: Run) -> None:
        raise ForbiddenError("not on Sundays")

    async def wrapped(_text: str, _run: Run) -> None:
        raise ValueError("no answer") from ModelTimeoutError()

    async def grouped(text: str, run: Run) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run.ask(text))

    overloaded = {"default": ToldModel([ModelOverloadedError()])}
    fates: list[type[Exception]] = []
    for answer in (plain, wrapped, grouped):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - any: its fate is looked at
            await execute(answer, overloaded)(screened_of(asking()), context_of())
        fates.append(type(resolve_error(raised.value)))

    assert fates == [ForbiddenError, ModelTimeoutError, ModelOverloadedError]


async def test_an_output_that_is_not_json_is_internal() -> None:
    """As any other fault of the agent's code."""

    async def odd(_text: str, _run: Run) -> object:
        return object()

    with pytest.raises(InternalError, match="not JSON"):
        await execute(odd)(screened_of(asking()), context_of())


async def test_a_model_that_the_worker_does_not_have_is_named() -> None:
    """An agent that asks none does not need one; one that asks hears which."""
    screened = screened_of(asking("echo"), text="fine")

    assert (await execute()(screened, context_of())).output == "fine"
    with pytest.raises(InternalError, match="no model named 'default'"):
        await execute()(screened_of(asking("assistant")), context_of())


async def test_a_retried_run_knows_its_attempt() -> None:
    """So that a failure can be asked for a number of times."""
    request = asking("echo", fail="model_timeout", fail_times="1")

    with pytest.raises(ModelTimeoutError):
        await execute()(screened_of(request), context_of())
    assert (await execute()(screened_of(request, attempt=2), context_of())).output == "screened"
