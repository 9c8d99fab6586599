"""The state of one partition: which records are visible, admitted and finished. Pure: no Kafka, no clock."""

from __future__ import annotations

from collections.abc import Container
from itertools import takewhile
from typing import NamedTuple, Protocol

from schemas.headers import input_prefix, with_input
from schemas.records import Partition, ProducerRecord
from streams.handler import Fallback, Outputs
from streams.offsets.offset_map import AHEAD, Committed, OffsetSet

SPAN = 20_000
"""Intake stops this far beyond the watermark, so that the map always fits (I3)."""

MOST_DELAYED = 1_000
"""The maximum number of a partition's finished records that wait for a topic to accept their outputs."""


class RelocatedRun(Protocol):
    """A relocated run: its output is a copy of its record."""

    @property
    def void(self) -> bool:
        """True if the run finished before its copy was sent."""
        ...

    def placed(self, offset: int) -> None:
        """Note that the copy has been written at *offset*; its transaction has not ended."""
        ...


MOST_BYTES = 16 * 1024 * 1024
"""The maximum bytes of values in one transaction. A larger completion has a transaction of its own."""


class Completion(NamedTuple):
    """An offset, the outputs of its record, and the function that replaces outputs which cannot be written."""

    offset: int
    outputs: Outputs
    fallback: Fallback | None = None
    move: RelocatedRun | None = None
    """Set for a relocation: the offset is done, and the run is not."""

    size: int = 0
    """The size of the values to write, in bytes."""


class CommitStep(NamedTuple):
    """The part of one partition in a transaction."""

    tracker: Tracker
    batch: list[Completion]
    offsets: set[int]
    low: int
    done: OffsetSet


class Tracker:
    """One partition of one shard, across the shard's reopens.

    Visible offsets are below ``committed`` or in ``done``. ``open`` holds the admitted offsets that are not yet
    visible, in order, with the time of each record. Of these, ``pending`` holds the finished ones. ``aside`` holds
    finished ones that wait until their outputs can be written. ``kept`` holds offsets of work kept over a reopen that
    the new life has not fetched yet.
    """

    __slots__ = (
        "_prefix",
        "alive",
        "committed",
        "delayed",
        "done",
        "kept",
        "life",
        "next",
        "open",
        "partition",
        "pending",
        "touched",
        "unsought",
        "window",
    )

    def __init__(self, partition: Partition, window: int = SPAN) -> None:
        self.partition = partition
        self._prefix = input_prefix(partition)
        self.window = window
        self.alive = True
        self.life = 0
        self.unsought = True
        self.committed = self.next = 0
        self.done = OffsetSet()
        self.open: dict[int, int] = {}
        self.pending: list[Completion] = []
        self.delayed: list[Completion] = []
        self.kept: set[int] = set()
        self.touched = 0.0

    def restore(self, committed: Committed, held: set[int], now: float) -> None:
        """Begin a life from the committed state. The *held* offsets are still being worked on.

        Outcomes that the commit holds are never sent again (I15). The partition must be sought before it is polled
        (I8).
        """
        finished = [entry for entry in (*self.delayed, *self.pending) if not committed.holds(entry.offset)]
        self.pending, self.delayed = finished, []
        self.kept = {entry.offset for entry in finished} | held
        self.committed = self.next = committed.offset
        self.done = OffsetSet.of(committed.done)
        self.open = {}
        self.life += 1
        self.unsought = True
        self.touched = now

    def admit(self, offset: int, at_ms: int = 0) -> bool:
        """Admit the fetched record of time *at_ms*. Return True if it has to be run."""
        self.next = offset + 1
        if offset in self.done:
            return False
        self.open[offset] = at_ms  # insertion order is offset order: the first key is the lowest
        if offset in self.kept:
            self.kept.discard(offset)
            return False
        return True

    def expects(self, offset: int) -> bool:
        """Return True if a completion of *offset* still counts (I6)."""
        return self.alive and (offset in self.open or offset in self.kept)

    def finish(self, offset: int, outputs: Outputs, fallback: Fallback | None = None) -> None:
        """Queue the outcome of the record for a transaction."""
        size = sum([len(output.value or b"") for output in outputs])
        self.pending.append(Completion(offset, self.named(offset, outputs), fallback, size=size))

    def named(self, offset: int, outputs: Outputs) -> Outputs:
        """Return *outputs* with the header that names their input."""
        position = self._prefix + b"%d" % offset
        return [with_input(output, position) for output in outputs]

    def leave(self, offset: int, copy: ProducerRecord, move: RelocatedRun) -> None:
        """Queue the relocation of the run of *offset*, which continues at the offset of *copy*."""
        self.pending.append(Completion(offset, self.named(offset, [copy]), move=move, size=len(copy.value or b"")))

    def withdraw(self, offset: int) -> None:
        """Remove the outcome of *offset*, which is no longer known."""
        self.pending = [entry for entry in self.pending if entry.offset != offset]
        self.delayed = [entry for entry in self.delayed if entry.offset != offset]

    def behind(self, distance: int) -> list[int]:
        """Return the admitted, unfinished offsets that are at least *distance* behind the next offset to fetch."""
        limit = self.next - distance
        if self.low() > limit:
            return []
        finished = {entry.offset for entry in (*self.pending, *self.delayed)}
        return [offset for offset in takewhile(lambda offset: offset <= limit, self.open) if offset not in finished]

    def recall(self) -> None:
        """Move the outcomes set aside back to the pending ones."""
        self.pending, self.delayed = self.delayed + self.pending, []

    def low(self, without: Container[int] = ()) -> int:
        """Return the offset to commit if *without* were done: every admitted offset below it has its outcome (I2)."""
        for offset in self.open:
            if offset not in without:
                return offset
        return self.next

    def room(self, beside: int = 0) -> int:
        """Return the number of records that may be admitted now; *beside* of the admitted ones do not count."""
        if len(self.delayed) >= MOST_DELAYED:
            return 0
        if not self.open:
            return self.window
        return min(self.window + beside - len(self.open), SPAN - (self.next - self.low()))

    def oldest_ms(self) -> int | None:
        """Return the time of the first record that is admitted and not done, or None."""
        return next(iter(self.open.values()), None)

    def moved(self) -> bool:
        """Return True if the watermark could be committed further without any new outcome."""
        return self.low() > self.committed

    def collect(self, limit: int, now: float, keepalive_s: float, size: int = MOST_BYTES) -> CommitStep | None:
        """Return the next step to commit, or None if there is nothing to commit.

        A step has at most *limit* completions and *size* bytes, or a single completion that is larger. Completions too
        far ahead wait, so that the map fits (I3). An unchanged offset is committed again every *keepalive_s* seconds,
        because brokers expire offsets.
        """
        top = self.low() + AHEAD
        batch = _fitting([entry for entry in self.pending if entry.offset < top][:limit], size)
        offsets = {entry.offset for entry in batch}
        low = self.low(offsets)
        if not batch and low <= self.committed and now - self.touched < keepalive_s:
            return None
        return CommitStep(self, batch, offsets, low, self.done.plus(offsets, low))

    def settle(self, step: CommitStep, now: float) -> None:
        """Apply *step*, whose transaction has been committed."""
        self.pending = [entry for entry in self.pending if entry.offset not in step.offsets]
        for offset in step.offsets:
            self.open.pop(offset, None)
        self.kept -= step.offsets
        self.done, self.committed, self.touched = step.done, step.low, now


def _fitting(batch: list[Completion], size: int) -> list[Completion]:
    """Return the first entries of *batch* that fit into *size* bytes, and at least one."""
    for number, entry in enumerate(batch):
        size -= entry.size
        if size < 0:
            return batch[: max(1, number)]
    return batch
