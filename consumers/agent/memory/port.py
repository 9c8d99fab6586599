"""The memory ports: what an agent keeps from one run to the next.

Every method takes the owner first. A store finds entries only under the owner's key, so it reads no others.
Every method raises MemoryUnavailableError if the store does not answer in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import Field

from consumers.agent.provenance import Source
from schemas.models import Payload


class MemoryLimitError(ValueError):
    """The memory takes no such entry, or no more entries. The message names the limit, and may be shown to a model."""


class MemoryScope(NamedTuple):
    """The owner of a memory. Entries of another tenant, issuer or subject are never read."""

    tenant: str
    subject: str
    """The caller, as the request's identity names it."""

    session: str = ""
    """The conversation; empty for memory that all conversations of the subject share."""

    issuer: str = ""
    """The issuer that vouches for the subject: two issuers may name different people alike."""


class MemoryEntry(Payload):
    """One text that is remembered."""

    role: Literal["user", "assistant", "summary", "note"]
    """``note`` is a text that an agent wrote down."""

    text: str
    source: Source
    origins: tuple[Source, ...] = ()
    """Sources of the texts that this text was made from, without repeats: a summary is as trusted as its origins."""

    placeholders: dict[str, str] = Field(default_factory=dict, repr=False)
    """The placeholders in the text, with the personal data that each stands for.

    A user's entry also has the user's own ones in the summary before it, so that it stays known who wrote them."""

    run_id: str = ""
    at_ms: int = 0
    """Milliseconds since the epoch."""

    position: int = 0
    """Number of the exchange in the session, which the store counts from 1. The entries of a run share it.

    For a summary: the number of the newest exchange that it replaces."""


class MemoryGuard(Protocol):
    """Checks an entry before it is stored."""

    async def __call__(self, entry: MemoryEntry, scope: MemoryScope, /) -> MemoryEntry:
        """Return the entry to store. Raises a HeadraceError to store nothing of the call."""
        ...


class SessionMemory(Protocol):
    """The conversation so far of one session."""

    async def load(self, scope: MemoryScope) -> tuple[MemoryEntry, ...]:
        """Return the kept entries, oldest first, after the summary if there is one."""
        ...

    async def append(
        self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry], *, summary: MemoryEntry | None = None
    ) -> None:
        """Add a run's entries as one exchange, once however often it is called for the run.

        In the same step, *summary* replaces all exchanges up to its position. It is ignored if the store has replaced
        or forgotten those already.
        Raises MemoryLimitError for too many entries; a text that is too long is cut.
        """
        ...

    async def forget(self, scope: MemoryScope) -> None:
        """Delete the session's texts. A run that has appended before does not append them again."""
        ...


class RecallMemory(Protocol):
    """The history of a subject, which can be searched."""

    async def append(self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry]) -> None:
        """Add a run's entries, once however often it is called for the run. The store drops the oldest at its limits.

        Raises MemoryLimitError for too many entries; a text that is too long is cut.
        """
        ...

    async def search(self, scope: MemoryScope, query: str, *, limit: int = 10) -> tuple[MemoryEntry, ...]:
        """Return the newest entries that have every word of *query*, newest first. Case and width do not matter."""
        ...

    async def forget(self, scope: MemoryScope) -> None:
        """Delete the history's texts. A run that has appended before does not append them again."""
        ...


class CoreBlock(NamedTuple):
    """A short text that an agent sees in every run, such as its persona or facts about its user."""

    name: str
    version: int
    """Counts the changes of the block, from 1."""

    entry: MemoryEntry


class CoreMemory(Protocol):
    """The editable blocks of an agent's memory."""

    async def blocks(self, scope: MemoryScope) -> tuple[CoreBlock, ...]:
        """Return all blocks, by name."""
        ...

    async def put(self, scope: MemoryScope, name: str, entry: MemoryEntry, *, version: int) -> CoreBlock | None:
        """Replace the block if it has this version, 0 for a new one; return None if it has another.

        Writing the same entry again for the same version returns the block as it is.
        Raises MemoryLimitError for an invalid name, a text that is too long, or one block too many.
        """
        ...

    async def forget(self, scope: MemoryScope) -> None:
        """Delete all blocks."""
        ...


class Passage(NamedTuple):
    """A text of the archive that a search has found."""

    id: str
    score: float
    """Cosine of the angle to the query, from -1 to 1."""

    entry: MemoryEntry


class Embedder(Protocol):
    """Turns texts into vectors."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return one vector a text, all of one dimension. Raises a ModelError."""
        ...


class ArchivalMemory(Protocol):
    """Texts that are found by their meaning."""

    async def add(self, scope: MemoryScope, entries: Sequence[MemoryEntry]) -> tuple[str, ...]:
        """Store entries and return their ids, without repeats. A text that is stored already keeps its first source.

        Raises MemoryLimitError for a text that is too long, a full archive, or vectors of another dimension.
        """
        ...

    async def search(self, scope: MemoryScope, query: str, *, limit: int = 10) -> tuple[Passage, ...]:
        """Return the passages nearest to *query*, nearest first. Raises MemoryLimitError as ``add`` does."""
        ...

    async def remove(self, scope: MemoryScope, passage_id: str) -> None:
        """Delete a passage, if there is one of this id."""
        ...

    async def forget(self, scope: MemoryScope) -> None:
        """Delete all passages."""
        ...


class SubjectData(Protocol):
    """The data of subjects, for requests to delete it."""

    async def forget_subject(self, scope: MemoryScope) -> None:
        """Delete the subject's memory of all kinds in all sessions; the scope's session is ignored.

        A run in flight may append after it: cancel the subject's runs first.
        """
        ...
