"""The check of partitions for open transactions, before the first write over each connection to a leader.

A broker may complete a transaction without its end marker while a partition has no leader (KAFKA-20734). Its records
stay open, and the next marker of the same producer id decides them. A leader that was away has closed its connections.
So a partition counts as checked for one connection to one leader. The check costs one request per connection, and a
lookup per batch.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from schemas.records import Partition
from streams.transport.aiokafka_types import KafkaError, Untyped
from streams.transport.brokers import Brokers
from streams.transport.errors import may_pass
from streams.transport.lazy_log import LazyLog
from streams.transport.protocol.describe_producers import OpenTransaction, PartitionProducers, describe_producers
from streams.transport.protocol.error_codes import LEADERLESS, PASSING, TOPIC_FORBIDDEN, fault

log = LazyLog()


class LeaderChecks:
    """The partitions that one producer has checked, each with the connection that the check used."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._checked: dict[Partition, Untyped] = {}
        self._connections: dict[int, Untyped] = {}
        self._denied = False

    def unchecked(self, places: Iterable[Partition]) -> list[Partition]:
        """Return those of *places* that must be checked before a write: also those without a leader."""
        brokers, checked = self._brokers, self._checked
        return [
            place
            for place in places
            if (connection := brokers.connection_to(place)) is None or checked.get(place) is not connection
        ]

    def add(self, places: Iterable[Partition]) -> None:
        """Take up partitions that a former producer left. The next ``stale`` returns those not checked by then."""
        for place in places:
            self._checked.setdefault(place, None)
            self._brokers.know(place.topic)

    def stale(self) -> list[Partition]:
        """Return the partitions to check again. This is cheap while all leaders have kept their connections."""
        live = self._brokers.is_live
        if None not in self._checked.values() and all(live(*each) for each in self._connections.items()):
            return []
        return self.unchecked(self._checked)

    def uncheck(self, places: Iterable[Partition]) -> None:
        """Have *places* checked again before the next write, and by the next ``stale``."""
        for place in places:
            self._checked[place] = None

    async def ask(self, places: Collection[Partition]) -> dict[Partition, list[OpenTransaction]]:
        """Ask each leader once for the open transactions of *places*. Leave out partitions without any.

        A partition whose leader is unknown or silent stays unchecked. One whose access list forbids the question counts
        as checked, with a log line.
        """
        led: dict[int, list[Partition]] = defaultdict(list)
        for place in places:
            if (node := self._brokers.leader(place)) is not None:
                led[node].append(place)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._of_leader(node, theirs)) for node, theirs in led.items()]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        found = {place: each for task in tasks for place, each in task.result().items()}
        if len(found) < len(places):
            self._brokers.look_again()
        return {place: each for place, each in found.items() if each}

    async def _of_leader(self, node: int, places: Collection[Partition]) -> dict[Partition, list[OpenTransaction]]:
        try:
            connection = await self._brokers.connect_to(node)
            answer = await self._brokers.to_leader(node, describe_producers(places))
        except KafkaError as error:
            if not may_pass(error):
                raise
            return {}
        self._connections[node] = connection
        return self._noted(answer, connection)

    def _noted(
        self, answer: Mapping[Partition, PartitionProducers], connection: Untyped
    ) -> dict[Partition, list[OpenTransaction]]:
        found: dict[Partition, list[OpenTransaction]] = {}
        for place, producers in answer.items():
            if producers.code == TOPIC_FORBIDDEN:
                self._note_denied(place)
            elif producers.code in LEADERLESS | PASSING:
                continue
            elif producers.code:
                raise fault(producers.code, place)
            self._checked[place] = connection
            found[place] = producers.open
        return found

    def _note_denied(self, place: Partition) -> None:
        if not self._denied:
            self._denied = True
            log.warning("open_transactions_not_checked", topic=place.topic, reason="grant READ on the topic")
