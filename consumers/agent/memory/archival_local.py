"""Archival memory in this process, for unit tests of agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumers.agent.memory.archival import (
    ArchivalLimits,
    StoredPassage,
    checked_passages,
    full_archive,
    other_dimension,
    search_passages,
)
from consumers.agent.memory.exchanges import pass_entry
from consumers.agent.memory.port import Embedder, MemoryEntry, MemoryGuard, MemoryScope, Passage
from schemas.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class LocalArchivalMemory:
    """The archives of all owners, until the process ends."""

    embedder: Embedder
    limits: ArchivalLimits = field(default_factory=ArchivalLimits)
    guard: MemoryGuard = pass_entry
    clock: Clock = field(default_factory=SystemClock)
    _stored: dict[MemoryScope, dict[str, StoredPassage]] = field(
        default_factory=dict[MemoryScope, dict[str, StoredPassage]], init=False
    )
    _expiry: dict[MemoryScope, float] = field(default_factory=dict[MemoryScope, float], init=False)

    async def add(self, scope: MemoryScope, entries: Sequence[MemoryEntry]) -> tuple[str, ...]:
        """Store entries and return their ids, without repeats. Raises as the port says."""
        passages = await checked_passages(scope, entries, self.embedder, self.guard, self.limits)
        if passages:
            self._store(scope, passages)
        return tuple(passages)

    async def search(self, scope: MemoryScope, query: str, *, limit: int = 10) -> tuple[Passage, ...]:
        """Return the nearest passages, nearest first. Raises as the port says."""
        return await search_passages(dict(sorted(self._found(scope).items())), self.embedder, query, limit)

    async def remove(self, scope: MemoryScope, passage_id: str) -> None:
        """Delete a passage."""
        self._stored.get(scope, {}).pop(passage_id, None)

    async def forget(self, scope: MemoryScope) -> None:
        """Delete all passages."""
        self._stored.pop(scope, None)

    async def forget_subject(self, scope: MemoryScope) -> None:
        """Delete the passages of all the subject's sessions."""
        for known in [each for each in self._stored if each._replace(session="") == scope._replace(session="")]:
            await self.forget(known)

    def _store(self, scope: MemoryScope, passages: Mapping[str, StoredPassage]) -> None:
        found = self._found(scope)
        known, new = (next(iter(each.values())) for each in (found or passages, passages))
        if len(known.vector) != len(new.vector):
            raise other_dimension()
        together = {**passages, **found}
        if len(together) > self.limits.passages:
            raise full_archive(self.limits)
        self._stored[scope] = together
        self._expiry[scope] = self.clock.monotonic() + self.limits.ttl_s

    def _found(self, scope: MemoryScope) -> Mapping[str, StoredPassage]:
        return self._stored.get(scope, {}) if self.clock.monotonic() < self._expiry.get(scope, 0.0) else {}
