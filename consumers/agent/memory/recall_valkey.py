"""Recall memory in Valkey. A search reads the owner's own history, and compares every entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.agent.memory.exchange_log_valkey import ValkeyExchangeLog
from consumers.agent.memory.exchanges import ExchangeLimits, checked, pass_entry
from consumers.agent.memory.port import MemoryEntry, MemoryGuard, MemoryScope
from consumers.agent.memory.recall import RECALL_LIMITS, matching
from consumers.agent.memory.valkey_calls import ValkeyCalls


@dataclass(frozen=True, slots=True)
class ValkeyRecallMemory:
    """The histories of all owners."""

    calls: ValkeyCalls
    limits: ExchangeLimits = RECALL_LIMITS
    guard: MemoryGuard = pass_entry

    @property
    def _log(self) -> ValkeyExchangeLog:
        return ValkeyExchangeLog(self.calls, "recall", self.limits)

    async def append(self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry]) -> None:
        """Add a run's entries once. Raises as the port says."""
        await self._log.append(scope, run_id, await checked(entries, scope, self.guard, self.limits))

    async def search(self, scope: MemoryScope, query: str, *, limit: int = 10) -> tuple[MemoryEntry, ...]:
        """Return the newest entries that have every word of the query. Raises MemoryUnavailableError."""
        return await matching(await self._log.load(scope), query, limit)

    async def forget(self, scope: MemoryScope) -> None:
        """Delete the history's texts. Raises MemoryUnavailableError."""
        await self._log.forget(scope)
