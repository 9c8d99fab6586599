"""The budget of a worker without Valkey and without a ledger, such as a test's."""

from __future__ import annotations

from consumers.agent.budget.claims import Claims
from consumers.agent.budget.local_share import LocalShare
from consumers.agent.budget.memory import MemoryBudgetStore
from consumers.agent.budget.model_budget import CountedBudget
from consumers.agent.budget.store_state import StoreState
from schemas.clock import Clock


def local_budget(clock: Clock) -> CountedBudget:
    """Return a budget that counts in this process, from nothing."""
    store = MemoryBudgetStore(clock, generation="local")
    return CountedBudget(Claims(), store, StoreState(store), LocalShare(store))
