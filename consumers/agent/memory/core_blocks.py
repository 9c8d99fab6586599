"""The blocks of core memory: their limits, and the outcome of a write."""

from __future__ import annotations

import re
from dataclasses import dataclass

from consumers.agent.memory.exchanges import DAY_S, bounded, scalar
from consumers.agent.memory.port import CoreBlock, MemoryEntry, MemoryGuard, MemoryLimitError, MemoryScope

_NAME = re.compile("[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreLimits:
    """The size of one owner's core memory."""

    text_bytes: int = 8 * 1024
    """UTF-8 bytes of one block."""

    blocks: int = 16
    ttl_s: float = 30 * DAY_S
    """Seconds from the last write to the deletion."""


async def checked_block(
    scope: MemoryScope, name: str, entry: MemoryEntry, guard: MemoryGuard, limits: CoreLimits
) -> MemoryEntry:
    """Return the entry as the guard wants it. A block is never cut: the model has to shorten it."""
    if not _NAME.fullmatch(name):
        raise MemoryLimitError("a block's name has 1 to 63 of a-z, 0-9, _ and -, and begins with a letter")
    guarded = await guard(entry, scope)
    size = len(scalar(guarded.text).encode())
    if size > limits.text_bytes:
        raise MemoryLimitError(f"the text has {size} bytes, and a block at most {limits.text_bytes}: shorten it")
    return bounded(guarded, limits.text_bytes)


def put_outcome(name: str, written: int, entry: MemoryEntry, limits: CoreLimits) -> CoreBlock | None:
    """Return the block for its new version, None for 0; raise MemoryLimitError for -1, one block too many."""
    if written < 0:
        raise MemoryLimitError(f"there are {limits.blocks} blocks already: change one of them")
    return CoreBlock(name, written, entry) if written else None
