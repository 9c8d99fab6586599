"""The client of the command line: it sends one tenant's requests and waits for their results."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from ops.connection import command_connection
from ops.errors import NotInteractiveError, UnknownTenantError
from ops.outage_notice import OutageNotice, untold
from ops.result_waiter import BRIEF_S, ResultWaiter, SentRequest, results_in
from ops.settings import Settings
from producers.controls import control_record
from producers.requests import request_record
from schemas.clock import Clock, SystemClock
from schemas.control import Control
from schemas.records import Partition, ProducerRecord
from schemas.requests import Request
from schemas.results import Result
from schemas.topics import RESULTS
from streams.telemetry.trace_context import follow
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.errors import UnknownTopicError
from streams.transport.reader import Reader
from streams.transport.writer import Writer

NAME = "headrace-client"
PATIENCE_S = 15.0
"""Seconds to wait for the broker to answer."""
WAIT_S = 330.0
"""Seconds to wait for a result: a little more than a tenant's default deadline."""
POLL_S = 0.5


@dataclass(slots=True)
class Client:
    """The client of one tenant. ``answers`` is None if it does not wait for results."""

    tenant: str
    writer: Writer
    waiter: ResultWaiter | None
    clock: Clock

    async def send(self, request: Request, request_id: str | None = None) -> SentRequest:
        """Send a request in a new trace. Without *request_id*, it gets a random UUID."""
        chosen = request_id or str(uuid.uuid4())
        trace = follow(()).headers
        record = request_record(self.tenant, request, request_id=chosen, now_ms=self.clock.now_ms(), trace=trace)
        if self.waiter is not None:
            self.waiter.expected.add(chosen)
        sent = SentRequest(chosen, *await self._written(record))
        if self.waiter is not None:
            self.waiter.open[chosen] = sent
        return sent

    def arriving(self, within: float, finished: Callable[[], bool] = lambda: True) -> AsyncGenerator[Result]:
        """Return ``ResultWaiter.arriving``. Raises TypeError if the client was opened with ``wait=False``."""
        if self.waiter is None:
            message = "this client only sends: open it with wait=True"
            raise TypeError(message)
        return self.waiter.arriving(within, finished)

    async def _written(self, record: ProducerRecord) -> tuple[Partition, int]:
        """Write *record*. Raises UnknownTenantError if the tenant has no topic."""
        try:
            return await self.writer.send(record)
        except UnknownTopicError as error:
            raise UnknownTenantError(self.tenant) from error


@asynccontextmanager
async def opened(
    settings: Settings, tenant: str, *, wait: bool, recall: bool = False, tell: Callable[[str], None] = untold
) -> AsyncGenerator[Client]:
    """Open a client of *tenant*; with *wait*, it reads results from now on, and tells of outages meanwhile.

    With *recall*, it reads earlier results too: set it if request ids may have been used before.
    """
    connection = command_connection(settings)
    async with AsyncExitStack() as stack:
        waiter = await stack.enter_async_context(_waiter(connection, tenant, tell, recall=recall)) if wait else None
        writer = await stack.enter_async_context(await Writer.open(connection, name=NAME, deadline_s=PATIENCE_S))
        yield Client(tenant, writer, waiter, SystemClock())


@asynccontextmanager
async def _waiter(
    connection: Connection, tenant: str, tell: Callable[[str], None], *, recall: bool
) -> AsyncGenerator[ResultWaiter]:
    start: Literal["earliest", "latest"] = "earliest" if recall else "latest"
    async with await _reader(connection, tenant, start) as reader, await Admin.open(connection, name=NAME) as admin:
        waiter = ResultWaiter(tenant, reader, admin, clock := SystemClock())
        waiter.outage = OutageNotice(reader, connection.bootstrap, tell, clock)
        if recall:
            waiter.group = await _ingress_group(connection)
            await waiter.recall()
        yield waiter


async def _ingress_group(connection: Connection) -> str:
    """Return the consumer group that reads requests. Only ids that were used before need it, and its imports."""
    from ops import registry_writer  # noqa: PLC0415 - see above
    from streams.journey import ingress_group  # noqa: PLC0415 - see above

    return ingress_group((await registry_writer.load(connection)).layout)


async def _reader(connection: Connection, tenant: str, start: Literal["earliest", "latest"]) -> Reader:
    try:
        return await Reader.open(connection, RESULTS.of(tenant), start, name=NAME, deadline_s=PATIENCE_S)
    except UnknownTopicError as error:
        raise UnknownTenantError(tenant) from error


async def submit(
    settings: Settings, tenant: str, request: Request, *, request_id: str | None = None, within: float = WAIT_S
) -> Result:
    """Send one request and return its result. Raises NoResultError after *within* seconds, UnknownTenantError."""
    async with opened(settings, tenant, wait=True, recall=request_id is not None) as client:
        await client.send(request, request_id)
        return await anext(client.arriving(within))


async def cancel(settings: Settings, tenant: str, request_id: str, *, source: str) -> None:
    """Cancel a request that *source* sent. Raises NotInteractiveError if the tenant has no control topic."""
    control = Control(request_id=request_id, kind="cancel")
    now_ms, trace = SystemClock().now_ms(), follow(()).headers
    record = control_record(tenant, control, control_id=str(uuid.uuid4()), now_ms=now_ms, source=source, trace=trace)
    async with await Writer.open(command_connection(settings), name=NAME, deadline_s=PATIENCE_S) as writer:
        try:
            await writer.send(record)
        except UnknownTopicError as error:
            raise NotInteractiveError(tenant) from error


async def results(
    settings: Settings, tenant: str, *, follow: bool, tell: Callable[[str], None] = untold
) -> AsyncGenerator[Result]:
    """Yield the tenant's committed results, from the earliest one retained; with *follow*, also new ones.

    *tell* gets a line when Kafka is lost, and when it is back.
    """
    connection = command_connection(settings)
    async with await _reader(connection, tenant, "earliest") as reader:
        outage = OutageNotice(reader, connection.bootstrap, tell, SystemClock())
        ends = await reader.high_watermarks()
        while follow or not reader.past(ends):
            for result in results_in(await outage.poll(BRIEF_S if not reader.past(ends) else POLL_S)):
                yield result
