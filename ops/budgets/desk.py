"""The budgets of a cluster's tenants, for commands: their counts in the store, and in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from consumers.agent.budget.port import TENANT, BudgetUse, Spender
from consumers.agent.budget.valkey import ValkeyBudgetStore, valkey_budgets
from ops import registry_writer
from ops.budgets.accounts import today_of
from ops.budgets.ledger import ledger_of
from ops.budgets.report import BudgetReport
from ops.budgets.sums import AccountSums
from ops.errors import BudgetStoreError, NoLayoutError, UnknownTenantError, UsageError
from ops.settings import Settings
from schemas.errors import BudgetUnavailableError
from schemas.tenants import Layout, Tenant
from streams.registry.tenants import TenantRegistry
from streams.transport.connection import Connection

LOADED_S = 10.0
"""Seconds in which a worker loads an account. Then the command does it itself: no worker may be running."""

LOOK_S = 0.1
TOP = 10
"""Users or agents that are shown, those that have spent the most first."""


@dataclass(frozen=True, slots=True)
class BudgetDesk:
    """The budgets of one cluster."""

    connection: Connection
    registry: TenantRegistry
    layout: Layout
    store: ValkeyBudgetStore

    def tenants(self, name: str | None) -> list[Tenant]:
        """Return the tenant, or all that have a budget. Raises UnknownTenantError."""
        known = self.registry.tenants
        if name is None:
            return [known[each] for each in sorted(known) if known[each].budgets.limited]
        if name not in known:
            raise UnknownTenantError(name)
        return [known[name]]

    async def report(self, tenant: Tenant, kinds: Sequence[str] = (), *, recount: bool = False) -> BudgetReport:
        """Return the state of the tenant's budgets. *kinds* are those whose spenders are shown: ``user``, ``agent``.

        With *kinds* or *recount*, the usage records of the month are read.
        """
        sums = await self.recounted(tenant.id) if kinds or recount else None
        spenders = [TENANT, *(spender for kind in kinds for spender in _top(sums, kind))]
        uses = await self.store.read(tenant.id, spenders)
        return BudgetReport(
            tenant.budgets,
            {use.spender: use for use in uses},
            loaded=not await self.store.needs_load(tenant.id),
            names=sums.users if sums else None,
            ledger=sums if recount else None,
        )

    async def recounted(self, account: str) -> AccountSums:
        """Return the sums of the account's usage records."""
        sums = AccountSums(await today_of(self.store, account), users={})
        async with ledger_of(self.connection, self.layout, {account: sums}, sums.today.replace(day=1)) as ledger:
            await ledger.read()
        return sums

    async def rebuild(self, account: str) -> BudgetUse:
        """Drop the account's counts and load them from the ledger. Return the tenant's usage.

        A running worker loads them, and follows the runs that go on. Without one, this process does.
        """
        await self.store.forget(account)
        try:
            async with asyncio.timeout(LOADED_S):
                while await self.store.needs_load(account):  # noqa: ASYNC110 - Valkey tells nobody of a change
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            await self.store.load(account, (await self.recounted(account)).totals())
        (use,) = await self.store.read(account, [TENANT])
        return use


def _top(sums: AccountSums | None, kind: str) -> list[Spender]:
    """Return the spenders of the kind that have spent most in this month."""
    found = [each for each in sums.totals() if each.spender.kind == kind and each.period == "month"] if sums else []
    return [each.spender for each in sorted(found, key=lambda each: (-each.pico, -each.tokens))[:TOP]]


@asynccontextmanager
async def budget_desk(settings: Settings, connection: Connection) -> AsyncGenerator[BudgetDesk]:
    """Yield the budgets of the cluster. Raises UsageError without Valkey, NoLayoutError, BudgetStoreError."""
    if settings.valkey_url is None:
        raise UsageError("budgets are counted in Valkey: set HEADRACE_VALKEY_URL")
    registry = await registry_writer.load(connection)
    if registry.layout is None:
        raise NoLayoutError
    try:
        async with valkey_budgets(settings.valkey_url.get_secret_value()) as store:
            yield BudgetDesk(connection, registry, registry.layout, store)
    except BudgetUnavailableError as error:
        raise BudgetStoreError(error.detail) from error
