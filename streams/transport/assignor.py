"""The sticky assignment of shards to members. A moving shard is withheld until its live owner has released it.

This is incremental cooperative rebalancing (KIP-429) over the eager protocol, the only one that aiokafka speaks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from schemas.records import Partition
from streams.transport.aiokafka_types import MemberAssignment, StickyAssignor, TopicPartition, Untyped


class DrainAssignor:
    """The assignor of one worker. aiokafka's sticky assignor keeps state on its class, so each worker subclasses it."""

    name = "sticky-drain"

    def __init__(self) -> None:
        self.handing_over: set[Partition] = set()
        """Shards that this worker still works on although they are no longer assigned to it."""
        self.leaving = False
        """True if this worker no longer asks for shards."""
        self._sticky: Untyped = type("Sticky", (StickyAssignor,), {"name": self.name})

    def metadata(self, topics: Untyped) -> Untyped:
        """Return the metadata that this member sends to the group leader: its topics and the shards it holds."""
        held = {Partition(*theirs) for theirs in self._sticky.member_assignment or ()} | self.handing_over
        theirs = [TopicPartition(*partition) for partition in sorted(held)]
        return self._sticky._metadata([] if self.leaving else topics, theirs, self._sticky.generation)  # noqa: SLF001

    def on_assignment(self, assignment: Untyped) -> None:
        """Remember this member's assignment."""
        self._sticky.on_assignment(assignment)

    def on_generation_assignment(self, generation: int) -> None:
        """Remember the generation of that assignment. ``Membership`` calls this, because aiokafka never does."""
        self._sticky.on_generation_assignment(generation)

    def assign(self, cluster: Untyped, members: Mapping[str, Untyped]) -> dict[str, Untyped]:
        """Return the group leader's assignment: the sticky one, without shards that another live member still holds."""
        owners = self._owners(members)
        wanted = self._sticky.assign(cluster, members)
        return {member: self._granted(member, assignment, owners) for member, assignment in wanted.items()}

    def _owners(self, members: Mapping[str, Untyped]) -> dict[Partition, str]:
        """Return the owner of each shard. The newer generation wins a conflict: a returned zombie's is old."""
        claims: dict[Partition, tuple[int, str]] = {}
        for member, metadata in members.items():
            claim = self._sticky.parse_member_metadata(metadata)
            for theirs in claim.partitions:
                partition = Partition(*theirs)
                if partition not in claims or claim.generation > claims[partition][0]:
                    claims[partition] = (claim.generation, member)
        return {partition: member for partition, (_, member) in claims.items()}

    def _granted(self, member: str, assignment: Untyped, owners: Mapping[Partition, str]) -> Untyped:
        granted: dict[str, list[int]] = defaultdict(list)
        for topic, number in assignment.partitions():
            if owners.get(Partition(topic, number), member) == member:
                granted[topic].append(number)
        return MemberAssignment(self._sticky.version, sorted(granted.items()), b"")
