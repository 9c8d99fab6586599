"""Follow the tenants of an ingress worker: changed limits, removals, new topics and added partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import structlog

from schemas.clock import Clock
from schemas.tenants import Tenant
from schemas.topics import shard_of
from streams.engine.admission_memory import AdmissionMemory
from streams.registry.tenants import TenantRegistry
from streams.stages.ingress import ingress_topics
from streams.transport.errors import TransportError

ABSENT_S = 5.0
"""Seconds that a new tenant's topics may take to exist. Then the engine takes them for missing, with an alarm."""

LOOK_S = 5.0
"""Seconds between two looks at the partition counts of few topics."""

LOOK_PER_TOPIC_S = 0.005
"""Seconds that each topic adds to that: a look at 10,000 topics costs a quarter of a second."""

TICK_S = 0.2
AT_ONCE = 250
"""Topics in one metadata request. A larger answer would hold the event loop for long."""

CountsOf: TypeAlias = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]
"""Returns the partition count of each topic; 0 if it does not exist."""

log = structlog.get_logger()


class Repartitioning(Protocol):
    """The part of a worker that the follower needs."""

    @property
    def owned(self) -> frozenset[int]:
        """The shards that the worker owns."""
        ...

    async def repartition(self) -> None:
        """Apply a change of its partitions."""
        ...


@dataclass(slots=True)
class TenantFollower:
    """The follower of the tenants whose shards one worker owns."""

    registry: TenantRegistry
    admission_memory: AdmissionMemory
    shards: int
    counts_of: CountsOf
    clock: Clock
    counts: dict[str, int] = field(default_factory=dict[str, int])
    """The known partition counts, for ``IngressStage.counts``."""

    _seen: dict[str, Tenant] = field(default_factory=dict[str, Tenant])
    _absent: dict[str, float] = field(default_factory=dict[str, float])
    """Topics that do not exist yet, and the time at which each was missed first."""

    async def follow(self, worker: Repartitioning) -> None:
        """Apply each change of the registry to *worker*, and look at the partition counts, until cancelled."""
        self._seen = self._seen or dict(self.registry.tenants)  # these are served already; only later ones are new
        seen, owned, look_at = self.registry.version, frozenset[int](), 0.0
        while True:
            changed = seen != self.registry.version
            seen = self.registry.version
            new = self._apply() if changed else set[str]()
            if worker.owned != owned or self.clock.monotonic() >= look_at:
                owned, topics = worker.owned, self._topics(worker.owned)
                look_at = self.clock.monotonic() + LOOK_S + LOOK_PER_TOPIC_S * len(topics)
            else:
                topics = new | self._absent.keys()
            if await self._look(topics, new) or changed:
                await worker.repartition()
            await self._wait(seen)

    async def _wait(self, seen: int) -> None:
        """Wait until the registry changes, a tick at most."""
        if seen != self.registry.version:
            return
        try:
            async with asyncio.timeout(TICK_S):
                await self.registry.changed()
        except TimeoutError:
            return

    def _apply(self) -> set[str]:
        """Apply changed records to waiting requests, and return the topics that are new."""
        before, self._seen = self._seen, dict(self.registry.tenants)
        changed = [tenant for tenant in self._seen.values() if before.get(tenant.id) is not tenant]
        new = set[str]()
        for tenant in changed:
            self.admission_memory.apply_tenant(tenant)
            known = before.get(tenant.id)
            new.update(set(ingress_topics(tenant)) - set(ingress_topics(known) if known else ()))
        return new

    def _topics(self, owned: Collection[int]) -> set[str]:
        return set(self._of(owned))

    def _of(self, owned: Collection[int]) -> Iterator[str]:
        for tenant in self.registry.tenants.values():
            if shard_of(tenant.id, self.shards) in owned:
                yield from ingress_topics(tenant)

    async def _look(self, topics: Collection[str], new: Collection[str]) -> bool:
        """Learn the counts of *topics*. Return True if one of them changed."""
        before, now = dict(self.counts), self.clock.monotonic()
        asked, found = sorted(topics), dict[str, int]()
        for first in range(0, len(asked), AT_ONCE):
            found |= await self._ask(asked[first : first + AT_ONCE])
        for topic, count in found.items():
            self._note(topic, count, now, new=topic in new)
        return self.counts != before

    async def _ask(self, topics: Collection[str]) -> Mapping[str, int]:
        """Return the counts that are known; a broker that does not answer is asked again at the next look."""
        try:
            return await self.counts_of(topics)
        except TransportError as error:
            log.debug("partition_counts_unknown", error=repr(error))
            return {}

    def _note(self, topic: str, count: int, now: float, *, new: bool) -> None:
        if count:
            self._absent.pop(topic, None)
            self.counts[topic] = count
            return
        if new:
            self._absent.setdefault(topic, now)
        if now - self._absent.get(topic, float("-inf")) < ABSENT_S:
            self.counts[topic] = 0
        else:
            self._absent.pop(topic, None)
            self.counts.pop(topic, None)
