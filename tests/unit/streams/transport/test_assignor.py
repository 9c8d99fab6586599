"""Who owns which shard, as the leader deals them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from schemas.records import Partition
from streams.transport.aiokafka_types import TopicPartition
from streams.transport.assignor import DrainAssignor

TOPIC, SHARDS = "shards", 8


class Cluster:
    """Metadata of one topic."""

    def topics(self) -> set[str]:
        return {TOPIC}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(SHARDS))


class Group:
    """Members that rejoin together, each with an assignor of its own; the first to have joined leads."""

    def __init__(self) -> None:
        self.members: dict[str, DrainAssignor] = {}
        self.generation = 0

    def join(self, name: str) -> DrainAssignor:
        assignor = self.members[name] = DrainAssignor()
        return assignor

    def deal(self) -> dict[str, set[int]]:
        """One rebalance. What each member owns then."""
        self.generation += 1
        leader = next(iter(self.members.values()))
        claims: dict[str, Any] = {name: assignor.metadata([TOPIC]) for name, assignor in self.members.items()}
        dealt = leader.assign(Cluster(), claims)
        for name, assignor in self.members.items():
            assignor.on_assignment(dealt[name])
            assignor.on_generation_assignment(self.generation)
        return {name: {number for _, number in dealt[name].partitions()} for name in self.members}


def drain(assignor: DrainAssignor, *shards: int) -> None:
    """The member still works on these."""
    assignor.handing_over.update(Partition(TOPIC, shard) for shard in shards)


def test_a_lone_member_gets_everything() -> None:
    """And keeps it."""
    group = Group()
    group.join("a")

    assert group.deal() == {"a": set(range(SHARDS))}
    assert group.deal() == {"a": set(range(SHARDS))}


def test_a_shard_that_moves_is_withheld_until_its_owner_has_let_go() -> None:
    """Else the newcomer would fence the runs that are about to finish."""
    group = Group()
    first = group.join("a")
    group.deal()
    group.join("b")

    moving = group.deal()
    assert len(moving["a"]) == SHARDS // 2
    assert moving["b"] == set()
    lost = set(range(SHARDS)) - moving["a"]

    drain(first, *lost)
    assert group.deal()["b"] == set()

    first.handing_over.clear()
    assert group.deal() == {"a": moving["a"], "b": lost}


def test_a_dead_members_shards_are_dealt_at_once() -> None:
    """There is nobody to wait for."""
    group = Group()
    group.join("a")
    group.join("b")
    group.deal()
    owned = group.deal()
    del group.members["a"]

    assert group.deal() == {"b": owned["a"] | owned["b"]}


def test_a_member_that_leaves_gets_nothing_more() -> None:
    """What it still drains stays with it, and moves when it has let go."""
    group = Group()
    first = group.join("a")
    group.join("b")
    group.deal()
    owned = group.deal()
    first.leaving = True
    drain(first, *owned["a"])

    assert group.deal() == {"a": set(), "b": owned["b"]}
    first.handing_over.clear()
    assert group.deal() == {"a": set(), "b": set(range(SHARDS))}


def test_a_returned_zombies_claim_is_older() -> None:
    """It was away for a generation; what it believes to own belongs to another."""
    group = Group()
    zombie = group.join("a")
    group.deal()
    del group.members["a"]
    group.join("b")
    group.deal()
    group.members = {"a": zombie, **group.members}

    owned = group.deal()

    assert owned["a"] == set()
    assert len(owned["b"]) == SHARDS // 2
    assert group.deal() == {"a": set(range(SHARDS)) - owned["b"], "b": owned["b"]}


def test_each_worker_has_a_state_of_its_own() -> None:
    """Several run in one process; aiokafka keeps it on the class."""
    first, second = DrainAssignor(), DrainAssignor()
    first.on_assignment(SimpleNamespace(partitions=lambda: [TopicPartition(TOPIC, 1)]))

    assert first.metadata([TOPIC]).user_data != second.metadata([TOPIC]).user_data
