"""Match the results of one tenant to the requests that this client sent, by request id.

A caller's own request id may have been used before. The admission controller may then join the request to the first
one, whose result was published earlier. Or it may refuse the request as a conflict, and the refusal is still to come.
An earlier result counts only after the admission controller has committed the request's offset without a new result.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from ops.errors import NoResultError
from ops.outage_notice import OutageNotice
from schemas.clock import Clock
from schemas.records import Partition, Record
from schemas.results import Result
from streams.transport.admin import Admin
from streams.transport.lazy_log import LazyLog
from streams.transport.reader import Reader

POLL_S = 0.2
BRIEF_S = 0.05
"""Poll timeout in seconds near the end of a topic. A transaction marker is never returned: it counts as read when a
poll has ended."""
CONFLICT = "id_conflict"

log = LazyLog()


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request that the broker has acknowledged."""

    request_id: str
    partition: Partition
    offset: int


@dataclass(slots=True)
class ResultWaiter:
    """The results of one tenant, read from the position of *reader* on. Open it before sending any request."""

    tenant: str
    reader: Reader
    admin: Admin
    clock: Clock
    group: str = ""
    """The consumer group that reads requests. Needed only for request ids that were used before."""

    expected: set[str] = field(default_factory=set[str])
    """Request ids whose result is kept. Add an id before sending its request."""

    open: dict[str, SentRequest] = field(default_factory=dict[str, SentRequest])
    """Requests that were sent and have no result yet, by request id."""

    heard: dict[str, Result] = field(default_factory=dict[str, Result])
    past: dict[str, Result] = field(default_factory=dict[str, Result])
    """Results published before this client sent anything, by request id."""

    outage: OutageNotice | None = None
    """Tells of outages while it waits."""

    async def recall(self) -> None:
        """Read the results that the topic already holds into ``past``, without ``id_conflict`` refusals."""
        ends = await self.reader.high_watermarks()
        while not self.reader.past(ends):
            for result in results_in(await self.reader.poll(BRIEF_S)):
                if result.error is None or result.error.code != CONFLICT:
                    self.past[result.request_id] = result

    async def arriving(self, within: float, finished: Callable[[], bool] = lambda: True) -> AsyncGenerator[Result]:
        """Yield the result of each sent request, until *finished* returns True and every request has its result. Raises
        NoResultError if a request is open and no result arrives for *within* seconds.
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
        for result in results_in(await (self.outage or self.reader).poll(wait_s)):
            if result.request_id in self.expected:
                self.heard[result.request_id] = result

    async def _joined(self) -> list[str]:
        """Return the open requests that joined an earlier one: their offsets are committed without a new result."""
        asked = [sent for request_id, sent in self.open.items() if request_id in self.past]
        if not asked:
            return []
        passed = await self.admin.committed(self.group, {sent.partition for sent in asked})
        ends = await self.reader.high_watermarks()  # a refusal and its offset are in one transaction
        while not self.reader.past(ends):
            await self._listen(BRIEF_S)
        silent = [sent for sent in asked if sent.request_id not in self.heard]
        return [sent.request_id for sent in silent if passed.get(sent.partition, 0) > sent.offset]


def results_in(records: list[Record]) -> list[Result]:
    """Return the results that can be parsed; log the others."""
    return [result for record in records if (result := _result_in(record)) is not None]


def _result_in(record: Record) -> Result | None:
    try:
        return Result.model_validate_json(record.value or b"")
    except ValidationError as error:
        log.warning("result_unreadable", position=record.position, faults=error.error_count())
        return None
