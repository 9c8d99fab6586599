"""The process for suspects: its runs start no step beyond the ownership that the worker has reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from consumers.context import StepContext
from consumers.fencing_token import FencingToken
from ops.isolation.child import SuspectHost
from ops.isolation.frames import Drop, Lease, Task, frame
from ops.isolation.process import OWNED_S, Suspected
from schemas.stage_records import Screened
from schemas.tenants import Tenant
from tests.clock import Clock, settled
from tests.unit.producers.samples import SCREENED, TRACE

pytestmark = pytest.mark.anyio


class Host:
    """The process's side of the connection, with runs that wait until they are cancelled."""

    def __init__(self) -> None:
        self.clock, self.reader = Clock(10_000), asyncio.StreamReader()
        self.contexts: list[StepContext] = []
        self.ended = 0
        execute: Any = self.execute
        writer: Any = self
        self.host = SuspectHost(execute, writer, self.clock)

    def write(self, _: bytes) -> None:
        """Nothing is read here."""

    async def execute(self, _: Screened, context: StepContext) -> None:
        self.contexts.append(context)
        try:
            await asyncio.sleep(60)
        finally:
            self.ended += 1

    async def hear(self, *words: Task | Lease | Drop) -> None:
        for word in words:
            self.reader.feed_data(frame(word))
        await settled()

    @property
    def starts(self) -> list[bool]:
        return [context.may_start() for context in self.contexts]

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Host]:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(self.host.serve(self.reader))
            yield self
            self.reader.feed_eof()


def lease(number: int, until: float, life: int = 1) -> Lease:
    """The ownership of a run, in a worker."""
    return Lease(number=number, token=FencingToken(1, life), owned_until=until)


def task(number: int, until: float, *, started_before: bool = False) -> Task:
    """A run with this ownership."""
    return Task(
        number=number,
        screened=SCREENED,
        tenant=Tenant(id="acme"),
        trace=tuple(TRACE),
        lease=lease(number, until),
        started_before=started_before,
    )


async def test_a_run_starts_nothing_once_its_worker_has_been_silent_for_too_long() -> None:
    """A stopped worker cannot say that it has lost the shard."""
    async with Host().serving() as host:
        await host.hear(task(1, 12.0), task(2, 12.0))
        assert host.starts == [True, True]
        host.clock.at = 11_000
        await host.hear(lease(1, 14.0))
        host.clock.at = 12_000
        assert host.starts == [True, False]
        host.clock.at = 14_000
        assert host.starts == [False, False]


async def test_a_frame_that_is_read_late_lengthens_nothing() -> None:
    """The process itself may have been stopped while frames waited in the socket."""
    async with Host().serving() as host:
        await host.hear(task(1, 12.0))
        host.clock.at = 30_000
        await host.hear(lease(1, 13.0), lease(1, 14.0))
        assert host.starts == [False]


async def test_a_run_has_the_token_and_the_doubt_of_its_worker() -> None:
    """The token rises when the shard reopens; a lease of another run changes nothing."""
    async with Host().serving() as host:
        await host.hear(task(1, 12.0, started_before=True), lease(2, 12.0, 9))
        (context,) = host.contexts
        assert (context.token(), context.started_before, context.owned_until()) == (FencingToken(1, 1), True, 12.0)
        await host.hear(lease(1, 0.0, 2))
        assert (context.token(), context.may_start()) == (FencingToken(1, 2), False)


async def test_a_dropped_run_ends_and_later_words_about_it_are_ignored() -> None:
    """They cross on the way."""
    async with Host().serving() as host:
        await host.hear(task(1, 12.0), task(2, 12.0))
        await host.hear(task(3, 12.0), Drop(number=1), Drop(number=3))
        assert (host.ended, len(host.contexts)) == (1, 2)
        await host.hear(lease(1, 14.0), Drop(number=1))
        assert host.host.running.keys() == {2}


async def test_the_worker_reports_no_ownership_that_it_does_not_have() -> None:
    """Infinity is not for JSON: outside Kafka the time is that of one session, and is renewed."""
    clock = Clock(10_000)

    def reported(*, may: bool, until: float) -> float:
        context = StepContext(tenant=Tenant(id="acme"), clock=clock, may_start=lambda: may, owned_until=lambda: until)
        return Suspected(SCREENED, context).lease(1).owned_until

    assert reported(may=True, until=12.0) == 12.0
    assert reported(may=False, until=12.0) == 0.0
    assert reported(may=False, until=float("-inf")) == 0.0
    assert reported(may=True, until=float("inf")) == 10.0 + OWNED_S
