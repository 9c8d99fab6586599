"""The current state of a worker, written to its metrics when they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from schemas.topics import tenant_of
from streams import metrics
from streams.lag import Behind, Lag
from streams.measures import OTHER
from streams.offsetmap import encode
from streams.runtime import Runtime
from streams.shard import Shard
from streams.tracker import SPAN, Tracker

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
        self._set_stops()
        self._set_trackers(trackers)
        self._set_lag(list(self._lag.behind()))

    def _set_work(self, shards: list[Shard]) -> None:
        put = self._runtime.metrics.set
        put(metrics.ADMITTED, self._runtime.slots.taken)
        put(metrics.HELD_BYTES, self._runtime.slots.bytes)
        put(metrics.RUNNING, sum(shard.lanes.running for shard in shards))
        put(metrics.PENDING, sum(shard.committer.waiting for shard in shards))

    def _set_ownership(self, shards: list[Shard]) -> None:
        put, membership = self._runtime.metrics.set, self._runtime.membership
        put(metrics.SHARDS_OWNED, len(membership.owned or ()))
        put(metrics.SHARDS_READY, sum(shard.ready for shard in shards))
        put(metrics.HEARTBEAT_AGE_SECONDS, membership.heard_ago_s())
        put(metrics.FETCH_SILENCE_SECONDS, self._runtime.fetcher.silent_s())

    def _set_stops(self) -> None:
        counts = self._runtime.stops.counts()
        for reason in metrics.STOP_REASONS:
            self._runtime.metrics.set(metrics.STOPPED_PARTITIONS, counts[reason], reason)

    def _set_trackers(self, trackers: list[Tracker]) -> None:
        put, now_ms = self._runtime.metrics.set, self._runtime.clock.now_ms()
        oldest = min((at for tracker in trackers if (at := tracker.oldest_ms())), default=now_ms)
        put(metrics.OLDEST_WAITING_SECONDS, max(0, now_ms - oldest) / 1_000)
        put(metrics.SPAN_USED_RATIO, max((each.next - each.low() for each in trackers), default=0) / SPAN)
        put(metrics.MAP_CHARACTERS, max((len(encode(each.committed, each.done)) for each in trackers), default=0))

    def _set_lag(self, behind: list[Behind]) -> None:
        put, holds = self._runtime.metrics.set, self._runtime.work.holds
        put(metrics.LAG_RECORDS, sum(each.records for each in behind))
        runnable = sum(each.records for each in behind if not (each.records and holds(each.partition)))
        put(metrics.RUNNABLE_BACKLOG, runnable)
        put(metrics.WATERMARK_STALL_SECONDS, self._lag.stall_s())
        self._set_tenants(behind)

    def _set_tenants(self, behind: Iterable[Behind]) -> None:
        waiting = Counter[str]()
        for each in behind:
            tenant = tenant_of(each.partition.topic)
            if tenant is not None and each.records:
                waiting[tenant] += each.records
        store = self._runtime.metrics
        store.clear(metrics.TENANT_LAG_RECORDS)
        for tenant, records in waiting.most_common(WAITING):
            store.set(metrics.TENANT_LAG_RECORDS, records, store.tier_of(tenant), tenant)
            del waiting[tenant]
        store.set(metrics.TENANT_LAG_RECORDS, waiting.total(), OTHER, OTHER)
