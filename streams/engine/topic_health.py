"""The known state of output topics. An output that no topic accepts must not join a transaction: it would abort it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, Literal, TypeAlias

from schemas.clock import Clock
from schemas.records import Partition, ProducerRecord
from streams.transport.errors import RecordRefusedError, TransportError
from streams.transport.protocol.record_batches import partition_for
from streams.transport.topic_state import TopicState

Fault: TypeAlias = Literal["unsure", "closed", "too_large", "starved"]
"""The reasons why an output cannot be written. ``unsure``: not known for certain yet. ``closed``: its topic is missing
or forbidden, or refuses the record for another reason than its size. ``too_large``: its topic accepts only smaller
records. ``starved``: its partition accepts no records for now. It has no leader, too few in-sync replicas, or an open
transaction that must end first."""

SURE_S = 1.0
"""A topic counts as missing only after it was missing this long: brokers learn of new topics one by one."""

REFUSED_S = 10.0
"""The time for which a refusal is believed. Then the topic is tried again."""

APART_S = 30.0
"""The time for which records to a topic that has refused a batch are sent in batches of one."""

BLOCKED_S = 2.0
"""The time for which a partition counts as starved after ``block``. Then it is tried again."""

_ANYTHING: Final = TopicState(2**31)


class TopicHealth:
    """The known state of the topics that a worker writes to. *ask* returns the current state of topics."""

    def __init__(self, ask: Callable[[Collection[str]], Awaitable[Mapping[str, TopicState]]], clock: Clock) -> None:
        self._ask, self._clock = ask, clock
        self._counts: dict[str, int] = {}
        self._starved: dict[str, frozenset[int]] = {}
        self._absent: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._refused: dict[str, tuple[int, float]] = {}
        self._culprits: dict[ProducerRecord, float] = {}
        self._apart: dict[str, float] = {}
        self._blocked: dict[Partition, float] = {}

    def clear(self, outputs: list[ProducerRecord]) -> bool:
        """Return True if all of *outputs* can be written, as far as is known without asking a broker."""
        counts = self._counts
        suspicious = self._refused or self._starved or self._culprits or self._blocked
        for output in outputs:
            count = counts.get(output.topic, 0)
            if count <= (output.partition or 0) or (suspicious and self.fault(output) is not None):
                return False
        return True

    def fault(self, output: ProducerRecord) -> Fault | None:
        """Return the fault of *output*, or None if it can be written. Call ``learn`` for its topic first."""
        if self._culprits and output in self._believed():
            return "closed"
        if self._is_refused(output):
            return "too_large" if self._refused[output.topic][0] else "closed"
        count = self._counts.get(output.topic, 0)
        if count > (output.partition or 0):
            return "starved" if self._is_starved(output, count) else None
        since = self._absent.get(output.topic)
        if count == 0 and (since is None or self._clock.monotonic() - since < SURE_S):
            return "unsure"
        return "closed"

    async def learn(self, topics: Collection[str]) -> None:
        """Ask about those of *topics* that are unknown, missing or starved, each at most once a second.

        A topic without an answer counts as existing: the next write shows the truth.
        """
        now = self._clock.monotonic()
        uncertain = [topic for topic in topics if topic not in self._counts or topic in self._starved]
        if due := [topic for topic in uncertain if now - self._asked.get(topic, -SURE_S) >= SURE_S]:
            await self._look(due)

    async def trouble(self, outputs: Collection[ProducerRecord]) -> ProducerRecord | None:
        """Ask about the topics of *outputs* again. Return the first output that cannot be written now, or None."""
        await self._look({output.topic for output in outputs})
        return next((output for output in outputs if self.fault(output) is not None), None)

    def stands_apart(self, topic: str) -> bool:
        """Return True if each record to *topic* gets a batch of its own.

        The topic has refused one record of a larger batch, and it is not known which one.
        """
        return self._apart.get(topic, 0.0) > self._clock.monotonic()

    async def _look(self, topics: Collection[str]) -> None:
        try:
            found = await self._ask(topics)
        except TransportError:
            found = {}
        now = self._clock.monotonic()
        for topic in topics:
            self._asked[topic] = now
            self._note(topic, found.get(topic, _ANYTHING), now)

    def _note(self, topic: str, topic_state: TopicState, now: float) -> None:
        self._starved.pop(topic, None)
        if topic_state.partitions:
            self._counts[topic] = topic_state.partitions
            self._absent.pop(topic, None)
            if topic_state.starved:
                self._starved[topic] = topic_state.starved
        else:
            self._counts.pop(topic, None)
            self._absent.setdefault(topic, now)

    def refuse(self, error: Exception) -> None:
        """Remember for a while which topic or record a broker has refused."""
        if not isinstance(error, RecordRefusedError) or error.topic is None:
            return
        if error.records > 1:
            self._apart[error.topic] = self._clock.monotonic() + APART_S
            return
        if error.record is not None:
            self._culprits = {error.record: self._clock.monotonic() + REFUSED_S, **self._believed()}
            return
        known = self._refused.get(error.topic)
        least = error.size if known is None else min(known[0], error.size)
        self._refused[error.topic] = least, self._clock.monotonic() + REFUSED_S

    def block(self, place: Partition) -> None:
        """Count *place* as starved for a while: it has an open transaction that must end before the next write."""
        self._blocked[place] = self._clock.monotonic() + BLOCKED_S

    def refused_size(self, topic: str) -> int:
        """Return the bytes of the smallest record that *topic* recently refused for its size; 0 if there is none."""
        return self._refused[topic][0] if topic in self._refused else 0

    def forget(self) -> None:
        """Forget the known topics, so that each is asked about again. A shard reopens, and a topic may be gone."""
        for topic in self._counts:
            self._asked.pop(topic, None)
        self._counts.clear()

    def _believed(self) -> dict[ProducerRecord, float]:
        """Return the records that were recently refused for a reason of their own."""
        now = self._clock.monotonic()
        return {record: until for record, until in self._culprits.items() if until > now}

    def _is_starved(self, output: ProducerRecord, count: int) -> bool:
        starved = self._starved.get(output.topic)
        if starved is None and not self._blocked:
            return False
        place = partition_for(output, count)
        return (starved is not None and place.number in starved) or self._is_blocked(place)

    def _is_blocked(self, place: Partition) -> bool:
        until = self._blocked.get(place)
        if until is None:
            return False
        if self._clock.monotonic() >= until:
            del self._blocked[place]
            return False
        return True

    def _is_refused(self, output: ProducerRecord) -> bool:
        refusal = self._refused.get(output.topic)
        if refusal is None:
            return False
        least, until = refusal
        if self._clock.monotonic() >= until:
            del self._refused[output.topic]
            return False
        return output.size >= least
