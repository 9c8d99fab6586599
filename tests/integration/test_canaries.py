"""The private parts of aiokafka that the transport stands on: a new version that moves one fails here first."""

# ruff: noqa: SLF001 - what is private to them is what is asked for here
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import inspect
import struct
from collections.abc import Callable
from typing import Any

import aiokafka
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.producer.sender import Sender
from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.fetch import FetchResponse_v11 as FetchResponse
from aiokafka.record.memory_records import MemoryRecords

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Partition
from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import BatchBuilder, Client, Consumer, Producer, TopicPartition, Untyped
from streams.transport.assignor import DrainAssignor
from streams.transport.offsets import fetch_committed
from streams.transport.transactional_producer import TransactionalProducer
from tests.integration.engine_setup import EngineSetup, engine_setup
from tests.integration.raw import Raw, batch

pytestmark = pytest.mark.anyio

# Any: what is private to them is what is asked for here.
COORDINATOR: Any = GroupCoordinator
STICKY: Any = StickyPartitionAssignor


def calls(function: Callable[..., object], text: str) -> bool:
    """Whether the source of *function* says *text*."""
    return text in inspect.getsource(function)


def test_our_partition_equals_theirs() -> None:
    """Dictionaries of the client are looked up with our tuples."""
    assert TopicPartition("a", 1) == Partition("a", 1)
    assert hash(TopicPartition("a", 1)) == hash(Partition("a", 1))


def test_the_sticky_assignor_keeps_its_state_on_its_class() -> None:
    """That is why each worker makes a class of its own."""
    first, second = DrainAssignor(), DrainAssignor()
    first.on_generation_assignment(7)

    assert inspect.ismethod(STICKY.assign)
    assert first.metadata(["t"]).user_data != second.metadata(["t"]).user_data
    assert STICKY.generation == -1
    assert list(inspect.signature(STICKY._metadata).parameters) == [
        "topics",
        "member_assignment_partitions",
        "generation",
    ]


def test_the_coordinator_takes_an_assignor_that_is_no_class() -> None:
    """It uses name, metadata, assign and on_assignment of whatever it is given."""
    assert calls(COORDINATOR._lookup_assignor, "assignor.name == name")
    assert calls(COORDINATOR._perform_assignment, "assignor.assign(self._cluster, member_metadata)")
    assert calls(COORDINATOR._on_join_complete, "assignor.on_assignment(assignment)")
    assert calls(CoordinatorGroupRebalance.perform_group_join, "assignor.metadata(topics)")


def test_the_heartbeat_routine_asks_the_coordinator_each_time() -> None:
    """We look over its shoulder by replacing one attribute."""
    assert calls(COORDINATOR._heartbeat_routine, "await self._do_heartbeat()")
    assert inspect.iscoroutinefunction(COORDINATOR._do_heartbeat)


def test_heartbeats_and_assignments_are_sent_by_one_method_of_the_coordinator() -> None:
    """We note when each was sent, and if it was answered without error."""
    assert calls(COORDINATOR._do_heartbeat, "resp = await self._send_req(request)")
    assert calls(CoordinatorGroupRebalance._send_sync_group_request, "await self._coordinator._send_req(request)")


def test_a_connection_takes_whatever_has_the_methods_of_its_own_requests() -> None:
    """The requests of a transaction are our own: encoded in one piece, and read where they lie."""
    assert calls(AIOKafkaConnection.send, "request_struct = request.prepare(self._versions)")
    assert calls(AIOKafkaConnection.send, "message = header.encode() + request_struct.encode()")
    assert calls(AIOKafkaConnection.send, "(correlation_id, request_struct, fut)")
    assert calls(AIOKafkaConnection._handle_frame, "resp = io.BytesIO(resp)")
    assert calls(AIOKafkaConnection._handle_frame, "response_header = request.parse_response_header(resp)")
    assert calls(AIOKafkaConnection._handle_frame, "response = resp_type.decode(resp)")
    assert {"correlation_id", "client_id"} <= set(inspect.signature(RequestStruct.build_request_header).parameters)


def test_a_client_sends_to_a_node_by_a_connection_of_a_group() -> None:
    """What never left, and what was sent and lost, are told apart by what it raises."""
    assert list(inspect.signature(AIOKafkaClient.send).parameters) == ["self", "node_id", "request", "group"]
    assert calls(AIOKafkaClient.send, "raise NodeNotReadyError(")
    assert calls(AIOKafkaClient.send, "raise RequestTimedOutError() from exc")
    assert {"bootstrap", "coordinator_lookup", "force_metadata_update", "get_random_node", "add_topic"} <= set(
        dir(AIOKafkaClient)
    )


def test_a_batch_is_built_with_its_producer_and_its_number() -> None:
    """In this order of arguments; the first record always finds room."""
    builder: Any = BatchBuilder(2, 0, 1, -1, -1, 0, 1)
    assert builder.append(0, 1, b"k", b"v", [("h", b"x")]) is not None
    assert builder.append(1, 1, b"k", b"v", []) is None
    builder.set_producer_state(7, 3, 5)
    assert builder.build()[43:57] == struct.pack(">qhi", 7, 3, 5)


def test_the_task_of_a_producer_can_be_seen() -> None:
    """A client's writer opens a new one when it has ended."""
    assert isinstance(Sender.sender_task, property)


def test_the_fetcher_fetches_through_an_attribute_of_its_client() -> None:
    """A fetch that nobody answers is noticed there."""
    assert calls(Fetcher._proc_fetch_request, "await self._client.send(node_id, request)")


def test_the_fetcher_takes_what_it_was_answered_from_lists_that_can_be_changed() -> None:
    """What it could not read is written anew there; the error code and the batches stand where we look for them."""
    assert calls(Fetcher._proc_fetch_request, "for topic, partitions in response.topics:")
    assert calls(Fetcher._proc_fetch_request, "for partition, error_code, highwater, *part_data in partitions:")
    assert calls(Fetcher._proc_fetch_request, "records = MemoryRecords(part_data[-1])")
    rows = FetchResponse.SCHEMA.encode([0, 0, 0, [("t", [(0, 0, 1, 1, 0, [], -1, b"batches")])]])
    answer: Any = FetchResponse.decode(rows)
    assert answer.topics == [("t", [(0, 0, 1, 1, 0, [], -1, b"batches")])]


def test_arrivals_can_be_waited_for() -> None:
    """Without taking anything: whoever takes from one partition knows whose error it gets."""
    assert list(inspect.signature(Fetcher._create_fetch_waiter).parameters) == ["self"]
    assert calls(Fetcher._fetch_requests_routine, "for waiter in self._fetch_waiters:")


def test_a_name_that_is_no_text_still_breaks_the_client() -> None:
    """When it no longer does, our own way round is needed for wrong offsets only."""
    broken: Any = MemoryRecords(batch([Raw(b"k", b"v", [(b"\xff", b"")])])).next_batch()
    with pytest.raises((UnicodeDecodeError, aiokafka.errors.CorruptRecordException)):
        list(broken)


def test_a_batch_that_broke_the_client_is_fetched_again_from_where_it_was() -> None:
    """The position moves only after a whole taking, and what was half taken is thrown away."""
    assert calls(FetchResult.getall, "ret_list.append(msg)")
    assert not calls(FetchResult.getall, "try:")
    assert calls(FetchResult.check_assignment, "if position != self._partition_records.next_fetch_offset:")


def test_a_fetch_that_is_not_taken_is_kept() -> None:
    """Partitions left out of getmany keep what was fetched for them; nothing is paused."""
    assert calls(Fetcher.fetched_records, "if partitions and tp not in partitions:")
    assert calls(Fetcher.fetched_records, "if not self._subscriptions.is_assigned(tp):")


def test_records_can_be_made_by_us() -> None:
    """A fetch that has been buffered asks its own object to make each of them."""
    assert calls(PartitionRecords._unpack_records, "consumer_record = self._consumer_record(tp, record)")
    assert calls(FetchResult.getall, "for msg in self._partition_records:")
    assert list(inspect.signature(PartitionRecords._consumer_record).parameters) == ["self", "tp", "record"]
    assert not hasattr(PartitionRecords, "__slots__")


async def written(setup: EngineSetup) -> Untyped:
    """A data consumer that has fetched one record and not taken it."""
    await setup.feed(1, keys=1)
    consumer: Any = Consumer(
        bootstrap_servers=setup.connection.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
    )
    await consumer.start()
    theirs = [TopicPartition(*partition) for partition in setup.inputs()]
    consumer.assign(theirs)
    for each in theirs:
        consumer.seek(each, 0)
    return consumer


async def test_what_is_buffered_and_where_the_fetch_stands_can_be_seen(kafka: Kafka) -> None:
    """Fair shares are taken of what is there; markers are skipped by the position."""
    async with engine_setup(kafka.bootstrap, partitions=1) as setup:
        consumer = await written(setup)
        async with asyncio.timeout(10):
            while not list(aiokafka_private.buffered(consumer)):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.02)
        only = Partition(setup.source, 0)
        assert list(aiokafka_private.buffered(consumer)) == [only]
        assert aiokafka_private.position(consumer, only) == 0
        assert aiokafka_private.position(consumer, Partition("elsewhere", 0)) is None

        async with asyncio.timeout(10):
            while aiokafka_private.position(consumer, only) != 2:  # the record, and the marker of its transaction
                await consumer.getmany(TopicPartition(*only), timeout_ms=50)
        assert not aiokafka_private.fetch_task(consumer).done()

        await aiokafka_private.discard_consumer(consumer, 2.0)
        assert aiokafka_private.fetch_task(consumer).done()
        assert consumer._closed


async def test_a_consumer_that_waits_for_its_group_can_be_discarded(kafka: Kafka) -> None:
    """stop() would wait for the JoinGroup in flight."""
    async with engine_setup(kafka.bootstrap) as setup:
        consumer: Any = Consumer(bootstrap_servers=kafka.bootstrap, group_id=setup.group, enable_auto_commit=False)
        await consumer.start()
        consumer.subscribe([setup.source])
        coordinator = aiokafka_private.coordinator_of(consumer)
        assert not aiokafka_private.rejoin_needed(consumer)
        assert coordinator.member_id == ""
        assert coordinator.coordinator_id is None
        assert {"generation", "request_rejoin"} <= set(dir(coordinator))

        await aiokafka_private.discard_consumer(consumer, 2.0)

        assert aiokafka_private.coordination_task(consumer).done()
        assert aiokafka_private.client_of(consumer)._conns == {} or all(
            not conn.connected() for conn in aiokafka_private.client_of(consumer)._conns.values()
        )


async def test_a_producer_can_be_discarded_in_the_middle_of_a_transaction(kafka: Kafka) -> None:
    """abort() and stop() can wait for ever for a broker that is gone."""
    async with engine_setup(kafka.bootstrap) as setup:
        producer: Any = Producer(bootstrap_servers=kafka.bootstrap, transactional_id=f"t-{setup.tag}")
        await producer.start()
        await producer.begin_transaction()
        sent = await producer.send(setup.output, b"never seen")
        await sent
        task = aiokafka_private.sender_task(producer)
        assert task is not None
        assert not task.done()

        await aiokafka_private.discard_producer(producer, 2.0)

        assert task.done()
        assert producer._closed


async def fence(setup: EngineSetup) -> None:
    """Settle what was written under the test's id: an EndTxn is answered before its offsets can be read."""
    transactional_producer = TransactionalProducer(
        setup.connection, f"t-{setup.tag}", SystemClock(), name="c", timeout_ms=8_000, request_timeout_ms=5_000
    )
    await transactional_producer.fence()
    await transactional_producer.kill()


async def test_an_offset_fetch_answers_with_metadata_and_error_codes(kafka: Kafka) -> None:
    """aiokafka's own call drops the one and ignores the other."""
    async with engine_setup(kafka.bootstrap) as setup:
        transactional_producer = TransactionalProducer(
            setup.connection, f"t-{setup.tag}", SystemClock(), name="c", timeout_ms=8_000, request_timeout_ms=5_000
        )
        await transactional_producer.fence()
        only = Partition(setup.source, 0)
        await transactional_producer.transact([], {only: (3, "a map")}, setup.group)
        await transactional_producer.kill()
        await fence(setup)

        client: Any = Client(bootstrap_servers=kafka.bootstrap)
        await client.bootstrap()
        assert await fetch_committed(client, setup.group, setup.inputs()) == {only: (3, "a map")}
        assert await fetch_committed(client, setup.group, None) == {only: (3, "a map")}
        await client.close()
