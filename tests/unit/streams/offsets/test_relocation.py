"""A long run that moves out of the way: what completes which offset, whatever happens in between."""

from __future__ import annotations

import pytest

from schemas.records import Partition, ProducerRecord, Record
from schemas.relocation import relocated
from streams.handler import Fallback, Outputs
from streams.offsets.offset_map import Committed
from streams.offsets.relocation import Relocator
from streams.offsets.tracker import CommitStep, Tracker

PLACE = Partition("in", 0)
OUT = [ProducerRecord("out", None, b"done")]


def record_at(offset: int) -> Record:
    """A record of the partition."""
    return Record("in", 0, offset, 5, b"key", b"value", ())


class Setup:
    """One partition of a shard, whose runs are known to lanes by the offsets at which they started."""

    def __init__(self, distance: int = 10) -> None:
        self.running: dict[int, Record] = {}
        self.tracker = Tracker(PLACE)
        self.tracker.restore(Committed(0, set()), set(), 0.0)
        self.relocator = Relocator(distance, lambda _, offset: self.running.get(offset), self.complete)

    def complete(self, tracker: Tracker, offset: int, outputs: Outputs, fallback: Fallback | None) -> None:
        assert tracker.expects(offset)
        tracker.finish(offset, outputs, fallback)

    def admit(self, *offsets: int) -> list[int]:
        """Those that are started."""
        started = [offset for offset in offsets if self.tracker.admit(offset)]
        self.running |= {offset: record_at(offset) for offset in started}
        return started

    def finish(self, *offsets: int) -> None:
        for offset in offsets:
            self.running.pop(offset)
            if not self.relocator.finish(self.tracker, offset, OUT, None):
                self.complete(self.tracker, offset, OUT, None)

    def send(self) -> CommitStep:
        """A transaction that has not ended."""
        self.relocator.begin([self.tracker])
        step = self.tracker.collect(1_000, 0.0, 1e9)
        assert step is not None
        self.relocator.send(step.batch)
        return step

    def commit(self, copy_at: int) -> CommitStep:
        """One transaction that succeeds; the copies in it stand at *copy_at* and beyond."""
        step = self.send()
        self.settle(step, copy_at)
        return step

    def place(self, step: CommitStep, copy_at: int) -> None:
        for number, move in enumerate(entry.move for entry in step.batch if entry.move):
            move.placed(copy_at + number)

    def settle(self, step: CommitStep, copy_at: int) -> None:
        self.place(step, copy_at)
        self.tracker.settle(step, 0.0)
        self.relocator.settle(step.batch)

    def reopen(self, committed: Committed) -> set[int]:
        """Returns the runs that go on."""
        self.relocator.resolve({PLACE: committed})
        self.running = {
            offset: record
            for offset, record in self.running.items()
            if self.relocator.knows(self.tracker, offset) or not committed.holds(offset)
        }
        places = self.relocator.places(self.tracker, self.running)
        self.tracker.restore(committed, {offset for offset in places if not committed.holds(offset)}, 0.0)
        return set(self.running)

    def outcomes(self) -> list[int]:
        """The offsets whose outcomes wait for a transaction."""
        return [entry.offset for entry in self.tracker.pending if entry.move is None]


def left_behind(*slow: int, distance: int = 10, upto: int = 15) -> Setup:
    """All are done but the *slow* ones."""
    setup = Setup(distance)
    setup.admit(*range(upto))
    setup.finish(*[offset for offset in range(upto) if offset not in slow])
    return setup


def test_a_run_that_has_fallen_behind_leaves_its_offset_to_a_copy() -> None:
    """One step says both; then the watermark is free, and the run goes on."""
    setup = left_behind(0)

    step = setup.commit(copy_at=100)

    moves = [entry for entry in step.batch if entry.move]
    assert [(entry.offset, entry.outputs) for entry in moves] == [
        (0, setup.tracker.named(0, [relocated(record_at(0))]))
    ]
    assert (setup.tracker.committed, set(setup.tracker.done)) == (15, set())
    assert set(setup.running) == {0}


def test_a_run_that_is_near_stays() -> None:
    """Most runs end before anybody minds."""
    setup = left_behind(6)

    assert not any(entry.move for entry in setup.commit(100).batch)
    assert setup.tracker.committed == 6


def test_several_runs_leave_together() -> None:
    """Each has a copy of its own."""
    setup = left_behind(0, 2, 4)
    setup.commit(100)

    setup.finish(2, 0, 4)

    assert sorted(setup.outcomes()) == [100, 101, 102]


def test_the_copy_is_not_started_where_its_run_goes_on() -> None:
    """No second model call; elsewhere it is a record like any other."""
    setup = left_behind(0)
    step = setup.send()
    setup.place(step, 100)
    assert setup.admit(100, 101) == [101]  # the broker shows it before it answers

    setup.settle(step, 100)
    setup.finish(0)

    assert setup.outcomes() == [100]


def test_an_outcome_does_not_wait_for_the_copy_to_be_fetched() -> None:
    """It is said in the map, and the copy is skipped when it comes."""
    setup = left_behind(0)
    setup.commit(100)
    setup.finish(0)

    step = setup.commit(0)

    assert (step.low, set(step.done)) == (15, {100})
    assert setup.admit(100) == []


def test_a_run_that_ends_while_its_carry_is_sent_waits_for_what_becomes_of_it() -> None:
    """To say it under the old offset would answer twice, once it is known that the copy stands."""
    setup = left_behind(0)
    step = setup.send()
    setup.finish(0)
    assert setup.outcomes() == list(range(1, 15))

    setup.settle(step, 100)

    assert setup.outcomes() == [100]


def test_a_run_that_is_faster_than_its_carry_ends_where_it_is() -> None:
    """The copy was not sent yet, and never is."""
    setup = left_behind(0)
    setup.relocator.begin([setup.tracker])
    setup.finish(0)

    step = setup.commit(100)

    assert not any(entry.move for entry in step.batch)
    assert 0 in step.offsets


def test_a_run_with_others_behind_it_in_its_lane_stays() -> None:
    """They would be overtaken (I7)."""
    setup = left_behind(0)
    setup.running.clear()

    assert not any(entry.move for entry in setup.commit(100).batch)


def test_a_carried_run_is_carried_again() -> None:
    """From where it stands, once that has fallen behind too."""
    setup = left_behind(0)
    setup.commit(20)
    setup.admit(*range(15, 31))
    setup.finish(*range(15, 20), *range(21, 31))

    step = setup.commit(40)

    assert [entry.offset for entry in step.batch if entry.move] == [20]
    assert setup.tracker.committed == 31
    setup.finish(0)
    assert setup.outcomes() == [40]


# --- the outcome of a transaction is not known ------------------------------------------------------------------------


def test_a_carry_that_was_lost_is_sent_again() -> None:
    """The run goes on under its old offset; so the aborted copy is nobody's."""
    setup = left_behind(0)
    setup.place(setup.send(), 100)

    assert setup.reopen(Committed(0, set())) == {0}
    assert setup.tracker.kept >= {0}
    assert 100 not in setup.tracker.kept

    setup.admit(*range(15))
    setup.commit(200)
    setup.finish(0)
    assert setup.outcomes() == [200]


def test_a_run_that_ended_while_its_carry_was_lost_ends_where_it_is() -> None:
    """There is an outcome now; nothing need be carried."""
    setup = left_behind(0)
    setup.place(setup.send(), 100)
    setup.finish(0)

    setup.reopen(Committed(0, set()))

    assert 0 in setup.outcomes()
    assert not any(entry.move for entry in setup.tracker.pending)


@pytest.mark.parametrize("ends_first", [True, False])
def test_a_carry_whose_answer_was_lost_is_believed_when_its_copy_is_seen(ends_first: bool) -> None:  # noqa: FBT001
    """And not before: the old offset may be done because somebody else has run it, and our copy be aborted."""
    setup = left_behind(0)
    setup.place(setup.send(), 100)
    assert setup.reopen(Committed(15, set())) == {0}
    if ends_first:
        setup.finish(0)
    setup.admit(*range(15, 20))
    assert setup.relocator.look() == []
    assert setup.relocator.doubts
    assert setup.outcomes() == []

    assert setup.admit(100) == []
    assert setup.relocator.look() == []
    if not ends_first:
        setup.finish(0)

    assert setup.outcomes() == [100]
    assert not setup.relocator.doubts


def test_a_carry_that_another_owner_made_void_ends_its_run() -> None:
    """Its fence aborted our copy, and it answered the record itself: reading on shows that no copy comes."""
    setup = left_behind(0)
    setup.place(setup.send(), 100)
    setup.reopen(Committed(15, set()))
    setup.finish(0)

    setup.admit(101)
    [lost] = setup.relocator.look()

    assert (lost.first, setup.outcomes(), setup.relocator.doubts) == (0, [], False)


def test_a_copy_that_another_owner_has_run_ends_the_run() -> None:
    """Both offsets are done: whatever the run comes to means nothing (I6)."""
    setup = left_behind(0)
    setup.place(setup.send(), 100)

    assert setup.reopen(Committed(15, {100})) == set()


def test_a_carry_that_never_reached_the_broker_and_is_done_was_another_owner_s() -> None:
    """Nothing of ours can have done it."""
    setup = left_behind(0)
    setup.send()

    assert setup.reopen(Committed(15, set())) == set()


def test_a_settled_run_goes_on_over_a_reopen_until_its_place_is_done() -> None:
    """Kept as any other run is, by the offset of its copy."""
    setup = left_behind(0)
    setup.commit(100)
    assert setup.reopen(Committed(15, set())) == {0}
    assert setup.tracker.kept == {100}

    assert setup.reopen(Committed(15, {100})) == set()


def test_a_doubt_outlives_another_reopen() -> None:
    """Until the copy is seen, nothing more is known."""
    setup = left_behind(0)
    setup.place(setup.send(), 100)
    for _ in range(2):
        assert setup.reopen(Committed(15, set())) == {0}

    setup.admit(100)
    setup.relocator.look()
    setup.finish(0)
    assert setup.outcomes() == [100]


def test_offsets_that_are_set_back_bring_a_run_back_to_where_it_began() -> None:
    """Its record will be fetched again there; it is the same run, and its copy is a record like any other."""
    setup = left_behind(0)
    setup.commit(20)
    setup.admit(*range(15, 31))
    setup.send()

    assert setup.reopen(Committed(0, set())) == {0, *range(15, 31)} - {20}
    assert setup.admit(0, 20) == [20]
    setup.finish(0)

    assert setup.outcomes()[-1] == 0
    assert 20 not in {entry.offset for entry in setup.tracker.pending}


def test_what_is_forgotten_moves_nobody() -> None:
    """Its partition has gone to somebody else."""
    setup = left_behind(0)
    setup.commit(100)

    setup.relocator.forget(Tracker(PLACE))
    assert setup.relocator.knows(setup.tracker, 0)
    setup.relocator.forget(setup.tracker)
    assert not setup.relocator.knows(setup.tracker, 0)
