"""The link between a worker and its budgets: its share of the rates, and the reasons why it refuses calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from consumers.agent.budget.store_state import StoreState


@dataclass(slots=True)
class BudgetWatch:
    """Filled in as the stage starts: the store first, then the worker."""

    state: StoreState | None = None
    """The store of budgets and its state; None if the worker has none."""

    unloaded: Callable[[str], None] = lambda _: None
    """Called with each tenant whose usage must be loaded from the ledger into the store."""

    owned: Callable[[], int] = lambda: 0
    """Returns the number of shards that the worker owns."""

    shards: int = 0
    """The number of all shards."""

    def share(self) -> float:
        """Return the worker's share of the rates while the store is away: that of the shards it owns."""
        return self.owned() / self.shards if self.shards else 0.0

    def reasons(self) -> list[str]:
        """Return the reasons why calls with a budget are refused."""
        return self.state.reasons() if self.state else []

    def needs_load(self, tenant: str) -> None:
        """Report a tenant whose usage must be loaded."""
        self.unloaded(tenant)
