"""What a benchmark has measured: a product and its reference in turn, and the median of their ratios."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Subject: TypeAlias = Callable[[], Awaitable[float]]
"""Measures once."""

Tell: TypeAlias = Callable[[dict[str, Any]], None]
"""Takes each line as soon as it is known."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One product against one reference, each measured in each round. Less is better."""

    what: str
    against: str
    unit: str
    values: tuple[float, ...]
    references: tuple[float, ...]
    goal: float | None = None
    """What the ratio is to be at most."""

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios: what slows a machine down for a while slows both."""
        pairs = zip(self.values, self.references, strict=True)
        return round(statistics.median(value / reference for value, reference in pairs), 2)

    def row(self) -> dict[str, Any]:
        """As one JSON object, the ratio last."""
        return {
            "what": self.what,
            "against": self.against,
            "unit": self.unit,
            "value": _short(statistics.median(self.values)),
            "reference": _short(statistics.median(self.references)),
            "values": [_short(value) for value in self.values],
            "references": [_short(value) for value in self.references],
            **({} if self.goal is None else {"goal": self.goal}),
            "ratio": self.ratio,
        }


@dataclass(slots=True)
class Rounds:
    """Measures several subjects in turn (A B A B ...) and keeps what they said."""

    count: int
    tell: Tell
    unit: str = "us"
    found: dict[str, tuple[float, ...]] = field(default_factory=dict[str, "tuple[float, ...]"])

    async def measure(self, subjects: Mapping[str, Subject]) -> None:
        """Each of *subjects* once a round. Every other round goes backwards: what is first warms up the rest."""
        for number in range(self.count):
            names = list(subjects)
            for name in reversed(names) if number % 2 else names:
                value = await subjects[name]()
                self.add(name, value)
                self.tell({"round": number + 1, "what": name, self.unit: _short(value)})

    def add(self, name: str, value: float) -> None:
        """One more value of *name*."""
        self.found[name] = (*self.found.get(name, ()), value)

    def compare(self, what: str, against: str, goal: float | None = None) -> Comparison:
        """Two of the subjects that were measured."""
        return Comparison(what, against, self.unit, self.found[what], self.found[against], goal)


def summary(bench: str, comparisons: list[Comparison], **more: object) -> dict[str, Any]:
    """The last line: what was measured, with every ratio at its end."""
    return {"bench": bench, **more, "ratio": {f"{each.what} / {each.against}": each.ratio for each in comparisons}}


def quantile(values: list[float], share: float) -> float:
    """The value that *share* of all *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
