"""The passages of archival memory: their limits, their vectors, and the search of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.agent.memory.exchanges import DAY_S, bounded, scalar
from consumers.agent.memory.port import Embedder, MemoryEntry, MemoryGuard, MemoryLimitError, MemoryScope, Passage
from consumers.agent.memory.vectors import Vector, embedded, nearest

QUERY_BYTES = 8 * 1024
"""UTF-8 bytes of a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivalLimits:
    """The size of one owner's archive. A search reads and compares all of it."""

    text_bytes: int = 8 * 1024
    """UTF-8 bytes of one text."""

    passages: int = 1_000
    added: int = 64
    """Passages of one call."""

    ttl_s: float = 30 * DAY_S
    """Seconds from the last write to the deletion."""


class StoredPassage(NamedTuple):
    """A passage and its vector."""

    entry: MemoryEntry
    vector: Vector


async def checked_passages(
    scope: MemoryScope,
    entries: Sequence[MemoryEntry],
    embedder: Embedder,
    guard: MemoryGuard,
    limits: ArchivalLimits,
) -> dict[str, StoredPassage]:
    """Return the passages by id, in the order of the entries. Raises MemoryLimitError. A text is never cut."""
    if len(entries) > limits.added:
        raise MemoryLimitError(f"{len(entries)} texts are more than one call may add: add at most {limits.added}")
    kept = [_checked_text(await guard(entry, scope), limits) for entry in entries]
    kept = list({entry.text: entry for entry in reversed(kept)}.values())[::-1]
    vectors = await embedded(embedder, [entry.text for entry in kept]) if kept else []
    pairs = zip(kept, vectors, strict=True)
    return {passage_id(entry.text): StoredPassage(entry, vector) for entry, vector in pairs}


def passage_id(text: str) -> str:
    """Return the id of a text: equal texts are one passage."""
    return hashlib.sha256(text.encode()).hexdigest()


def full_archive(limits: ArchivalLimits) -> MemoryLimitError:
    """Return the error for more passages than an archive holds."""
    return MemoryLimitError(f"the archive would have more than {limits.passages} passages: remove some of them")


def other_dimension() -> MemoryLimitError:
    """Return the error for vectors of another embedding than the archive's."""
    return MemoryLimitError("the archive has vectors of another dimension: forget it before you change the embedder")


async def search_passages(
    stored: Mapping[str, StoredPassage], embedder: Embedder, query: str, limit: int
) -> tuple[Passage, ...]:
    """Return the passages nearest to the query, nearest first. Raises MemoryLimitError."""
    if not stored or limit <= 0:
        return ()
    if len(scalar(query).encode()) > QUERY_BYTES:
        raise MemoryLimitError(f"the query has more than {QUERY_BYTES} bytes: shorten it")
    (vector,) = await embedded(embedder, [scalar(query)])
    ids, passages = tuple(stored), tuple(stored.values())
    if len(passages[0].vector) != len(vector):
        raise other_dimension()
    found = await nearest(vector, [passage.vector for passage in passages], limit)
    return tuple(Passage(ids[place], score, passages[place].entry) for place, score in found)


def _checked_text(entry: MemoryEntry, limits: ArchivalLimits) -> MemoryEntry:
    size = len(scalar(entry.text).encode())
    if size > limits.text_bytes:
        raise MemoryLimitError(f"a text has {size} bytes, and a passage at most {limits.text_bytes}: split it")
    return bounded(entry, limits.text_bytes)
