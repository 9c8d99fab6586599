"""Recall memory in this process, for unit tests of agents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.agent.memory.exchange_log_local import LocalExchangeLog
from consumers.agent.memory.exchanges import ExchangeLimits, checked, pass_entry
from consumers.agent.memory.port import MemoryEntry, MemoryGuard, MemoryScope
from consumers.agent.memory.recall import RECALL_LIMITS, matching
from schemas.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class LocalRecallMemory:
    """The histories of all owners, until the process ends."""

    limits: ExchangeLimits = RECALL_LIMITS
    guard: MemoryGuard = pass_entry
    clock: Clock = field(default_factory=SystemClock)
    _log: LocalExchangeLog = field(init=False)

    def __post_init__(self) -> None:
        """Start without any history."""
        object.__setattr__(self, "_log", LocalExchangeLog(self.limits, self.clock))

    async def append(self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry]) -> None:
        """Add a run's entries once. Raises as the port says."""
        self._log.append(scope, run_id, await checked(entries, scope, self.guard, self.limits))

    async def search(self, scope: MemoryScope, query: str, *, limit: int = 10) -> tuple[MemoryEntry, ...]:
        """Return the newest entries that have every word of the query."""
        return await matching(self._log.load(scope), query, limit)

    async def forget(self, scope: MemoryScope) -> None:
        """Delete the history's texts."""
        self._log.forget(scope)

    async def forget_subject(self, scope: MemoryScope) -> None:
        """Delete the texts of all the subject's histories."""
        self._log.forget_subject(scope)
