"""Budgets while workers are killed, and while Valkey is away, emptied, restarted or full."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from consumers.agent.budget import store_state
from consumers.agent.budget.port import TENANT, BudgetUse, CallLimits, Charge, Granted, PeriodTotal
from consumers.agent.budget.valkey import ValkeyBudgetStore, valkey_budgets
from ops.embedded.scripted import ScriptedModel, scripted_model
from ops.embedded.scripts import ScriptedAnswer, ScriptedUsage
from ops.embedded.valkey import Valkey, embedded_valkey
from ops.settings import child_environment
from schemas.budgets import Budgets, SpendLimits
from schemas.errors import BudgetUnavailableError
from schemas.tenants import Tenant
from tests.laws.budget_client import HELD_MS
from tests.laws.budget_runs import BudgetWorker, budget_worker
from tests.laws.budget_worlds import claim_of, new_account

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
ANSWER = ScriptedAnswer(text="hi", usage=ScriptedUsage(prompt_tokens=10, completion_tokens=20))
DAY = CallLimits(TENANT, day_tokens=10_000)


@pytest.fixture(scope="module")
async def server(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """A server of these tests alone: they kill it and empty it."""
    async with embedded_valkey(tmp_path_factory.mktemp("budgets")) as found:
        yield found


@pytest.fixture
async def admin(server: Valkey) -> AsyncIterator[Redis]:
    """A client that changes the server's settings; they are as before after the test."""
    async with Redis.from_url(server.url) as client:
        yield client
        await client.config_set("maxmemory", 0)


@pytest.fixture
async def store(server: Valkey) -> AsyncIterator[ValkeyBudgetStore]:
    """The counts in the server."""
    async with valkey_budgets(server.url) as found:
        yield found


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedModel]:
    """The model."""
    async with scripted_model(scenario=lambda _: ANSWER) as found:
        yield found


@pytest.fixture
async def worker(store: ValkeyBudgetStore, provider: ScriptedModel) -> AsyncIterator[BudgetWorker]:
    """A worker that owns half of the shards."""
    async with budget_worker(store, provider, share=0.5) as found:
        yield found


async def account_in(store: ValkeyBudgetStore) -> str:
    """Return a new account that is loaded."""
    name = f"f-{new_account()}"
    await store.load(name, [])
    return name


def tenant_of(name: str, limits: SpendLimits) -> Tenant:
    """Return a tenant with limits."""
    return Tenant(id=name, agents=("capped",), budgets=Budgets(tenant=limits))


async def use_of(store: ValkeyBudgetStore, account: str) -> BudgetUse:
    """Return the tenant's usage."""
    return (await store.read(account, [TENANT]))[0]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until *holds()*."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the state has no event
            await asyncio.sleep(0.02)


async def killed_in(state: str, server: Valkey, account: str, stack: AsyncExitStack) -> None:
    """Start a worker that reserves ten calls, and kill it when they have come to the state."""
    command = [sys.executable, "-m", "tests.laws.budget_client", server.url, account, state, "10"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=child_environment(), stdout=PIPE)
    stack.push_async_callback(_ended, process)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        assert await process.stdout.readline() == b"done\n"
    os.kill(process.pid, signal.SIGKILL)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.mark.slow
async def test_killed_workers_neither_overspend_nor_block_the_budget(server: Valkey, store: ValkeyBudgetStore) -> None:
    """What was held is free again, what was called is charged in full, and what was settled stays."""
    account = await account_in(store)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for state in ("held", "called", "settled"):
            tasks.create_task(killed_in(state, server, account, stack))
    await asyncio.sleep(HELD_MS / 1_000)

    rest = await store.reserve(claim_of(account, DAY, prompt=10_000 - 1_600, output=0))
    assert isinstance(rest, Granted)
    used = await use_of(store, account)
    assert (used.day_tokens, used.held_tokens) == (10 * 100 + 10 * 60, 8_400)


async def test_an_emptied_store_grants_nothing_until_the_ledger_is_loaded(
    store: ValkeyBudgetStore, worker: BudgetWorker, admin: Redis
) -> None:
    """It must not grant the whole budget anew. The ledger has the call that was in flight at the loss, later."""
    account = await account_in(store)
    tenant = tenant_of(account, SpendLimits(tokens_per_day=1_000))
    in_flight = await store.reserve(claim_of(account, DAY))
    assert isinstance(in_flight, Granted)
    await store.called(in_flight)
    await admin.flushall()

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(worker.run(tenant, "capped"))
        await until(lambda: bool(worker.state.reasons()))
        assert worker.state.reasons() == ["the budgets of 1 tenants are not loaded from the ledger yet"]
        await store.settle(in_flight, Charge(70))
        await store.load(account, [PeriodTotal(TENANT, "day", in_flight.day, 900, 0)])
    assert waiting.result() == "ok"
    await until(lambda: not worker.state.reasons())

    assert (await use_of(store, account)).day_tokens == 930


async def test_a_run_that_no_ledger_serves_is_not_unlimited(
    store: ValkeyBudgetStore, worker: BudgetWorker, admin: Redis
) -> None:
    """It waits, and ends by its own deadline without a call."""
    account = await account_in(store)
    await admin.flushall()

    assert await worker.run(tenant_of(account, SpendLimits(tokens_per_day=1_000)), "capped", left=0.5) == "expired"
    assert worker.outcomes == {"expired": 1}


async def test_a_restart_keeps_the_counts_and_the_settlements(
    server: Valkey, store: ValkeyBudgetStore, provider: ScriptedModel, worker: BudgetWorker
) -> None:
    """Calls are refused meanwhile, and a call that was in flight is settled afterwards."""
    account = await account_in(store)
    tenant = tenant_of(account, SpendLimits(tokens_per_day=1_000))
    provider.script.add(ANSWER.model_copy(update={"delay": 1.0}))
    async with asyncio.TaskGroup() as tasks:
        in_flight = tasks.create_task(worker.run(tenant, "capped"))
        await until(lambda: provider.calls.number == 1)
        await server.kill()
        assert await worker.run(tenant, "capped") == "budget_unavailable"
        assert len(worker.state.reasons()) == 1
    assert in_flight.result() == "ok"
    await server.start()
    await until(lambda: not worker.state.reasons())

    used = await use_of(store, account)
    assert (used.day_tokens, used.held_tokens) == (30, 0)
    assert await worker.run(tenant, "capped") == "ok"


async def test_a_rate_falls_back_to_the_share_of_the_worker(
    server: Valkey, store: ValkeyBudgetStore, worker: BudgetWorker
) -> None:
    """Half of the shards is half of the rate: two calls of 37 tokens fit 80, and the third waits."""
    account = await account_in(store)
    await server.kill()
    try:
        tenant = tenant_of(account, SpendLimits(tokens_per_minute=160))
        limits = tenant.limits.model_copy(update={"max_wait": 0.2})
        codes = [await worker.run(tenant.model_copy(update={"limits": limits}), "capped") for _ in range(3)]
        assert codes == ["ok", "ok", "rate_limited"]
        small = tenant_of(account, SpendLimits(tokens_per_minute=60))
        assert await worker.run(small, "capped") == "budget_unavailable"
    finally:
        await server.start()


async def test_a_full_store_refuses_with_one_line_and_still_settles(
    store: ValkeyBudgetStore, worker: BudgetWorker, admin: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is no unlimited budget; a settlement frees memory. Readiness says so until a write succeeds."""
    monkeypatch.setattr(store_state, "LOOK_S", 0.01)
    account = await account_in(store)
    in_flight = await store.reserve(claim_of(account, DAY))
    assert isinstance(in_flight, Granted)
    await admin.config_set("maxmemory", 1)

    with pytest.raises(BudgetUnavailableError, match="counts of the budget") as raised:
        await store.reserve(claim_of(account, DAY))
    assert raised.value.detail.startswith("Valkey is full")
    assert await worker.run(tenant_of(account, SpendLimits(tokens_per_day=1_000)), "capped") == "budget_unavailable"
    assert await store.called(in_flight)
    await store.settle(in_flight, Charge(33))
    await asyncio.sleep(0.1)
    assert worker.state.reasons()
    await admin.config_set("maxmemory", 0)
    await until(lambda: not worker.state.reasons())

    used = await use_of(store, account)
    assert (used.day_tokens, used.held_tokens) == (33, 0)


async def test_idle_accounts_leave_nothing_for_ever(store: ValkeyBudgetStore, admin: Redis) -> None:
    """Each key has an end, at most five weeks after the last call."""
    account = await account_in(store)
    limits = (CallLimits(TENANT, minute_tokens=1_000, day_tokens=10_000),)
    granted = await store.reserve(claim_of(account, *limits, soft=0.001))
    assert isinstance(granted, Granted)
    await store.settle(granted, Charge(90))
    await store.reserve(claim_of(account, *limits))

    keys = [key async for key in admin.scan_iter(f"{{{account}}}:*")]
    ends = [await admin.ttl(key) for key in keys]

    assert len(keys) == 5
    assert all(0 < end <= 35 * 86_400 for end in ends)
