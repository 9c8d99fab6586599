"""Archival memory in Valkey: one hash for each owner. A search reads all of it, and compares every passage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.agent.memory.archival import (
    ArchivalLimits,
    StoredPassage,
    checked_passages,
    full_archive,
    other_dimension,
    search_passages,
)
from consumers.agent.memory.exchange_log_valkey import FORGET, INDEXED, index_key
from consumers.agent.memory.exchanges import decoded, encoded, pass_entry
from consumers.agent.memory.port import Embedder, MemoryEntry, MemoryGuard, MemoryScope, Passage
from consumers.agent.memory.valkey_calls import ValkeyCalls
from consumers.agent.memory.vectors import packed, unpacked
from schemas.keys import memory_key

ADD = (
    INDEXED
    + """
local key, limit, ttl_ms, bytes = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local known = redis.call('HGET', key, 'bytes')
if known and known ~= bytes then return -2 end
local new, seen = {}, {}
for at = 4, #ARGV, 2 do
  local id = ARGV[at]
  if not seen[id] and redis.call('HEXISTS', key, id) == 0 then
    seen[id] = true
    new[#new + 1] = id
    new[#new + 1] = ARGV[at + 1]
  end
end
local held = redis.call('HLEN', key)
if held > 0 then held = held - 1 end
if held + #new / 2 > limit then return -1 end
redis.call('HSET', key, 'bytes', bytes, unpack(new))
keep(key, KEYS[2], ttl_ms)
return #new / 2
"""
)
"""Lua: add passages that are not there; -1 if they are too many, -2 if the vectors have another size."""

REMOVE = """
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('HLEN', KEYS[1]) == 1 then redis.call('UNLINK', KEYS[1]) end
"""


_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ValkeyArchivalMemory:
    """The archives of all owners."""

    calls: ValkeyCalls
    embedder: Embedder
    limits: ArchivalLimits = field(default_factory=ArchivalLimits)
    guard: MemoryGuard = pass_entry

    async def add(self, scope: MemoryScope, entries: Sequence[MemoryEntry]) -> tuple[str, ...]:
        """Store entries and return their ids, without repeats. Raises as the port says."""
        passages = await checked_passages(scope, entries, self.embedder, self.guard, self.limits)
        if passages:
            await self._store(scope, passages)
        return tuple(passages)

    async def search(self, scope: MemoryScope, query: str, *, limit: int = 10) -> tuple[Passage, ...]:
        """Return the nearest passages, nearest first. Raises as the port says."""
        fields = await self.calls.fields(_key(scope))
        size = int(fields.pop(b"bytes", b"0"))
        stored = {name.decode(): _read(value, size) for name, value in sorted(fields.items())}
        return await search_passages(stored, self.embedder, query, limit)

    async def remove(self, scope: MemoryScope, passage_id: str) -> None:
        """Delete a passage. Raises MemoryUnavailableError."""
        if _ID.fullmatch(passage_id):
            await self.calls.script(REMOVE, [_key(scope)], [passage_id])

    async def forget(self, scope: MemoryScope) -> None:
        """Delete all passages. Raises MemoryUnavailableError."""
        await self.calls.script(FORGET, (_key(scope), index_key(scope)), ())

    async def _store(self, scope: MemoryScope, passages: dict[str, StoredPassage]) -> None:
        limits = self.limits
        stored = [part for name, passage in passages.items() for part in (name, _written(passage))]
        size = len(packed(next(iter(passages.values())).vector))
        arguments = (limits.passages, round(limits.ttl_s * 1_000), size, *stored)
        added = await self.calls.script(ADD, (_key(scope), index_key(scope)), arguments)
        if added < 0:
            raise full_archive(limits) if added == -1 else other_dimension()


def _written(passage: StoredPassage) -> bytes:
    return packed(passage.vector) + encoded([passage.entry])


def _read(stored: bytes, size: int) -> StoredPassage:
    return StoredPassage(decoded(stored[size:])[0], unpacked(stored[:size]))


def _key(scope: MemoryScope) -> str:
    return memory_key(scope.tenant, "archival", scope.issuer, scope.subject, scope.session)
