"""The calls to the scripted model: their number, their concurrency, and the cancelled ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ops.embedded.scripts import ChatBody

KEPT_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One chat completion request."""

    body: ChatBody
    headers: dict[str, str]
    """Headers by lower-case name, without the API key."""

    @property
    def trace(self) -> str:
        """The trace id of the ``traceparent`` header; empty without one."""
        return self.headers.get("traceparent", "")[3:35]


@dataclass(slots=True)
class Calls:
    """The calls to the model. Callers with a wrong key are not counted, because they never reach the model."""

    number: int = 0
    in_flight: int = 0
    peak: int = 0
    """The most calls in flight at one time."""

    cancelled: int = 0
    """Calls whose client closed the connection before the answer was sent."""

    kept: list[Call] = field(default_factory=list)
    """The first calls, up to a limit that bounds the memory of a long-lived server."""

    @property
    def bodies(self) -> list[ChatBody]:
        """The bodies of the kept calls, oldest first."""
        return [call.body for call in self.kept]

    @property
    def by_trace(self) -> dict[str, int]:
        """The number of kept calls of each trace: one run of an agent has one trace in all its attempts."""
        return dict(Counter(call.trace for call in self.kept if call.trace))

    def taken(self, call: Call) -> int:
        """Count a call and return its number, from 1."""
        self.number += 1
        if len(self.kept) < KEPT_CALLS:
            self.kept.append(call)
        return self.number

    @contextmanager
    def flying(self) -> Generator[None]:
        """Count a call as in flight, and as cancelled if it is."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            yield
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1

    def report(self) -> dict[str, Any]:
        """Return the counts and kept calls as JSON values for another process."""
        kept = [{"body": call.body, "headers": call.headers} for call in self.kept]
        counts = ("number", "in_flight", "peak", "cancelled")
        return {name: getattr(self, name) for name in counts} | {"by_trace": self.by_trace, "calls": kept}
