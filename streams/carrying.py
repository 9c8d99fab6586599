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

from schemas.carries import carried
from schemas.records import Partition, Record
from streams.offsetmap import Committed
from streams.tracker import Finished, Tracker
from streams.work import Instead, Outputs

State: TypeAlias = Literal["due", "void", "sent", "doubtful", "settled"]
"""The state of a relocation.

``due``: not in a transaction yet. ``void``: the run finished first, so it never joins a transaction. ``sent``: in a
transaction that has not ended. ``doubtful``: in a transaction of which only one fact is known, that the old offset is
done. ``settled``: over; the run holds the offset of its copy.
"""


class Outcome(NamedTuple):
    """The outcome of a run that finished during its relocation."""

    outputs: Outputs
    instead: Instead | None


@dataclass(slots=True, eq=False)
class Carry:
    """The relocation of one run from the offset by which its lane knows it."""

    tracker: Tracker
    first: int
    """The offset by which the lane knows the run."""

    offset: int
    """The offset that the run holds open. During a relocation, the offset that the relocation completes."""

    state: State = "due"
    copy: int | None = None
    """The offset of the copy, during a relocation."""

    outcome: Outcome | None = None

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
class Carrier:
    """The relocations of one shard. Pure: it does no Kafka I/O. New relocations join the next transaction."""

    distance: int
    """A run is relocated once its offset is this far behind the next offset to fetch."""

    alone: Callable[[Tracker, int], Record | None]
    """Return the record of a run, unless another waits in its lane: a relocation would break their order (I7)."""

    complete: Callable[[Tracker, int, Outputs, Instead | None], None]
    """Called with the outcome of an offset."""

    runs: dict[tuple[Tracker, int], Carry] = field(default_factory=dict[tuple[Tracker, int], Carry])
    """The relocations, by tracker and by the offset at which the run's lane knows it."""

    def begin(self, trackers: Iterable[Tracker]) -> None:
        """Queue the relocation of each run that is too far behind, for the next transaction."""
        for tracker in trackers:
            if late := tracker.behind(self.distance):
                known = {carry.offset: carry for carry in self._of(tracker)}
                for offset in late:
                    self._leave(known.get(offset) or Carry(tracker, offset, offset))

    def _leave(self, carry: Carry) -> None:
        record = self.alone(carry.tracker, carry.first)
        if record is not None:
            carry.state = "due"
            self.runs[carry.tracker, carry.first] = carry
            carry.tracker.leave(carry.offset, carried(record), carry)

    def send(self, batch: Iterable[Finished]) -> None:
        """Mark the relocations in *batch* as sent: their transaction has not ended."""
        for carry in _carries(batch):
            carry.state = "sent"

    def settle(self, batch: Iterable[Finished]) -> list[Carry]:
        """Settle the relocations in *batch*, whose transaction was committed. Return them."""
        arrived = list(_carries(batch))
        for carry in arrived:
            self._arrive(carry)
        return arrived

    def _arrive(self, carry: Carry) -> None:
        carry.arrive()
        if carry.outcome is not None:
            self._end(carry, carry.outcome)

    def _end(self, carry: Carry, outcome: Outcome) -> None:
        del self.runs[carry.tracker, carry.first]
        self.complete(carry.tracker, carry.offset, *outcome)

    def finish(self, tracker: Tracker, first: int, outputs: Outputs, instead: Instead | None) -> bool:
        """Return True if *first* belongs to a relocated run.

        Its outcome then completes the right offset, once that is known.
        """
        carry = self.runs.get((tracker, first))
        if carry is None:
            return False
        outcome = Outcome(outputs, instead)
        if carry.state in {"sent", "doubtful"}:
            carry.outcome = outcome
            return True
        if carry.state == "due":
            carry.state = "void"
            tracker.withdraw(carry.offset)
        self._end(carry, outcome)
        return True

    # --- after a reopen -----------------------------------------------------------------------------------------------

    def resolve(self, committed: Mapping[Partition, Committed]) -> None:
        """Derive the state of each relocation from the offsets read after a fence.

        Call it before the trackers are restored.
        """
        for key, carry in list(self.runs.items()):
            state = committed.get(carry.tracker.partition)
            if state is not None and not self._survives(carry, state):
                del self.runs[key]

    def _survives(self, carry: Carry, state: Committed) -> bool:
        """Return True if the run's outcome is still needed and does not belong to its old offset."""
        if carry.first != carry.offset and not state.holds(carry.first):  # offsets reset: the first is open again
            carry.tracker.withdraw(carry.offset)
            return False
        if carry.state == "settled":
            return not state.holds(carry.offset)
        if not state.holds(carry.offset):
            return carry.state != "doubtful" and self._stays(carry)
        # Our transaction completed it, or another owner whose fence aborted ours: only the copy shows which.
        carry.state = "doubtful"
        return carry.copy is not None and not state.holds(carry.copy)

    def _stays(self, carry: Carry) -> bool:
        """Queue a failed relocation for the next transaction. Return False if the run has finished meanwhile."""
        carry.state, carry.copy = "due", None
        if carry.outcome is None:
            return True
        carry.tracker.withdraw(carry.offset)
        carry.tracker.finish(carry.offset, *carry.outcome)
        return False

    def knows(self, tracker: Tracker, first: int) -> bool:
        """Return True if the run that its lane knows by *first* is, or will be, relocated."""
        return (tracker, first) in self.runs

    def places(self, tracker: Tracker, running: Collection[int]) -> set[int]:
        """Return the offsets that the runs of *tracker* will complete.

        *running* are the offsets by which the lanes know these runs.
        """
        carries = list(self._of(tracker))
        return set(running) - {carry.first for carry in carries} | {carry.place for carry in carries}

    @property
    def doubts(self) -> bool:
        """True if the copy of any relocation has yet to be seen."""
        return any(carry.state == "doubtful" for carry in self.runs.values())

    def look(self) -> list[Carry]:
        """Resolve doubtful relocations from what has been fetched since.

        Forgets and returns those whose copies another worker has run.
        """
        doubtful = [carry for carry in self.runs.values() if carry.state == "doubtful"]
        passed = [carry for carry in doubtful if carry.tracker.next > carry.place]
        lost = [carry for carry in passed if carry.place not in carry.tracker.open]
        for carry in lost:
            del self.runs[carry.tracker, carry.first]
        for carry in passed:
            if carry not in lost:
                self._arrive(carry)
        return lost

    def forget(self, tracker: Tracker | None = None) -> None:
        """Forget the relocations of *tracker*; without it, all of them."""
        for key in [key for key in self.runs if tracker in {None, key[0]}]:
            del self.runs[key]

    def _of(self, tracker: Tracker) -> Iterator[Carry]:
        return (carry for carry in self.runs.values() if carry.tracker is tracker)


def _carries(batch: Iterable[Finished]) -> Iterator[Carry]:
    return (entry.move for entry in batch if isinstance(entry.move, Carry))
