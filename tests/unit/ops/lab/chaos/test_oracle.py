"""The oracle of the chaos runs sees each way in which a promise can be broken: every one is planted here."""

from __future__ import annotations

import pytest

from ops.lab.chaos.ledger import LedgerEntry
from ops.lab.chaos.oracle import OracleReport, Seen, behind, judge
from schemas.records import Partition

SENT = [
    LedgerEntry("north", "s1", "r1"),
    LedgerEntry("north", "s1", "r2"),
    LedgerEntry("north", None, "r3"),
    LedgerEntry("east", "s1", "r4"),
    LedgerEntry("north", "s1", "r5"),
]


def answered(*requests: str) -> list[Seen]:
    """Results of these requests, in this order."""
    tenants = {sent.request_id: sent.tenant for sent in SENT}
    return [Seen(tenants[request], request, "succeeded") for request in requests]


def verdict(seen: list[Seen], open_: int = 0, late: int = 0) -> OracleReport:
    """What the oracle says of them."""
    return judge(SENT, seen, open_=open_, behind=late)


def test_all_answered_once_and_in_order_is_clean() -> None:
    """Other sessions, other tenants and what has no session may overtake."""
    found = verdict(answered("r4", "r1", "r3", "r2", "r5"))

    assert found.clean
    assert (found.sent, found.answered) == (5, 5)


def test_a_lost_answer_is_noticed() -> None:
    """The whole point."""
    found = verdict(answered("r1", "r2", "r4", "r5"))

    assert found.lost == 1
    assert not found.clean


def test_an_answer_of_another_tenant_replaces_none() -> None:
    """Ids are a tenant's own."""
    found = verdict([*answered("r1", "r2", "r3", "r5"), Seen("north", "r4", "succeeded")])

    assert (found.lost, found.unknown) == (1, 1)


def test_a_second_answer_is_noticed() -> None:
    """Also if its first copy came long before."""
    found = verdict(answered("r1", "r2", "r3", "r4", "r5", "r1", "r1"))

    assert found.answered_twice == 2
    assert found.out_of_order == 0
    assert not found.clean


def test_an_answer_out_of_order_is_noticed() -> None:
    """Within its session only, and once for each that came late."""
    found = verdict(answered("r5", "r1", "r2", "r3", "r4"))

    assert found.out_of_order == 2
    assert not found.clean


def test_a_session_of_the_same_name_belongs_to_its_tenant() -> None:
    """r4 is older than r5, and of another tenant."""
    assert verdict(answered("r1", "r2", "r5", "r3", "r4")).out_of_order == 0


@pytest.mark.parametrize("status", ["failed", "refused", "expired", "cancelled"])
def test_an_answer_that_is_no_success_is_noticed(status: str) -> None:
    """An agent that does not fail must not be said to have failed."""
    found = verdict([*answered("r1", "r2", "r3", "r4"), Seen("north", "r5", status)])

    assert (found.lost, found.unsuccessful) == (0, 1)
    assert not found.clean


@pytest.mark.parametrize(("open_", "late"), [(1, 0), (0, 1)])
def test_what_was_not_finished_is_noticed(open_: int, late: int) -> None:
    """A door that still counts a request, and a group that would read it again."""
    assert not verdict(answered("r1", "r2", "r3", "r4", "r5"), open_, late).clean


def test_a_group_is_behind_by_what_it_has_not_committed() -> None:
    """A partition without an offset counts whole; one beyond its end does not make up for another."""
    ends = {Partition("a", 0): 10, Partition("a", 1): 5, Partition("b", 0): 3}

    assert behind({Partition("a", 0): 12, Partition("a", 1): 4}, ends) == 1 + 3
