"""Deficit round robin: what each tenant gets over time, and that nobody waits for ever."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from streams.scheduling.deficit_round_robin import DeficitRoundRobin

Item: TypeAlias = tuple[str, int]

COSTS = st.floats(min_value=0.001, max_value=60)


def anybody(_tenant: str) -> bool:
    """May."""
    return True


def turns(waiting: DeficitRoundRobin[Item], count: int) -> list[Item]:
    """Who comes next, that many times."""
    found = [waiting.next(anybody) for _ in range(count)]
    return [pair[1] for pair in found if pair is not None]


def filled(items: int, weights: dict[str, float], costs: dict[str, float]) -> DeficitRoundRobin[Item]:
    """Each tenant waits with that many items."""
    waiting: DeficitRoundRobin[Item] = DeficitRoundRobin(weights.__getitem__)
    for tenant in weights:
        for number in range(items):
            waiting.add(tenant, (tenant, number), costs[tenant])
    return waiting


def test_equal_tenants_take_turns_whoever_came_first() -> None:
    """A flood that came before has no more turns for it."""
    waiting: DeficitRoundRobin[Item] = DeficitRoundRobin(lambda _: 1.0)
    for number in range(100):
        waiting.add("flood", ("flood", number), 1.0)
    waiting.add("late", ("late", 0), 1.0)
    waiting.add("late", ("late", 1), 1.0)

    assert turns(waiting, 5) == [("flood", 0), ("late", 0), ("flood", 1), ("late", 1), ("flood", 2)]


def test_a_tenant_whose_runs_cost_ten_times_as_much_gets_a_tenth_of_the_turns() -> None:
    """Shares are of the work, not of the count."""
    waiting = filled(1_000, {"long": 1.0, "short": 1.0}, {"long": 10.0, "short": 1.0})

    got = Counter(tenant for tenant, _ in turns(waiting, 660))

    assert got == {"long": 60, "short": 600}


def test_a_tenant_that_weighs_three_times_as_much_gets_three_times_as_much() -> None:
    """As its tier says."""
    waiting = filled(400, {"gold": 3.0, "standard": 1.0}, {"gold": 2.0, "standard": 2.0})

    got = Counter(tenant for tenant, _ in turns(waiting, 400))

    assert got["gold"] in range(297, 304)


def test_who_may_not_is_passed_over_and_saves_nothing_up() -> None:
    """A tenant that has its share of slots waits; when it may again it has one turn, not all that it missed."""
    waiting = filled(50, {"full": 1.0, "other": 1.0}, {"full": 1.0, "other": 1.0})

    passed = [waiting.next(lambda tenant: tenant != "full") for _ in range(20)]
    assert {pair[0] for pair in passed if pair} == {"other"}
    assert len([pair for pair in passed if pair]) == 20
    assert waiting.next(lambda _: False) is None

    assert Counter(tenant for tenant, _ in turns(waiting, 10)) == {"full": 5, "other": 5}


def test_what_is_removed_has_no_turn() -> None:
    """Cancelled while it waited."""
    waiting = filled(2, {"one": 1.0}, {"one": 1.0})
    waiting.remove("one", ("one", 0))
    waiting.remove("one", ("one", 7))
    waiting.remove("nobody", ("nobody", 0))

    assert turns(waiting, 3) == [("one", 1)]
    assert not waiting


@given(st.lists(st.tuples(st.sampled_from("abcde"), COSTS), max_size=60), st.lists(st.floats(0.01, 10), min_size=5))
def test_everybody_has_a_turn_in_the_order_of_its_tenant_and_none_has_two(
    arrivals: list[tuple[str, float]], weights: list[float]
) -> None:
    """Whatever the costs and the weights."""
    waiting: DeficitRoundRobin[Item] = DeficitRoundRobin(dict(zip("abcde", weights, strict=False)).__getitem__)
    sent: dict[str, list[int]] = defaultdict(list)
    for number, (tenant, cost) in enumerate(arrivals):
        waiting.add(tenant, (tenant, number), cost)
        sent[tenant].append(number)

    got: dict[str, list[int]] = defaultdict(list)
    for tenant, number in turns(waiting, len(arrivals)):
        got[tenant].append(number)

    assert got == sent
    assert waiting.next(anybody) is None


@given(st.lists(COSTS, min_size=4, max_size=60), st.floats(0.1, 10))
def test_nobody_is_ever_behind_by_more_than_one_item_and_one_quantum(costs: list[float], weight: float) -> None:
    """The bound of the paper, for two tenants that always have something."""
    waiting: DeficitRoundRobin[Item] = DeficitRoundRobin({"one": 1.0, "two": weight}.__getitem__)
    for number, cost in enumerate(costs):
        tenant = "one" if number % 2 else "two"
        waiting.add(tenant, (tenant, number), cost)
    spent = {"one": 0.0, "two": 0.0}
    left = Counter({"one": len(costs) // 2, "two": len(costs) - len(costs) // 2})
    for tenant, number in turns(waiting, len(costs)):
        spent[tenant] += costs[number]
        left[tenant] -= 1
        if min(left.values()) > 0:
            assert abs(spent["one"] - spent["two"] / weight) <= 60 + 60 / weight + 2
