"""The usage of runs that had begun before their account was loaded: it is added as the runs end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from ops.budgets.accounts import LedgerStore
from ops.budgets.ledger import UsageLedger
from ops.budgets.sums import AccountSums
from schemas.clock import Clock
from schemas.errors import BudgetUnavailableError
from streams.transport.errors import TransportError

WAIT_S = 1.0
"""The wait of one poll, and the pause after a failure."""

log = structlog.get_logger()


@dataclass(slots=True)
class LateUsage:
    """One reader for all accounts that this worker has loaded."""

    ledger: UsageLedger
    store: LedgerStore
    clock: Clock
    _ends: dict[str, float] = field(default_factory=dict[str, float])
    """By account, the monotonic seconds at which all of its runs from before the load have ended."""

    async def adopt(self, loaded: UsageLedger, within_s: float) -> None:
        """Go on where *loaded* has read to, for its accounts, during *within_s* seconds."""
        reader, read = self.ledger.reader, loaded.reader
        while any(read.position(each) < reader.position(each) for each in read.partitions & reader.partitions):
            await loaded.follow()
        starts = {each: read.position(each) for each in read.partitions}
        for account, sums in loaded.accounts.items():
            self.ledger.accounts[account], self.ledger.starts[account] = sums, starts
            self._ends[account] = self.clock.monotonic() + within_s
        await reader.add(list(starts), starts)

    async def follow(self) -> None:
        """Add usage until cancelled."""
        while True:
            try:
                await self.ledger.follow(WAIT_S)
                await self._add()
            except (TransportError, BudgetUnavailableError) as error:
                log.warning("late_usage_delayed", error=str(error))
                await asyncio.sleep(WAIT_S)
            self._leave([account for account, end in self._ends.items() if end < self.clock.monotonic()])

    async def _add(self) -> None:
        for account, found in list(self.ledger.accounts.items()):
            if not found.totals():
                continue
            added = await self.store.add_late(account, found.counted, found.totals())
            if self.ledger.accounts.get(account) is not found:  # it was loaded again meanwhile
                continue
            if added:
                self.ledger.accounts[account] = AccountSums(found.today, counted=found.counted)
            else:
                self._leave([account])

    def _leave(self, accounts: list[str]) -> None:
        """Follow these accounts no longer, nor partitions without any."""
        for account in accounts:
            del self.ledger.accounts[account], self.ledger.starts[account], self._ends[account]
        if accounts:
            needed = {partition for starts in self.ledger.starts.values() for partition in starts}
            self.ledger.reader.remove(self.ledger.reader.partitions - needed)
