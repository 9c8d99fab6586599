"""The window: the newest exchanges of a session that fit a number of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

from consumers.agent.memory.port import MemoryEntry
from consumers.agent.models.port import AssistantMessage, Message, UserMessage

BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 4
"""Tokens that a chat format adds to each message."""

SUMMARY_TITLE = "Summary of the conversation before the messages below:"


class TokenCount(Protocol):
    """Counts the tokens of a text."""

    def __call__(self, text: str) -> int:
        """Return the number of tokens, or an estimate of it."""
        ...


class MemoryWindow(NamedTuple):
    """A session's entries, divided by the window."""

    dropped: tuple[MemoryEntry, ...]
    """Entries that do not fit, oldest first, without the summary."""

    kept: tuple[MemoryEntry, ...]
    """Whole exchanges that fit beside the summary, oldest first."""

    summary: MemoryEntry | None = None


def estimated_tokens(text: str) -> int:
    """Return the UTF-8 bytes divided by four, rounded up.

    That is four characters a token for English, two for Cyrillic, and 1.3 for Chinese and Japanese.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def window(entries: Sequence[MemoryEntry], limit: int, count: TokenCount = estimated_tokens) -> MemoryWindow:
    """Return the entries divided: the summary and the newest exchanges have *limit* tokens or fewer.

    An exchange is kept or dropped as a whole, so that no answer is kept without its question. No exchange is kept
    before a dropped one. A summary that has more than *limit* tokens is kept, alone.
    """
    summary = next((entry for entry in reversed(entries) if entry.role == "summary"), None)
    left = limit - (tokens_of([summary], count) if summary else 0)
    kept = 0
    exchanges = exchanges_of(entries)
    for exchange in reversed(exchanges):
        left -= tokens_of(exchange, count)
        if left < 0:
            break
        kept += 1
    split = len(exchanges) - kept
    return MemoryWindow(_joined(exchanges[:split]), _joined(exchanges[split:]), summary)


def exchanges_of(entries: Iterable[MemoryEntry]) -> list[tuple[MemoryEntry, ...]]:
    """Return the entries of each exchange, without a summary."""
    ordinary = (entry for entry in entries if entry.role != "summary")
    return [tuple(group) for _, group in groupby(ordinary, lambda entry: (entry.position, entry.run_id))]


def tokens_of(entries: Iterable[MemoryEntry], count: TokenCount = estimated_tokens) -> int:
    """Return the tokens of the entries as messages."""
    return sum(count(entry.text) + MESSAGE_TOKENS for entry in entries)


def history_messages(found: MemoryWindow) -> tuple[Message, ...]:
    """Return the window as messages, to put between the instructions and the question.

    The summary is a user's message: its words come from users, models and tools, never from the operator.
    """
    summary = () if found.summary is None else (UserMessage(f"{SUMMARY_TITLE}\n{found.summary.text}"),)
    return (*summary, *(_message(entry) for entry in found.kept))


def _message(entry: MemoryEntry) -> Message:
    return AssistantMessage(entry.text) if entry.role == "assistant" else UserMessage(entry.text)


def _joined(exchanges: Sequence[tuple[MemoryEntry, ...]]) -> tuple[MemoryEntry, ...]:
    return tuple(entry for exchange in exchanges for entry in exchange)
