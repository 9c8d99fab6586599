"""The loader of budgets: it brings the ledger's sums into a store that has lost its counts, or never had them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import structlog

from ops.budgets.accounts import LedgerStore, today_of
from ops.budgets.late import LateUsage
from ops.budgets.lease import AccountLease
from ops.budgets.ledger import NAME, UsageLedger, ledger_of
from ops.budgets.sums import AccountSums
from schemas.clock import Clock
from schemas.errors import BudgetUnavailableError
from schemas.tenants import Layout, Tenant
from streams.transport.connection import Connection
from streams.transport.errors import TransportError
from streams.transport.reader import Reader

SWEEP_S = 5.0
"""Seconds between two looks for accounts that no run has asked for: a new budget is loaded before its first call."""

AGAIN_S = 0.5
"""The shortest time between two loads. Runs ask for an account until it is loaded."""

LATE_S = 60.0
"""Seconds beyond the longest deadline for which usage is taken over that the lost store had counted."""

log = structlog.get_logger()


@dataclass(slots=True)
class BudgetLoader:
    """The loader of one worker. Of several workers, the one that holds an account's lease loads it."""

    connection: Connection
    layout: Layout
    store: LedgerStore
    lease: AccountLease
    tenants: Callable[[], Iterable[Tenant]]
    changed: Callable[[], Awaitable[None]]
    """Waits for the next change of a tenant."""

    clock: Clock
    wanted: set[str] = field(default_factory=set[str])
    """The accounts that are not loaded."""

    _late: LateUsage | None = None
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, account: str) -> None:
        """Ask for an account to be loaded."""
        self.wanted.add(account)
        self._asked.set()

    async def follow(self) -> None:
        """Load accounts until cancelled. A failure of Kafka or of the store delays them."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            while True:
                await self._find()
                if self.wanted:
                    await self._load(list(self.wanted), stack, tasks)
                await asyncio.sleep(AGAIN_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_S):
                        await self._asked.wait()
                self._asked.clear()

    async def _watch(self) -> None:
        """Look for accounts after each change of a tenant."""
        while True:
            await self.changed()
            self._asked.set()

    async def _find(self) -> None:
        """Want the tenants with limits of days or months that are not loaded, and no others."""
        try:
            for tenant in self.tenants():
                if tenant.budgets.periodic and await self.store.needs_load(tenant.id):
                    self.wanted.add(tenant.id)
                else:
                    self.wanted.discard(tenant.id)
        except BudgetUnavailableError as error:
            log.warning("budget_store_unavailable", detail=error.detail)

    async def _load(self, accounts: list[str], stack: AsyncExitStack, tasks: asyncio.TaskGroup) -> None:
        longest = max((each.limits.max_deadline for each in self.tenants()), default=0.0)
        try:
            if self._late is None:
                reader = await stack.enter_async_context(await Reader.open(self.connection, (), name=NAME))
                self._late = LateUsage(UsageLedger(reader, {}), self.store, self.clock)
                tasks.create_task(self._late.follow())
            held = [account for account in accounts if await self._takes(account)]
            if held:
                await self._load_held(held, self._late, longest + LATE_S)
        except (TransportError, BudgetUnavailableError) as error:
            log.warning("budget_load_failed", accounts=len(accounts), error=str(error))

    async def _takes(self, account: str) -> bool:
        """Return True if this worker has the lease, and no other one has loaded the account before."""
        return await self.lease.take(account) and await self.store.needs_load(account)

    async def _load_held(self, accounts: list[str], late: LateUsage, late_s: float) -> None:
        """Load the accounts, and take over the usage of their runs that go on for *late_s* seconds."""
        began = self.clock.monotonic()
        sums = {account: AccountSums(await today_of(self.store, account)) for account in accounts}
        month = min(each.today for each in sums.values()).replace(day=1)
        async with ledger_of(self.connection, self.layout, sums, month) as ledger, self.lease.kept(accounts):
            await ledger.read()
            runs = sum(each.runs for each in sums.values())
            for account, found in list(sums.items()):
                await self._put(ledger, account, found)
            await late.adopt(ledger, late_s)
        log.info("budgets_loaded", accounts=len(accounts), runs=runs, seconds=round(self.clock.monotonic() - began, 2))

    async def _put(self, ledger: UsageLedger, account: str, found: AccountSums) -> None:
        """Load one account. Its further records count unless the store has counted them itself."""
        generation = await self.store.load(account, found.totals())
        self.wanted.discard(account)
        del ledger.accounts[account]
        if generation:
            ledger.accounts[account] = AccountSums(found.today, counted=generation)
