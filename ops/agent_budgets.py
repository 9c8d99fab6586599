"""Open the budgets of model calls, in Valkey."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from consumers.agent.budget.call_size import SizeEstimate
from consumers.agent.budget.claims import Claims
from consumers.agent.budget.local_share import LocalShare
from consumers.agent.budget.memory import MemoryBudgetStore
from consumers.agent.budget.model_budget import CountedBudget, log_soft_limits
from consumers.agent.budget.port import BudgetStore
from consumers.agent.budget.store_state import StoreState
from consumers.agent.budget.uncounted import Uncounted
from consumers.agent.budget.valkey import ValkeyBudgetStore, valkey_budgets
from consumers.agent.models.prices import Prices
from consumers.agent.seams import ModelBudget
from consumers.valkey.info import UnfitStoreError
from ops.agents import price_table
from ops.background import background
from ops.budget_watch import BudgetWatch
from ops.errors import UsageError
from ops.settings import Settings
from schemas.clock import Clock
from schemas.errors import BudgetUnavailableError

log = structlog.get_logger()


@asynccontextmanager
async def agent_budget(settings: Settings, clock: Clock, watch: BudgetWatch) -> AsyncGenerator[ModelBudget]:
    """Yield the budget of model calls, and show its state in *watch*.

    Without Valkey it refuses the calls of tenants with limits. Raises UsageError for an unfit Valkey, and for limits of
    providers without Valkey.
    """
    if settings.valkey_url is None:
        if settings.provider_limits:
            raise UsageError("HEADRACE_PROVIDER_LIMITS is counted in Valkey: set HEADRACE_VALKEY_URL")
        yield Uncounted()
        return
    async with valkey_budgets(settings.valkey_url.get_secret_value()) as store:
        await _check(store)
        state = watch.state = StoreState(store, watch.needs_load, log_soft_limits)
        async with background(state.serve()):
            yield counted_budget(settings, clock, state, watch)


def counted_budget(settings: Settings, clock: Clock, state: StoreState, watch: BudgetWatch) -> CountedBudget:
    """Return the budget that is counted in the store of *state*."""
    size = SizeEstimate(Prices(price_table(settings)).price_of, settings.reserved_output_tokens)
    store: BudgetStore = state.store
    local = LocalShare(MemoryBudgetStore(clock), watch.share)
    return CountedBudget(Claims(size, settings.provider_limits), store, state, local)


async def _check(store: ValkeyBudgetStore) -> None:
    """Raise UsageError for a store that may forget. One that does not answer yet is asked again by each call."""
    try:
        await store.check()
    except UnfitStoreError as error:
        raise UsageError(f"HEADRACE_VALKEY_URL: {error}") from error
    except BudgetUnavailableError as error:
        log.warning("budget_store_failed", detail=error.detail)
