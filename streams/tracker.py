"""What is known of one partition: which records are visible, admitted, finished. Pure: no Kafka, no clock."""

from __future__ import annotations

from collections.abc import Container
from itertools import takewhile
from typing import NamedTuple, Protocol

from schemas.records import Outgoing, Partition
from streams.offsetmap import AHEAD, Committed, OffsetSet
from streams.work import Instead, Outputs

SPAN = 20_000
"""Intake stops this far beyond the watermark, so that the map always fits (I3)."""

ASIDE = 1_000
"""Finished records of one partition that may wait for a topic that takes their outputs."""


class Move(Protocol):
    """A run that goes on elsewhere: its output is a copy of its record."""

    @property
    def void(self) -> bool:
        """Whether the run has finished before its copy was sent."""
        ...

    def placed(self, offset: int) -> None:
        """The copy stands at *offset*; its transaction has not ended."""
        ...


MOST_BYTES = 16 * 1024 * 1024
"""Of the values written in one transaction; a completion that is larger has one of its own."""


class Finished(NamedTuple):
    """An offset, the outputs of its record, and what is written instead of those that cannot be."""

    offset: int
    outputs: Outputs
    instead: Instead | None = None
    move: Move | None = None
    """Set where only the offset is done, and the run is not."""

    size: int = 0
    """Of the values to be written, in bytes."""


class Step(NamedTuple):
    """One partition's part in a transaction."""

    tracker: Tracker
    batch: list[Finished]
    offsets: set[int]
    low: int
    done: OffsetSet


class Tracker:
    """One partition of one shard, through the shard's re-opens.

    Visible is what lies below ``committed`` or in ``done``. ``open`` is what is admitted and not yet visible, in order,
    with the time of each record; ``pending`` what of it has finished, ``aside`` what of it has finished and waits until
    its outputs can be written. ``kept`` is work held over a re-open whose offset the new life has not fetched.
    """

    __slots__ = (
        "alive",
        "aside",
        "committed",
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
        self.window = window
        self.alive = True
        self.life = 0
        self.unsought = True
        self.committed = self.next = 0
        self.done = OffsetSet()
        self.open: dict[int, int] = {}
        self.pending: list[Finished] = []
        self.aside: list[Finished] = []
        self.kept: set[int] = set()
        self.touched = 0.0

    def restore(self, committed: Committed, held: set[int], now: float) -> None:
        """Begin a life from what is committed; *held* offsets are still being worked on.

        What the commit holds is never sent again (I15), and the partition must be sought before it is polled (I8).
        """
        finished = [entry for entry in (*self.aside, *self.pending) if not committed.holds(entry.offset)]
        self.pending, self.aside = finished, []
        self.kept = {entry.offset for entry in finished} | held
        self.committed = self.next = committed.offset
        self.done = OffsetSet.of(committed.done)
        self.open = {}
        self.life += 1
        self.unsought = True
        self.touched = now

    def admit(self, offset: int, at_ms: int = 0) -> bool:
        """The record of *at_ms* has been fetched. True if it has to be run."""
        self.next = offset + 1
        if offset in self.done:
            return False
        self.open[offset] = at_ms  # insertion order is offset order: the first key is the lowest
        if offset in self.kept:
            self.kept.discard(offset)
            return False
        return True

    def expects(self, offset: int) -> bool:
        """Whether a completion of *offset* still means something (I6)."""
        return self.alive and (offset in self.open or offset in self.kept)

    def finish(self, offset: int, outputs: Outputs, instead: Instead | None = None) -> None:
        """The record's outcome is known and waits for a transaction."""
        size = sum([len(output.value or b"") for output in outputs])
        self.pending.append(Finished(offset, outputs, instead, size=size))

    def leave(self, offset: int, copy: Outgoing, move: Move) -> None:
        """The run of *offset* goes on where *copy* will stand; that waits for a transaction."""
        self.pending.append(Finished(offset, [copy], move=move, size=len(copy.value or b"")))

    def withdraw(self, offset: int) -> None:
        """Nothing is known of the outcome of *offset* any more."""
        self.pending = [entry for entry in self.pending if entry.offset != offset]
        self.aside = [entry for entry in self.aside if entry.offset != offset]

    def behind(self, distance: int) -> list[int]:
        """Offsets that are admitted and not finished, *distance* or more behind what will be fetched next."""
        limit = self.next - distance
        if self.low() > limit:
            return []
        finished = {entry.offset for entry in (*self.pending, *self.aside)}
        return [offset for offset in takewhile(lambda offset: offset <= limit, self.open) if offset not in finished]

    def recall(self) -> None:
        """What was set aside waits for a transaction again."""
        self.pending, self.aside = self.aside + self.pending, []

    def low(self, without: Container[int] = ()) -> int:
        """The offset to commit if *without* were done: nothing admitted below it lacks its outcome (I2)."""
        for offset in self.open:
            if offset not in without:
                return offset
        return self.next

    def room(self, beside: int = 0) -> int:
        """Records that may be admitted now, where *beside* of the admitted ones do not count."""
        if len(self.aside) >= ASIDE:
            return 0
        if not self.open:
            return self.window
        return min(self.window + beside - len(self.open), SPAN - (self.next - self.low()))

    def oldest_ms(self) -> int | None:
        """Time of the first record that is admitted and not done."""
        return next(iter(self.open.values()), None)

    def moved(self) -> bool:
        """Whether the watermark could be committed further without any new outcome."""
        return self.low() > self.committed

    def collect(self, limit: int, now: float, keepalive_s: float, size: int = MOST_BYTES) -> Step | None:
        """The next step to commit, of at most *limit* completions and *size* bytes, or a single completion that is
        larger; None if there is nothing to say.

        Completions too far ahead wait, so that the map fits (I3). An unchanged offset is said again every
        *keepalive_s*: brokers forget those that are not.
        """
        top = self.low() + AHEAD
        batch = _fitting([entry for entry in self.pending if entry.offset < top][:limit], size)
        offsets = {entry.offset for entry in batch}
        low = self.low(offsets)
        if not batch and low <= self.committed and now - self.touched < keepalive_s:
            return None
        return Step(self, batch, offsets, low, self.done.plus(offsets, low))

    def settle(self, step: Step, now: float) -> None:
        """The step's transaction has been committed."""
        self.pending = [entry for entry in self.pending if entry.offset not in step.offsets]
        for offset in step.offsets:
            self.open.pop(offset, None)
        self.kept -= step.offsets
        self.done, self.committed, self.touched = step.done, step.low, now


def _fitting(batch: list[Finished], size: int) -> list[Finished]:
    """The first of *batch*, and what follows as long as all together are not larger than *size*."""
    for number, entry in enumerate(batch):
        size -= entry.size
        if size < 0:
            return batch[: max(1, number)]
    return batch
