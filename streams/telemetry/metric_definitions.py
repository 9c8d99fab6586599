"""The closed list of the engine's metrics. ``docs/reference/metrics.md`` is generated from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600)

OUTCOMES = ("answered", "forwarded", "retried", "dead_lettered", "joined")
"""The possible outcomes of a record (I10)."""

TRANSACTION_OUTCOMES = ("committed", "deferred", "fenced", "timeout", "refused", "failed")

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


PAUSE_REASONS = ("offset_lost", "unreadable", "missing", "forbidden", "unavailable")
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
    "Records with a committed outcome, each counted once. A dead-lettered record may also have a result.",
    ("outcome",),
    OUTCOMES,
)
RELOCATIONS = Metric(
    "headrace_relocations",
    "counter",
    "Long runs relocated: their record was appended again at the end of its partition.",
)
TRANSACTIONS = Metric(
    "headrace_transactions",
    "counter",
    "Transactions by outcome. Each outcome but `committed` and `deferred` re-opens the shard. A deferred one waits for "
    "the end of a forgotten transaction, and wrote nothing.",
    ("outcome",),
    TRANSACTION_OUTCOMES,
)
FORGOTTEN_TRANSACTIONS = Metric(
    "headrace_forgotten_transactions",
    "counter",
    "Open transactions of this stage that a broker forgot (KAFKA-20734), ended as they were decided.",
    ("decision",),
    ("committed", "aborted"),
)
PARTITION_HAS_OPEN_TRANSACTION = Metric(
    "headrace_partition_has_open_transaction",
    "counter",
    "Open transactions of unknown producers that hold back committed readers. The log has the operator's command.",
)
TRANSACTION_SECONDS = Metric("headrace_transaction_seconds", "histogram", "Duration of each transaction.")
QUEUE_SECONDS = Metric(
    "headrace_queue_seconds", "histogram", "From the broker's append of a record to its admission by this stage."
)
RESULTS = Metric(
    "headrace_results",
    "counter",
    "Results built, by status. A result is counted again if its transaction was aborted and it is built again.",
    ("status", "tier", "tenant"),
)
DEAD_LETTERS = Metric(
    "headrace_dead_letters", "counter", "Dead letters built, by error code.", ("code", "tier", "tenant")
)
DEAD_LETTER_BREAKER_OPENS = Metric(
    "headrace_dead_letter_breaker_opens",
    "counter",
    "Times that a tenant's dead-letter breaker opened: too large a share of its records became dead letters.",
    ("tier", "tenant"),
)
RETRIES = Metric("headrace_retries", "counter", "Runs sent to a retry tier, by error code.", ("code", "tier"))
MODEL_FIELDS = ("usage", "model", "finish_reason", "tool_calls", "refusal", "content", "retry_after")
"""The fields of a model's answer that may be clamped or dropped."""

MODEL_FIELDS_DROPPED = Metric(
    "headrace_model_fields_dropped",
    "counter",
    "Fields of model answers that were clamped or dropped, because their values make no sense. The content counted.",
    ("field",),
    MODEL_FIELDS,
)
AGENT_SECONDS = Metric(
    "headrace_agent_seconds",
    "histogram",
    "Duration of an agent's part of a run, by outcome: `ok` or the code of its error (gen_ai.invoke_agent.duration).",
    ("agent", "outcome"),
)
AGENT_STEPS = Metric(
    "headrace_agent_steps",
    "counter",
    "Steps that agents executed: answered model calls, tool calls and handoffs. Steps replayed from a journal are not "
    "counted.",
    ("agent", "kind"),
)
RESUMED_RUNS = Metric(
    "headrace_resumed_runs", "counter", "Runs that were continued from their journal by another worker.", ("agent",)
)
MODEL_CALL_SECONDS = Metric(
    "headrace_model_call_seconds",
    "histogram",
    "Duration of each attempt of a model call (gen_ai.client.operation.duration).",
    ("model", "outcome"),
)
MODEL_TOKENS = Metric(
    "headrace_model_tokens",
    "counter",
    "Tokens that providers charged, by direction: `input` or `output` (gen_ai.client.token.usage).",
    ("model", "direction"),
)
TOOL_CALL_SECONDS = Metric(
    "headrace_tool_call_seconds",
    "histogram",
    "Duration of each tool call (gen_ai.execute_tool.duration).",
    ("tool", "outcome"),
)
HANDOFFS = Metric(
    "headrace_handoffs",
    "counter",
    "Handoffs and delegations from one agent to another, failed ones included.",
    ("agent", "target", "outcome"),
)
GUARD_VERDICTS = Metric(
    "headrace_guard_verdicts",
    "counter",
    "Verdicts of guards by the guards' stage and action. A guard in shadow mode counts as shadow_ACTION.",
    ("guard_stage", "guard", "action"),
)
GUARD_SECONDS = Metric(
    "headrace_guard_seconds",
    "histogram",
    "Time that a guard took for one content.",
    ("guard",),
)
GUARD_SETTINGS_UNUSABLE = Metric(
    "headrace_guard_settings_unusable",
    "gauge",
    "Tenants whose guard settings this worker could not use. They keep their last good ones, or are refused.",
)
BUDGET_DECISIONS = Metric(
    "headrace_budget_decisions",
    "counter",
    "Model calls that a limit of spending has affected: `waited`, `rate_limited`, `exhausted`, `unavailable`; and "
    "`soft_limit`, once for each spender and period. `limit` is spender, period and measure: `user_day_tokens`.",
    ("outcome", "limit", "tier", "tenant"),
)
MODEL_CALLS_UNPRICED = Metric(
    "headrace_model_calls_unpriced",
    "counter",
    "Answered model calls that cost 0 in usage records, because no price table covers the model.",
)
UNWRITABLE = Metric(
    "headrace_unwritable_records", "counter", "Records answered with a failure because no topic accepted their outputs."
)
DELAYED_OUTPUT_WARNINGS = Metric(
    "headrace_delayed_output_warnings",
    "counter",
    "Warnings that outputs wait for a topic without enough in-sync replicas: at most one a shard and topic in 30 s.",
)

SPANS = Metric(
    "headrace_spans",
    "counter",
    "Recorded spans by outcome. A span is lost if the collector does not accept it.",
    ("outcome",),
    ("delivered", "lost"),
)

# --- backlog and lag --------------------------------------------------------------------------------------------------

LAG_RECORDS = Metric(
    "headrace_lag_records",
    "gauge",
    "Offsets of owned partitions that are readable and not complete. Transaction markers count.",
)
RUNNABLE_BACKLOG = Metric(
    "headrace_runnable_backlog",
    "gauge",
    "The part of the lag that more workers would reduce: without tenants at their own limit. Scale on this metric.",
)
TENANT_LAG_RECORDS = Metric(
    "headrace_tenant_lag_records",
    "gauge",
    "Lag of the tenants with the largest lag, at most ten; all others together are the tenant `other`.",
    ("tier", "tenant"),
)
OLDEST_WAITING_SECONDS = Metric("headrace_oldest_waiting_seconds", "gauge", "Age of the oldest record in flight.")
WATERMARK_STALL_SECONDS = Metric(
    "headrace_watermark_stall_seconds", "gauge", "Longest time for which a lagging partition's watermark has not moved."
)
SPAN_USED_RATIO = Metric(
    "headrace_span_used_ratio",
    "gauge",
    "Largest used share of a partition's window beyond its watermark. At 1 the partition is not polled.",
)
MAP_CHARACTERS = Metric(
    "headrace_offset_map_characters", "gauge", "Length of the longest offset map; the limit is 4,096."
)
IN_FLIGHT_RECORDS = Metric("headrace_in_flight_records", "gauge", "Records in flight: fetched and not finished.")
IN_FLIGHT_BYTES = Metric("headrace_in_flight_bytes", "gauge", "Bytes of the keys and values of the records in flight.")
RUNNING = Metric("headrace_running", "gauge", "Jobs running now.")
PENDING = Metric("headrace_pending", "gauge", "Finished records waiting for their transaction.")

# --- shards, membership and partitions --------------------------------------------------------------------------------

SHARDS_OWNED = Metric("headrace_shards_owned", "gauge", "Shards that the group has assigned to this worker.")
SHARDS_READY = Metric("headrace_shards_ready", "gauge", "Shards that are open and not being released.")
OPENS = Metric("headrace_shard_opens", "counter", "Shards opened: fenced, read, and ready to be polled.")
REOPENS = Metric(
    "headrace_shard_reopens",
    "counter",
    "Shards closed after an unknown outcome, to be opened again.",
    ("reason",),
    REOPEN_REASONS,
)
REBALANCES = Metric("headrace_rebalances", "counter", "Assignments received from the group.")
MEMBERSHIP_ERRORS = Metric("headrace_membership_errors", "counter", "Errors of the group protocol.")
HEARTBEAT_AGE_SECONDS = Metric(
    "headrace_heartbeat_age_seconds", "gauge", "Time since the group last accepted this worker."
)
UNEXPLAINED_ENDS = Metric(
    "headrace_owner_crashes",
    "counter",
    "Shards taken over with open records after their owner was killed or cut off.",
)
SHARDS_SUSPECTED = Metric(
    "headrace_shards_suspected",
    "counter",
    "Shards opened after two owner crashes in a row. Their open records run in child processes.",
)
SUSPECT_PROCESS_DEATHS = Metric(
    "headrace_suspect_process_deaths",
    "counter",
    "Child processes that died while running suspects, for any reason.",
)
DROPPED_RUNS = Metric("headrace_dropped_runs", "counter", "Runs cancelled because their shard moved to another worker.")
MISSING_OFFSETS = Metric(
    "headrace_missing_offsets", "counter", "Partitions paused because their committed offset is missing."
)
PAUSED_PARTITIONS = Metric(
    "headrace_paused_partitions",
    "gauge",
    "Partitions paused now because their input cannot be read. The log names the next step.",
    ("reason",),
    PAUSE_REASONS,
)
PARTITION_PAUSES = Metric(
    "headrace_partition_pauses",
    "counter",
    "Times that a partition was paused.",
    ("reason",),
    PAUSE_REASONS,
)
MISSING_TOPICS = Metric("headrace_missing_topics", "counter", "Topics that should exist and do not.")

# --- health of the process --------------------------------------------------------------------------------------------

LOOP_BLOCKS = Metric(
    "headrace_event_loop_blocks", "counter", "Times that the event loop was blocked for more than 50 ms (I9)."
)
LOOP_BLOCKED_SECONDS = Metric(
    "headrace_event_loop_blocked_seconds", "counter", "Total time for which the event loop was blocked."
)
LOOP_STALLS = Metric(
    "headrace_event_loop_stalls",
    "counter",
    "Times that the event loop was blocked for a second or more. The log event `loop_blocked` has the agent and stack.",
)
THREADS_RUNNING = Metric("headrace_threads_running", "gauge", "Threads that run agents and tools of plain functions.")
THREADS_OVERDUE = Metric(
    "headrace_threads_overdue", "gauge", "The part of these threads whose run has ended, by deadline or cancel."
)
THREADS_ABANDONED = Metric(
    "headrace_threads_abandoned",
    "counter",
    "Times that a run ended, by deadline or cancel, while its plain function went on in a thread.",
)
FETCH_SILENCE_SECONDS = Metric(
    "headrace_fetch_silence_seconds",
    "gauge",
    "Time since a broker last answered a fetch; 0 if no partition is fetched.",
)
CLOCK_OFFSET_SECONDS = Metric(
    "headrace_clock_offset_seconds",
    "gauge",
    "Time by which the machine's clock is behind the brokers'; negative if it is ahead. Beyond 5 s it is corrected.",
)

VOCABULARY: tuple[Metric, ...] = (
    RECORDS,
    RELOCATIONS,
    TRANSACTIONS,
    FORGOTTEN_TRANSACTIONS,
    PARTITION_HAS_OPEN_TRANSACTION,
    TRANSACTION_SECONDS,
    QUEUE_SECONDS,
    RESULTS,
    DEAD_LETTERS,
    DEAD_LETTER_BREAKER_OPENS,
    RETRIES,
    MODEL_FIELDS_DROPPED,
    AGENT_SECONDS,
    AGENT_STEPS,
    RESUMED_RUNS,
    MODEL_CALL_SECONDS,
    MODEL_TOKENS,
    TOOL_CALL_SECONDS,
    HANDOFFS,
    GUARD_VERDICTS,
    GUARD_SECONDS,
    GUARD_SETTINGS_UNUSABLE,
    BUDGET_DECISIONS,
    MODEL_CALLS_UNPRICED,
    UNWRITABLE,
    DELAYED_OUTPUT_WARNINGS,
    SPANS,
    LAG_RECORDS,
    RUNNABLE_BACKLOG,
    TENANT_LAG_RECORDS,
    OLDEST_WAITING_SECONDS,
    WATERMARK_STALL_SECONDS,
    SPAN_USED_RATIO,
    MAP_CHARACTERS,
    IN_FLIGHT_RECORDS,
    IN_FLIGHT_BYTES,
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
    SHARDS_SUSPECTED,
    SUSPECT_PROCESS_DEATHS,
    DROPPED_RUNS,
    MISSING_OFFSETS,
    PAUSED_PARTITIONS,
    PARTITION_PAUSES,
    MISSING_TOPICS,
    LOOP_BLOCKS,
    LOOP_BLOCKED_SECONDS,
    LOOP_STALLS,
    THREADS_RUNNING,
    THREADS_OVERDUE,
    THREADS_ABANDONED,
    FETCH_SILENCE_SECONDS,
    CLOCK_OFFSET_SECONDS,
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

Each worker serves these metrics at `/metrics` if it has a port: `HEADRACE_HTTP_PORT`; 0 takes a free port and logs it.
`make docs` writes this page from `streams/telemetry/metric_definitions.py`. The label `tenant` names the tenants listed
in `HEADRACE_METRICS_TENANTS` (50 at most), and the tenants with the largest backlog (10 at most). All other tenants are
`other`, so that 10,000 tenants do not make 10,000 series. The labels `agent`, `target`, `model` and `tool` name those
that the worker has; all others are `other`.

| metric | kind | labels | meaning |
|---|---|---|---|"""
