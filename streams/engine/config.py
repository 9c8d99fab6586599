"""The parameters of the engine. Each default was measured, and is changed only with a measurement."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import topics
from streams.transport.connection import Connection


def transactional_id(group: str, layout: int, shard: int) -> str:
    """Return the transactional id of one shard's producer.

    It depends on these three values only, so the shard's next owner fences the former one (I5).
    """
    return f"{group}|{layout}|{shard}"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The parameters of one worker. Names end in their unit."""

    connection: Connection
    """The connection to the cluster."""

    layout: int = 1
    """The version of the mapping from partitions to shards. It is part of each transactional id, so two layouts never
    share one."""

    name: str = "headrace"
    """The client id that brokers log."""

    shard_topic: str = topics.SHARDS.name
    """The empty topic whose partitions are the shards."""

    batch: int = 2_000
    """The maximum number of completed records in one transaction."""

    max_pending: int = 4_000
    """A shard admits no more records while this many completed ones wait for their transaction."""

    max_pending_bytes: int = 32 * 1024 * 1024
    """The same limit, in bytes of the values that these records write."""

    commit_interval_s: float = 0.05
    """The minimum time between two transactions of a busy shard. An idle shard and a full one commit at once. A shard
    with few completions commits as often as ``early_commits`` allows."""

    early_commits: float = 150.0
    """Transactions per second, in all shards of a worker, that skip the interval because few records share them. Sparse
    results are visible at once, at a bounded cost (about a millisecond of CPU each)."""

    transaction_share: float = 0.2
    """The part of a worker's CPU time that its transactions may take before the interval of its busy shards grows."""

    transaction_cost_s: float = 0.00075
    """The CPU time of one transaction with any content: three or four requests and their answers. The transactions'
    share is this figure times their number. A client's work for them cannot be told apart from its other work."""

    longest_interval_s: float = 0.2
    """The longest interval: a tenth of ``max_commit_delay_s``, and less than records wait at saturation."""

    relocation_distance: int = 10_000
    """A run is relocated when its offset is this far behind the fetch position, if its stage allows it. This is half of
    the span at which intake stops (I3), so intake does not stop."""

    keepalive_s: float = 3_600.0
    """The interval at which an unchanged offset is committed again: brokers expire offsets of topics without
    subscribers."""

    max_commit_delay_s: float = 2.0
    """No job starts while a completion has waited this long for its commit: a crash would lose the work."""

    drain_s: float = 10.0
    """The time in which a shard that moves by plan may finish its running jobs."""

    grace_s: float = 30.0
    """The same time at shutdown."""

    open_deadline_s: float = 30.0
    """The deadline for a shard to open, including its memory, and for the worker to reach Kafka at start."""

    transaction_deadline_s: float = 5.5
    """The deadline of a transaction. After it the outcome is unknown and the producer is discarded. A transaction begun
    before its broker died does not recover by itself. The deadline is above one request timeout and below the
    transaction timeout."""

    transaction_timeout_ms: int = 8_000
    """The time after which the broker aborts a transaction. Then a dead worker's open transaction no longer holds back
    others' results."""

    request_timeout_ms: int = 5_000
    """The time after which an unanswered request fails. It is above the rebalance timeout, which a JoinGroup may take
    in full."""

    session_ms: int = 6_000
    """The time without a heartbeat after which the group reassigns a worker's shards."""

    heartbeat_ms: int = 1_000
    """The time between two heartbeats."""

    rebalance_ms: int = 3_000
    """The time for which a rebalance waits for members. Workers do no work in a rebalance, so it can be short."""

    fetch_wait_ms: int = 100
    """The time for which a broker holds a fetch that finds no records."""

    ends_blocked: bool = False
    """True if a loop that is blocked for ``watchdog_s`` ends the process. It is for a process that has one worker and a
    supervisor."""

    watchdog_s: float = 30.0
    """The time without progress, while there is work, after which the worker ends. Another worker takes over."""
