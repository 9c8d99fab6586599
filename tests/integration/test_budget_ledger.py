"""The ledger of budgets over a real Kafka and a real Valkey: loads, losses, and workers that die in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

import pytest

from consumers.agent.budget.port import (
    TENANT,
    BudgetUse,
    CallLimits,
    CallSize,
    Charge,
    Claim,
    Granted,
    PeriodTotal,
    Unloaded,
)
from consumers.agent.budget.valkey import ValkeyBudgetStore
from consumers.valkey.link import ValkeyLink, served
from ops.background import background
from ops.budgets.desk import BudgetDesk
from ops.budgets.late import LateUsage
from ops.budgets.lease import AccountLease
from ops.budgets.ledger import UsageLedger, ledger_of
from ops.budgets.loader import BudgetLoader
from ops.budgets.sums import AccountSums
from ops.embedded.kafka import Kafka
from ops.embedded.valkey import Valkey
from ops.topology import Topology
from producers.usage import usage_record
from schemas.budgets import Budgets, SpendLimits
from schemas.clock import SystemClock
from schemas.keys import tenant_prefix
from schemas.tenants import Layout, Tenant
from schemas.topics import USAGE
from schemas.usage import AgentSpend, UsageRecord, day_of
from streams.registry.tenants import TenantRegistry
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.unit.producers.samples import ORIGIN

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
LAYOUT = Layout(shards=1)
RUNS = count(1)
PATIENCE_S = 20


@pytest.fixture
async def connection(kafka: Kafka) -> Connection:
    """The brokers, with the topic of usage records."""
    connection = Connection(kafka.bootstrap)
    async with await Admin.open(connection) as admin:
        await admin.create_topics([Topology(LAYOUT, 1).spec(USAGE, USAGE.name, LAYOUT.shards)])
    return connection


@pytest.fixture
def tenant() -> Tenant:
    """A tenant with a budget of 1,000 tokens a day."""
    return Tenant(id=f"t-{uuid4().hex[:12]}", budgets=Budgets(tenant=SpendLimits(tokens_per_day=1_000)))


class LedgerWorld:
    """One tenant, its budget store, and workers that load it."""

    def __init__(self, connection: Connection, link: ValkeyLink, tenant: Tenant, writer: Writer) -> None:
        self.connection, self.link, self.tenant, self.writer = connection, link, tenant, writer
        self.store, self.changes = ValkeyBudgetStore(link), asyncio.Event()

    def loader(self, worker: str = "one") -> BudgetLoader:
        """Return the loader of a new worker."""
        lease = AccountLease(self.link, f"{self.tenant.id}-{worker}")
        return BudgetLoader(self.connection, LAYOUT, self.store, lease, lambda: [self.tenant], self.changed, CLOCK)

    async def changed(self) -> None:
        """Wait for a change of the tenant, which none of these tests makes."""
        await self.changes.wait()

    async def reserved(self) -> Granted:
        """Reserve a call of 100 tokens, and send it."""
        claim = Claim(
            account=self.tenant.id,
            call=f"call-{next(RUNS)}",
            owner="o",
            limits=(CallLimits(TENANT, day_tokens=1_000),),
            size=CallSize(100, 0, 0),
        )
        answer = await self.store.reserve(claim)
        assert isinstance(answer, Granted), answer
        assert await self.store.called(answer)
        return answer

    async def settle(self, *calls: Granted) -> None:
        """Settle calls for 10 tokens each."""
        for call in calls:
            await self.store.settle(call, Charge(10, 5))

    async def end(self, *calls: Granted, tokens: int = 0) -> None:
        """End the run that has made these calls, and *tokens* that no store has counted."""
        number, today = next(RUNS), day_of(CLOCK.now_ms())
        usage = UsageRecord(
            tenant=self.tenant.id,
            run_id=f"run-{number}",
            request_id=f"r-{number}",
            agent="desk",
            issuer="topic",
            subject="ann",
            status="succeeded",
            attempt=1,
            at_ms=CLOCK.now_ms(),
            input_tokens=tokens + 10 * len(calls),
            agents=(
                *(AgentSpend(agent="desk", day=c.day, generation=c.generation, input_tokens=10) for c in calls),
                AgentSpend(agent="desk", day=today, input_tokens=tokens),
            ),
        )
        await self.writer.send(usage_record(usage, origin=ORIGIN, shards=LAYOUT.shards, trace=()))

    async def used(self) -> BudgetUse:
        """Return the tenant's counts."""
        (use,) = await self.store.read(self.tenant.id, [TENANT])
        return use

    async def until_loaded(self) -> None:
        """Wait for a loader."""
        while await self.store.needs_load(self.tenant.id):  # noqa: ASYNC110 - Valkey tells nobody
            await asyncio.sleep(0.02)

    async def until_used(self, tokens: int) -> None:
        """Wait until the tenant's tokens of the day are these."""
        while (use := await self.used()).day_tokens != tokens:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        assert (use.month_tokens, use.held_tokens) == (tokens, 0)

    async def empty(self) -> None:
        """Take the tenant's counts from the store, as a loss of its data does."""
        for part in ("calls", "expiry", f"day:{(await self.used()).day}", f"month:{(await self.used()).day:%Y-%m}"):
            await self.link.call("DEL", f"{tenant_prefix(self.tenant.id)}budget:{part}")


@pytest.fixture
async def world(connection: Connection, valkey: Valkey, tenant: Tenant) -> AsyncIterator[LedgerWorld]:
    """The world of one tenant, with a deadline."""
    link = ValkeyLink(valkey.url, 5.0)
    async with served(link), await Writer.open(connection) as writer, asyncio.timeout(PATIENCE_S):
        yield LedgerWorld(connection, link, tenant, writer)


@asynccontextmanager
async def loading(loader: BudgetLoader) -> AsyncGenerator[BudgetLoader]:
    """Run a worker's loader for the block."""
    async with background(loader.follow()):
        yield loader


async def test_a_new_budget_counts_what_was_spent_before(world: LedgerWorld) -> None:
    """No run has asked yet; calls are refused until the ledger is read."""
    await world.end(tokens=70)
    await world.end(tokens=30)
    assert isinstance(
        await world.store.reserve(
            Claim(
                account=world.tenant.id,
                call="c",
                owner="o",
                limits=(CallLimits(TENANT, day_tokens=1_000),),
                size=CallSize(1, 0, 0),
            )
        ),
        Unloaded,
    )

    async with loading(world.loader()):
        await world.until_loaded()
        await world.until_used(100)


async def test_a_store_that_is_emptied_agrees_with_the_ledger_after_the_load(world: LedgerWorld) -> None:
    """Runs go on meanwhile: one has ended, one has a settled call, one a call in flight, one begins afterwards."""
    async with loading(world.loader()) as loader:
        await world.until_loaded()
        ended, settled, flying = [await world.reserved() for _ in range(3)]
        await world.settle(ended, settled)
        await world.end(ended)

        await world.empty()
        loader.want(world.tenant.id)
        await world.until_loaded()
        await world.until_used(10)

        later = await world.reserved()
        await world.settle(flying, later)
        await world.until_used(20)
        await world.end(later)
        await world.end(settled)
        await world.end(flying)
        await world.until_used(40)


async def test_a_rebuild_by_hand_counts_calls_in_flight_once(world: LedgerWorld) -> None:
    """Their reservations are still in the store, of an earlier generation."""
    async with loading(world.loader()) as loader:
        await world.until_loaded()
        flying, unknown = await world.reserved(), await world.reserved()
        await world.store.forget(world.tenant.id)
        loader.want(world.tenant.id)
        await world.until_loaded()

        await world.settle(flying)
        assert ((await world.used()).day_tokens, (await world.used()).held_tokens) == (0, 100)
        await world.end(flying)
        await world.settle(unknown)
        await world.until_used(10)
        await world.end(tokens=7)
        await world.until_used(17)
        await asyncio.sleep(1.2)  # the follower of the first load sees it too
        await world.until_used(17)


async def test_another_worker_takes_a_load_over_from_one_that_died(
    world: LedgerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease of the dead one ends by itself. Both have read the ledger; it counts once."""
    monkeypatch.setattr("ops.budgets.lease.HELD_S", 0.3)
    await world.end(tokens=70)
    dead, began = world.loader("dead"), asyncio.Event()

    async def hangs(*_: object) -> str:
        began.set()
        await asyncio.sleep(3_600)
        return ""

    monkeypatch.setattr(dead.store, "load", hangs)
    async with loading(dead):
        await began.wait()
        other = world.loader("other")
        other.store = ValkeyBudgetStore(world.link)
        assert not await other.lease.take(world.tenant.id), "it is held as long as its worker lives"
    async with loading(other):
        await world.until_used(70)


async def test_accounts_of_one_partition_that_are_loaded_one_after_another_count_each_run_once(
    world: LedgerWorld,
) -> None:
    """One reader follows both: it has passed records that the later load has counted."""
    other = LedgerWorld(
        world.connection, world.link, world.tenant.model_copy(update={"id": f"{world.tenant.id}-b"}), world.writer
    )
    known, loader = [world.tenant], world.loader()
    loader.tenants = lambda: known
    await world.end(tokens=5)
    async with loading(loader):
        await world.until_used(5)
        await other.end(tokens=7)
        await world.end(tokens=10)
        await world.until_used(15)
        known.append(other.tenant)
        loader.want(other.tenant.id)
        await other.until_used(7)
        await other.end(tokens=1)
        await world.end(tokens=1)
        await other.until_used(8)
        await world.until_used(16)


async def test_a_load_ends_with_the_runs_from_before_it(world: LedgerWorld) -> None:
    """Then no reader is left that follows the tenant."""
    late = LateUsage(UsageLedger(await Reader.open(world.connection, ()), {}), world.store, CLOCK)
    async with late.ledger.reader:
        sums = {world.tenant.id: AccountSums(day_of(CLOCK.now_ms()))}
        async with ledger_of(world.connection, LAYOUT, sums, day_of(CLOCK.now_ms()).replace(day=1)) as loaded:
            await loaded.read()
            await late.adopt(loaded, 0.0)
        assert late.ledger.reader.partitions
        async with background(late.follow()):
            while late.ledger.reader.partitions:  # noqa: ASYNC110 - the reader tells nobody
                await asyncio.sleep(0.02)
    assert not late.ledger.accounts


async def test_a_tenant_with_a_rate_alone_is_not_loaded(world: LedgerWorld) -> None:
    """Nothing of it is counted, and the ledger would be read again and again."""
    world.tenant = world.tenant.model_copy(update={"budgets": Budgets(tenant=SpendLimits(tokens_per_minute=1))})
    loader = world.loader()
    async with loading(loader):
        await asyncio.sleep(0.2)
    assert not loader.wanted
    assert await world.store.needs_load(world.tenant.id)


async def test_a_command_shows_the_difference_and_rebuilds_without_a_worker(
    world: LedgerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was charged in full without an answer is dropped by the rebuild."""
    monkeypatch.setattr("ops.budgets.desk.LOADED_S", 0.1)
    registry = TenantRegistry()
    registry.tenants[world.tenant.id] = world.tenant
    desk = BudgetDesk(world.connection, registry, LAYOUT, world.store)
    await world.end(tokens=70)
    await world.store.load(world.tenant.id, [PeriodTotal(TENANT, "day", (await world.used()).day, 95, 0)])

    (found,) = (await desk.report(world.tenant, recount=True)).limits()
    assert (found.used, found.ledger, found.state) == (95, 70, "ok")
    assert (await desk.rebuild(world.tenant.id)).day_tokens == 70
    users = (await desk.report(world.tenant, ("user",))).names
    assert list((users or {}).values()) == ["ann"]


async def test_two_loads_at_once_count_once(world: LedgerWorld) -> None:
    """A worker that was stopped for longer than its lease goes on with its load."""
    await world.end(tokens=70)
    loaders = [world.loader(name) for name in ("a", "b")]
    for each in loaders:
        each.lease = AccountLease(world.link, "both")
    async with loading(loaders[0]), loading(loaders[1]):
        await world.until_used(70)
        await world.settle(await world.reserved())
        assert (
            await world.store.load(world.tenant.id, [PeriodTotal(TENANT, "day", (await world.used()).day, 7, 7)]) == ""
        )
        await world.until_used(80)
