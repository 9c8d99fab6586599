"""Core memory in Valkey: one hash for each owner."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.agent.memory.core_blocks import CoreLimits, checked_block, put_outcome
from consumers.agent.memory.exchange_log_valkey import FORGET, INDEXED, index_key
from consumers.agent.memory.exchanges import decoded, encoded, pass_entry
from consumers.agent.memory.port import CoreBlock, MemoryEntry, MemoryGuard, MemoryScope
from consumers.agent.memory.valkey_calls import ValkeyCalls
from schemas.keys import memory_key

PUT = (
    INDEXED
    + """
local key, name, version, entry = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local stored = redis.call('HGET', key, name)
local current = 0
if stored then current = tonumber(string.match(stored, '^(%d+) ')) end
if stored == (version + 1) .. ' ' .. entry then return version + 1 end
if current ~= version then return 0 end
if not stored and redis.call('HLEN', key) >= tonumber(ARGV[4]) then return -1 end
redis.call('HSET', key, name, (version + 1) .. ' ' .. entry)
keep(key, KEYS[2], tonumber(ARGV[5]))
return version + 1
"""
)
"""Lua: replace a block if its version is the caller's. Return the new version, 0 for another, -1 for one too many."""


@dataclass(frozen=True, slots=True)
class ValkeyCoreMemory:
    """The blocks of all owners."""

    calls: ValkeyCalls
    limits: CoreLimits = field(default_factory=CoreLimits)
    guard: MemoryGuard = pass_entry

    async def blocks(self, scope: MemoryScope) -> tuple[CoreBlock, ...]:
        """Return all blocks, by name. Raises MemoryUnavailableError."""
        stored = await self.calls.fields(_key(scope))
        return tuple(_block(name.decode(), stored[name]) for name in sorted(stored))

    async def put(self, scope: MemoryScope, name: str, entry: MemoryEntry, *, version: int) -> CoreBlock | None:
        """Replace the block if it has this version. Raises as the port says."""
        kept = await checked_block(scope, name, entry, self.guard, self.limits)
        arguments = (name, version, encoded([kept]), self.limits.blocks, round(self.limits.ttl_s * 1_000))
        written = await self.calls.script(PUT, (_key(scope), index_key(scope)), arguments)
        return put_outcome(name, written, kept, self.limits)

    async def forget(self, scope: MemoryScope) -> None:
        """Delete all blocks. Raises MemoryUnavailableError."""
        await self.calls.script(FORGET, (_key(scope), index_key(scope)), ())


def _block(name: str, stored: bytes) -> CoreBlock:
    version, _, entry = stored.partition(b" ")
    return CoreBlock(name, int(version), decoded(entry)[0])


def _key(scope: MemoryScope) -> str:
    return memory_key(scope.tenant, "core", scope.issuer, scope.subject, scope.session)
