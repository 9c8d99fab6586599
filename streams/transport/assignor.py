"""Which member owns which shard: sticky, and a shard that moves is withheld until its live owner has let go of it.

That is incremental cooperative rebalancing (KIP-429) over the eager protocol, which is all aiokafka speaks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from schemas.records import Partition
from streams.transport.library import MemberAssignment, StickyAssignor, Theirs, TopicPartition


class DrainAssignor:
    """The assignor of one worker. The sticky one keeps its state on its class, so each gets a class of its own."""

    name = "sticky-drain"

    def __init__(self) -> None:
        self.handing_over: set[Partition] = set()
        """Shards that we still work on although they are no longer assigned to us."""
        self.leaving = False
        """Ask for nothing any more."""
        self._sticky: Theirs = type("Sticky", (StickyAssignor,), {"name": self.name})

    def metadata(self, topics: Theirs) -> Theirs:
        """What this member tells the leader: its topics, and what it holds."""
        held = {Partition(*theirs) for theirs in self._sticky.member_assignment or ()} | self.handing_over
        theirs = [TopicPartition(*partition) for partition in sorted(held)]
        return self._sticky._metadata([] if self.leaving else topics, theirs, self._sticky.generation)  # noqa: SLF001

    def on_assignment(self, assignment: Theirs) -> None:
        """Remember what was assigned to us."""
        self._sticky.on_assignment(assignment)

    def on_generation_assignment(self, generation: int) -> None:
        """Remember the generation of that assignment; aiokafka never calls this."""
        self._sticky.on_generation_assignment(generation)

    def assign(self, cluster: Theirs, members: Mapping[str, Theirs]) -> dict[str, Theirs]:
        """The leader's part: what the sticky assignor says, less what another live member still holds."""
        owners = self._owners(members)
        wanted = self._sticky.assign(cluster, members)
        return {member: self._granted(member, assignment, owners) for member, assignment in wanted.items()}

    def _owners(self, members: Mapping[str, Theirs]) -> dict[Partition, str]:
        """Who holds what. Of two that claim the same, the newer generation: a returned zombie's is old."""
        claims: dict[Partition, tuple[int, str]] = {}
        for member, metadata in members.items():
            claim = self._sticky.parse_member_metadata(metadata)
            for theirs in claim.partitions:
                partition = Partition(*theirs)
                if partition not in claims or claim.generation > claims[partition][0]:
                    claims[partition] = (claim.generation, member)
        return {partition: member for partition, (_, member) in claims.items()}

    def _granted(self, member: str, assignment: Theirs, owners: Mapping[Partition, str]) -> Theirs:
        granted: dict[str, list[int]] = defaultdict(list)
        for topic, number in assignment.partitions():
            if owners.get(Partition(topic, number), member) == member:
                granted[topic].append(number)
        return MemberAssignment(self._sticky.version, sorted(granted.items()), b"")
