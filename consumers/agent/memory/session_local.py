"""Session memory in this process, for unit tests of agents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.agent.memory.exchange_log_local import LocalExchangeLog
from consumers.agent.memory.exchanges import ExchangeLimits, checked, pass_entry
from consumers.agent.memory.port import MemoryEntry, MemoryGuard, MemoryScope
from schemas.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class LocalSessionMemory:
    """The conversations of all sessions, until the process ends."""

    limits: ExchangeLimits = field(default_factory=ExchangeLimits)
    guard: MemoryGuard = pass_entry
    clock: Clock = field(default_factory=SystemClock)
    _log: LocalExchangeLog = field(init=False)

    def __post_init__(self) -> None:
        """Start without any session."""
        object.__setattr__(self, "_log", LocalExchangeLog(self.limits, self.clock))

    async def load(self, scope: MemoryScope) -> tuple[MemoryEntry, ...]:
        """Return the kept entries, oldest first, after the summary."""
        return self._log.load(scope)

    async def append(
        self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry], *, summary: MemoryEntry | None = None
    ) -> None:
        """Add a run's entries once, and replace old ones by *summary*. Raises as the port says."""
        kept = await checked(entries, scope, self.guard, self.limits)
        replacement = await checked([summary] if summary else [], scope, self.guard, self.limits)
        self._log.append(scope, run_id, kept, *replacement)

    async def forget(self, scope: MemoryScope) -> None:
        """Delete the session's texts."""
        self._log.forget(scope)

    async def forget_subject(self, scope: MemoryScope) -> None:
        """Delete the texts of all the subject's sessions."""
        self._log.forget_subject(scope)
