"""What goes into one transaction of a move, and what would be left behind."""

from __future__ import annotations

from ops.relayout.handover import METADATA, POSITIONS, left_behind, parts
from schemas.records import Partition
from schemas.topics import AUTHORIZED


def test_no_transaction_of_offsets_carries_too_many() -> None:
    """A cluster may have thousands of tenants, and none of their places may be lost on the way."""
    positions = {Partition(f"t-{number}", 0): (number, "") for number in range(2 * POSITIONS + 1)}

    found = list(parts(positions))

    assert [len(part) for part in found] == [POSITIONS, POSITIONS, 1]
    assert {place: at for part in found for place, at in part.items()} == positions


def test_no_transaction_of_offsets_is_too_long() -> None:
    """Brokers bound what one commit may say; maps are up to 4,096 characters each."""
    positions = {Partition("t", number): (number, "m" * 4_096) for number in range(100)}

    found = list(parts(positions))

    assert max(sum(len(text) for _, text in part.values()) for part in found) <= METADATA
    assert {place: at for part in found for place, at in part.items()} == positions
    assert len(found) == 2


def test_nothing_to_hand_down_is_no_transaction() -> None:
    """An empty one would be refused."""
    assert list(parts({})) == []


def test_only_the_guards_topic_is_left_behind() -> None:
    """Whatever the number of shards; the way back leaves nothing."""
    assert left_behind("split", "compact") == {"headrace.guard": (AUTHORIZED,)}
    assert left_behind("split", "split") == left_behind("compact", "split") == {}
