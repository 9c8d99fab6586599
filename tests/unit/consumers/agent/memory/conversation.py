"""Conversations for the tests of memory."""

from __future__ import annotations

from consumers.agent.memory.port import MemoryEntry
from consumers.agent.provenance import Source


def said(position: int, text: str, *, by: str = "user", role: str = "user") -> MemoryEntry:
    """Return one entry; a user's unless named otherwise."""
    source = Source.model_validate({"kind": by, "name": f"the {by}"})
    return MemoryEntry.model_validate(
        {"role": role, "text": text, "source": source, "position": position, "run_id": f"r{position}"}
    )


def exchange(position: int, question: str, answer: str) -> tuple[MemoryEntry, MemoryEntry]:
    """Return a question and its answer."""
    return said(position, question), said(position, answer, by="model", role="assistant")


def conversation(count: int, characters: int = 32) -> tuple[MemoryEntry, ...]:
    """Return exchanges of two messages of that many characters each."""
    exchanges = [
        exchange(n, f"q{n} ".ljust(characters, "."), f"a{n} ".ljust(characters, ".")) for n in range(1, count + 1)
    ]
    return tuple(entry for each in exchanges for entry in each)
