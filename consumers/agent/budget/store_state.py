"""The state of the budget store as a worker knows it, and the settlements that the store did not take yet."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from consumers.agent.budget.port import BudgetStore, CallSize, Charge, Claim, Granted, SoftLimit
from schemas.errors import BudgetUnavailableError
from schemas.keys import PLATFORM

LOOK_S = 1.0
"""Seconds between two looks at a store that does not answer, or at accounts that are not loaded."""

UNSETTLED_LIMIT = 10_000
"""Settlements that are kept. The oldest is dropped beyond it, and its call is charged in full."""

ACCOUNTS_LIMIT = 1_000
"""Accounts that are known as not loaded. Further ones are found by their next call."""

PROBE = Claim(account=PLATFORM, call="probe", owner="probe", limits=(), size=CallSize(0, 0, 0))
"""A reservation of nothing. It is a write: a full store answers reads."""

log = structlog.get_logger()


@dataclass(slots=True)
class StoreState:
    """Keeps what is to be settled, and tries until the store has taken it."""

    store: BudgetStore
    unloaded: Callable[[str], None] = lambda _: None
    """Called with each account that must be loaded from the ledger, again with each refused call."""

    reached: Callable[[str, tuple[SoftLimit, ...]], None] = lambda _account, _alerts: None
    """Called with the account and the soft limits that a late settlement has reached."""

    failure: str = ""
    """The detail of the last failure; empty while the store answers."""

    _waiting: OrderedDict[tuple[str, str, str], tuple[Granted, Charge]] = field(
        default_factory=OrderedDict[tuple[str, str, str], tuple[Granted, Charge]]
    )
    _accounts: set[str] = field(default_factory=set[str])
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def reasons(self) -> list[str]:
        """Return the reasons why calls with a budget are refused now."""
        found = ["the store of budgets does not answer: model calls with a budget are refused"] if self.failure else []
        if self._accounts:
            found.append(f"the budgets of {len(self._accounts)} tenants are not loaded from the ledger yet")
        return found

    def answered(self) -> None:
        """Note that the store has answered."""
        if self.failure:
            self.failure = ""
            log.info("budget_store_recovered")

    def failed(self, error: BudgetUnavailableError) -> None:
        """Note that the store did not answer, and log it once."""
        if not self.failure:
            log.error("budget_store_failed", detail=error.detail)
        self.failure = error.detail or error.public_message
        self._wake.set()

    def needs_load(self, account: str) -> None:
        """Note that an account must be loaded."""
        if account not in self._accounts and len(self._accounts) < ACCOUNTS_LIMIT:
            log.warning("budget_not_loaded", tenant=account)
            self._accounts.add(account)
        self.unloaded(account)
        self._wake.set()

    def settle_later(self, granted: Granted, charge: Charge) -> None:
        """Settle as soon as the store answers. The first charge of a reservation counts."""
        self._waiting.setdefault((granted.account, granted.call, granted.owner), (granted, charge))
        if len(self._waiting) > UNSETTLED_LIMIT:
            self._waiting.popitem(last=False)
            log.warning("settlement_dropped", limit=UNSETTLED_LIMIT)
        self._wake.set()

    async def serve(self) -> None:
        """Settle, and look at the store, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self._caught_up():
                self._wake.set()
                await asyncio.sleep(LOOK_S)

    async def _caught_up(self) -> bool:
        """Return True if nothing is left to do."""
        try:
            await self._settle()
            for account in sorted(self._accounts):
                if not await self.store.needs_load(account):
                    self._accounts.discard(account)
            if self.failure:
                await self.store.reserve(PROBE)
        except BudgetUnavailableError as error:
            self.failed(error)
            return False
        self.answered()
        return not self._accounts

    async def _settle(self) -> None:
        while self._waiting:
            key, (granted, charge) = next(iter(self._waiting.items()))
            self.reached(granted.account, await self.store.settle(granted, charge))
            self._waiting.pop(key, None)
