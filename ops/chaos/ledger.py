"""What was sent, in the order in which it was, and what the agents say that they have started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

SUCCEEDS = frozenset({"succeeded"})


class Sent(NamedTuple):
    """One request; copies of it are not written down again."""

    tenant: str
    session: str | None
    request_id: str
    may: frozenset[str] = SUCCEEDS
    """The statuses with which it may be answered."""


@dataclass(slots=True)
class Ledger:
    """Every request that the broker has taken."""

    sent: list[Sent] = field(default_factory=list[Sent])
    copies: int = 0
    """Further records of a request that was there already."""

    cancels: int = 0
    """Requests that were taken back."""


class Start(NamedTuple):
    """One run that an agent has started."""

    request_id: str
    attempt: str
    at_ms: int
    pid: int
    """Of the worker's process."""


def starts_in(path: Path) -> list[Start]:
    """The runs that the agents have written down; none if there is no such file."""
    if not path.exists():
        return []
    lines = (line.split() for line in path.read_text().splitlines())
    return [Start(request_id, attempt, int(at_ms), int(pid)) for request_id, attempt, at_ms, pid in lines]


def repeated(starts: Iterable[Start]) -> int:
    """How many runs were begun again: the attempts of a retry are not the same run."""
    counts = Counter((start.request_id, start.attempt) for start in starts)
    return sum(counts.values()) - len(counts)


def longest_pause_s(times_ms: Iterable[int]) -> float:
    """The longest time between two that follow each other, in seconds; 0 if there are not two."""
    return max((later - sooner for sooner, later in pairwise(sorted(times_ms))), default=0) / 1_000
