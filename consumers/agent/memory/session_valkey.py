"""Session memory in Valkey.

An append is in the server's append-only file before it is acknowledged. With ``appendfsync everysec`` a killed server
loses none, and a machine that loses power loses at most the last two seconds. A replica that takes over may lack the
last appends. A lost append costs one exchange of a conversation, and never a repeated effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.agent.memory.exchange_log_valkey import ValkeyExchangeLog
from consumers.agent.memory.exchanges import ExchangeLimits, checked, pass_entry
from consumers.agent.memory.port import MemoryEntry, MemoryGuard, MemoryScope
from consumers.agent.memory.valkey_calls import ValkeyCalls


@dataclass(frozen=True, slots=True)
class ValkeySessionMemory:
    """The conversations of all sessions."""

    calls: ValkeyCalls
    limits: ExchangeLimits = field(default_factory=ExchangeLimits)
    guard: MemoryGuard = pass_entry

    @property
    def _log(self) -> ValkeyExchangeLog:
        return ValkeyExchangeLog(self.calls, "session", self.limits)

    async def load(self, scope: MemoryScope) -> tuple[MemoryEntry, ...]:
        """Return the kept entries, oldest first, after the summary. Raises MemoryUnavailableError."""
        return await self._log.load(scope)

    async def append(
        self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry], *, summary: MemoryEntry | None = None
    ) -> None:
        """Add a run's entries once, and replace old ones by *summary*. Raises as the port says."""
        kept = await checked(entries, scope, self.guard, self.limits)
        replacement = await checked([summary] if summary else [], scope, self.guard, self.limits)
        await self._log.append(scope, run_id, kept, *replacement)

    async def forget(self, scope: MemoryScope) -> None:
        """Delete the session's texts. Raises MemoryUnavailableError."""
        await self._log.forget(scope)
