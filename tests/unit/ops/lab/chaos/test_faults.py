"""The deck of faults: seeded, and as large as the time allows."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ops.lab.chaos.coordinators import hash_of
from ops.lab.chaos.faults import NETWORK, OF_SEVERAL, WEIGHTS, deck, kinds


def test_a_seed_deals_the_same_faults_again() -> None:
    """A finding that cannot be repeated is half a finding."""
    decks = [deck(list(WEIGHTS), 300, random.Random(seed)) for seed in (7, 7, 8)]

    assert decks[0] == decks[1] != decks[2]


def test_five_minutes_hold_what_the_table_promises() -> None:
    """At least five kills, five stops and a broker's restart."""
    dealt = Counter(deck(list(WEIGHTS), 300, random.Random(1)))

    assert dealt["kill"] >= 5
    assert dealt["stop"] >= 5
    assert dealt["broker"] >= 1


def test_a_short_run_holds_each_fault_once() -> None:
    """What was asked for comes, however little time there is."""
    assert sorted(deck(["kill", "broker"], 1, random.Random(1))) == ["broker", "kill"]


def test_one_broker_has_no_other_to_take_over() -> None:
    """Its coordinator's loss is its own."""
    assert not set(OF_SEVERAL) & set(kinds(["all"], 1))
    assert set(kinds(["all"], 3)) == set(WEIGHTS)


def test_the_network_stands_for_its_faults() -> None:
    """Named twice, a fault is still one."""
    assert kinds(["network", "kill", "late"], 1) == [*NETWORK, "kill"]


def test_a_fault_that_does_not_exist_is_refused() -> None:
    """A typing error must not make a green table."""
    with pytest.raises(ValueError, match="kil"):
        kinds(["kil"], 1)


@pytest.mark.parametrize(("text", "value"), [("", 0), ("hello", 99_162_322), ("polygenelubricants", 0)])
def test_a_group_is_hashed_as_java_does(text: str, value: int) -> None:
    """Kafka finds a group's coordinator by it; the last one is Java's smallest number, whose sign is dropped."""
    assert hash_of(text) == value
