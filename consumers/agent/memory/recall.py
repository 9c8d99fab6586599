"""The search of recall memory: every entry is compared with the words of a query."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Sequence

from consumers.agent.memory.exchanges import ExchangeLimits
from consumers.agent.memory.port import MemoryEntry

RECALL_LIMITS = ExchangeLimits(exchanges=2_000, total_bytes=1024 * 1024)
QUERY_LIMIT = 1_000
"""Characters of a query. The rest is ignored."""

ENTRIES_A_TURN = 50
"""Entries that are compared between two turns of the loop."""

WORD = re.compile(r"\w+")


async def matching(entries: Sequence[MemoryEntry], query: str, limit: int) -> tuple[MemoryEntry, ...]:
    """Return at most *limit* entries that have every word of the query, newest first; none for a query without words.

    A word matches any part of a text, because some languages write no spaces. The loop runs in between.
    """
    words = WORD.findall(folded(query[:QUERY_LIMIT]))
    found: list[MemoryEntry] = []
    for number, entry in enumerate(reversed(entries if words else ())):
        if len(found) >= limit:
            break
        if _has(entry, words):
            found.append(entry)
        if number % ENTRIES_A_TURN == 0:
            await asyncio.sleep(0)
    return tuple(found)


def folded(text: str) -> str:
    """Return the text without differences of case, width and composition: Unicode's compatibility case folding."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _has(entry: MemoryEntry, words: Sequence[str]) -> bool:
    text = folded(entry.text)
    return all(word in text for word in words)
