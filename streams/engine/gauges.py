"""The current state of a worker, written to its metrics when they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from schemas.topics import tenant_of
from streams.engine.lag import Lag, PartitionLag
from streams.engine.runtime import Runtime
from streams.engine.shard import Shard
from streams.offsets.offset_map import encode
from streams.offsets.tracker import SPAN, Tracker
from streams.telemetry import metric_definitions
from streams.telemetry.metric_store import OTHER

WAITING = 10
"""Tenants whose lag is shown by name: those with the largest lag."""


class Gauges:
    """The gauges of one worker. Each call sets them."""

    def __init__(self, runtime: Runtime, shards: Mapping[int, Shard], lag: Lag) -> None:
        self._runtime, self._shards, self._lag = runtime, shards, lag

    def __call__(self) -> None:
        """Set all gauges once."""
        shards = list(self._shards.values())
        trackers = [tracker for shard in shards for tracker in shard.trackers.values()]
        self._set_work(shards)
        self._set_ownership(shards)
        self._set_paused()
        self._set_trackers(trackers)
        self._set_lag(list(self._lag.behind()))

    def _set_work(self, shards: list[Shard]) -> None:
        put = self._runtime.metrics.set
        put(metric_definitions.IN_FLIGHT_RECORDS, self._runtime.in_flight.taken)
        put(metric_definitions.IN_FLIGHT_BYTES, self._runtime.in_flight.bytes)
        put(metric_definitions.RUNNING, sum(shard.lanes.running for shard in shards))
        put(metric_definitions.PENDING, sum(shard.committer.waiting for shard in shards))

    def _set_ownership(self, shards: list[Shard]) -> None:
        put, membership = self._runtime.metrics.set, self._runtime.membership
        put(metric_definitions.SHARDS_OWNED, len(membership.owned or ()))
        put(metric_definitions.SHARDS_READY, sum(shard.ready for shard in shards))
        put(metric_definitions.HEARTBEAT_AGE_SECONDS, membership.heard_ago_s())
        put(metric_definitions.FETCH_SILENCE_SECONDS, self._runtime.consumer.silent_s())

    def _set_paused(self) -> None:
        counts = self._runtime.paused.counts()
        for reason in metric_definitions.PAUSE_REASONS:
            self._runtime.metrics.set(metric_definitions.PAUSED_PARTITIONS, counts[reason], reason)

    def _set_trackers(self, trackers: list[Tracker]) -> None:
        put, now_ms = self._runtime.metrics.set, self._runtime.clock.now_ms()
        oldest = min((at for tracker in trackers if (at := tracker.oldest_ms())), default=now_ms)
        put(metric_definitions.OLDEST_WAITING_SECONDS, max(0, now_ms - oldest) / 1_000)
        put(metric_definitions.SPAN_USED_RATIO, max((each.next - each.low() for each in trackers), default=0) / SPAN)
        put(
            metric_definitions.MAP_CHARACTERS,
            max((len(encode(each.committed, each.done)) for each in trackers), default=0),
        )

    def _set_lag(self, behind: list[PartitionLag]) -> None:
        put, holds = self._runtime.metrics.set, self._runtime.handler.is_limited
        put(metric_definitions.LAG_RECORDS, sum(each.records for each in behind))
        runnable = sum(each.records for each in behind if not (each.records and holds(each.partition)))
        put(metric_definitions.RUNNABLE_BACKLOG, runnable)
        put(metric_definitions.WATERMARK_STALL_SECONDS, self._lag.stall_s())
        self._set_tenants(behind)

    def _set_tenants(self, behind: Iterable[PartitionLag]) -> None:
        waiting = Counter[str]()
        for each in behind:
            tenant = tenant_of(each.partition.topic)
            if tenant is not None and each.records:
                waiting[tenant] += each.records
        store = self._runtime.metrics
        store.clear(metric_definitions.TENANT_LAG_RECORDS)
        for tenant, records in waiting.most_common(WAITING):
            store.set(metric_definitions.TENANT_LAG_RECORDS, records, store.tier_of(tenant), tenant)
            del waiting[tenant]
        store.set(metric_definitions.TENANT_LAG_RECORDS, waiting.total(), OTHER, OTHER)
