"""Whose turn it is: deficit round robin over tenants, by cost and weight. Pure: nothing waits here.

Source: M. Shreedhar, G. Varghese, "Efficient Fair Queueing using Deficit Round Robin" (1995). Costs here range over
four orders of magnitude, so rounds in which nobody can afford anything are not walked through but added up.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

QUANTUM = 1.0
"""Of cost, that a tenant of weight 1 may spend each time its turn comes."""

LEAST = 1e-3
"""Cost of what is said to cost less, and weight of whom is said to weigh less: rounds stay finite."""


class Line(Generic[T]):
    """What waits of one tenant, in order, with its costs."""

    __slots__ = ("credit", "items", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = max(LEAST, weight)
        self.credit = QUANTUM * self.weight
        self.items: OrderedDict[T, float] = OrderedDict()

    @property
    def short(self) -> float:
        """How much credit is missing for the first item."""
        return next(iter(self.items.values())) - self.credit

    def rounds(self) -> int:
        """Turns until the first item can be afforded."""
        return max(0, math.ceil(self.short / (QUANTUM * self.weight)))


class RoundRobin(Generic[T]):
    """Items of many tenants. Over time each tenant that always has some gets its weight's part of the cost spent."""

    def __init__(self, weight: Callable[[str], float]) -> None:
        self._weight = weight
        self._lines: OrderedDict[str, Line[T]] = OrderedDict()
        """Of tenants that wait; the first has its turn."""

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, tenant: str, item: T, cost: float) -> None:
        """*item* waits, behind the others of its tenant."""
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = Line(self._weight(tenant))
        line.items[item] = max(LEAST, cost)

    def remove(self, tenant: str, item: T) -> None:
        """*item* waits no longer."""
        line = self._lines.get(tenant)
        if line is not None and line.items.pop(item, None) is not None and not line.items:
            del self._lines[tenant]  # its credit with it: nobody saves up

    def next(self, may: Callable[[str], bool]) -> tuple[str, T] | None:
        """The tenant whose turn it is among those that *may*, and its first item, which waits no longer."""
        if not any(map(may, self._lines)):
            return None
        while True:
            for _ in range(len(self._lines)):
                tenant, line = next(iter(self._lines.items()))
                if may(tenant):
                    if line.short <= 0:
                        return tenant, self._take(tenant, line)
                    line.credit += QUANTUM * line.weight
                self._lines.move_to_end(tenant)
            self._pass_rounds([line for tenant, line in self._lines.items() if may(tenant)])

    def _pass_rounds(self, lines: list[Line[T]]) -> None:
        """The rounds, but for the last one, in which nobody could afford anything."""
        rounds = min(line.rounds() for line in lines) - 1
        for line in lines:
            line.credit += max(0, rounds) * QUANTUM * line.weight

    def _take(self, tenant: str, line: Line[T]) -> T:
        item, cost = line.items.popitem(last=False)
        line.credit -= cost
        if not line.items:
            del self._lines[tenant]
        return item
