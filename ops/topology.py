"""Which topics there should be, and how those that are there differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ops.settings import Settings
from schemas.tenants import Layout, Tenant
from schemas.topics import PER_INTERACTIVE_TENANT, PER_TENANT, PLATFORM, Topic
from streams.transport.admin import NewTopicSpec, TopicDescription

COPIES = 3
"""Of every partition, outside one machine."""

Action: TypeAlias = Literal["create", "differs", "write", "commit", "grow", "move"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what should be and what is. ``differs`` is shown, and left to the operator."""

    action: Action
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """How topics are divided and copied."""

    layout: Layout
    copies: int

    def platform(self) -> list[NewTopicSpec]:
        """The platform's own topics."""
        return [self.spec(topic, topic.name, self.layout.shards) for topic in PLATFORM]

    def of(self, tenant: Tenant) -> list[NewTopicSpec]:
        """The topics of one tenant."""
        topics: tuple[Topic[Any], ...] = PER_TENANT + (PER_INTERACTIVE_TENANT if tenant.interactive else ())
        return [self.spec(topic, topic.of(tenant.id), tenant.partitions) for topic in topics]

    def spec(self, topic: Topic[Any], name: str, partitions: int) -> NewTopicSpec:
        """The topic as it should be created; a topic of one partition has one, whatever the rest has."""
        count = 1 if topic.partitions == "one" else partitions
        configs = {"min.insync.replicas": str(max(1, self.copies - 1)), **topic.config}
        return NewTopicSpec(name, count, self.copies, configs)


def copies_of(settings: Settings) -> int:
    """As the settings say, else three, or one on this machine."""
    return settings.replication_factor or (1 if settings.on_loopback else COPIES)


def differences(wanted: Iterable[NewTopicSpec], found: Mapping[str, TopicDescription]) -> list[Change]:
    """What is missing, and what is there in another shape."""
    return [change for spec in wanted for change in _of_topic(spec, found.get(spec.name))]


def _of_topic(spec: NewTopicSpec, found: TopicDescription | None) -> Iterator[Change]:
    if found is None:
        yield Change("create", spec.name, f"partitions={spec.partitions} replication={spec.replication}")
        return
    pairs = [("partitions", spec.partitions, found.partitions), ("replication", spec.replication, found.replication)]
    configs = [(name, value, found.configs.get(name, "the broker's default")) for name, value in spec.configs.items()]
    for name, want, have in (*pairs, *configs):
        if want != have:
            yield Change("differs", spec.name, f"{name}: {have}, should be {want}")
