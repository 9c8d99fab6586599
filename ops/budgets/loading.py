"""Open the loader of budgets of a worker whose agents have a store of budgets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from consumers.agent.budget.valkey import TIMEOUT_S, ValkeyBudgetStore
from consumers.valkey.link import ValkeyLink, served
from ops.budget_watch import BudgetWatch
from ops.budgets.lease import AccountLease
from ops.budgets.loader import BudgetLoader
from ops.settings import Settings
from ops.stage_context import StageContext


@asynccontextmanager
async def budget_loader(
    settings: Settings, context: StageContext, watch: BudgetWatch
) -> AsyncGenerator[BudgetLoader | None]:
    """Yield the loader that *watch* asks for accounts; None for a worker without a store of budgets."""
    if watch.state is None or settings.valkey_url is None:
        yield None
        return
    link, registry = ValkeyLink(settings.valkey_url.get_secret_value(), TIMEOUT_S), context.registry
    async with served(link):
        loader = BudgetLoader(
            connection=context.connection,
            layout=context.layout,
            store=ValkeyBudgetStore(link),
            lease=AccountLease(link),
            tenants=lambda: list(registry.tenants.values()),
            changed=registry.changed,
            clock=context.clock,
        )
        watch.unloaded = loader.want
        yield loader
