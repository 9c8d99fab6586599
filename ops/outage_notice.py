"""Tell the user of a waiting command that Kafka is lost, and when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.clock import Clock
from schemas.records import Record
from streams.transport.errors import BrokerError, KafkaUnreachableError
from streams.transport.reader import Reader

CHECK_S = 2.0
"""Seconds between two checks while no record arrives, and for the answer to one."""


def untold(_line: str) -> None:
    """Tell nothing: the default."""


@dataclass(slots=True)
class OutageNotice:
    """The outages that one reader meets."""

    reader: Reader
    bootstrap: str
    tell: Callable[[str], None]
    """Called with a line when Kafka is lost, and with another when it is back."""

    clock: Clock
    _lost_at: float | None = None
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._next = self.clock.monotonic() + CHECK_S

    async def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records as the reader does. If there are none, check now and then if Kafka answers."""
        try:
            records = await self.reader.poll(timeout_s)
        except (BrokerError, KafkaUnreachableError):
            await asyncio.sleep(timeout_s)
            records = []
        if records:
            self._note(answers=True)
        elif self.clock.monotonic() >= self._next:
            self._note(answers=await self.reader.answers(CHECK_S))
        return records

    def _note(self, *, answers: bool) -> None:
        now = self.clock.monotonic()
        self._next = now + CHECK_S
        if not answers and self._lost_at is None:
            self._lost_at = now
            self.tell(f"lost Kafka at {self.bootstrap}: waiting until it is back")
        elif answers and self._lost_at is not None:
            self.tell(f"Kafka at {self.bootstrap} is back after {now - self._lost_at:.0f} s")
            self._lost_at = None
