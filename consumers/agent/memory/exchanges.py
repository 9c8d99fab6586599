"""The exchange: the entries that one run adds to a memory, bounded, checked and encoded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from consumers.agent.memory.port import MemoryEntry, MemoryGuard, MemoryLimitError, MemoryScope
from consumers.agent.provenance import Source
from schemas.errors import MemoryUnavailableError

DAY_S = 86_400.0
CUT = " [cut]"
"""The end of a text that was too long."""

NAME_LIMIT = 256
"""Characters of a source's name."""

ORIGIN_LIMIT = 32
"""Origins of one entry. Beyond it, only their kinds and their trust are kept."""

_ENTRIES: TypeAdapter[tuple[MemoryEntry, ...]] = TypeAdapter(tuple[MemoryEntry, ...])
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeLimits:
    """The size of one memory of exchanges. At a limit, the oldest exchanges are dropped."""

    text_bytes: int = 32 * 1024
    """UTF-8 bytes of one text."""

    entries: int = 8
    """Entries of one exchange."""

    exchanges: int = 500
    total_bytes: int = 512 * 1024
    """Bytes of all exchanges as JSON. The newest is kept at any size."""

    runs: int = 512
    """Runs whose ids are remembered: a replay of one of them adds nothing."""

    ttl_s: float = 30 * DAY_S
    """Seconds from the last write to the deletion."""


async def pass_entry(entry: MemoryEntry, scope: MemoryScope) -> MemoryEntry:  # noqa: ARG001 - the seam's arguments
    """Return the entry as it is."""
    return entry


async def checked(
    entries: Sequence[MemoryEntry], scope: MemoryScope, guard: MemoryGuard, limits: ExchangeLimits
) -> tuple[MemoryEntry, ...]:
    """Return the entries as the guard wants them, within the limits. Raises MemoryLimitError if there are too many."""
    if len(entries) > limits.entries:
        raise MemoryLimitError(f"{len(entries)} entries are more than a run may add: add at most {limits.entries}")
    return tuple([bounded(await guard(entry, scope), limits.text_bytes) for entry in entries])


def bounded(entry: MemoryEntry, text_bytes: int) -> MemoryEntry:
    """Return the entry with a text of at most *text_bytes*, of Unicode alone, and with bounded sources."""
    return entry.model_copy(
        update={
            "text": cut(scalar(entry.text), text_bytes),
            "source": _bounded_source(entry.source),
            "origins": merged(entry.origins),
            "run_id": scalar(entry.run_id[:NAME_LIMIT]),
        }
    )


def scalar(text: str) -> str:
    """Return the text with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def cut(text: str, limit: int) -> str:
    """Return a text of at most *limit* UTF-8 bytes, between characters. A cut text ends with ``CUT``."""
    if len(text) * 4 <= limit or len(text.encode()) <= limit:
        return text
    return text.encode()[: limit - len(CUT)].decode(errors="ignore") + CUT


def merged(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources without repeats; only their kinds and trust if they are too many."""
    found = tuple(dict.fromkeys(_bounded_source(source) for source in sources))
    if len(found) <= ORIGIN_LIMIT:
        return found
    return tuple(dict.fromkeys(Source(kind=source.kind, trusted=source.trusted) for source in found))


def _bounded_source(source: Source) -> Source:
    return source.model_copy(update={"name": scalar(source.name[:NAME_LIMIT])})


def run_digest(run_id: str) -> bytes:
    """Return 16 bytes that stand for the run."""
    return hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).digest()[:16]


def encoded(entries: Sequence[MemoryEntry]) -> bytes:
    """Return the entries as JSON."""
    return _ENTRIES.dump_json(tuple(entries), exclude_defaults=True)


def decoded(stored: bytes) -> tuple[MemoryEntry, ...]:
    """Return the entries of JSON. Raises MemoryUnavailableError for anything else.

    Fields of a newer worker are ignored: during a deployment, both read one session.
    """
    try:
        return _ENTRIES.validate_json(stored, extra="ignore")
    except ValidationError:
        raise MemoryUnavailableError(detail="the store holds an exchange that cannot be read") from None
