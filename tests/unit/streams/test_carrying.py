"""A long run that moves out of the way: what completes which offset, whatever happens in between."""

from __future__ import annotations

import pytest

from schemas.carries import carried
from schemas.records import Outgoing, Partition, Record
from streams.carrying import Carrier
from streams.offsetmap import Committed
from streams.tracker import Step, Tracker
from streams.work import Instead, Outputs

PLACE = Partition("in", 0)
OUT = [Outgoing("out", None, b"done")]


def record_at(offset: int) -> Record:
    """A record of the partition."""
    return Record("in", 0, offset, 5, b"key", b"value", ())


class Bench:
    """One partition of a shard, whose runs are known to lanes by the offsets at which they started."""

    def __init__(self, distance: int = 10) -> None:
        self.running: dict[int, Record] = {}
        self.tracker = Tracker(PLACE)
        self.tracker.restore(Committed(0, set()), set(), 0.0)
        self.carrier = Carrier(distance, lambda _, offset: self.running.get(offset), self.complete)

    def complete(self, tracker: Tracker, offset: int, outputs: Outputs, instead: Instead | None) -> None:
        assert tracker.expects(offset)
        tracker.finish(offset, outputs, instead)

    def admit(self, *offsets: int) -> list[int]:
        """Those that are started."""
        started = [offset for offset in offsets if self.tracker.admit(offset)]
        self.running |= {offset: record_at(offset) for offset in started}
        return started

    def finish(self, *offsets: int) -> None:
        for offset in offsets:
            self.running.pop(offset)
            if not self.carrier.finish(self.tracker, offset, OUT, None):
                self.complete(self.tracker, offset, OUT, None)

    def send(self) -> Step:
        """A transaction that has not ended."""
        self.carrier.begin([self.tracker])
        step = self.tracker.collect(1_000, 0.0, 1e9)
        assert step is not None
        self.carrier.send(step.batch)
        return step

    def commit(self, copy_at: int) -> Step:
        """One transaction that succeeds; the copies in it stand at *copy_at* and beyond."""
        step = self.send()
        self.settle(step, copy_at)
        return step

    def place(self, step: Step, copy_at: int) -> None:
        for number, move in enumerate(entry.move for entry in step.batch if entry.move):
            move.placed(copy_at + number)

    def settle(self, step: Step, copy_at: int) -> None:
        self.place(step, copy_at)
        self.tracker.settle(step, 0.0)
        self.carrier.settle(step.batch)

    def reopen(self, committed: Committed) -> set[int]:
        """Returns the runs that go on."""
        self.carrier.resolve({PLACE: committed})
        self.running = {
            offset: record
            for offset, record in self.running.items()
            if self.carrier.knows(self.tracker, offset) or not committed.holds(offset)
        }
        places = self.carrier.places(self.tracker, self.running)
        self.tracker.restore(committed, {offset for offset in places if not committed.holds(offset)}, 0.0)
        return set(self.running)

    def outcomes(self) -> list[int]:
        """The offsets whose outcomes wait for a transaction."""
        return [entry.offset for entry in self.tracker.pending if entry.move is None]


def left_behind(*slow: int, distance: int = 10, upto: int = 15) -> Bench:
    """All are done but the *slow* ones."""
    bench = Bench(distance)
    bench.admit(*range(upto))
    bench.finish(*[offset for offset in range(upto) if offset not in slow])
    return bench


def test_a_run_that_has_fallen_behind_leaves_its_offset_to_a_copy() -> None:
    """One step says both; then the watermark is free, and the run goes on."""
    bench = left_behind(0)

    step = bench.commit(copy_at=100)

    moves = [entry for entry in step.batch if entry.move]
    assert [(entry.offset, entry.outputs) for entry in moves] == [(0, [carried(record_at(0))])]
    assert (bench.tracker.committed, set(bench.tracker.done)) == (15, set())
    assert set(bench.running) == {0}


def test_a_run_that_is_near_stays() -> None:
    """Most runs end before anybody minds."""
    bench = left_behind(6)

    assert not any(entry.move for entry in bench.commit(100).batch)
    assert bench.tracker.committed == 6


def test_several_runs_leave_together() -> None:
    """Each has a copy of its own."""
    bench = left_behind(0, 2, 4)
    bench.commit(100)

    bench.finish(2, 0, 4)

    assert sorted(bench.outcomes()) == [100, 101, 102]


def test_the_copy_is_not_started_where_its_run_goes_on() -> None:
    """No second model call; elsewhere it is a record like any other."""
    bench = left_behind(0)
    step = bench.send()
    bench.place(step, 100)
    assert bench.admit(100, 101) == [101]  # the broker shows it before it answers

    bench.settle(step, 100)
    bench.finish(0)

    assert bench.outcomes() == [100]


def test_an_outcome_does_not_wait_for_the_copy_to_be_fetched() -> None:
    """It is said in the map, and the copy is skipped when it comes."""
    bench = left_behind(0)
    bench.commit(100)
    bench.finish(0)

    step = bench.commit(0)

    assert (step.low, set(step.done)) == (15, {100})
    assert bench.admit(100) == []


def test_a_run_that_ends_while_its_carry_is_sent_waits_for_what_becomes_of_it() -> None:
    """To say it under the old offset would answer twice, once it is known that the copy stands."""
    bench = left_behind(0)
    step = bench.send()
    bench.finish(0)
    assert bench.outcomes() == list(range(1, 15))

    bench.settle(step, 100)

    assert bench.outcomes() == [100]


def test_a_run_that_is_faster_than_its_carry_ends_where_it_is() -> None:
    """The copy was not sent yet, and never is."""
    bench = left_behind(0)
    bench.carrier.begin([bench.tracker])
    bench.finish(0)

    step = bench.commit(100)

    assert not any(entry.move for entry in step.batch)
    assert 0 in step.offsets


def test_a_run_with_others_behind_it_in_its_lane_stays() -> None:
    """They would be overtaken (I7)."""
    bench = left_behind(0)
    bench.running.clear()

    assert not any(entry.move for entry in bench.commit(100).batch)


def test_a_carried_run_is_carried_again() -> None:
    """From where it stands, once that has fallen behind too."""
    bench = left_behind(0)
    bench.commit(20)
    bench.admit(*range(15, 31))
    bench.finish(*range(15, 20), *range(21, 31))

    step = bench.commit(40)

    assert [entry.offset for entry in step.batch if entry.move] == [20]
    assert bench.tracker.committed == 31
    bench.finish(0)
    assert bench.outcomes() == [40]


# --- the outcome of a transaction is not known ------------------------------------------------------------------------


def test_a_carry_that_was_lost_is_sent_again() -> None:
    """The run goes on under its old offset; so the aborted copy is nobody's."""
    bench = left_behind(0)
    bench.place(bench.send(), 100)

    assert bench.reopen(Committed(0, set())) == {0}
    assert bench.tracker.kept >= {0}
    assert 100 not in bench.tracker.kept

    bench.admit(*range(15))
    bench.commit(200)
    bench.finish(0)
    assert bench.outcomes() == [200]


def test_a_run_that_ended_while_its_carry_was_lost_ends_where_it_is() -> None:
    """There is an outcome now; nothing need be carried."""
    bench = left_behind(0)
    bench.place(bench.send(), 100)
    bench.finish(0)

    bench.reopen(Committed(0, set()))

    assert 0 in bench.outcomes()
    assert not any(entry.move for entry in bench.tracker.pending)


@pytest.mark.parametrize("ends_first", [True, False])
def test_a_carry_whose_answer_was_lost_is_believed_when_its_copy_is_seen(ends_first: bool) -> None:  # noqa: FBT001
    """And not before: the old offset may be done because somebody else has run it, and our copy be aborted."""
    bench = left_behind(0)
    bench.place(bench.send(), 100)
    assert bench.reopen(Committed(15, set())) == {0}
    if ends_first:
        bench.finish(0)
    bench.admit(*range(15, 20))
    assert bench.carrier.look() == []
    assert bench.carrier.doubts
    assert bench.outcomes() == []

    assert bench.admit(100) == []
    assert bench.carrier.look() == []
    if not ends_first:
        bench.finish(0)

    assert bench.outcomes() == [100]
    assert not bench.carrier.doubts


def test_a_carry_that_another_owner_made_void_ends_its_run() -> None:
    """Its fence aborted our copy, and it answered the record itself: reading on shows that no copy comes."""
    bench = left_behind(0)
    bench.place(bench.send(), 100)
    bench.reopen(Committed(15, set()))
    bench.finish(0)

    bench.admit(101)
    [lost] = bench.carrier.look()

    assert (lost.first, bench.outcomes(), bench.carrier.doubts) == (0, [], False)


def test_a_copy_that_another_owner_has_run_ends_the_run() -> None:
    """Both offsets are done: whatever the run comes to means nothing (I6)."""
    bench = left_behind(0)
    bench.place(bench.send(), 100)

    assert bench.reopen(Committed(15, {100})) == set()


def test_a_carry_that_never_reached_the_broker_and_is_done_was_another_owner_s() -> None:
    """Nothing of ours can have done it."""
    bench = left_behind(0)
    bench.send()

    assert bench.reopen(Committed(15, set())) == set()


def test_a_settled_run_goes_on_over_a_reopen_until_its_place_is_done() -> None:
    """Kept as any other run is, by the offset of its copy."""
    bench = left_behind(0)
    bench.commit(100)
    assert bench.reopen(Committed(15, set())) == {0}
    assert bench.tracker.kept == {100}

    assert bench.reopen(Committed(15, {100})) == set()


def test_a_doubt_outlives_another_reopen() -> None:
    """Until the copy is seen, nothing more is known."""
    bench = left_behind(0)
    bench.place(bench.send(), 100)
    for _ in range(2):
        assert bench.reopen(Committed(15, set())) == {0}

    bench.admit(100)
    bench.carrier.look()
    bench.finish(0)
    assert bench.outcomes() == [100]


def test_offsets_that_are_set_back_bring_a_run_back_to_where_it_began() -> None:
    """Its record will be fetched again there; it is the same run, and its copy is a record like any other."""
    bench = left_behind(0)
    bench.commit(20)
    bench.admit(*range(15, 31))
    bench.send()

    assert bench.reopen(Committed(0, set())) == {0, *range(15, 31)} - {20}
    assert bench.admit(0, 20) == [20]
    bench.finish(0)

    assert bench.outcomes()[-1] == 0
    assert 20 not in {entry.offset for entry in bench.tracker.pending}


def test_what_is_forgotten_moves_nobody() -> None:
    """Its partition has gone to somebody else."""
    bench = left_behind(0)
    bench.commit(100)

    bench.carrier.forget(Tracker(PLACE))
    assert bench.carrier.knows(bench.tracker, 0)
    bench.carrier.forget(bench.tracker)
    assert not bench.carrier.knows(bench.tracker, 0)
