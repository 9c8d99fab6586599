"""The part of a budget store that the ledger needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from consumers.agent.budget.port import TENANT, BudgetUse, PeriodTotal, Spender


class LedgerStore(Protocol):
    """A store whose accounts are loaded from the ledger. Every method raises BudgetUnavailableError."""

    async def needs_load(self, account: str) -> bool:
        """Return True if the account's usage is unknown."""
        ...

    async def load(self, account: str, totals: Sequence[PeriodTotal]) -> str:
        """Add the totals, once, and return the new generation. Return an empty text if it was loaded already."""
        ...

    async def add_late(self, account: str, generation: str, totals: Sequence[PeriodTotal]) -> bool:
        """Add usage that another generation has counted. Return False if the account has another one than this."""
        ...

    async def read(self, account: str, spenders: Sequence[Spender]) -> tuple[BudgetUse, ...]:
        """Return the usage of the spenders."""
        ...


async def today_of(store: LedgerStore, account: str) -> date:
    """Return the day of UTC by the clock of the store."""
    (use,) = await store.read(account, [TENANT])
    return use.day
