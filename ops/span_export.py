"""Deliver spans in batches, at least once a second, from a thread.

The caller never waits and never sees a collector's error: a span that the collector does not take is lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

Post: TypeAlias = Callable[[list[bytes]], bool]
"""A function that delivers spans and returns True if the collector took them. It may block and must not raise."""

EVERY_S = 1.0
"""Seconds between two deliveries, unless a full batch waits."""

PIECE = 1024 * 1024
"""Bytes of spans in one delivery; collectors accept several times as much by default."""

BUFFER_BYTES = 16 * 1024 * 1024
"""Maximum bytes of waiting spans; further spans are lost."""

PATIENCE_S = 4.0
"""Seconds that ``close`` waits for the remaining spans."""


class SpanExport:
    """A queue that takes spans from one thread and posts them from another."""

    def __init__(self, post: Post, *, every_s: float = EVERY_S, held: int = BUFFER_BYTES) -> None:
        self._post, self._every_s, self._held = post, every_s, held
        self._waiting: deque[bytes] = deque()
        self._came = self._went = 0
        """Bytes queued and bytes sent. One thread alone writes each counter, so neither needs a lock."""

        self._refused = self._failed = 0
        self.delivered = 0
        """Spans that the collector has taken."""

        self._wake, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Spans lost because the collector did not take them or the queue was full."""
        return self._refused + self._failed

    def take(self, span: bytes) -> None:
        """Queue *span* for delivery; count it as lost if the queue is full."""
        waiting = self._came - self._went
        if waiting >= self._held:
            self._refused += 1
            return
        self._waiting.append(span)
        self._came += len(span)
        if waiting >= PIECE and not self._wake.is_set():
            self._wake.set()

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Deliver the remaining spans, unless the collector is unreachable. Blocks for *patience_s* seconds at most."""
        self._over.set()
        self._wake.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while not self._over.is_set():
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._deliver()
        self._deliver()

    def _deliver(self) -> None:
        """Post all waiting spans in batches. A batch that fails is lost, and the rest waits for the next delivery."""
        while piece := list(self._piece()):
            if not self._post(piece):
                self._failed += len(piece)
                return
            self.delivered += len(piece)

    def _piece(self) -> Iterator[bytes]:
        size = 0
        while self._waiting and size < PIECE:
            span = self._waiting.popleft()
            size += len(span)
            self._went += len(span)
            yield span
