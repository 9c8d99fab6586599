"""The private parts of aiokafka 0.14 that the transport uses, one function each. Canary tests check them.

aiokafka's public API cannot list buffered partitions, return a position without waiting, or report a dead background
task. It cannot end a client that hangs either. Replacing aiokafka means replacing this module first.
"""
# ruff: noqa: SLF001

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import chain
from types import FunctionType, MethodType

from schemas.records import Partition
from streams.transport.aiokafka_types import (
    BrokerConnection,
    FetchRequest,
    HeartbeatRequest,
    KafkaError,
    MetadataRequest,
    SyncGroupRequest,
    Untyped,
    errors,
)


def buffered(consumer: Untyped) -> Iterable[Partition]:
    """Return the partitions with buffered records or a buffered error. As tuples they equal ``Partition`` values."""
    records: Iterable[Partition] = consumer._fetcher._records
    return records


def make_records(consumer: Untyped, partition: Partition, make: Callable[[Untyped, Untyped], object]) -> None:
    """Have *make* build the buffered records of *partition*, from the partition and each decoded record of a batch.

    The client would otherwise build its own records, which would have to be converted again.
    """
    records = getattr(consumer._fetcher._records.get(partition), "_partition_records", None)
    if records is not None:  # None if an error or nothing is buffered
        records._consumer_record = make


def position(consumer: Untyped, partition: Partition) -> int | None:
    """Return the next offset to fetch, or None while it is unknown. Never waits."""
    assignment = consumer._subscription.subscription.assignment
    if partition not in assignment.tps:
        return None
    state = assignment.state_value(partition)
    found: int | None = state.position if state.has_valid_position else None
    return found


def client_of(consumer: Untyped) -> Untyped:
    """Return the client that holds the connections and metadata of a consumer or an admin client."""
    return consumer._client


def connection_of(client: Untyped, node: int, group: Untyped) -> Untyped:
    """Return the live connection of *client* to *node*, or None. A new connection is another object."""
    connection = client._conns.get((node, group))
    return connection if connection is not None and connection.connected() else None


def create_nothing(client: Untyped) -> None:
    """Stop the metadata requests of *client* from creating missing or deleted topics.

    aiokafka always allows the creation, and many brokers do it (``auto.create.topics.enable``). aiokafka's method is
    kept, but ``MetadataRequest`` in its globals is replaced.
    """
    theirs = type(client)._metadata_update
    names = {**theirs.__globals__, "MetadataRequest": partial(MetadataRequest, allow_auto_topic_creation=False)}
    client._metadata_update = MethodType(FunctionType(theirs.__code__, names, theirs.__name__), client)


def leave_nothing_open(client: Untyped) -> None:
    """Make *client* close its first connection if it is cancelled before the cluster has responded on it.

    aiokafka's ``bootstrap`` would leave it to the garbage collector. The method is patched as in ``create_nothing``.
    """
    theirs = type(client).bootstrap

    async def bootstrap() -> None:
        made: list[Untyped] = []

        async def create(*where: object, **how: object) -> Untyped:
            made.append(await theirs.__globals__["create_conn"](*where, **how))
            return made[-1]

        ours = FunctionType(theirs.__code__, {**theirs.__globals__, "create_conn": create}, theirs.__name__)
        try:
            await ours(client)
        except asyncio.CancelledError:
            for connection in made:
                connection.close()
            raise

    client.bootstrap = bootstrap


FRAME_LIMIT = 64 * 1024 * 1024
"""Bytes of a broker's response. The largest are fetches, of at most 50 MiB and one batch."""


class BoundedFrames:
    """The reading side of a broker connection. It refuses a frame that is larger than any response."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.at_eof = reader.at_eof

    async def readexactly(self, size: int) -> bytes:
        """Return *size* bytes. Raise KafkaConnectionError before reading any if that is too many or negative."""
        if not 0 <= size <= FRAME_LIMIT:
            raise errors.KafkaConnectionError(f"a frame of {size} bytes is not a response of a broker")
        return await self._reader.readexactly(size)


def bound_frames() -> None:
    """Make every connection refuse frames above the limit. aiokafka would collect two gigabytes in memory."""
    theirs = BrokerConnection._create_reader_task
    if theirs.__module__ == __name__:  # done before
        return

    def create_reader_task(connection: Untyped) -> asyncio.Task[None]:
        connection._reader = BoundedFrames(connection._reader)
        task: asyncio.Task[None] = theirs(connection)
        return task

    BrokerConnection._create_reader_task = create_reader_task


def coordinator_of(consumer: Untyped) -> Untyped:
    """Return the client side of the group: generation, member id and heartbeats."""
    return consumer._coordinator


def fetch_task(consumer: Untyped) -> asyncio.Task[None]:
    """Return the fetch task. Once it has ended, no more records arrive."""
    task: asyncio.Task[None] = consumer._fetcher._fetch_task
    return task


def coordination_task(consumer: Untyped) -> asyncio.Task[None]:
    """Return the task that joins and rejoins the group."""
    task: asyncio.Task[None] = consumer._coordinator._coordination_task
    return task


def rejoin_needed(consumer: Untyped) -> bool:
    """Return True if the consumer is about to rejoin the group."""
    needed: bool = consumer._coordinator._rejoin_needed_fut.done()
    return needed


async def heartbeat(consumer: Untyped) -> bool:
    """Send a heartbeat now and return True if the coordinator accepted it."""
    accepted: bool = await consumer._coordinator._do_heartbeat()
    return accepted


def watch_heartbeats(consumer: Untyped, accepted: Callable[[], None]) -> None:
    """Call *accepted* after every heartbeat that the coordinator accepted."""
    send: Callable[[], Awaitable[bool]] = consumer._coordinator._do_heartbeat

    async def watched() -> bool:
        taken = await send()
        if taken:
            accepted()
        return taken

    consumer._coordinator._do_heartbeat = watched


def watch_acceptance(consumer: Untyped, now: Callable[[], float], accepted: Callable[[float], None]) -> None:
    """Call *accepted* with the time before each heartbeat or SyncGroup that was answered without any error.

    A heartbeat during a rebalance is answered with an error: the member has yet to join again.
    """
    send: Callable[[Untyped], Awaitable[Untyped]] = consumer._coordinator._send_req

    async def watched(request: Untyped) -> Untyped:
        sent_at = now()
        answer = await send(request)
        if isinstance(request, (HeartbeatRequest, SyncGroupRequest)) and not answer.error_code:
            accepted(sent_at)
        return answer

    consumer._coordinator._send_req = watched


def watch_fetches(
    consumer: Untyped, asked: Callable[[], None], answered: Callable[[Untyped, Untyped], Awaitable[object]]
) -> None:
    """Call *asked* before every fetch, and *answered* with each request and its response, which it may modify."""
    send = consumer._client.send

    async def watched(node: object, request: object, **options: Untyped) -> object:
        if not isinstance(request, FetchRequest):
            plain: object = await send(node, request, **options)
            return plain
        asked()
        answer: object = await send(node, request, **options)
        await answered(request, answer)
        return answer

    consumer._client.send = watched


async def arrival(consumer: Untyped, timeout_s: float) -> None:
    """Wait until records have been fetched, at most *timeout_s* seconds."""
    waiter: asyncio.Future[None] = consumer._fetcher._create_fetch_waiter()
    await asyncio.wait([waiter], timeout=timeout_s)
    waiter.cancel()


def sender_task(producer: Untyped) -> asyncio.Task[None] | None:
    """Return the producer's sender task, or None before the producer has started. A fatal error ends the task."""
    task: asyncio.Task[None] | None = producer._sender.sender_task
    return task


async def discard_producer(producer: Untyped, deadline_s: float) -> None:
    """End a producer without its ``stop`` or ``abort``, which can wait forever for an unavailable broker."""
    producer._closed = True
    task = sender_task(producer)
    if task is not None and not task.done():
        task.cancel()
    await close_client(producer.client, deadline_s)
    if task is not None:
        await asyncio.wait([task], timeout=deadline_s)
    _forget_outcome(producer)


def _forget_outcome(producer: Untyped) -> None:
    """Mark the exceptions of a discarded producer as retrieved, so that asyncio does not report them again."""
    manager, accumulator = producer._txn_manager, producer._message_accumulator
    batches = [*chain.from_iterable(accumulator._batches.values()), *accumulator._pending_batches]
    waiters = [waiter for batch in batches for waiter in (batch.future, batch._drain_waiter)]
    for end in (sender_task(producer), manager and manager._transaction_waiter, *waiters):
        if end is not None and end.done() and not end.cancelled():
            end.exception()


async def discard_consumer(consumer: Untyped, deadline_s: float) -> None:
    """End a consumer without its ``stop``, which waits for a JoinGroup in flight."""
    consumer._closed = True
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
    tasks: list[asyncio.Task[object] | None] = [getattr(coordinator, name, None) for name in names]
    if fetcher is not None:
        fetcher._closed = True
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=deadline_s)
    await close_client(consumer._client, deadline_s)


async def close_client(client: Untyped, deadline_s: float) -> None:
    """Close the connections. Sockets that do not close in *deadline_s* seconds stay open until the process ends."""
    try:
        async with asyncio.timeout(deadline_s):
            await client.close()
    except (TimeoutError, KafkaError, OSError):
        return
