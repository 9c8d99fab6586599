"""The closed list of the engine's metrics. ``docs/reference/metrics.md`` is generated from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600)

OUTCOMES = ("answered", "forwarded", "retried", "buried", "joined")
"""The possible outcomes of a record (I10)."""

TRANSACTION_OUTCOMES = ("committed", "fenced", "timeout", "refused", "failed")

_REASONS = {
    "transaction failed": "transaction",
    "open failed": "open",
    "repartition failed": "repartition",
    "dropped": "dropped",
}
"""The text before the colon in a shard's reason to reopen, and its class."""

REOPEN_REASONS = (*_REASONS.values(), "other")


def reason_of(text: str) -> str:
    """Return the class of a reason to reopen a shard."""
    return _REASONS.get(text.partition(":")[0], "other")


STOP_REASONS = ("offset_lost", "unreadable", "missing", "forbidden", "unavailable")
"""The possible reasons for a stopped partition."""


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. Each metric has the label ``stage`` before its own labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    labels: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    """Values of its only label that are exported before they occur: a rate needs a zero to start from."""

    buckets: tuple[float, ...] = SECONDS
    """The upper bounds of a histogram's buckets."""

    @property
    def sample(self) -> str:
        """The name of the exported sample, as queries use it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


# --- outcomes and transactions ----------------------------------------------------------------------------------------

RECORDS = Metric(
    "headrace_records",
    "counter",
    "Records whose outcome has been committed, each once. Buried ones may have been answered too.",
    ("outcome",),
    OUTCOMES,
)
CARRIED = Metric(
    "headrace_carried",
    "counter",
    "Long runs moved out of the way of what came after them: their record stands again at the end of its partition.",
)
TRANSACTIONS = Metric(
    "headrace_transactions",
    "counter",
    "Transactions by how they ended. Whatever is not committed re-opens its shard.",
    ("outcome",),
    TRANSACTION_OUTCOMES,
)
TRANSACTION_SECONDS = Metric("headrace_transaction_seconds", "histogram", "Duration of each transaction.")
QUEUE_SECONDS = Metric(
    "headrace_queue_seconds", "histogram", "From the broker's append of a record to its admission by this stage."
)
RESULTS = Metric(
    "headrace_results",
    "counter",
    "Results made, by status. Made again, counted again: a result whose transaction came to nothing is not visible.",
    ("status", "tier", "tenant"),
)
DEAD_LETTERS = Metric(
    "headrace_dead_letters", "counter", "Dead letters made, by the error's code.", ("code", "tier", "tenant")
)
DOORS_SHUT = Metric(
    "headrace_doors_shut",
    "counter",
    "Times that a tenant's door was shut for a while: too much of what it sent became dead letters.",
    ("tier", "tenant"),
)
RETRIES = Metric("headrace_retries", "counter", "Runs sent to a retry tier, by the error's code.", ("code", "tier"))
UNWRITABLE = Metric(
    "headrace_unwritable_records", "counter", "Records answered otherwise, since no topic took what they were to write."
)
HELD_BACK = Metric(
    "headrace_held_back",
    "counter",
    "Warnings that outputs wait for a topic which takes nothing: one per shard and topic in 30 s, while it lasts.",
)

SPANS = Metric(
    "headrace_spans",
    "counter",
    "Recorded spans by what became of them; those are lost that the collector does not take.",
    ("outcome",),
    ("delivered", "lost"),
)

# --- backlog and lag --------------------------------------------------------------------------------------------------

LAG_RECORDS = Metric(
    "headrace_lag_records",
    "gauge",
    "Offsets of owned partitions that are readable and not done; transaction markers are among them.",
)
RUNNABLE_BACKLOG = Metric(
    "headrace_runnable_backlog",
    "gauge",
    "The part of the lag that more workers would shorten: without tenants whose own limit holds them. Scale on this.",
)
TENANT_LAG_RECORDS = Metric(
    "headrace_tenant_lag_records",
    "gauge",
    "Lag of the tenants that wait most, at most ten of them; all others together are the tenant `other`.",
    ("tier", "tenant"),
)
OLDEST_WAITING_SECONDS = Metric(
    "headrace_oldest_waiting_seconds", "gauge", "Age of the oldest record that is admitted and not done."
)
WATERMARK_STALL_SECONDS = Metric(
    "headrace_watermark_stall_seconds", "gauge", "Longest time that a lagging partition's watermark has stood still."
)
SPAN_USED_RATIO = Metric(
    "headrace_span_used_ratio",
    "gauge",
    "Largest part of the span beyond its watermark that a partition uses; 1 stops it.",
)
MAP_CHARACTERS = Metric("headrace_map_characters", "gauge", "Length of the longest completion map; 4,096 is the limit.")
ADMITTED = Metric("headrace_admitted", "gauge", "Records admitted and not finished.")
HELD_BYTES = Metric("headrace_held_bytes", "gauge", "Of the keys and values of the admitted records.")
RUNNING = Metric("headrace_running", "gauge", "Jobs that run at this moment.")
PENDING = Metric("headrace_pending", "gauge", "Finished records that wait for their transaction.")

# --- shards, membership and partitions --------------------------------------------------------------------------------

SHARDS_OWNED = Metric("headrace_shards_owned", "gauge", "Shards that the group has given to this worker.")
SHARDS_READY = Metric("headrace_shards_ready", "gauge", "Shards that are open and not being handed over.")
OPENS = Metric("headrace_shard_opens", "counter", "Shards opened: fenced, read, and ready to be polled.")
REOPENS = Metric(
    "headrace_shard_reopens", "counter", "Shards closed in doubt, to be opened again.", ("reason",), REOPEN_REASONS
)
REBALANCES = Metric("headrace_rebalances", "counter", "Assignments taken from the group.")
MEMBERSHIP_ERRORS = Metric("headrace_membership_errors", "counter", "Errors of the group protocol.")
HEARTBEAT_AGE_SECONDS = Metric(
    "headrace_heartbeat_age_seconds", "gauge", "Time since the group last accepted this worker."
)
UNEXPLAINED_ENDS = Metric(
    "headrace_unexplained_ends",
    "counter",
    "Shards taken over, with records open, from an owner that ended without a word: killed, or cut off.",
)
SUSPECTED = Metric(
    "headrace_shards_suspected",
    "counter",
    "Shards opened after two unexplained ends in a row: the records that were open run in processes of their own.",
)
COHORT_DEATHS = Metric(
    "headrace_cohort_deaths", "counter", "Processes that died while they ran suspected records, by them or by others."
)
DROPPED_RUNS = Metric("headrace_dropped_runs", "counter", "Runs cancelled because their shard went to another worker.")
MISSING_OFFSETS = Metric(
    "headrace_missing_offsets", "counter", "Partitions that stand still because the offset they should have is gone."
)
STOPPED_PARTITIONS = Metric(
    "headrace_stopped_partitions",
    "gauge",
    "Partitions that stand still at this moment because their input cannot be read; others go on. The log says what to "
    "do.",
    ("reason",),
    STOP_REASONS,
)
PARTITION_STOPS = Metric(
    "headrace_partition_stops", "counter", "Times that a partition has come to stand still.", ("reason",), STOP_REASONS
)
MISSING_TOPICS = Metric("headrace_missing_topics", "counter", "Topics that should exist and do not.")

# --- health of the process --------------------------------------------------------------------------------------------

LOOP_BLOCKS = Metric(
    "headrace_event_loop_blocks", "counter", "Times that something held the event loop for more than 50 ms (I9)."
)
LOOP_BLOCKED_SECONDS = Metric(
    "headrace_event_loop_blocked_seconds", "counter", "Time for which the event loop was held, all such times together."
)
FETCH_SILENCE_SECONDS = Metric(
    "headrace_fetch_silence_seconds", "gauge", "Time since a broker last answered a fetch; 0 while nothing is fetched."
)

VOCABULARY: tuple[Metric, ...] = (
    RECORDS,
    CARRIED,
    TRANSACTIONS,
    TRANSACTION_SECONDS,
    QUEUE_SECONDS,
    RESULTS,
    DEAD_LETTERS,
    DOORS_SHUT,
    RETRIES,
    UNWRITABLE,
    HELD_BACK,
    SPANS,
    LAG_RECORDS,
    RUNNABLE_BACKLOG,
    TENANT_LAG_RECORDS,
    OLDEST_WAITING_SECONDS,
    WATERMARK_STALL_SECONDS,
    SPAN_USED_RATIO,
    MAP_CHARACTERS,
    ADMITTED,
    HELD_BYTES,
    RUNNING,
    PENDING,
    SHARDS_OWNED,
    SHARDS_READY,
    OPENS,
    REOPENS,
    REBALANCES,
    MEMBERSHIP_ERRORS,
    HEARTBEAT_AGE_SECONDS,
    UNEXPLAINED_ENDS,
    SUSPECTED,
    COHORT_DEATHS,
    DROPPED_RUNS,
    MISSING_OFFSETS,
    STOPPED_PARTITIONS,
    PARTITION_STOPS,
    MISSING_TOPICS,
    LOOP_BLOCKS,
    LOOP_BLOCKED_SECONDS,
    FETCH_SILENCE_SECONDS,
)


def page() -> str:
    """Return the reference page of all metrics, as Markdown."""
    rows = [
        f"| `{metric.sample}` | {metric.kind} | {', '.join(f'`{label}`' for label in ('stage', *metric.labels))} "
        f"| {metric.says} |"
        for metric in VOCABULARY
    ]
    return "\n".join((_HEAD, *rows, ""))


_HEAD = """# Metrics

Each worker shows these at `/metrics`, where it has a port (`HEADRACE_HTTP_PORT`; 0 takes a free one and says which).
The page is written from `streams/metrics.py` by `make docs`. The label `tenant` names only the tenants listed in
`HEADRACE_METRICS_TENANTS`, fifty at most, or those that wait most, ten at most; all others are `other`: ten thousand
tenants make no more series than that.

| metric | kind | labels | what it says |
|---|---|---|---|"""
