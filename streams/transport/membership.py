"""Shard ownership of this process. It uses only the group protocol, on an empty topic."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from schemas.clock import Clock
from schemas.records import Partition
from streams.transport import aiokafka_private, watermarks
from streams.transport.aiokafka_types import Consumer, KafkaError, LeaveGroupRequest, RebalanceListener, Untyped
from streams.transport.assignor import DrainAssignor
from streams.transport.connection import Connection
from streams.transport.errors import own

_CLOSE_S = 2.0
_DAY_MS = 86_400_000
_REJOIN_S = 0.05  # so that several shards released at once share a rebalance
_ASK_S = 0.2
SAFE_SHARE = 0.9
"""The part of the time of ownership that is used. The rest is for clocks of different speed, and for the time between
a check and what it allows."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GroupTimes:
    """The timeouts and intervals of the group protocol, in milliseconds."""

    session_ms: int
    heartbeat_ms: int
    rebalance_ms: int
    request_timeout_ms: int


class Membership:
    """The membership of this process in its group. It calls *changed* after every new assignment."""

    def __init__(
        self,
        connection: Connection,
        group: str,
        shard_topic: str,
        clock: Clock,
        changed: Callable[[], None],
        *,
        name: str,
        times: GroupTimes,
    ) -> None:
        self.owned: set[int] | None = None
        """Shards assigned to this process; None until it has joined."""
        self.expelled = False
        """True if the group removed this process as dead, so that other members may own its former shards."""
        self.expulsions = 0
        """The number of times that this has happened."""
        self.assignor = DrainAssignor()
        self._connection, self._shard_topic = connection, shard_topic
        self._group, self._clock = group, clock
        self._changed = changed
        self._rebalancing = False
        self._rejoin_later = False
        self._assigned_at = clock.monotonic()
        self._heard_at = clock.monotonic()
        self._accepted_at = -math.inf
        self._safe_s = SAFE_SHARE * min(times.session_ms, times.rebalance_ms) / 1_000
        self._consumer: Untyped = Consumer(
            **connection.options(),
            client_id=name,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=times.session_ms,
            heartbeat_interval_ms=times.heartbeat_ms,
            rebalance_timeout_ms=times.rebalance_ms,
            max_poll_interval_ms=_DAY_MS,  # the worker's watchdog checks polling instead
            partition_assignment_strategy=(self.assignor,),
            max_partition_fetch_bytes=1,
            fetch_max_wait_ms=5_000,
            request_timeout_ms=times.request_timeout_ms,
        )
        aiokafka_private.leave_nothing_open(aiokafka_private.client_of(self._consumer))

    async def start(self, deadline_s: float) -> None:
        """Connect and ask to join. Raises KafkaUnreachableError or UnknownTopicError after *deadline_s* seconds."""
        await self._connection.establish(self._consumer.start, deadline_s)
        await watermarks.partitions_of(aiokafka_private.client_of(self._consumer), self._shard_topic, deadline_s)
        aiokafka_private.watch_heartbeats(self._consumer, self._heard)
        aiokafka_private.watch_acceptance(self._consumer, self._clock.monotonic, self._accepted_since)
        # Subscribe after start(): start() of a subscribed consumer blocks until it has joined.
        self._consumer.subscribe([self._shard_topic], listener=_Listener(self._revoked, self._assigned))

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()

    def heard_ago_s(self) -> float:
        """Return the seconds since the group last accepted this member.

        Beyond the session timeout another worker may own its shards.
        """
        return self._clock.monotonic() - self._heard_at

    def _accepted_since(self, sent_at: float) -> None:
        self._accepted_at = max(self._accepted_at, sent_at)

    def owned_until(self) -> float:
        """Return the monotonic time until which no other member can own what this one owns.

        The group may give a member's shards away after a session without a heartbeat, or after a rebalance that it did
        not join. Both begin at the earliest when the coordinator handled the last request that it answered without
        error. Our time of sending is earlier.
        """
        return self._accepted_at + self._safe_s

    def holds(self, shard: int) -> bool:
        """Return True if the group has assigned *shard* to this process, or waits until it hands it over."""
        handed_over = Partition(self._shard_topic, shard) in self.assignor.handing_over
        return handed_over or shard in (self.owned or ())

    @property
    def broken(self) -> bool:
        """True if the task that keeps this member in the group has ended."""
        return aiokafka_private.coordination_task(self._consumer).done()

    def _revoked(self) -> None:
        self._rebalancing = True
        self.expelled = not aiokafka_private.coordinator_of(self._consumer).member_id
        self.expulsions += self.expelled

    def _assigned(self, assigned: set[Untyped]) -> None:
        """Apply a new assignment. Must return at once, because aiokafka sends no heartbeat meanwhile."""
        self._rebalancing = False
        self._assigned_at = self._clock.monotonic()
        self._heard()
        self.assignor.on_generation_assignment(aiokafka_private.coordinator_of(self._consumer).generation)
        self._consumer.pause(*assigned)
        for theirs in assigned:  # else aiokafka looks up positions, with stale metadata ten times a second forever
            self._consumer.seek(theirs, 0)
        self.owned = {theirs.partition for theirs in assigned}
        self._changed()
        if self._rejoin_later:
            self.rejoin()

    async def watch(self, failed: Callable[[], None]) -> None:
        """Poll forever, and report the coordinator's errors to the log and to *failed*. The poll returns no records."""
        while True:
            try:
                await self._consumer.getmany(timeout_ms=1_000)
            except KafkaError as error:
                failed()
                log.warning("membership_failed", group=self._group, error=str(own(error)))
                await asyncio.sleep(0.5)

    async def confirmed(self, since: float) -> None:
        """Wait until the group has confirmed the ownership of the shards.

        Only an assignment newer than *since* (monotonic seconds), or a heartbeat accepted after it, confirms it.
        Otherwise a woken zombie and the rightful owner would fence each other in turn.
        """
        while not (self._assigned_at > since or await self._accepted()):  # noqa: ASYNC110 - the broker says nothing unasked
            await asyncio.sleep(_ASK_S)

    async def _accepted(self) -> bool:
        if self._unsettled() or aiokafka_private.coordinator_of(self._consumer).coordinator_id is None:
            return False
        try:
            return await aiokafka_private.heartbeat(self._consumer) and not self._unsettled()
        except KafkaError as error:
            log.warning("heartbeat_failed", group=self._group, error=str(own(error)))
            return False

    def _unsettled(self) -> bool:
        return self._rebalancing or aiokafka_private.rejoin_needed(self._consumer)

    def claim(self, shard: int) -> None:
        """Tell the group that this process still works on *shard*, so that no other member gets it meanwhile."""
        self.assignor.handing_over.add(Partition(self._shard_topic, shard))

    def disclaim(self, shard: int) -> None:
        """Tell the group that this process no longer works on *shard*."""
        self.assignor.handing_over.discard(Partition(self._shard_topic, shard))

    def rejoin(self) -> None:
        """Request a rebalance soon: after 50 ms, or after the current rebalance."""
        if self._rebalancing or self.owned is None:
            self._rejoin_later = True
            return
        self._rejoin_later = False
        asyncio.get_running_loop().call_later(_REJOIN_S, self._request_rejoin)

    def _request_rejoin(self) -> None:
        if self._rebalancing:
            self._rejoin_later = True
        else:
            aiokafka_private.coordinator_of(self._consumer).request_rejoin()

    async def leave(self) -> None:
        """Leave the group, over another connection than the one that a JoinGroup may block."""
        coordinator = aiokafka_private.coordinator_of(self._consumer)
        if coordinator is not None and coordinator.coordinator_id is not None and coordinator.member_id:
            await self._say_goodbye(coordinator)

    async def close(self) -> None:
        """Close the connections."""
        await aiokafka_private.discard_consumer(self._consumer, _CLOSE_S)

    async def _say_goodbye(self, coordinator: Untyped) -> None:
        request = LeaveGroupRequest(self._group, coordinator.member_id)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await aiokafka_private.client_of(self._consumer).send(coordinator.coordinator_id, request)
        except (KafkaError, TimeoutError) as error:
            log.warning("leave_failed", group=self._group, error=str(error))


if TYPE_CHECKING:
    _Base = object
else:
    _Base = RebalanceListener


class _Listener(_Base):
    """The rebalance callbacks. aiokafka swallows their exceptions, so they only call code that cannot fail."""

    def __init__(self, revoked: Callable[[], None], assigned: Callable[[set[Untyped]], None]) -> None:
        self._revoked, self._assigned = revoked, assigned

    def on_partitions_revoked(self, revoked: set[Untyped]) -> None:
        del revoked
        self._revoked()

    def on_partitions_assigned(self, assigned: set[Untyped]) -> None:
        self._assigned(assigned)
