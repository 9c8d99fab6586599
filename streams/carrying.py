"""Moves a long run out of the way: its record is appended again, the old offset is done, and the run goes on.

A carry is one transaction: the copy of the record at the end of its partition, and the old offset. The broker says
where the copy stands before that transaction ends, so nobody starts it a second time here; to any other worker the copy
is an ordinary record, and it runs it if this one dies. The outcome of the run completes the offset of the copy.
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
"""Of a carry: not in a transaction yet; never to be in one; in one that has not ended; in one of which no more is known
than that the old offset is done; over, so the run is where its copy stands."""


class Outcome(NamedTuple):
    """What a run has come to while its carry was under way."""

    outputs: Outputs
    instead: Instead | None


@dataclass(slots=True, eq=False)
class Carry:
    """A run that has left, or is leaving, the offset where its lane knows it."""

    tracker: Tracker
    first: int
    """The offset by which its lane knows it."""

    offset: int
    """The offset that it holds open; once a carry is under way, the one that the carry completes."""

    state: State = "due"
    copy: int | None = None
    """Where the copy stands, of a carry that is under way."""

    outcome: Outcome | None = None

    def placed(self, offset: int) -> None:
        """The copy stands at *offset*; from now on it may be fetched, and must not be started."""
        self.copy = offset
        self.tracker.kept.add(offset)

    @property
    def void(self) -> bool:
        """Whether the run has finished before its copy was sent."""
        return self.state == "void"

    @property
    def place(self) -> int:
        """The offset that the outcome will complete, as far as is known."""
        return self.offset if self.copy is None else self.copy

    def arrive(self) -> None:
        """The run is where its copy stands."""
        self.offset, self.copy, self.state = self.place, None, "settled"


@dataclass(slots=True)
class Carrier:
    """The carries of one shard. Pure: it knows no Kafka, and what it begins goes into the next transaction."""

    distance: int
    """A run is carried once its offset is so far behind what will be fetched next."""

    alone: Callable[[Tracker, int], Record | None]
    """The record of a run, unless something else waits in its lane: that would be overtaken (I7)."""

    complete: Callable[[Tracker, int, Outputs, Instead | None], None]
    """Told of the outcome of an offset."""

    runs: dict[tuple[Tracker, int], Carry] = field(default_factory=dict[tuple[Tracker, int], Carry])
    """Those that have left, or are leaving, by tracker and the offset at which their lane knows them."""

    def begin(self, trackers: Iterable[Tracker]) -> None:
        """Let what has fallen behind leave with the next transaction."""
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
        """These are in a transaction that has not ended."""
        for carry in _carries(batch):
            carry.state = "sent"

    def settle(self, batch: Iterable[Finished]) -> list[Carry]:
        """Their transaction has been committed. Returns those that have arrived."""
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
        """Whether *first* is of a run that was carried; then its outcome goes where it belongs, once that is known."""
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

    # --- over a re-open -----------------------------------------------------------------------------------------------

    def resolve(self, committed: Mapping[Partition, Committed]) -> None:
        """After a fence: what has become of each carry, as the offsets say. Before the trackers are restored."""
        for key, carry in list(self.runs.items()):
            state = committed.get(carry.tracker.partition)
            if state is not None and not self._survives(carry, state):
                del self.runs[key]

    def _survives(self, carry: Carry, state: Committed) -> bool:
        """Whether the outcome of the run is still wanted, and not to be had from its old offset."""
        if carry.first != carry.offset and not state.holds(carry.first):  # offsets were set back: it never left
            carry.tracker.withdraw(carry.offset)
            return False
        if carry.state == "settled":
            return not state.holds(carry.offset)
        if not state.holds(carry.offset):
            return carry.state != "doubtful" and self._stays(carry)
        # Done by our transaction, or by another owner, whose fence then aborted ours: only the copy can tell.
        carry.state = "doubtful"
        return carry.copy is not None and not state.holds(carry.copy)

    def _stays(self, carry: Carry) -> bool:
        """The carry came to nothing, and waits for the next transaction; not if the run has finished meanwhile."""
        carry.state, carry.copy = "due", None
        if carry.outcome is None:
            return True
        carry.tracker.withdraw(carry.offset)
        carry.tracker.finish(carry.offset, *carry.outcome)
        return False

    def knows(self, tracker: Tracker, first: int) -> bool:
        """Whether the run that its lane knows by *first* is, or will be, elsewhere."""
        return (tracker, first) in self.runs

    def places(self, tracker: Tracker, running: Collection[int]) -> set[int]:
        """The offsets that the runs of *tracker* will complete; *running* are those by which lanes know them."""
        carries = list(self._of(tracker))
        return set(running) - {carry.first for carry in carries} | {carry.place for carry in carries}

    @property
    def doubts(self) -> bool:
        """Whether any copy has yet to be seen."""
        return any(carry.state == "doubtful" for carry in self.runs.values())

    def look(self) -> list[Carry]:
        """Take up what was doubtful, by what has been fetched since. Returns what others have run: it is forgotten."""
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
        """Nothing of *tracker* runs any more; of none, without one."""
        for key in [key for key in self.runs if tracker in {None, key[0]}]:
            del self.runs[key]

    def _of(self, tracker: Tracker) -> Iterator[Carry]:
        return (carry for carry in self.runs.values() if carry.tracker is tracker)


def _carries(batch: Iterable[Finished]) -> Iterator[Carry]:
    return (entry.move for entry in batch if isinstance(entry.move, Carry))
