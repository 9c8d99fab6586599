"""A token bucket with a queue, in memory.

It starts full, refills over a minute, and may be in debt. The oldest waiting call is the head of the queue: no younger
call takes tokens before it, so that a large call is not starved by small ones.
"""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_MS = 60_000
HEAD_MS = 3_000
"""Milliseconds after which a head that has not asked again has lost its place."""


@dataclass(slots=True)
class QueuedBucket:
    """The tokens of one spender."""

    level: float
    at_ms: int
    head: str = ""
    """The call that is next."""

    ticket: int = 0
    head_ends_ms: int = 0
    need: int = 0

    def refill(self, cap: int, now_ms: int) -> float:
        """Return the tokens at *now_ms*. A clock that went back adds none."""
        self.level = min(cap, self.level + max(0, now_ms - self.at_ms) * cap / MINUTE_MS)
        self.at_ms = now_ms
        return self.level

    def wait_ms(self, call: str, ticket: int, need: int, cap: int) -> float | None:
        """Return the milliseconds before the call may take its tokens; None if it may now. The bucket is refilled."""
        others_turn = bool(self.head) and self.head != call and self.head_ends_ms > self.at_ms
        if others_turn and self.ticket < ticket:
            return (self.need + need - self.level) * MINUTE_MS / cap
        if self.level >= need:
            return None
        self.head, self.ticket, self.head_ends_ms, self.need = call, ticket, self.at_ms + HEAD_MS, need
        return (need - self.level) * MINUTE_MS / cap

    def take(self, call: str, tokens: int) -> None:
        """Take the tokens of a call. The next call that must wait becomes the head."""
        self.level -= tokens
        if self.head == call:
            self.head = ""

    def put_back(self, tokens: int, cap: int, now_ms: int) -> None:
        """Return tokens that a call did not use; below zero, take those that it used beyond its reservation."""
        self.level = min(cap, self.refill(cap, now_ms) + tokens)
