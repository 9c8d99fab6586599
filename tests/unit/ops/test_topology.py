"""Which topics there should be."""

from __future__ import annotations

import pytest

from ops.settings import Settings
from ops.topology import Change, Topology, copies_of, differences, few_copies
from schemas.tenants import Layout, Tenant
from schemas.topics import CONTROL, EVENTS, PLATFORM, REQUESTS, RESULTS, RUN_CONTROL, SHARDS, TENANTS
from streams.transport.admin import NewTopicSpec, TopicDescription

TOPOLOGY = Topology(Layout(shards=6), copies=3)


def _as_described(spec: NewTopicSpec) -> TopicDescription:
    return TopicDescription(spec.name, spec.partitions, spec.replication, dict(spec.configs))


def test_every_platform_topic_has_a_partition_for_each_shard_but_those_that_everybody_reads() -> None:
    """Partition n is shard n; the registry is one log, so that its records have one order."""
    counts = {spec.name: spec.partitions for spec in TOPOLOGY.platform()}

    assert counts == {topic.name: 6 for topic in PLATFORM} | {TENANTS.name: 1, RUN_CONTROL.name: 1}
    assert counts[SHARDS.name] == 6


def test_a_tenant_has_two_topics_and_an_interactive_one_four() -> None:
    """Topics are what a broker's restart time is made of."""
    batch, interactive = Tenant(id="acme", partitions=3), Tenant(id="globex", interactive=True)

    assert {spec.name: spec.partitions for spec in TOPOLOGY.of(batch)} == {
        REQUESTS.of("acme"): 3,
        RESULTS.of("acme"): 3,
    }
    assert {spec.name for spec in TOPOLOGY.of(interactive)} == {
        topic.of("globex") for topic in (REQUESTS, RESULTS, EVENTS, CONTROL)
    }


@pytest.mark.parametrize(("copies", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "4")])
def test_one_copy_may_be_away_if_there_is_another(copies: int, in_sync: str) -> None:
    """With as many in sync as there are, the first broker that restarts would stop all writing."""
    spec = Topology(Layout(), copies).spec(REQUESTS, "x", 1)

    assert spec.configs["min.insync.replicas"] == in_sync


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:9092", "localhost:9092", "kafka-1:9092,kafka-2:9092"])
@pytest.mark.parametrize(
    ("factor", "brokers", "copies"), [(0, 1, 1), (0, 2, 2), (0, 3, 3), (0, 7, 3), (1, 3, 1), (5, 7, 5)]
)
def test_copies_follow_from_the_brokers_and_not_from_the_address(
    bootstrap: str, factor: int, brokers: int, copies: int
) -> None:
    """Three brokers behind a loopback address lose one copy as others do. An operator's own number counts."""
    assert copies_of(Settings(kafka_bootstrap=bootstrap, replication_factor=factor), brokers) == copies


@pytest.mark.parametrize(
    ("factor", "brokers", "line"),
    [
        (
            0,
            1,
            "topics get 1 copy, because the cluster has 1 registered broker: a lost disk may lose records; use three",
        ),
        (0, 2, "topics get 2 copies, because the cluster has 2 registered brokers"),
        (1, 3, "topics get 1 copy, because HEADRACE_REPLICATION_FACTOR is 1"),
    ],
)
def test_an_operator_reads_why_there_are_few_copies(factor: int, brokers: int, line: str) -> None:
    """The next step differs: more brokers, or another setting."""
    settings = Settings(replication_factor=factor)

    assert few_copies(settings, copies_of(settings, brokers), brokers).startswith(line)


def test_a_cluster_as_it_should_be_differs_in_nothing() -> None:
    """Applying twice must show nothing the second time."""
    wanted = TOPOLOGY.platform()

    assert differences(wanted, {spec.name: _as_described(spec) for spec in wanted}) == []


def test_a_missing_topic_is_to_be_created() -> None:
    """What is not there has no other difference."""
    spec = TOPOLOGY.spec(REQUESTS, "x", 2)

    assert differences([spec], {}) == [Change("create", "x", "partitions=2 replication=3")]


def test_a_topic_in_another_shape_is_shown_and_not_created() -> None:
    """Partitions decide who is whose; nobody changes them behind the operator's back."""
    spec = TOPOLOGY.spec(REQUESTS, "x", 2)
    found = TopicDescription("x", 5, 1, {**spec.configs, "retention.ms": "1"})

    changes = differences([spec], {"x": found})

    assert {change.action for change in changes} == {"differs"}
    assert [change.detail.partition(":")[0] for change in changes] == ["partitions", "replication", "retention.ms"]
    assert changes[0].detail == "partitions: 5, should be 2"
