"""What a run of chaos was to do, and the loss table that came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ops.chaos.oracle import Verdict
from streams.journey import JourneyName


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and with which chance."""

    seed: int
    requests: int
    minutes: float
    brokers: int
    journey: JourneyName
    faults: tuple[str, ...]
    """Kinds, each of ``faults.WEIGHTS``."""

    @property
    def seconds(self) -> float:
        """The time in which requests are sent and faults dealt."""
        return self.minutes * 60


@dataclass(frozen=True, slots=True)
class Report:
    """The loss table of one run."""

    plan: Plan
    verdict: Verdict
    copies: int
    """Further records of requests that were there already."""

    cancels: int
    """Requests of the noisy tenant that were taken back."""

    statuses: dict[str, int]
    """Results, by status: the noisy tenant's may be any that its request allows."""

    runs_repeated: int
    longest_stall_s: float
    """In which no worker started a run, from the first to the last that was started."""

    longest_stall_unaffected: float
    """The longest time, in seconds, in which an agent worker started no run although neither it nor a door was hit and
    every broker and the way there were whole, nor lately had not been. The load's own pauses are among them."""

    watched_unaffected_s: float
    """How much time of agent workers that figure was taken from, all of them together."""

    worst_gap_s: float
    """From the broker's stamp on a result until a reader along the way saw it, an absent broker counted in."""

    took_s: float
    """Until the last request was settled."""

    dealt: dict[str, int]
    """Faults, by kind."""

    end_txn_hits: int
    """Ends of transactions that the proxies struck."""

    workers: int
    """Processes that were started in all."""

    exits: dict[int, int]
    """How often a worker ended with which status; a negative one is a signal's."""

    def row(self) -> dict[str, Any]:
        """As one JSON object."""
        flat = {name: value for name, value in asdict(self).items() if name not in {"plan", "verdict"}}
        return {**asdict(self.plan), **asdict(self.verdict), **flat, "clean": self.verdict.clean}
