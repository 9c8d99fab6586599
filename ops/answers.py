"""The results of requests, matched by their ids as they arrive.

A request id that its caller chose may have been used before. Then the door joins the request to the first one, and the
answer lies in the past; or it refuses it as a conflict, and the answer is yet to come. What was answered in the past
counts only once the door has passed the request and nothing new has come of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from ops.errors import NoResultError
from schemas.clock import Clock
from schemas.records import Partition, Record
from schemas.results import Result
from streams.journey import ENTRY_GROUP
from streams.transport.admin import Admin
from streams.transport.reader import Reader

POLL_S = 0.2
BRIEF_S = 0.05
"""Where the end is near: a transaction's marker is never returned, and counts as read when a poll has ended."""
CONFLICT = "id_conflict"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that the broker has taken."""

    request_id: str
    partition: Partition
    offset: int


@dataclass(slots=True)
class Answers:
    """Hears the results of one tenant from where *reader* stands. Begin before anything is sent."""

    tenant: str
    reader: Reader
    admin: Admin
    clock: Clock
    group: str = ENTRY_GROUP
    """That reads requests."""

    expected: set[str] = field(default_factory=set[str])
    """Ids whose result is to be kept; say so before sending."""

    open: dict[str, Sent] = field(default_factory=dict[str, Sent])
    """What has been sent and not been answered."""

    heard: dict[str, Result] = field(default_factory=dict[str, Result])
    past: dict[str, Result] = field(default_factory=dict[str, Result])
    """What was answered before this client sent anything."""

    async def recall(self) -> None:
        """Take what the topic holds already as the past."""
        ends = await self.reader.high_watermarks()
        while not self.reader.past(ends):
            for result in results_in(await self.reader.poll(BRIEF_S)):
                if result.error is None or result.error.code != CONFLICT:
                    self.past[result.request_id] = result

    async def arriving(self, within: float, finished: Callable[[], bool] = lambda: True) -> AsyncGenerator[Result]:
        """The result of each request that is sent, as it comes, until *finished* says so and all are answered.

        Raises NoResultError if *within* seconds go by without one that something waits for.
        """
        last = self.clock.monotonic()
        while self.open or not finished():
            for result in await self._news():
                last = self.clock.monotonic()
                yield result
            if not self.open:
                last = self.clock.monotonic()
            elif self.clock.monotonic() - last > within:
                raise NoResultError(self.tenant, len(self.open), next(iter(self.open)), within)

    async def _news(self) -> list[Result]:
        await self._listen()
        news = [self._answered(each, self.heard) for each in list(self.open) if each in self.heard]
        return news + [self._answered(each, self.past) for each in await self._joined()]

    def _answered(self, request_id: str, results: dict[str, Result]) -> Result:
        self.expected.discard(request_id)
        del self.open[request_id]
        return results[request_id]

    async def _listen(self, wait_s: float = POLL_S) -> None:
        for result in results_in(await self.reader.poll(wait_s)):
            if result.request_id in self.expected:
                self.heard[result.request_id] = result

    async def _joined(self) -> list[str]:
        """Requests that the door has passed without a word of its own, since it had given it before."""
        asked = [sent for request_id, sent in self.open.items() if request_id in self.past]
        if not asked:
            return []
        passed = await self.admin.committed(self.group, {sent.partition for sent in asked})
        ends = await self.reader.high_watermarks()  # a refusal and the offset become visible together
        while not self.reader.past(ends):
            await self._listen(BRIEF_S)
        silent = [sent for sent in asked if sent.request_id not in self.heard]
        return [sent.request_id for sent in silent if passed.get(sent.partition, 0) > sent.offset]


def results_in(records: list[Record]) -> list[Result]:
    """The results that can be read; the others are logged."""
    return [result for record in records if (result := _result_in(record)) is not None]


def _result_in(record: Record) -> Result | None:
    try:
        return Result.model_validate_json(record.value or b"")
    except ValidationError as error:
        log.warning("result_unreadable", position=record.position, faults=error.error_count())
        return None
