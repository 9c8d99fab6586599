"""The stopped partitions and their reasons. A fault of one input stops only that input. Pure: no Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from schemas.clock import Clock
from schemas.records import Partition
from streams.telemetry.metric_definitions import PARTITION_PAUSES
from streams.telemetry.metric_store import MetricStore
from streams.transport.errors import (
    AccessDeniedError,
    OffsetLostError,
    TransportError,
    UnknownTopicError,
    UnreadableError,
)

Reason: TypeAlias = Literal["offset_lost", "unreadable", "missing", "forbidden", "unavailable"]

RETRY_S = 10.0
"""The time after which an unavailable or unreadable partition is tried again: another replica may have it."""

WARNING_INTERVAL_S = 300.0
"""The interval between two log lines about one stopped partition."""

ABSENT: frozenset[Reason] = frozenset({"missing", "forbidden", "unavailable"})
"""The reasons for which the log may be intact but is not available."""

_ADVICE: dict[Reason, str] = {
    "offset_lost": "records may be lost. Stop the stage, set the group's offset of this partition where it shall go on "
    "(kafka-consumer-groups --reset-offsets), and start it again",
    "unreadable": "restore the partition from a replica, or stop the stage, set the group's offset behind the batch, "
    "and start it again",
    "missing": "create the topic again, or remove its tenant",
    "forbidden": "allow the platform's principal to describe and read the topic",
    "unavailable": "see to the brokers that hold it",
}

log = structlog.get_logger()


@dataclass(slots=True)
class PausedPartition:
    """One stopped partition."""

    partition: Partition
    reason: Reason
    life: int
    """The life of its tracker. A reopened shard has read the offset again, which ends the stop."""
    since: float
    seen: int = 1
    """The number of times that the fault was found."""


class PausedPartitions:
    """The stopped partitions of one worker. It logs an error when one stops, and from time to time while that lasts."""

    def __init__(self, group: str, clock: Clock, metrics: MetricStore, changed: Callable[[], None]) -> None:
        self._group, self._clock, self._metrics, self._changed = group, clock, metrics, changed
        self._paused: dict[Partition, PausedPartition] = {}
        self._warned: dict[Partition, tuple[Reason, float]] = {}
        self.withdrawn: set[Partition] = set()
        """Partitions that cannot be read or committed for now: to their shard they do not exist."""

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._paused

    def __iter__(self) -> Iterator[PausedPartition]:
        return iter(list(self._paused.values()))

    def holds(self, partition: Partition, life: int) -> bool:
        """Return True if *partition* must not be polled in this *life* of its tracker."""
        stop = self._paused.get(partition)
        if stop is not None and stop.life < life:
            self.release(partition)
        return partition in self._paused

    def add(self, partition: Partition, error: TransportError, life: int) -> None:
        """Stop *partition* because of *error*."""
        reason, now = reason_of(error), self._clock.monotonic()
        stop = self._paused.get(partition)
        if stop is None or stop.reason != reason:
            self._metrics.count(PARTITION_PAUSES, reason)
            self._paused[partition] = PausedPartition(partition, reason, life, now)
        self._warn(partition, reason, error, now)
        self._changed()

    def withdraw(self, partition: Partition, error: TransportError) -> None:
        """Stop a partition that cannot be committed either: its offset would abort the shard's transactions."""
        self.add(partition, error, _EVERY_LIFE)
        self._paused[partition].life = _EVERY_LIFE
        self.withdrawn.add(partition)

    def _warn(self, partition: Partition, reason: Reason, error: TransportError, now: float) -> None:
        told = self._warned.get(partition)
        if told is not None and told[0] == reason and now - told[1] < WARNING_INTERVAL_S:
            return
        self._warned[partition] = reason, now
        log.error(
            "partition_paused",
            group=self._group,
            partition=str(partition),
            reason=reason,
            error=str(error),
            advice=_ADVICE[reason],
        )

    def release(self, partition: Partition) -> None:
        """Allow *partition* to be polled again. It stops again if the fault remains."""
        if self._paused.pop(partition, None) is not None:
            self.withdrawn.discard(partition)
            self._changed()

    def keep(self, partitions: Collection[Partition]) -> None:
        """Forget all partitions but *partitions*: the others belong to another worker, or are no longer routed."""
        for partition in self._paused.keys() - partitions:
            self.release(partition)
        for partition in self._warned.keys() - partitions:
            del self._warned[partition]

    def absent(self) -> set[Partition]:
        """Return the stopped partitions whose end no broker could report."""
        return {stop.partition for stop in self._paused.values() if stop.reason in ABSENT}

    def counts(self) -> Counter[str]:
        """Return the number of stopped partitions by reason."""
        return Counter(stop.reason for stop in self._paused.values())


_EVERY_LIFE = 2**63


def reason_of(error: TransportError) -> Reason:
    """Return the reason for a stop that *error* causes."""
    kinds: dict[type[TransportError], Reason] = {
        OffsetLostError: "offset_lost",
        UnreadableError: "unreadable",
        UnknownTopicError: "missing",
        AccessDeniedError: "forbidden",
    }
    return kinds.get(type(error), "unavailable")
