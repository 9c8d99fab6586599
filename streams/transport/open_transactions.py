"""The open transactions that a broker forgot: their inputs, and the request that ends them.

The ending is an empty transaction under the id that wrote the records. Its marker ends all of the id's open records in
the partition. It has the epoch of the id's present owner, and needs only WRITE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from schemas.headers import input_of
from schemas.records import Partition
from streams.transport.aiokafka_types import FetchRequest, MemoryRecords, Untyped, errors
from streams.transport.brokers import Brokers, of_transactions
from streams.transport.errors import BrokerError, TransportError
from streams.transport.protocol import requests
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.protocol.error_codes import fault
from streams.transport.protocol.requests import CLASSIC, Producer

FETCH_BYTES: Final = 1024 * 1024
"""Bytes to read from the start of an open transaction. A broker returns at least its first batch."""

_FETCH_WAIT_MS, _READ_UNCOMMITTED = 500, 0


class OpenTransactionError(TransportError):
    """Partitions have an open transaction of this shard's ids that a broker forgot. No record was written."""

    def __init__(self, found: Mapping[Partition, OpenTransaction]) -> None:
        super().__init__(f"open transactions in {', '.join(map(str, found))}")
        self.found = found


class FencedId(NamedTuple):
    """A transactional id whose former owner has been fenced, and its producer since."""

    transactional_id: str
    producer: Producer


async def end(brokers: Brokers, owner: FencedId, place: Partition, *, commit: bool) -> None:
    """End the open transaction of *owner* in *place*. Waits for a transaction of the id that is still ending.

    Raises OutcomeUnknownError if a response is lost: fence the id again then.
    """
    coordinator = of_transactions(owner.transactional_id)
    joined = requests.add_partitions(owner.transactional_id, owner.producer, [place])
    parts, _ = await brokers.settled(coordinator, joined, resend=False)
    for code in parts.codes - {0}:
        raise fault(code, place)
    ended = requests.end(owner.transactional_id, owner.producer, CLASSIC, commit=commit)
    known, _ = await brokers.settled(coordinator, ended, resend=False)
    if known.code:
        raise fault(known.code, place)


async def inputs_of(brokers: Brokers, place: Partition, found: OpenTransaction) -> set[tuple[Partition, int]]:
    """Return the inputs that the first records of the open transaction name. Records without an input add none."""
    node = brokers.leader(place)
    if node is None:
        raise BrokerError(f"{place} has no leader")
    row = (place.number, found.start, FETCH_BYTES)
    request = FetchRequest(_FETCH_WAIT_MS, 1, FETCH_BYTES, _READ_UNCOMMITTED, [(place.topic, [row])])
    answer = await brokers.fetch(node, request)
    ((_, ((_, code, *_, data),)),) = answer.topics
    if errors.for_code(code) is errors.OffsetOutOfRangeError:  # retention has deleted the records
        return set()
    if code:
        raise fault(code, place)
    named = (input_of(headers) for headers in _headers(data or b"", found.producer.id))
    return {each for each in named if each is not None}


def _headers(data: bytes, producer_id: int) -> Iterator[Untyped]:
    """Yield the headers of each record that the producer wrote. The last batch may be truncated."""
    batches = MemoryRecords(data)
    while batches.has_next():
        batch = batches.next_batch()
        if batch is not None and batch.producer_id == producer_id and not batch.is_control_batch:
            for record in batch:
                yield record.headers
