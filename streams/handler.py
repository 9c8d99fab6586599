"""The interface of a stage to the worker loop: plain callables that do not know Kafka's client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import FrameType
from typing import NamedTuple, TypeAlias

from consumers.context import always_owned, kept_slot, never_started, only_token, without_end
from consumers.fencing_token import FencingToken
from schemas.errors import HeadraceError
from schemas.records import Partition, ProducerRecord, Record

Outputs: TypeAlias = list[ProducerRecord]
Fallback: TypeAlias = Callable[[Outputs, HeadraceError], Outputs]
"""Returns the outputs to write instead of outputs that no topic accepts. The error says why."""


@dataclass(frozen=True, slots=True)
class RunScope:
    """The engine's answers to one running job, each as it is at the time of the call."""

    token: Callable[[], FencingToken] = only_token
    """Returns the shard's fencing token. It rises when the shard reopens, also while the job runs."""

    owned_until: Callable[[], float] = without_end
    """Returns the monotonic time until which no other worker can own the shard; -inf if one may own it now."""

    may_start: Callable[[], bool] = always_owned
    """Returns True before that time. False may be temporary: the group's next answer can make it True again."""

    waiting: Callable[[], AbstractAsyncContextManager[None]] = kept_slot
    """Returns a scope in which the job waits without a run slot. The job keeps its lane, and still counts as
    running."""

    started_before: Callable[[], Awaitable[bool]] = never_started
    """Returns True if an earlier owner may have started the record and its journal may have been lost since."""


class Job(NamedTuple):
    """One record, ready to run. Jobs of one ``lane`` run one after another, in the order of their offsets (I7)."""

    lane: Hashable
    run: Callable[[], Outputs | Awaitable[Outputs]]
    """Runs the job. It must not raise: a retry, a refusal and a dead letter are ordinary outputs. An exception ends the
    worker."""

    fallback: Fallback | None = None
    """Returns replacement outputs, synchronously. Those that no topic accepts are left out, unless the topic is the
    platform's own. Without this function, outputs that cannot be written wait until they can."""

    tenant: str = ""
    """The tenant that the job runs for, where tenants take turns. Jobs without a tenant run in order of arrival."""

    cost: float = 1.0
    """The expected cost, in seconds of one run slot."""

    run_owned: Callable[[RunScope], Outputs | Awaitable[Outputs]] | None = None
    """Runs the job as ``run`` does, with the engine's answers. The engine prefers it."""


def no_memory_to_drop(_shard: int) -> None:
    """Do nothing: the stage has no memory beside its input."""


async def no_memory_to_load(_shard: int) -> None:
    """Do nothing: the stage has no memory to rebuild."""


def no_initial_offset(_partition: Partition) -> Outputs | None:
    """Return None: a partition without a committed offset stops, with an alarm."""
    return None


def no_survey(_shard: int) -> Collection[Partition]:
    """Return no partitions: the stage learns of them by its first write."""
    return ()


def no_callback(_outputs: Outputs, _inputs: list[Partition], _seconds: float) -> None:
    """Ignore the transaction."""


def never_limited(_partition: Partition) -> bool:
    """Return False: waiting records wait for a worker, not for a policy."""
    return False


def equal_weight(_tenant: str) -> float:
    """Return the same weight for every tenant."""
    return 1.0


def no_blame(_frame: FrameType) -> Mapping[str, object]:
    """Return no fields: the stage runs no user code."""
    return {}


def no_exemption(_partition: Partition) -> int:
    """Return 0: every admitted record counts against the window."""
    return 0


MAX_IN_FLIGHT = 10_000
"""The default of ``StageHandler.max_in_flight``. It is many times the number of running jobs. If a tenant with long
runs filled it, others would not be fetched. A waiting record costs a few kilobytes."""


@dataclass(frozen=True, slots=True)
class StageHandler:
    """A stage as the worker loop sees it."""

    group: str
    """The consumer group. It is also the first part of each transactional id."""

    route: Callable[[int], set[Partition]]
    """Returns the input partitions that belong to a shard number. Two live shards never share a partition."""

    prepare: Callable[[int, Record], Job]
    """Returns the job for a shard number and a record. It is synchronous and cheap, and must not raise."""

    load_memory: Callable[[int], Awaitable[None]] = no_memory_to_load
    """Rebuilds the shard's memory. Called each time a shard opens, after the fence and before its offsets are read."""

    forget: Callable[[int], None] = no_memory_to_drop
    """Called when a shard closes for any reason. No job of it starts until ``load_memory`` has returned again."""

    first: Callable[[Partition], Outputs | None] = no_initial_offset
    """Called for a partition without a committed offset. A list: start at its beginning, and commit that in one
    transaction with these outputs. None: data has been lost; the partition stops and an alarm is raised."""

    is_limited: Callable[[Partition], bool] = never_limited
    """Returns True if a tenant's limit, not missing workers, holds the partition's backlog."""

    committed: Callable[[Outputs, list[Partition], float], None] = no_callback
    """Called after each committed transaction with its outputs, the partitions of its offsets, and its duration in
    seconds."""

    survey: Callable[[int], Collection[Partition]] = no_survey
    """Returns the edge partitions that a former owner of a shard number may have written to. A new owner asks their
    leaders once for transactions that a broker forgot: their readers wait, even if nothing more is written."""

    keeps_runs: bool = True
    """True if runs continue while their shard reopens. False if ``load_memory`` must start from the committed state."""

    in_order: bool = False
    """True if jobs of one tenant begin in the order of its records, across lanes. It is for a stage that keeps a lane's
    order itself once a job has begun, as admission control does. A job that finishes at once may finish before earlier
    ones have begun."""

    relocates: bool = False
    """True if a run whose offset is far behind may be relocated: its record is appended again to its partition. A new
    owner finds an ordinary record there. Relocation needs an input with one open record per lane at a time, as after
    admission. Otherwise the run could change its order with a second record that has not been fetched yet (I7). It is
    not for admission control: its records wait by policy in their tenant's partition. The platform does not append to a
    tenant's topic. It is not for the retry mover, which waits in the order of offsets."""

    window: int = 20_000
    """The maximum number of a partition's records that are admitted and not yet committed."""

    exempt: Callable[[Partition], int] = no_exemption
    """Returns how many admitted records of a partition do not count against its window, since they delay no others."""

    prepare_isolated: Callable[[int, Record], Job] | None = None
    """Like ``prepare``, for a record that may have killed a worker: its job must not end this process. None for a stage
    that runs no user code; then no record is suspected."""

    journal_identity: Callable[[], Awaitable[str]] | None = None
    """Returns the identity of the store with the journals of runs: another one after any loss of its data. None if runs
    have no journal. It has effect only together with ``prepare_isolated``."""

    drains: bool = True
    """True if a planned move of a shard, or a shutdown, waits for running jobs. False if jobs mostly wait and are cheap
    to start again."""

    max_running: int = 500
    """The maximum number of jobs that run at one time, in all shards of the process."""

    blame: Callable[[FrameType], Mapping[str, object]] = no_blame
    """Returns log fields that name the user code of a stack, such as its agent. A thread beside the loop calls it."""

    weight: Callable[[str], float] = equal_weight
    """Returns the weight of a tenant's share of the run slots, relative to the other tenants."""

    max_in_flight: int = MAX_IN_FLIGHT
    """The maximum number of records admitted and not finished, running or waiting, in all shards of the process."""

    max_in_flight_bytes: int = 128 * 1024 * 1024
    """The maximum bytes of keys, values and headers of these records; one fetch of one partition may exceed it."""
