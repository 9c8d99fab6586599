"""What a stage gives to the worker loop: four plain callables, none of which knows Kafka's client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from schemas.errors import HeadraceError
from schemas.records import Outgoing, Partition, Record

Outputs: TypeAlias = list[Outgoing]
Instead: TypeAlias = Callable[[Outputs, HeadraceError], Outputs]
"""What is written instead of outputs that no topic takes, and why they are not."""


class Job(NamedTuple):
    """One record, ready to run. Jobs of one ``lane`` run one after another, in the order of their offsets (I7)."""

    lane: Hashable
    run: Callable[[], Outputs | Awaitable[Outputs]]
    """Must not raise: a retry, a refusal and a dead letter are outputs like any other. A raise ends the worker."""

    instead: Instead | None = None
    """Synchronous. Of what it returns, that which no topic takes is left out, unless the topic is the platform's own.
    Without it outputs that cannot be written wait until they can."""

    tenant: str = ""
    """On whose account it runs, where tenants take turns; those without a name are served as they come."""

    cost: float = 1.0
    """How much of a worker it is expected to take, in seconds of one run slot."""


def nothing_to_remember(_shard: int) -> None:
    """The stage has no memory beside its input."""


async def open_without_memory(_shard: int) -> None:
    """The stage has no memory to rebuild."""


def no_first_offset(_partition: Partition) -> Outputs | None:
    """A partition without a committed offset stands still, loudly."""
    return None


def nobody_told(_outputs: Outputs, _inputs: list[Partition], _seconds: float) -> None:
    """Nobody wants to hear of transactions."""


def nothing_held(_partition: Partition) -> bool:
    """Whatever waits, waits for a worker."""
    return False


def weighs_one(_tenant: str) -> float:
    """All tenants are equal."""
    return 1.0


def none_beside(_partition: Partition) -> int:
    """Every admitted record counts against the window."""
    return 0


MAX_HELD = 10_000
"""Records that a worker holds, where its stage says nothing else. Many times what runs: a tenant whose runs are long
must not fill this, or the others would not be fetched; and a record that waits costs a few kilobytes.
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A stage as the loop sees it."""

    group: str
    """Consumer group; also the first part of each transactional id."""

    route: Callable[[int], set[Partition]]
    """Shard number to the input partitions that belong to it. Two live shards never share a partition."""

    prepare: Callable[[int, Record], Job]
    """Shard number and record to job. Synchronous and cheap; must not raise."""

    remember: Callable[[int], Awaitable[None]] = open_without_memory
    """Called each time a shard opens: after the fence, before its offsets are read. Rebuilds the shard's memory."""

    forget: Callable[[int], None] = nothing_to_remember
    """Called when a shard closes for whatever reason. Until ``remember`` returns again, nothing of it runs."""

    first: Callable[[Partition], Outputs | None] = no_first_offset
    """Asked for a partition that has no committed offset. A list: start at its beginning, committed in a transaction
    together with these outputs. None: something has been lost; the partition stands still and an alarm is raised."""

    holds: Callable[[Partition], bool] = nothing_held
    """Whether a policy, and not a want of workers, holds what waits in the partition."""

    committed: Callable[[Outputs, list[Partition], float], None] = nobody_told
    """Told of each transaction: what it wrote, whose offsets it committed, and how many seconds it took."""

    keeps_runs: bool = True
    """Whether runs go on while their shard re-opens. False where ``remember`` must start from what is committed."""

    in_order: bool = False
    """Whether jobs of one tenant begin in the order of its records, whatever their lanes. For a stage that keeps the
    order of a lane itself, as the door does, from the moment at which each begins. One that finishes at once may do so
    before those ahead of it have begun.
    """

    carries: bool = False
    """Whether a run whose offset has fallen far behind may move: its record is appended again to its own partition, and
    whoever takes over finds a record like any other there. Only for an input that holds one open record of a lane at a
    time, as behind the door: a second one that has not been fetched yet would be overtaken (I7). Not for the door: what
    waits there waits by policy, in its tenant's own partition, and a topic of a tenant is not ours to write to. Not for
    the mover of retries: what it waits for, it waits for in the order of offsets."""

    window: int = 20_000
    """Records of one partition that may be admitted and not yet committed."""

    beside: Callable[[Partition], int] = none_beside
    """How many admitted records of a partition do not count against its window, since they hold up nobody else."""

    apart: Callable[[int, Record], Job] | None = None
    """As ``prepare``, for a record that may have killed a worker: whatever it does, this process must live. None where
    no code of users runs; then nothing is suspected."""

    drains: bool = True
    """Whether a shard that moves by plan, or a worker that stops, waits for what runs. False where jobs mostly wait and
    cost nothing to begin again."""

    max_running: int = 500
    """Jobs that run at one time, in all shards of the process."""

    weight: Callable[[str], float] = weighs_one
    """A tenant's part of the run slots, beside the other tenants' parts."""

    max_held: int = MAX_HELD
    """Records admitted and not finished, in all shards of the process: those that run and those that wait."""

    max_held_bytes: int = 128 * 1024 * 1024
    """Of keys and values of these records; one fetch of one partition may exceed it."""
