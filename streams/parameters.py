"""The engine's numbers; each default was measured, and is changed with a measurement."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import topics
from streams.transport.connection import Connection


def transactional_id(group: str, layout: int, shard: int) -> str:
    """Of the producer of one shard: a function of these three only, so that who opens the shard fences who had it."""
    return f"{group}|{layout}|{shard}"


@dataclass(frozen=True, slots=True)
class Parameters:
    """How one worker runs. Names end in their unit."""

    connection: Connection
    """The cluster."""

    layout: int = 1
    """Version of the mapping from partitions to shards. Part of each transactional id: two layouts never share one."""

    name: str = "headrace"
    """Client id, as brokers log it."""

    shard_topic: str = topics.SHARDS.name
    """The empty topic whose partitions are the shards."""

    batch: int = 2_000
    """Records of one transaction."""

    max_pending: int = 4_000
    """Finished records of one shard that may wait for their transaction before it takes no more."""

    max_pending_bytes: int = 32 * 1024 * 1024
    """Of the values that they are to write, the same."""

    commit_interval_s: float = 0.05
    """Least time between two transactions of a busy shard. An idle one commits at once, a full one too, and one with
    little to say as often as ``early_commits`` allows."""

    early_commits: float = 150.0
    """Transactions a second, in all shards of a worker, that need not wait for the interval since few records wait for
    them: what is sparse is visible at once, at a bounded cost (about a millisecond of CPU each)."""

    transaction_share: float = 0.2
    """Part of a worker's CPU time that its transactions may take, before the interval of its busy shards grows."""

    transaction_cost_s: float = 0.00075
    """CPU time of one, whatever is in it: three or four requests and their answers. It is this figure, times their
    number, that counts as their part: what a client does for them cannot be told from what it does for the rest."""

    longest_interval_s: float = 0.2
    """To which the interval may grow: a tenth of the brake, and less than what waits at saturation waits for anyway."""

    carry_behind: int = 10_000
    """A run whose offset has fallen this far behind what is fetched is carried, in a stage that allows it. Half of the
    span at which intake stops (I3), so that it does not."""

    keepalive_s: float = 3_600.0
    """An unchanged offset is committed again this often: brokers expire those of topics that nobody subscribes to."""

    brake_s: float = 2.0
    """Nothing new starts while a completion has waited this long: a crash would throw the work away."""

    drain_s: float = 10.0
    """How long a shard that moves by plan may finish what runs."""

    grace_s: float = 30.0
    """The same at shutdown."""

    open_deadline_s: float = 30.0
    """For a shard to open, its memory included, and for the worker to reach Kafka at start."""

    transaction_deadline_s: float = 5.5
    """After it the outcome is unknown and the producer thrown away: a transaction begun before its broker died does not
    recover by itself. Above one request timeout, below the transaction timeout."""

    transaction_timeout_ms: int = 8_000
    """After it the broker aborts: a dead worker's open transaction holds others' results back no longer."""

    request_timeout_ms: int = 5_000
    """How soon a black hole is noticed. Above the rebalance timeout, which a JoinGroup may wait out."""

    session_ms: int = 6_000
    """Silence after which the group gives a worker's shards away."""

    heartbeat_ms: int = 1_000
    """Between two heartbeats."""

    rebalance_ms: int = 3_000
    """How long a rebalance waits for members. Nothing has to happen in one, so it can be short."""

    fetch_wait_ms: int = 100
    """How long a broker holds a fetch that finds nothing."""

    watchdog_s: float = 30.0
    """Without any progress, while there is something to do, the worker ends: another takes over."""
