"""Runs at the limits of their budgets, over a real Valkey and in memory, with the scripted model over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumers.agent.budget.memory import MemoryBudgetStore
from consumers.agent.budget.port import TENANT, BudgetStore, BudgetUse, CallLimits
from consumers.agent.budget.valkey import valkey_budgets
from ops.embedded.scripted import ScriptedModel, scripted_model
from ops.embedded.scripts import ScriptedAnswer, ScriptedFault, ScriptedUsage
from ops.embedded.valkey import Valkey
from schemas.budgets import Budgets, SpendLimits
from schemas.tenants import Tenant
from tests.laws.budget_runs import CLOCK, BudgetWorker, budget_worker
from tests.laws.budget_worlds import claim_of, new_account

pytestmark = pytest.mark.anyio

USAGE = ScriptedUsage(prompt_tokens=10, completion_tokens=20)
"""Thirty tokens, for 50 millionths of a dollar."""

ANSWER = ScriptedAnswer(text="hi", usage=USAGE, delay=0.02)
COST_PICO = 50_000_000
CALL = 37

SETTLED_S = 30.0
"""Seconds for a store on a busy machine to take all settlements."""
"""The tokens that the agent ``capped`` reserves: an estimated prompt of 7, and its maximum of output."""


@pytest.fixture(scope="module", params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest, valkey: Valkey) -> AsyncIterator[BudgetStore]:
    """One implementation after the other."""
    if request.param == "memory":
        yield MemoryBudgetStore(CLOCK)
    else:
        async with valkey_budgets(valkey.url) as found:
            yield found


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ScriptedModel]:
    """The provider."""
    async with scripted_model(scenario=lambda _: ANSWER) as found:
        yield found


@pytest.fixture
async def worker(store: BudgetStore, server: ScriptedModel) -> AsyncIterator[BudgetWorker]:
    """A worker that counts in the store."""
    server.script.clear()
    async with budget_worker(store, server) as found:
        yield found


async def tenant_with(store: BudgetStore, budgets: Budgets, **limits: float) -> Tenant:
    """Return a new tenant whose usage is loaded."""
    name = new_account()
    await store.load(name, [])
    known = Tenant(id=name, agents=("capped", "uncapped"), budgets=budgets)
    return known.model_copy(update={"limits": known.limits.model_copy(update=limits)})


async def use_of(store: BudgetStore, tenant: Tenant) -> BudgetUse:
    """Return the tenant's usage."""
    return (await store.read(tenant.id, [TENANT]))[0]


async def settled(store: BudgetStore, tenant: Tenant) -> BudgetUse:
    """Return the tenant's usage, after the settlements that a slow store has not taken at once."""
    async with asyncio.timeout(SETTLED_S):
        while (used := await use_of(store, tenant)).held_tokens:  # noqa: ASYNC110 - the store has no event
            await asyncio.sleep(0.05)
    return used


@pytest.mark.parametrize("agent", ["capped", "uncapped"])
async def test_fifty_runs_at_once_stay_within_a_budget_that_is_nearly_spent(
    worker: BudgetWorker, store: BudgetStore, agent: str
) -> None:
    """Each reserves before it asks, and gives back what it did not use: the budget is used up to its last call.

    A call without a maximum may exceed what was left: by one call, as the others wait for it.
    """
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(tokens_per_day=340)))

    await worker.run_many(tenant, agent, 50)

    used = await settled(store, tenant)
    assert 340 - CALL < used.day_tokens <= 340 + (0 if agent == "capped" else 30)
    assert worker.outcomes == {"ok": used.day_tokens // 30, "budget_exhausted": 50 - used.day_tokens // 30}


async def test_fifty_runs_at_once_stay_within_their_dollars(worker: BudgetWorker, store: BudgetStore) -> None:
    """Money is counted in whole picodollars by the same reservation."""
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(usd_per_month=0.0006)))

    await worker.run_many(tenant, "capped", 50)

    used = await settled(store, tenant)
    assert used.month_pico == worker.outcomes["ok"] * COST_PICO
    assert 600_000_000 - 100_000_000 < used.month_pico <= 600_000_000


async def test_a_rate_makes_runs_wait_and_refuses_none(worker: BudgetWorker, store: BudgetStore) -> None:
    """Each waits for the tokens that the settled calls give back, and for the refill."""
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(tokens_per_minute=60_000)))
    await store.reserve(claim_of(tenant.id, CallLimits(TENANT, minute_tokens=60_000), prompt=59_900, output=0))

    await worker.run_many(tenant, "capped", 20)

    assert worker.outcomes == {"ok": 20}
    assert {each.outcome for each in worker.meter.decided} == {"waited"}


async def test_a_rate_that_is_too_slow_refuses_after_the_longest_wait(worker: BudgetWorker, store: BudgetStore) -> None:
    """The client may come back: the error says so."""
    tenant = await tenant_with(store, Budgets(user=SpendLimits(tokens_per_minute=50)), max_wait=0.3)
    assert await worker.run(tenant, "capped") == "ok"

    assert await worker.run(tenant, "capped") == "rate_limited"
    error = worker.errors[0]
    assert (error.retryable, error.retry_after) == (True, 60.0)
    assert "user" in error.public_message


async def test_a_wait_ends_at_the_deadline(worker: BudgetWorker, store: BudgetStore) -> None:
    """The run's own end comes first."""
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(tokens_per_minute=50)))
    assert await worker.run(tenant, "capped") == "ok"

    assert await worker.run(tenant, "capped", left=0.4) == "expired"


async def test_a_call_that_never_fits_is_refused_with_its_size(worker: BudgetWorker, store: BudgetStore) -> None:
    """The message names the limit and the size, so that the caller can change one of them."""
    tenant = await tenant_with(store, Budgets(agent=SpendLimits(tokens_per_minute=20)))

    assert await worker.run(tenant, "capped") == "budget_exhausted"
    assert worker.errors[0].public_message == (
        "the model call needs 37 tokens, more than the agent's budget of 20 tokens a minute: "
        "shorten it, or raise the limit"
    )
    assert await worker.run(tenant, "uncapped") == "ok"


async def test_a_tenant_without_limits_is_not_counted(worker: BudgetWorker, store: BudgetStore) -> None:
    """It costs no round trip: a store that fails is not asked."""
    tenant = await tenant_with(store, Budgets())
    assert await worker.run(tenant, "capped") == "ok"

    assert (await use_of(store, tenant)).day_tokens == 0


@pytest.mark.parametrize(
    ("failure", "charged"),
    [
        (ScriptedAnswer(status=400), 0),
        (ScriptedAnswer(status=401), 0),
        (ScriptedAnswer(status=429, times=3), 0),
        (ScriptedAnswer(status=500, times=3), 0),
        (ScriptedAnswer(status=503, times=3), 0),
        (ScriptedAnswer(status=504, times=3), 3 * CALL),
        (ScriptedAnswer(fault=ScriptedFault(kind="cut"), times=2), 2 * CALL),
        (ScriptedAnswer(fault=ScriptedFault(kind="close"), times=3), 3 * CALL),
    ],
    ids=lambda value: f"{value.status}-{value.fault and value.fault.kind}" if isinstance(value, ScriptedAnswer) else "",
)
async def test_a_failed_call_is_charged_if_the_provider_may_charge_it(
    worker: BudgetWorker, store: BudgetStore, server: ScriptedModel, failure: ScriptedAnswer, charged: int
) -> None:
    """A refused call costs nothing. One without a known outcome is held in full, and charged at its end."""
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(tokens_per_day=10_000)))
    server.script.add(failure)

    assert await worker.run(tenant, "capped") != "ok"

    used = await use_of(store, tenant)
    assert (used.held_tokens, used.day_tokens) == (charged, 0)


async def test_a_retry_is_a_call_of_its_own(worker: BudgetWorker, store: BudgetStore, server: ScriptedModel) -> None:
    """The provider charges each answer."""
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(tokens_per_day=10_000)))
    server.script.add(ScriptedAnswer(status=429), ScriptedAnswer(status=500))

    assert await worker.run(tenant, "capped") == "ok"
    assert (await use_of(store, tenant)).day_tokens == 30


async def test_a_cancelled_call_stays_reserved(worker: BudgetWorker, store: BudgetStore, server: ScriptedModel) -> None:
    """The provider may have answered the call that was cut."""
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(tokens_per_day=10_000)))
    server.script.add(ScriptedAnswer(text="late", delay=30))

    assert await worker.run(tenant, "capped", left=0.3) == "expired"
    assert (await use_of(store, tenant)).held_tokens == CALL


async def test_a_model_has_one_rate_for_all_tenants(store: BudgetStore, server: ScriptedModel) -> None:
    """A call that waits for it holds nothing of its tenant."""
    server.script.clear()
    budgets = Budgets(tenant=SpendLimits(tokens_per_day=10_000))
    one, other = await tenant_with(store, budgets), await tenant_with(store, Budgets())
    async with budget_worker(store, server, models={"*": 50}) as worker:
        assert await worker.run(one, "capped") == "ok"
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(worker.run(each, "capped", left=0.7)) for each in (one, other)]
    assert [task.result() for task in waiting] == ["expired", "expired"]

    used = await use_of(store, one)
    assert (used.held_tokens, used.day_tokens) == (0, 30)


async def test_a_soft_limit_is_reported_once(worker: BudgetWorker, store: BudgetStore) -> None:
    """An operator is told before calls are refused."""
    tenant = await tenant_with(store, Budgets(tenant=SpendLimits(tokens_per_day=100), soft=0.5))
    for _ in range(4):
        await worker.run(tenant, "capped")

    decided = [(each.outcome, each.limit) for each in worker.meter.decided]
    assert decided == [("soft_limit", "tenant_day_tokens"), ("exhausted", "tenant_day_tokens")]
    assert worker.outcomes == {"ok": 3, "budget_exhausted": 1}
