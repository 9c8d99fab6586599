"""The memory ports: what an agent keeps from one run to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from consumers.agent.provenance import Source
from schemas.models import Payload


class MemoryScope(NamedTuple):
    """The owner of a memory. Entries of another tenant or subject are never read."""

    tenant: str
    subject: str
    """The caller, as the request's identity names it."""

    session: str = ""
    """The conversation; empty for memory that all conversations of the subject share."""


class MemoryEntry(Payload):
    """One text that is remembered."""

    role: Literal["user", "assistant", "summary"]
    text: str
    source: Source
    run_id: str = ""
    at_ms: int = 0
    """Milliseconds since the epoch."""


class SessionMemory(Protocol):
    """The conversation so far of one session."""

    async def load(self, scope: MemoryScope) -> tuple[MemoryEntry, ...]:
        """Return the kept entries, oldest first. Raises MemoryUnavailableError if the store fails."""
        ...

    async def append(self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry]) -> None:
        """Add a run's entries, once however often it is called for the run. Raises MemoryUnavailableError."""
        ...
