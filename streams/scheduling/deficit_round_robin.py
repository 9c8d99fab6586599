"""Deficit round robin over tenants, by cost and weight. Pure: nothing waits here.

Source: M. Shreedhar, G. Varghese, "Efficient Fair Queueing using Deficit Round Robin" (1995). Costs here range over
four orders of magnitude. So the credit of rounds in which no tenant can afford an item is added up in one step.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

QUANTUM = 1.0
"""Cost that a tenant of weight 1 may spend in each of its turns."""

LEAST = 1e-3
"""The least cost of an item and the least weight of a tenant. Lower values are raised to it, so that rounds stay
finite."""


class TenantQueue(Generic[T]):
    """The waiting items of one tenant, in order, with their costs."""

    __slots__ = ("credit", "early", "items", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = max(LEAST, weight)
        self.credit = QUANTUM * self.weight
        self.early: OrderedDict[T, float] = OrderedDict()
        """The items that come before all of ``items``."""

        self.items: OrderedDict[T, float] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self.early or self.items)

    @property
    def short(self) -> float:
        """The credit that is missing for the first item."""
        return next(iter((self.early or self.items).values())) - self.credit

    def pop(self) -> tuple[T, float]:
        """Remove the first item. Return it with its cost."""
        return (self.early or self.items).popitem(last=False)

    def remove(self, item: T) -> bool:
        """Remove *item*. Return False if it is not here."""
        return self.items.pop(item, None) is not None or self.early.pop(item, None) is not None

    def rounds(self) -> int:
        """Return the number of turns until the first item can be afforded."""
        return max(0, math.ceil(self.short / (QUANTUM * self.weight)))


class DeficitRoundRobin(Generic[T]):
    """Waiting items of many tenants.

    Over time, each tenant that always has waiting items gets its weight's share of the cost spent.
    """

    def __init__(self, weight: Callable[[str], float]) -> None:
        self._weight = weight
        self._lines: OrderedDict[str, TenantQueue[T]] = OrderedDict()
        """The lines of tenants with waiting items. The first tenant has the next turn."""

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, tenant: str, item: T, cost: float, *, early: bool = False) -> None:
        """Append *item* to the line of its tenant. An *early* one comes before all others that are not."""
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = TenantQueue(self._weight(tenant))
        (line.early if early else line.items)[item] = max(LEAST, cost)

    def remove(self, tenant: str, item: T) -> None:
        """Remove *item* from the line of its tenant."""
        line = self._lines.get(tenant)
        if line is not None and line.remove(item) and not line:
            del self._lines[tenant]  # its credit with it: an idle tenant saves none

    def next(self, may: Callable[[str], bool]) -> tuple[str, T] | None:
        """Take the next item among the tenants that *may*. Return it with its tenant, or None if there is none."""
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

    def _pass_rounds(self, lines: list[TenantQueue[T]]) -> None:
        """Add the credit of all rounds, but for the last, in which no tenant could afford an item."""
        rounds = min(line.rounds() for line in lines) - 1
        for line in lines:
            line.credit += max(0, rounds) * QUANTUM * line.weight

    def _take(self, tenant: str, line: TenantQueue[T]) -> T:
        item, cost = line.pop()
        line.credit -= cost
        if not line:
            del self._lines[tenant]
        return item
