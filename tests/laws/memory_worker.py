"""A worker that appends one exchange to a session, so that a test can kill it: ``URL SUBJECT RUN``."""

from __future__ import annotations

import asyncio
import sys

from consumers.agent.memory.port import MemoryEntry, MemoryScope
from consumers.agent.memory.session_valkey import ValkeySessionMemory
from consumers.agent.memory.valkey_calls import ValkeyCalls, memory_client
from consumers.agent.provenance import Source


async def append(url: str, subject: str, run_id: str) -> None:
    """Append one entry, which has the run's id as its text."""
    async with memory_client(url, wait_s=60) as client:
        entry = MemoryEntry(role="user", text=run_id, source=Source(kind="user"))
        memory = ValkeySessionMemory(ValkeyCalls(client, 60))
        await memory.append(MemoryScope("acme", subject, "session"), run_id, [entry])


if __name__ == "__main__":
    asyncio.run(append(*sys.argv[1:]))
