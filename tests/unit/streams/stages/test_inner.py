"""A stage behind the door: each hop ends in the next one, a retry, a result, or a letter; never in an exception."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Never, TypedDict, Unpack

import pytest

from consumers.context import StepContext
from consumers.fencing_token import FencingToken
from consumers.spending import SpendShare
from producers.stage_records import authorized_record, screened_record
from schemas.admissions import AdmissionEvent
from schemas.errors import (
    BlockedError,
    CancelledRunError,
    ExpiredError,
    HeadraceError,
    InternalError,
    ModelOverloadedError,
    PoisonError,
    RunSupersededError,
    StepsExhaustedError,
    ToolFailedError,
    UnwritableError,
)
from schemas.records import Partition, Record
from schemas.relocation import relocated
from schemas.results import Result, Usage
from schemas.stage_records import Authorized, Screened
from schemas.topics import ADMISSIONS, DEAD_LETTERS, EDGE_RECORD_LIMIT, INNER_LIMIT, USAGE
from schemas.usage import ModelSpend, UsageRecord, day_of
from streams.handler import Outputs, RunScope, StageHandler
from streams.journey import Step, split
from streams.registry import tenants as tenants_module
from streams.registry.tenants import TenantRegistry
from streams.stages.inner import InnerStage
from streams.stages.retries import RetryTiers
from tests.unit.producers import samples
from tests.unit.producers.samples import TRACE
from tests.unit.streams.engine.shard_setup import (
    OTHER,
    RESULTS,
    SEALS,
    StillClock,
    as_read,
    builder,
    execute,
    header,
    on,
    registry,
    steps,
)
from tests.unit.streams.engine.shard_setup import the_result as result_of

pytestmark = pytest.mark.anyio

GUARD_IN = as_read(authorized_record(samples.AUTHORIZED, SEALS, TRACE)._replace(partition=2))
AGENT_IN = as_read(screened_record(samples.SCREENED, SEALS, TRACE, partition=2))


class OtherSteps(TypedDict, total=False):
    """Steps that are otherwise than usual."""

    screen: Step[Authorized, Screened]
    execute: Step[Screened, Result]


class InnerSetup:
    """A guard or agent stage with the steps of the test."""

    def __init__(
        self,
        name: str = "agent",
        *,
        known: TenantRegistry | None = None,
        prepare_isolated: Step[Screened, Result] | None = None,
        **other: Unpack[OtherSteps],
    ) -> None:
        self.clock = StillClock()
        self.registry = known or registry()
        stage = split(steps(self.registry, **other)).stage(name)
        assert stage is not None
        out = builder(self.clock, name)
        self.handler: StageHandler = InnerStage(
            stage, out, self.registry, RetryTiers(out), prepare_isolated=prepare_isolated
        ).handler()

    async def run(self, record: Record, *, prepare_isolated: bool = False) -> Outputs:
        async with asyncio.timeout(30):
            prepare = self.handler.prepare_isolated if prepare_isolated else self.handler.prepare
            assert prepare is not None
            made = prepare(2, record).run()
            return made if isinstance(made, list) else await made


def raises(error: BaseException) -> Callable[[object, StepContext], Awaitable[Never]]:
    """A step that does nothing else."""

    async def step(_value: object, _context: StepContext) -> Never:
        raise error

    return step


def states(outputs: Outputs) -> list[str]:
    """What the door is told."""
    return [AdmissionEvent.model_validate_json(each.value or b"").state for each in on(outputs, ADMISSIONS.name)]


def code(outputs: Outputs) -> str:
    """Of an answer that closes its request."""
    assert states(outputs) == ["closed"]
    error = result_of(outputs).error
    assert error is not None
    return error.code


async def test_the_guards_hop_goes_on_in_the_same_partition_and_under_the_same_key() -> None:
    """Partition n is shard n all the way: what is in order stays so."""
    (output,) = await InnerSetup("guard").run(GUARD_IN)

    assert (output.topic, output.partition, output.key) == ("platform.screened", 2, GUARD_IN.key)
    stage_record = Screened.model_validate_json(output.value or b"")
    assert (stage_record.authorized, stage_record.text) == (samples.AUTHORIZED, "hello")
    SEALS.verify("platform.screened", output.key, output.value, header(output, "headrace-seal"))
    assert dict(output.headers)["kafka_correlationId"] == samples.ORIGIN.correlation_id


async def test_a_record_that_was_carried_is_run_like_any_other() -> None:
    """By whoever takes over: its seal is over what it says, not over where it stands."""
    copy = relocated(GUARD_IN)
    again = as_read(copy)._replace(offset=20_007)

    stage_record = InnerSetup("guard")
    (there,), (here,) = await stage_record.run(again), await stage_record.run(GUARD_IN)

    assert stage_record.handler.relocates
    assert (there.topic, there.key, there.value) == ("platform.screened", here.key, here.value)


async def test_the_agents_answer_closes_its_request_in_the_same_transaction() -> None:
    """The place at the door is free exactly when the result is visible."""
    outputs = await InnerSetup().run(AGENT_IN)

    assert result_of(outputs).output == "hello"
    assert states(outputs) == ["closed"]
    assert len(outputs) == 2


async def test_one_trace_leads_through_all_hops() -> None:
    """Each a span of its own."""
    spans = {samples.TRACE[0][1]}
    (guarded,) = await InnerSetup("guard").run(GUARD_IN)
    for output in (guarded, *(await InnerSetup().run(as_read(guarded)))):
        text = header(output, "traceparent") or ""
        assert text[3:35] == "1" * 32
        spans.add(text[36:52].encode())
    assert len(spans) == 3


async def test_the_step_is_given_the_tenant_the_time_and_the_trace() -> None:
    """And not the client's record, which only the first step may look at."""
    seen: list[StepContext] = []

    async def look(screened: Screened, context: StepContext) -> Result:
        seen.append(context)
        raise StepsExhaustedError

    here = InnerSetup(execute=look)
    await here.run(AGENT_IN)

    assert seen[0].tenant == here.registry.tenants["acme"]
    assert seen[0].envelope is None
    assert seen[0].clock is here.clock
    assert dict(seen[0].trace)["traceparent"]


@pytest.mark.parametrize(
    ("error", "expected", "status", "letters"),
    [
        (StepsExhaustedError(), "steps_exhausted", "failed", 0),
        (ToolFailedError("\udcff"), "tool_failed", "failed", 1),
        (BlockedError(), "blocked", "refused", 0),
        (ExpiredError(), "expired", "expired", 0),
        (RuntimeError("secret"), "internal", "failed", 1),
        (TimeoutError(), "internal", "failed", 1),
        (asyncio.CancelledError(), "internal", "failed", 1),
        (ExceptionGroup("", [ModelOverloadedError(), ValueError()]), "model_overloaded", None, 0),
    ],
)
async def test_whatever_a_step_raises_has_a_fate(
    error: BaseException, expected: str, status: str | None, letters: int
) -> None:
    """A cancellation that nobody asked for as well: the record would stay open for ever."""
    outputs = await InnerSetup(execute=raises(error)).run(AGENT_IN)

    if status is None:
        assert header(outputs[0], "headrace-error-code") == expected
        assert outputs[0].topic == "platform.retries.10s"
        return
    assert (code(outputs), result_of(outputs).status) == (expected, status)
    assert len(on(outputs, DEAD_LETTERS.name)) == letters
    assert not any(b"secret" in (output.value or b"") for output in on(outputs, RESULTS))


async def test_a_run_that_may_succeed_later_is_tried_again_and_in_the_end_fails() -> None:
    """10 s, one minute, and then its caller is told."""
    here = InnerSetup(execute=raises(ModelOverloadedError("busy")))
    tiers: list[str] = []
    record = AGENT_IN
    while on(outputs := await here.run(record), RESULTS) == []:
        (again,) = outputs
        tiers.append(again.topic)
        stage_record = Screened.model_validate_json(again.value or b"")
        record = as_read(screened_record(stage_record, SEALS, TRACE))

    assert tiers == ["platform.retries.10s", "platform.retries.1m"]
    assert code(outputs) == "model_overloaded"
    (dead_letter,) = on(outputs, DEAD_LETTERS.name)
    assert header(dead_letter, "headrace-attempt") == "3"


async def _cancels_itself(_value: object, _context: StepContext) -> Never:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    "step",
    [raises(InternalError("on purpose")), raises(ZeroDivisionError()), raises(PoisonError()), _cancels_itself],
    ids=["internal", "unknown", "poison", "cancels itself"],
)
async def test_a_failure_inside_a_step_counts_against_its_tenant(step: Step[Screened, Result]) -> None:
    """C.6: a tenant that fails on purpose causes any error of an agent, and its breaker never opened."""
    outputs = await InnerSetup(execute=step).run(AGENT_IN)

    (closed,) = [AdmissionEvent.model_validate_json(each.value or b"") for each in on(outputs, ADMISSIONS.name)]
    assert len(on(outputs, DEAD_LETTERS.name)) == 1
    assert closed.dead_lettered


async def test_a_guard_does_not_retry_but_says_so_at_once() -> None:
    """Retry tiers lead to the agents only."""
    assert code(await InnerSetup("guard", screen=raises(ModelOverloadedError())).run(GUARD_IN)) == "model_overloaded"


async def test_an_expired_hop_is_not_started() -> None:
    """Nothing further is paid, from the millisecond of the deadline on."""
    ran: list[Authorized] = []

    async def note(authorized: Authorized, context: StepContext) -> Screened:
        ran.append(authorized)
        return samples.SCREENED

    here = InnerSetup("guard", screen=note)
    here.clock.at_ms = samples.ADMISSION.deadline_ms
    assert code(await here.run(GUARD_IN)) == "expired"
    assert ran == []


async def test_a_step_that_outlives_the_deadline_is_ended() -> None:
    """Every wait has an end, also in a step that sets none."""

    async def forever(authorized: Authorized, context: StepContext) -> Screened:
        await asyncio.sleep(60)
        raise RuntimeError

    here = InnerSetup("guard", screen=forever)
    here.clock.at_ms = samples.ADMISSION.deadline_ms - 10
    assert code(await here.run(GUARD_IN)) == "expired"


async def test_a_run_that_is_cancelled_by_the_loop_is_cancelled() -> None:
    """Its shard has gone: no outcome of it means anything."""

    async def forever(screened: Screened, context: StepContext) -> Result:
        await asyncio.sleep(60)
        raise RuntimeError

    async with asyncio.TaskGroup() as group:
        task = group.create_task(InnerSetup(execute=forever).run(AGENT_IN))
        await asyncio.sleep(0.01)
        task.cancel()
    assert task.cancelled()


@pytest.mark.parametrize("forged", [AGENT_IN._replace(headers=()), AGENT_IN._replace(value=b"{}")])
async def test_a_record_that_is_not_ours_is_buried_and_starts_nothing(forged: Record) -> None:
    """And closes nothing: whoever wrote it had no place at the door."""
    outputs = await InnerSetup(execute=raises(AssertionError())).run(forged)

    assert [output.topic for output in outputs] == [DEAD_LETTERS.name]
    assert header(outputs[0], "headrace-error-code") == "unauthenticated"


async def test_a_result_that_is_too_large_is_unwritable() -> None:
    """The request is answered all the same."""

    async def long(screened: Screened, context: StepContext) -> Result:
        return Result(request_id="r-1", run_id="r", agent="echo", status="succeeded", output="x" * EDGE_RECORD_LIMIT)

    outputs = await InnerSetup(execute=long).run(AGENT_IN)

    assert code(outputs) == "unwritable"
    assert len(on(outputs, DEAD_LETTERS.name)) == 1


async def test_a_hop_that_is_too_large_is_unwritable() -> None:
    """A guard may make a text longer, up to what the topic takes."""

    async def swells(authorized: Authorized, context: StepContext) -> Screened:
        return Screened(authorized=authorized, text="x" * INNER_LIMIT)

    assert code(await InnerSetup("guard", screen=swells).run(GUARD_IN)) == "unwritable"


async def test_a_result_with_words_that_no_json_can_say_is_an_error_of_ours() -> None:
    """File names may hold lone surrogates."""

    async def odd(screened: Screened, context: StepContext) -> Result:
        return Result(request_id="r-1", run_id="r", agent="echo", status="succeeded", output="\ud800")

    assert code(await InnerSetup(execute=odd).run(AGENT_IN)) == "internal"


async def test_a_tenant_that_the_registry_does_not_know_is_waited_for_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another stage knew it already."""
    monkeypatch.setattr(tenants_module, "PATIENCE_S", 0.01)

    assert code(await InnerSetup(known=registry(OTHER)).run(AGENT_IN)) == "internal"


def test_hops_of_one_lane_run_one_after_another() -> None:
    """The key says whose turn it is; a record without one is a lane of its own."""
    here = InnerSetup()

    assert here.handler.prepare(2, AGENT_IN).lane == here.handler.prepare(2, AGENT_IN._replace(offset=9)).lane
    bare = AGENT_IN._replace(key=None)
    assert here.handler.prepare(2, bare).lane != here.handler.prepare(2, bare._replace(offset=9)).lane
    assert here.handler.route(5) == {Partition("platform.screened", 5)}
    assert (here.handler.group, here.handler.keeps_runs) == ("headrace.agent", True)


async def test_verdicts_and_timings_of_earlier_stages_stand_in_a_failure_too() -> None:
    """The caller sees what was done to their words, and where the time went."""
    result = result_of(await InnerSetup(execute=raises(HeadraceError())).run(AGENT_IN))

    assert [(each.guard, each.action) for each in result.verdicts] == [("pii", "redact")]
    assert (result.timing.queued_ms, result.timing.guard_ms) == (5, 3)


async def test_an_answer_that_no_topic_takes_becomes_a_failure_on_the_tenants_own_topic() -> None:
    """The topic that the tenant lists may be gone: its caller is told all the same, and its place is free."""
    authorized = samples.AUTHORIZED.model_copy(update={"reply_to": "acme-answers"})
    stage_record = samples.SCREENED.model_copy(update={"authorized": authorized})
    job = InnerSetup().handler.prepare(2, as_read(screened_record(stage_record, SEALS, TRACE, partition=2)))
    assert job.fallback is not None

    outputs = job.fallback([], UnwritableError())

    assert code(outputs) == "unwritable"
    assert len(on(outputs, DEAD_LETTERS.name)) == 1
    assert on(outputs, "acme-answers") == []


@pytest.mark.parametrize("flag", ["00", "01"])
async def test_an_answer_that_no_topic_takes_is_recorded_if_its_trace_is(flag: str) -> None:
    """Whether a trace is sampled was decided where it entered."""
    parent = f"00-{'a' * 32}-{'b' * 16}-{flag}"
    stage_record = as_read(screened_record(samples.SCREENED, SEALS, (("traceparent", parent.encode()),), partition=2))
    job = InnerSetup().handler.prepare(2, stage_record)
    assert job.fallback is not None

    outputs = job.fallback([], UnwritableError())

    assert {(header(output, "traceparent") or "")[-2:] for output in outputs} == {flag}


async def test_a_suspect_takes_the_other_step_and_what_it_is_condemned_for_is_an_ordinary_failure() -> None:
    """Told, closed and buried in one, as every other record whose step raises."""
    condemned = InnerSetup(prepare_isolated=raises(PoisonError()))
    assert result_of(await condemned.run(AGENT_IN)).output == "hello"

    outputs = await condemned.run(AGENT_IN, prepare_isolated=True)

    assert code(outputs) == "poison"
    assert result_of(outputs).status == "failed"
    (dead_letter,) = on(outputs, DEAD_LETTERS.name)
    assert (dead_letter.value, header(dead_letter, "headrace-error-code")) == (AGENT_IN.value, "poison")


async def test_without_another_step_nothing_is_ever_suspected() -> None:
    """The guard runs no code of users."""
    assert InnerSetup("guard").handler.prepare_isolated is None


def test_a_new_owner_looks_at_the_results_of_all_tenants() -> None:
    """A shard of a platform topic has the records of any tenant."""
    here = InnerSetup("agent")

    assert {place.topic for place in here.handler.survey(0)} == {
        f"tenants.{name}.results" for name in ("acme", "globex")
    }


async def _pays_and_fails(_value: object, context: StepContext) -> Never:
    context.spending.add(7, 3)
    raise ModelOverloadedError


async def test_what_a_failed_run_has_used_is_in_its_result() -> None:
    """In that of the last attempt, with all attempts before it."""
    setup, record, attempts = InnerSetup(execute=_pays_and_fails), AGENT_IN, 0
    while True:
        outputs, attempts = await setup.run(record), attempts + 1
        if not outputs[0].topic.startswith("platform.retries."):
            break
        again = Screened.model_validate_json(outputs[0].value or b"")
        record = as_read(screened_record(again, SEALS, TRACE, partition=2))

    assert attempts == 3
    assert result_of(outputs).status == "failed"
    assert result_of(outputs).usage == Usage(input_tokens=21, output_tokens=9, model_calls=3)
    assert (usage_of(outputs).model_calls, usage_of(outputs).attempt, usage_of(outputs).status) == (3, 3, "failed")


@pytest.mark.parametrize("error", [ExpiredError(), StepsExhaustedError(), BlockedError(), CancelledRunError()])
async def test_what_was_used_is_in_every_kind_of_result(error: HeadraceError) -> None:
    """Expired, failed, refused and cancelled ones too."""

    async def pays(_value: object, context: StepContext) -> Never:
        context.spending.add(7, 3)
        raise error

    outputs = await InnerSetup(execute=pays).run(AGENT_IN)
    result = result_of(outputs)

    assert (result.status, result.usage.model_calls, result.usage.input_tokens) == (error.status, 1, 7)
    assert (usage_of(outputs).status, usage_of(outputs).input_tokens) == (error.status, 7)


async def test_what_was_used_is_known_if_no_topic_takes_the_result() -> None:
    """The run was paid for, and its answer is lost."""

    async def pays(_value: object, context: StepContext) -> Result:
        context.spending.add(7, 3)
        return Result(request_id="r-1", run_id="r", agent="echo", status="succeeded", output="x")

    job = InnerSetup(execute=pays).handler.prepare(2, AGENT_IN)
    made = job.run()
    _ = made if isinstance(made, list) else await made

    assert job.fallback is not None

    outputs = job.fallback([], UnwritableError())
    result = result_of(outputs)

    assert (result.status, result.usage.model_calls) == ("failed", 1)
    assert usage_of(outputs).model_calls == 1


async def test_a_run_that_used_something_writes_one_usage_record() -> None:
    """Beside its result, in the same transaction, by model, and without content."""

    async def pays(_value: object, context: StepContext) -> Result:
        context.spending.add(1_000, 200, model="small", cached_input_tokens=600, cost_pico=2_000_000)
        context.spending.add(7, 3, model="large", cost_pico=1, share=SpendShare("helper", day_of(0)))
        context.spending.add_tool_call()
        return Result(request_id="r-1", run_id="r", agent="echo", status="succeeded", output="secret")

    outputs = await InnerSetup(execute=pays).run(AGENT_IN)
    usage, (record,) = usage_of(outputs), on(outputs, USAGE.name)

    assert usage.models == (
        ModelSpend(
            model="small", calls=1, input_tokens=1_000, output_tokens=200, cached_input_tokens=600, cost_usd=0.000002
        ),
        ModelSpend(model="large", calls=1, input_tokens=7, output_tokens=3, cost_usd=1e-12),
    )
    assert (usage.tenant, usage.run_id, usage.status) == ("acme", samples.AUTHORIZED.run_id, "succeeded")
    assert (usage.issuer, usage.subject) == (samples.AUTHORIZED.identity.issuer, samples.AUTHORIZED.admission.subject)
    assert [(each.agent, each.input_tokens) for each in usage.agents] == [("helper", 7)]
    assert (usage.model_calls, usage.tool_calls, usage.cost_usd) == (2, 1, 0.000002000001)
    assert record.key == b"acme"
    assert b"secret" not in (record.value or b"")
    assert result_of(outputs).usage.tool_calls == 0, "the step's own result is not changed"


async def test_a_run_that_used_nothing_writes_no_usage_record() -> None:
    """Most requests of a platform may be such, and a record costs a hot path."""
    for outputs in (await InnerSetup().run(AGENT_IN), await InnerSetup(execute=raises(BlockedError())).run(AGENT_IN)):
        assert not on(outputs, USAGE.name)


def usage_of(outputs: Outputs) -> UsageRecord:
    """The one usage record among them."""
    (record,) = on(outputs, USAGE.name)
    return UsageRecord.model_validate_json(record.value or b"")


@dataclass
class Owned:
    """The engine's answers to a run, as the test has them, and the contexts that the step has seen."""

    owned: bool = True
    life: int = 1
    waits: int = 0
    contexts: list[StepContext] = field(default_factory=list[StepContext])
    before: bool = False

    def scope(self) -> RunScope:
        return RunScope(
            token=lambda: FencingToken(1, self.life),
            owned_until=lambda: 12.0,
            may_start=lambda: self.owned,
            waiting=self.waiting,
            started_before=self.started_before,
        )

    @asynccontextmanager
    async def waiting(self) -> AsyncGenerator[None]:
        self.waits += 1
        yield

    async def started_before(self) -> bool:
        return self.before

    async def superseded_once(self, screened: Screened, context: StepContext) -> Result:
        """Raises at the first call, as a step does that finds its ownership in doubt."""
        self.contexts.append(context)
        context.spending.add(7, 3)
        if len(self.contexts) == 1:
            raise RunSupersededError
        return await execute(screened, context)

    async def run(self, setup: InnerSetup) -> Outputs:
        job = setup.handler.prepare(2, AGENT_IN)
        assert job.run_owned is not None
        async with asyncio.timeout(30):
            made = job.run_owned(self.scope())
            return made if isinstance(made, list) else await made


async def test_a_step_has_the_answers_of_the_engine() -> None:
    """Its journal needs them at each call."""
    owned = Owned(life=4, before=True)

    async def seen(screened: Screened, context: StepContext) -> Result:
        owned.contexts.append(context)
        return await execute(screened, context)

    await owned.run(InnerSetup(execute=seen))
    (context,) = owned.contexts
    assert (context.token(), context.may_start(), context.owned_until()) == (FencingToken(1, 4), True, 12.0)
    assert context.started_before
    async with context.waiting():
        assert owned.waits == 1


async def test_a_run_in_doubt_waits_until_it_is_owned_and_goes_on_without_a_further_attempt() -> None:
    """A slow rebalance is nobody's failure. What the journal has is counted by the second run of the step."""
    owned = Owned(owned=False)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(owned.run(InnerSetup(execute=owned.superseded_once)))
        while not owned.waits:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        owned.owned, owned.life = True, 2
    assert result_of(task.result()).status == "succeeded"
    assert owned.contexts[0].spending.usage.model_calls == 1
    assert [context.started_before for context in owned.contexts] == [False, True], "it has a journal, or has lost it"


async def test_a_run_that_its_journal_refuses_although_it_is_owned_is_tried_again_later() -> None:
    """Else it would spin: waiting changes nothing."""
    owned = Owned()
    (record,) = await owned.run(InnerSetup(execute=owned.superseded_once))
    assert (record.topic.startswith("platform.retries"), owned.waits) == (True, 0)


async def test_a_run_goes_on_at_once_if_the_shard_has_a_new_token_meanwhile() -> None:
    """Its worker has opened the shard again."""
    owned = Owned()

    async def superseded(screened: Screened, context: StepContext) -> Result:
        owned.life += 1
        return await owned.superseded_once(screened, context)

    assert result_of(await owned.run(InnerSetup(execute=superseded))).status == "succeeded"


async def test_a_run_in_doubt_ends_at_its_deadline() -> None:
    """Its client waits no longer."""
    owned = Owned(owned=False)
    setup = InnerSetup(execute=owned.superseded_once)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(owned.run(setup))
        while not owned.waits:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        setup.clock.at_ms += 3_600_000_000
    assert code(task.result()) == "expired"


SUPERSEDED = RunSupersededError()


@pytest.mark.parametrize("raised", [SUPERSEDED, ExceptionGroup("tools", [SUPERSEDED])], ids=["alone", "in a group"])
async def test_a_run_goes_on_when_its_worker_is_sure_of_the_shard_again(raised: Exception) -> None:
    """It costs no attempt, and its journal may be doubted. A tool's error comes in the group of its batch."""
    contexts, owned = list[StepContext](), [False, True]

    async def step(screened: Screened, context: StepContext) -> Result:
        contexts.append(context)
        if len(contexts) == 1:
            raise raised
        return await steps(registry()).execute(screened, context)

    job = InnerSetup(execute=step).handler.prepare(2, AGENT_IN)
    assert job.run_owned is not None
    made = job.run_owned(RunScope(may_start=lambda: len(contexts) != 1 or owned.pop(0)))
    outputs = made if isinstance(made, list) else await made

    assert [each.topic for each in on(outputs, RESULTS)] == [RESULTS]
    assert [each.started_before for each in contexts] == [False, True]


async def test_a_run_that_another_worker_has_is_tried_again_later() -> None:
    """Its worker is sure of the shard, and the journal says otherwise."""
    outputs = await InnerSetup(execute=raises(RunSupersededError())).run(AGENT_IN)
    assert [header(each, "headrace-error-code") for each in outputs] == ["run_superseded"]
