"""The plan of a chaos run, and the loss table that the run produced."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ops.lab.chaos.oracle import OracleReport
from streams.journey import JourneyName


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """The plan of a run, with its random seed."""

    seed: int
    requests: int
    minutes: float
    brokers: int
    journey: JourneyName
    faults: tuple[str, ...]
    """Fault kinds, each a key of ``faults.WEIGHTS``."""

    tenant_copies: int = 0
    """Copies of the tenants' topics; 0 means one on each broker. With one, a killed broker leaves them leaderless."""

    @property
    def seconds(self) -> float:
        """The seconds in which requests are sent and faults applied."""
        return self.minutes * 60


@dataclass(frozen=True, slots=True)
class Report:
    """The loss table of one run."""

    plan: ChaosPlan
    verdict: OracleReport
    copies: int
    """Further records of requests that were already sent."""

    cancels: int
    """Requests of the noisy tenant that were cancelled."""

    statuses: dict[str, int]
    """Results by status. The noisy tenant's results may have any status that their request allows."""

    runs_repeated: int
    longest_stall_s: float
    """The longest time, in seconds, without a start in any worker, from the first to the last start."""

    longest_stall_unaffected: float
    """The longest time, in seconds, in which an unaffected agent worker started no run.

    A worker is affected if it or an admission controller was hit. A broker or network fault, active or recent, affects
    all workers. Pauses of the load are included.
    """

    watched_unaffected_s: float
    """The time that figure was measured over, in seconds, summed over all agent workers."""

    worst_gap_s: float
    """The longest time, in seconds, from the broker's timestamp on a result until a reader saw it.

    The downtime of a broker is included.
    """

    took_s: float
    """Seconds until the last request was settled."""

    dealt: dict[str, int]
    """Faults by kind."""

    end_txn_hits: int
    """EndTxn requests to which the proxies applied a fault."""

    workers: int
    """The number of processes started in all."""

    exits: dict[int, int]
    """The number of workers by exit status. A negative status is a signal number."""

    def row(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        flat = {name: value for name, value in asdict(self).items() if name not in {"plan", "verdict"}}
        return {**asdict(self.plan), **asdict(self.verdict), **flat, "clean": self.verdict.clean}
