"""Core memory in this process, for unit tests of agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from consumers.agent.memory.core_blocks import CoreLimits, checked_block, put_outcome
from consumers.agent.memory.exchanges import pass_entry
from consumers.agent.memory.port import CoreBlock, MemoryEntry, MemoryGuard, MemoryScope
from schemas.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class LocalCoreMemory:
    """The blocks of all owners, until the process ends."""

    limits: CoreLimits = field(default_factory=CoreLimits)
    guard: MemoryGuard = pass_entry
    clock: Clock = field(default_factory=SystemClock)
    _blocks: dict[MemoryScope, dict[str, CoreBlock]] = field(
        default_factory=dict[MemoryScope, dict[str, CoreBlock]], init=False
    )
    _expiry: dict[MemoryScope, float] = field(default_factory=dict[MemoryScope, float], init=False)

    async def blocks(self, scope: MemoryScope) -> tuple[CoreBlock, ...]:
        """Return all blocks, by name."""
        return tuple(block for _, block in sorted(self._found(scope).items()))

    async def put(self, scope: MemoryScope, name: str, entry: MemoryEntry, *, version: int) -> CoreBlock | None:
        """Replace the block if it has this version. Raises as the port says."""
        kept = await checked_block(scope, name, entry, self.guard, self.limits)
        blocks = self._found(scope)
        written = _version_after(blocks, CoreBlock(name, version + 1, kept), self.limits)
        block = put_outcome(name, written, kept, self.limits)
        if block and block != blocks.get(name):
            self._blocks[scope] = {**blocks, name: block}
            self._expiry[scope] = self.clock.monotonic() + self.limits.ttl_s
        return block

    async def forget(self, scope: MemoryScope) -> None:
        """Delete all blocks."""
        self._blocks.pop(scope, None)

    async def forget_subject(self, scope: MemoryScope) -> None:
        """Delete the blocks of all the subject's sessions."""
        for known in [each for each in self._blocks if each._replace(session="") == scope._replace(session="")]:
            await self.forget(known)

    def _found(self, scope: MemoryScope) -> Mapping[str, CoreBlock]:
        return self._blocks.get(scope, {}) if self.clock.monotonic() < self._expiry.get(scope, 0.0) else {}


def _version_after(blocks: Mapping[str, CoreBlock], new: CoreBlock, limits: CoreLimits) -> int:
    """Return what the script returns."""
    stored = blocks.get(new.name)
    if stored == new:
        return new.version
    if (stored.version if stored else 0) != new.version - 1:
        return 0
    return -1 if stored is None and len(blocks) >= limits.blocks else new.version
