"""The admin client: topics, their configuration and the committed offsets of groups."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final, Self, TypeVar

from schemas.clock import CorrectedClock
from schemas.records import Partition
from streams.transport import aiokafka_private, watermarks
from streams.transport.aiokafka_types import (
    AdminClient,
    ConfigResource,
    ConfigResourceType,
    MetadataRequest,
    NewPartitions,
    Untyped,
    errors,
)
from streams.transport.append_time import AppendTime, append_times
from streams.transport.broker_retry import answered_within, until_answered
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, KafkaUnreachableError, UnknownTopicError, translated
from streams.transport.offsets import fetch_committed
from streams.transport.protocol.describe_cluster import describe_cluster
from streams.transport.topic_state import partition_counts

_CLOSE_S = 2.0
_REQUEST_MS = 10_000
_LOOK_S = 0.1
_ALREADY_EXISTS: Final = 36

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class NewTopicSpec:
    """A topic to create. A ``replication`` of -1 uses the broker's default; ``configs`` uses Kafka's names."""

    name: str
    partitions: int
    replication: int = -1
    configs: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """An existing topic. ``configs`` holds only values set on the topic; all others are the broker's defaults."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Replication:
    """The brokers of a cluster and the copies of some topics."""

    brokers: frozenset[int]
    """The ids of the brokers that are up, and of those that have a copy."""

    copies: Mapping[str, int]
    """The fewest copies that a partition of an existing topic has."""


class Admin:
    """The client that manages topics and reads committed offsets. Each call has the deadline given to ``open``."""

    def __init__(self, connection: Connection, *, name: str, deadline_s: float) -> None:
        self._connection, self._deadline_s = connection, deadline_s
        self._admin: Untyped = AdminClient(**connection.options(), client_id=name, request_timeout_ms=_REQUEST_MS)
        aiokafka_private.leave_nothing_open(aiokafka_private.client_of(self._admin))

    @classmethod
    async def open(cls, connection: Connection, *, name: str = "headrace-admin", deadline_s: float = 30.0) -> Admin:
        """Return a connected admin client. Raises KafkaUnreachableError after *deadline_s* seconds."""
        admin = cls(connection, name=name, deadline_s=deadline_s)
        try:
            await connection.establish(admin._admin.start, deadline_s)
        except BaseException:  # also if cancelled: no socket may stay open
            await admin.close()
            raise
        return admin

    async def close(self) -> None:
        """Close the connections."""
        await aiokafka_private.close_client(self._client, _CLOSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def _client(self) -> Untyped:
        return aiokafka_private.client_of(self._admin)

    # --- topics -------------------------------------------------------------------------------------------------------

    async def create_topics(self, topics: Iterable[NewTopicSpec]) -> dict[str, bool]:
        """Create the missing topics and wait until they are usable. Return by name True if created, False if existing.

        An existing topic keeps its partitions and configs. Raises BrokerError if a topic cannot be created.
        """
        wanted = list(topics)
        if not wanted:
            return {}
        theirs = [_theirs(topic) for topic in wanted]
        answer = await self._within(self._admin.create_topics(theirs))
        created = {name: _created(name, code, *message) for name, code, *message in answer.topic_errors}
        await self._wait_for({topic.name: topic.partitions for topic in wanted if created[topic.name]})
        return created

    async def _wait_for(self, counts: Mapping[str, int]) -> None:
        """Wait until each new topic has leaders, and until these leaders know the topic."""
        try:
            async with asyncio.timeout(self._deadline_s):
                while not all(_usable(topic, counts[topic["topic"]]) for topic in await self._described(counts)):  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(_LOOK_S)
                places = [Partition(name, number) for name, count in counts.items() for number in range(count)]
                await watermarks.beginnings(self._client, places, self._deadline_s)
        except TimeoutError:
            raise KafkaUnreachableError(self._connection.bootstrap, "created topics have no leaders") from None

    async def list_topics(self) -> list[str]:
        """Return the names of all topics in sorted order, internal topics included."""
        names: list[str] = await self._asked(self._admin.list_topics)
        return sorted(names)

    async def describe(self, names: Collection[str]) -> dict[str, TopicDescription]:
        """Return the partitions and configs of each existing topic of *names*."""
        if not names:
            return {}
        found = [topic for topic in await self._described(names) if _usable(topic)]
        configs = await self._configs([topic["topic"] for topic in found])
        return {topic["topic"]: _description(topic, configs[topic["topic"]]) for topic in found}

    async def leaders(self, topic: str) -> dict[int, int]:
        """Return the leader's node id for each partition of *topic* that has a leader."""
        (found,) = await self._described([topic])
        return {each["partition"]: each["leader"] for each in found["partitions"] if each["leader"] >= 0}

    async def replication(self, names: Collection[str]) -> Replication:
        """Return the brokers, and the copies of each existing topic of *names*."""
        request = MetadataRequest(list(names), allow_auto_topic_creation=False)
        answer = (await self._asked(lambda: self._client.send(self._client.get_random_node(), request))).to_object()
        holders = {
            topic["topic"]: [partition["replicas"] for partition in topic["partitions"]]
            for topic in answer["topics"]
            if topic["partitions"]
        }
        holding = {node for rows in holders.values() for replicas in rows for node in replicas}
        return Replication(
            frozenset(holding | {broker["node_id"] for broker in answer["brokers"]}),
            {name: min(map(len, rows)) for name, rows in holders.items()},
        )

    async def _described(self, names: Collection[str]) -> list[Untyped]:
        """Return the metadata of *names*. aiokafka's own metadata request could create missing topics."""
        request = MetadataRequest(list(names), allow_auto_topic_creation=False)
        answer = await self._asked(lambda: self._client.send(self._client.get_random_node(), request))
        described: list[Untyped] = answer.to_object()["topics"]
        return described

    async def _configs(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        if not names:
            return found
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answers = await self._asked(lambda: self._admin.describe_configs(resources))
        for answer in answers:
            for code, message, _, name, entries in answer.resources:
                _check(name, code, message)
                found[name] = {key: value for key, value, _, source, *_ in entries if source == _SET_ON_TOPIC}
        return found

    async def copies(self, names: Collection[str]) -> dict[str, int]:
        """Return the replication factor of each existing topic of *names*: that of its partition with the fewest."""
        return {
            topic["topic"]: min(len(each["replicas"]) for each in topic["partitions"])
            for topic in (await self._described(names) if names else [])
            if topic["partitions"]
        }

    async def partition_counts(self, names: Collection[str]) -> dict[str, int]:
        """Return the partition count of each topic of *names*; 0 if it does not exist."""
        return await partition_counts(self._client, names, self._deadline_s)

    async def add_partitions(self, counts: Mapping[str, int]) -> None:
        """Increase each topic's partition count and wait until it is usable. Raises BrokerError if that fails."""
        if not counts:
            return
        await self._within(
            self._admin.create_partitions({name: NewPartitions(count) for name, count in counts.items()})
        )
        await self._wait_for(counts)

    async def delete_topics(self, names: Collection[str]) -> None:
        """Delete topics and ignore missing ones. Raises BrokerError if a topic cannot be deleted."""
        if not names:
            return
        answer = await self._within(self._admin.delete_topics(list(names)))
        for name, code in answer.topic_error_codes:
            if errors.for_code(code) is not errors.UnknownTopicOrPartitionError:
                _check(name, code)

    # --- the cluster and its groups -----------------------------------------------------------------------------------

    async def cluster_id(self) -> str:
        """Return the id that the cluster was formatted with."""
        cluster = await self._asked(self._admin.describe_cluster)
        found: str = cluster["cluster_id"]
        return found

    async def append_times(self, topic: str, clock: CorrectedClock) -> list[AppendTime]:
        """Append a record that nothing reads to *topic* at up to three leaders, and return their times.

        The list is empty if they accept no record, or keep the writer's time.
        """
        found: list[AppendTime] = await self._within(append_times(self._client, topic, clock, self._deadline_s))
        return found

    async def registered_brokers(self) -> int:
        """Return the number of registered brokers. One that is stopped counts, because it comes back.

        A broker older than Kafka 4.0 tells only those that run.
        """
        try:
            found = await self._asked(lambda: self._client.send(self._client.get_random_node(), describe_cluster()))
        except BrokerError as error:
            if not isinstance(error.__cause__, errors.IncompatibleBrokerVersion):
                raise
            return len((await self._asked(self._admin.describe_cluster))["brokers"])
        _check("the cluster", found.code)
        return len(found.brokers)

    async def committed(self, group: str, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """Return the committed offsets of *group*, by default of all its partitions. Leave out those without one."""
        found = await self._within(fetch_committed(self._client, group, partitions))
        return {partition: offset for partition, (offset, _) in found.items()}

    async def _asked(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Return the response to *ask*. Retry while a node is unavailable: one of three brokers may be down."""
        async with answered_within(self._deadline_s, self._connection.bootstrap):
            return await until_answered(self._client, ask)

    async def _within(self, work: Untyped) -> Untyped:
        async with answered_within(self._deadline_s, self._connection.bootstrap):
            return await work


_SET_ON_TOPIC: Final = 1  # the DescribeConfigs source "dynamic topic config"


def _theirs(topic: NewTopicSpec) -> Untyped:
    """Return a stand-in for aiokafka's NewTopic, which cannot leave the replication factor to the broker."""
    return SimpleNamespace(
        name=topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication,
        replica_assignments={},
        topic_configs=dict(topic.configs),
    )


def _usable(topic: Untyped, least: int = 1) -> bool:
    partitions = topic["partitions"]
    return topic["error_code"] == 0 and len(partitions) >= least and all(each["leader"] >= 0 for each in partitions)


def _description(topic: Untyped, configs: Mapping[str, str]) -> TopicDescription:
    partitions = topic["partitions"]
    return TopicDescription(topic["topic"], len(partitions), len(partitions[0]["replicas"]), configs)


def _created(name: str, code: int, *message: str | None) -> bool:
    if code == _ALREADY_EXISTS:
        return False
    _check(name, code, *message)
    return True


def _check(name: str, code: int, *message: str | None) -> None:
    if not code:
        return
    kind: type[Exception] = errors.for_code(code)
    if kind is errors.UnknownTopicOrPartitionError:
        raise UnknownTopicError(name)
    said = next((text for text in message if text), kind.__name__)
    with translated():
        raise kind(f"{name}: {said}") if kind is not errors.UnknownError else BrokerError(f"{name}: {said}")
