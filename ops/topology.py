"""Define the topics that a cluster needs, and compare them with those that exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ops.settings import Settings
from schemas.tenants import Layout, Tenant
from schemas.topics import PER_INTERACTIVE_TENANT, PER_TENANT, PLATFORM, Topic
from streams.transport.admin import NewTopicSpec, TopicDescription

COPIES = 3
"""Copies of every partition, where there are as many brokers."""

Action: TypeAlias = Literal["create", "differs", "write", "commit", "grow", "move"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the wanted and the actual state. ``differs`` is shown, and left to the operator."""

    action: Action
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """The partition and copy counts of topics."""

    layout: Layout
    copies: int

    def platform(self) -> list[NewTopicSpec]:
        """Return the platform's own topics."""
        return [self.spec(topic, topic.name, self.layout.shards) for topic in PLATFORM]

    def of(self, tenant: Tenant) -> list[NewTopicSpec]:
        """Return the topics of one tenant."""
        topics: tuple[Topic[Any], ...] = PER_TENANT + (PER_INTERACTIVE_TENANT if tenant.interactive else ())
        return [self.spec(topic, topic.of(tenant.id), tenant.partitions) for topic in topics]

    def spec(self, topic: Topic[Any], name: str, partitions: int) -> NewTopicSpec:
        """Return the topic as it should be created; a topic declared with one partition always has one."""
        count = 1 if topic.partitions == "one" else partitions
        configs = {"min.insync.replicas": str(max(1, self.copies - 1)), **topic.config}
        return NewTopicSpec(name, count, self.copies, configs)


def copies_of(settings: Settings, brokers: int) -> int:
    """Return the replication factor: the configured one, else three, or one for each registered broker if fewer."""
    return settings.replication_factor or min(COPIES, brokers)


def few_copies(settings: Settings, copies: int, brokers: int) -> str:
    """Return the line for an operator whose topics get fewer than three copies."""
    reason = (
        f"HEADRACE_REPLICATION_FACTOR is {settings.replication_factor}"
        if settings.replication_factor
        else f"the cluster has {counted(brokers, 'registered broker')}"
    )
    return f"topics get {counted(copies, 'copy', 'copies')}, because {reason}: a lost disk may lose records; use three"


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun: ``1 copy``, ``2 copies``."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def differences(wanted: Iterable[NewTopicSpec], found: Mapping[str, TopicDescription]) -> list[Change]:
    """Return the missing topics, and each difference of an existing one."""
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
