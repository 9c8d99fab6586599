"""The relocation of a long run: append its record again, complete the old offset, and let the run continue.

A relocation is one transaction: the copy of the record at the end of its partition, and the old offset. The broker
returns the copy's offset before the transaction ends. So this worker never starts the copy as a second run. For any
other worker the copy is an ordinary record, which it runs if this worker dies. The outcome of the run completes the
offset of the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from schemas.records import Partition, Record
from schemas.relocation import relocated
from streams.handler import Fallback, Outputs
from streams.offsets.offset_map import Committed
from streams.offsets.tracker import Completion, Tracker

State: TypeAlias = Literal["due", "void", "sent", "doubtful", "settled"]
"""The state of a relocation.

``due``: not in a transaction yet. ``void``: the run finished first, so it never joins a transaction. ``sent``: in a
transaction that has not ended. ``doubtful``: in a transaction of which only one fact is known, that the old offset is
done. ``settled``: over; the run holds the offset of its copy.
"""


class RelocatedOutcome(NamedTuple):
    """The outcome of a run that finished during its relocation."""

    outputs: Outputs
    fallback: Fallback | None


@dataclass(slots=True, eq=False)
class Relocation:
    """The relocation of one run from the offset by which its lane knows it."""

    tracker: Tracker
    first: int
    """The offset by which the lane knows the run."""

    offset: int
    """The offset that the run holds open. During a relocation, the offset that the relocation completes."""

    state: State = "due"
    copy: int | None = None
    """The offset of the copy, during a relocation."""

    outcome: RelocatedOutcome | None = None

    def placed(self, offset: int) -> None:
        """Note the copy's *offset*. From now on the copy may be fetched, and must not be started."""
        self.copy = offset
        self.tracker.kept.add(offset)

    @property
    def void(self) -> bool:
        """True if the run finished before its copy was sent."""
        return self.state == "void"

    @property
    def place(self) -> int:
        """The offset that the outcome will complete, as far as is known."""
        return self.offset if self.copy is None else self.copy

    def arrive(self) -> None:
        """Let the run hold the offset of its copy."""
        self.offset, self.copy, self.state = self.place, None, "settled"


@dataclass(slots=True)
class Relocator:
    """The relocations of one shard. Pure: it does no Kafka I/O. New relocations join the next transaction."""

    distance: int
    """A run is relocated once its offset is this far behind the next offset to fetch."""

    alone: Callable[[Tracker, int], Record | None]
    """Return the record of a run, unless another waits in its lane: a relocation would break their order (I7)."""

    complete: Callable[[Tracker, int, Outputs, Fallback | None], None]
    """Called with the outcome of an offset."""

    runs: dict[tuple[Tracker, int], Relocation] = field(default_factory=dict[tuple[Tracker, int], Relocation])
    """The relocations, by tracker and by the offset at which the run's lane knows it."""

    def begin(self, trackers: Iterable[Tracker]) -> None:
        """Queue the relocation of each run that is too far behind, for the next transaction."""
        for tracker in trackers:
            if late := tracker.behind(self.distance):
                known = {relocation.offset: relocation for relocation in self._of(tracker)}
                for offset in late:
                    self._leave(known.get(offset) or Relocation(tracker, offset, offset))

    def _leave(self, relocation: Relocation) -> None:
        record = self.alone(relocation.tracker, relocation.first)
        if record is not None:
            relocation.state = "due"
            self.runs[relocation.tracker, relocation.first] = relocation
            relocation.tracker.leave(relocation.offset, relocated(record), relocation)

    def send(self, batch: Iterable[Completion]) -> None:
        """Mark the relocations in *batch* as sent: their transaction has not ended."""
        for relocation in _relocations(batch):
            relocation.state = "sent"

    def settle(self, batch: Iterable[Completion]) -> list[Relocation]:
        """Settle the relocations in *batch*, whose transaction was committed. Return them."""
        arrived = list(_relocations(batch))
        for relocation in arrived:
            self._arrive(relocation)
        return arrived

    def _arrive(self, relocation: Relocation) -> None:
        relocation.arrive()
        if relocation.outcome is not None:
            self._end(relocation, relocation.outcome)

    def _end(self, relocation: Relocation, outcome: RelocatedOutcome) -> None:
        del self.runs[relocation.tracker, relocation.first]
        self.complete(relocation.tracker, relocation.offset, *outcome)

    def finish(self, tracker: Tracker, first: int, outputs: Outputs, fallback: Fallback | None) -> bool:
        """Return True if *first* belongs to a relocated run.

        Its outcome then completes the right offset, once that is known.
        """
        relocation = self.runs.get((tracker, first))
        if relocation is None:
            return False
        outcome = RelocatedOutcome(outputs, fallback)
        if relocation.state in {"sent", "doubtful"}:
            relocation.outcome = outcome
            return True
        if relocation.state == "due":
            relocation.state = "void"
            tracker.withdraw(relocation.offset)
        self._end(relocation, outcome)
        return True

    # --- after a reopen -----------------------------------------------------------------------------------------------

    def resolve(self, committed: Mapping[Partition, Committed]) -> None:
        """Derive the state of each relocation from the offsets read after a fence.

        Call it before the trackers are restored.
        """
        for key, relocation in list(self.runs.items()):
            state = committed.get(relocation.tracker.partition)
            if state is not None and not self._survives(relocation, state):
                del self.runs[key]

    def _survives(self, relocation: Relocation, state: Committed) -> bool:
        """Return True if the run's outcome is still needed and does not belong to its old offset."""
        if relocation.first != relocation.offset and not state.holds(
            relocation.first
        ):  # offsets reset: the first is open again
            relocation.tracker.withdraw(relocation.offset)
            return False
        if relocation.state == "settled":
            return not state.holds(relocation.offset)
        if not state.holds(relocation.offset):
            return relocation.state != "doubtful" and self._stays(relocation)
        # Our transaction completed it, or another owner whose fence aborted ours: only the copy shows which.
        relocation.state = "doubtful"
        return relocation.copy is not None and not state.holds(relocation.copy)

    def _stays(self, relocation: Relocation) -> bool:
        """Queue a failed relocation for the next transaction. Return False if the run has finished meanwhile."""
        relocation.state, relocation.copy = "due", None
        if relocation.outcome is None:
            return True
        relocation.tracker.withdraw(relocation.offset)
        relocation.tracker.finish(relocation.offset, *relocation.outcome)
        return False

    def knows(self, tracker: Tracker, first: int) -> bool:
        """Return True if the run that its lane knows by *first* is, or will be, relocated."""
        return (tracker, first) in self.runs

    def places(self, tracker: Tracker, running: Collection[int]) -> set[int]:
        """Return the offsets that the runs of *tracker* will complete.

        *running* are the offsets by which the lanes know these runs.
        """
        relocations = list(self._of(tracker))
        return set(running) - {relocation.first for relocation in relocations} | {
            relocation.place for relocation in relocations
        }

    @property
    def doubts(self) -> bool:
        """True if the copy of any relocation has yet to be seen."""
        return any(relocation.state == "doubtful" for relocation in self.runs.values())

    def look(self) -> list[Relocation]:
        """Resolve doubtful relocations from what has been fetched since. Forgets and returns those whose copies another
        worker has run.
        """
        doubtful = [relocation for relocation in self.runs.values() if relocation.state == "doubtful"]
        passed = [relocation for relocation in doubtful if relocation.tracker.next > relocation.place]
        lost = [relocation for relocation in passed if relocation.place not in relocation.tracker.open]
        for relocation in lost:
            del self.runs[relocation.tracker, relocation.first]
        for relocation in passed:
            if relocation not in lost:
                self._arrive(relocation)
        return lost

    def forget(self, tracker: Tracker | None = None) -> None:
        """Forget the relocations of *tracker*; without it, all of them."""
        for key in [key for key in self.runs if tracker in {None, key[0]}]:
            del self.runs[key]

    def _of(self, tracker: Tracker) -> Iterator[Relocation]:
        return (relocation for relocation in self.runs.values() if relocation.tracker is tracker)


def _relocations(batch: Iterable[Completion]) -> Iterator[Relocation]:
    return (entry.move for entry in batch if isinstance(entry.move, Relocation))
