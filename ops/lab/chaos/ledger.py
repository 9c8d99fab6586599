"""The requests that were sent, in order, and the runs that the agents have logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

SUCCEEDS = frozenset({"succeeded"})


class LedgerEntry(NamedTuple):
    """One request. Copies of it are not recorded again."""

    tenant: str
    session: str | None
    request_id: str
    may: frozenset[str] = SUCCEEDS
    """The statuses that the request's result may have."""


@dataclass(slots=True)
class Ledger:
    """Every request that was sent to the broker."""

    sent: list[LedgerEntry] = field(default_factory=list[LedgerEntry])
    copies: int = 0
    """Further records of requests that were already sent."""

    cancels: int = 0
    """Requests that were cancelled."""


class Start(NamedTuple):
    """One run that an agent has started."""

    request_id: str
    attempt: str
    at_ms: int
    pid: int
    """The process id of the worker."""


def starts_in(path: Path) -> list[Start]:
    """Return the runs that the agents have logged, or none if the file does not exist."""
    if not path.exists():
        return []
    lines = (line.split() for line in path.read_text().splitlines())
    return [Start(request_id, attempt, int(at_ms), int(pid)) for request_id, attempt, at_ms, pid in lines]


def repeated(starts: Iterable[Start]) -> int:
    """Return the number of repeated runs. Attempts of a retry count as different runs."""
    counts = Counter((start.request_id, start.attempt) for start in starts)
    return sum(counts.values()) - len(counts)


def longest_pause_s(times_ms: Iterable[int]) -> float:
    """Return the longest time between two consecutive times, in seconds; 0 for fewer than two."""
    return max((later - sooner for sooner, later in pairwise(sorted(times_ms))), default=0) / 1_000
