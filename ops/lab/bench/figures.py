"""Results of a benchmark: product and reference measured in turn, and the median of their ratios."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Subject: TypeAlias = Callable[[], Awaitable[float]]
"""A function that measures its subject once."""

Tell: TypeAlias = Callable[[dict[str, Any]], None]
"""A callback that receives each output line as soon as it is known."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One product against one reference, both measured in each round. A lower value is better."""

    what: str
    against: str
    unit: str
    values: tuple[float, ...]
    references: tuple[float, ...]
    goal: float | None = None
    """The highest ratio that meets the goal."""

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios. A temporary slowdown of the machine affects both sides of a ratio."""
        pairs = zip(self.values, self.references, strict=True)
        return round(statistics.median(value / reference for value, reference in pairs), 2)

    def row(self) -> dict[str, Any]:
        """Return the comparison as one JSON object, with the ratio last."""
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
    """Measure several subjects in turn (A B A B ...) and keep their values."""

    count: int
    tell: Tell
    unit: str = "us"
    found: dict[str, tuple[float, ...]] = field(default_factory=dict[str, "tuple[float, ...]"])

    async def measure(self, subjects: Mapping[str, Subject]) -> None:
        """Measure each subject once a round. Every other round is reversed: the first subject warms up the others."""
        for number in range(self.count):
            names = list(subjects)
            for name in reversed(names) if number % 2 else names:
                value = await subjects[name]()
                self.add(name, value)
                self.tell({"round": number + 1, "what": name, self.unit: _short(value)})

    def add(self, name: str, value: float) -> None:
        """Add one value of *name*."""
        self.found[name] = (*self.found.get(name, ()), value)

    def compare(self, what: str, against: str, goal: float | None = None) -> Comparison:
        """Return the comparison of two measured subjects."""
        return Comparison(what, against, self.unit, self.found[what], self.found[against], goal)


def summary(bench: str, comparisons: list[Comparison], **more: object) -> dict[str, Any]:
    """Return the last output line: the benchmark, the facts in *more*, and every ratio at the end."""
    return {"bench": bench, **more, "ratio": {f"{each.what} / {each.against}": each.ratio for each in comparisons}}


def quantile(values: list[float], share: float) -> float:
    """Return the value that a *share* of all *values* does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
