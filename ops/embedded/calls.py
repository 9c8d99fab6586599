"""What the scripted model was asked: how often, how much at once, and how many gave up."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ops.embedded.scripts import ChatBody

KEPT_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One chat completion that was asked for."""

    body: ChatBody
    headers: dict[str, str]
    """By lower-case name, without the key."""


@dataclass(slots=True)
class Calls:
    """What the model was asked. Refused callers are not counted: they never reached it."""

    number: int = 0
    in_flight: int = 0
    peak: int = 0
    """The most that were ever in flight."""

    cancelled: int = 0
    """Calls whose client closed the connection before the answer was sent."""

    kept: list[Call] = field(default_factory=list)
    """The first ones, up to a limit: a server that stays up must not grow."""

    @property
    def bodies(self) -> list[ChatBody]:
        """The bodies of the calls that were kept, oldest first."""
        return [call.body for call in self.kept]

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
        """The same for another process."""
        kept = [{"body": call.body, "headers": call.headers} for call in self.kept]
        counts = ("number", "in_flight", "peak", "cancelled")
        return {name: getattr(self, name) for name in counts} | {"calls": kept}
