"""One partition's state, against a perfect log."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Partition, ProducerRecord
from streams.offsets.offset_map import AHEAD, Committed, decode, encode
from streams.offsets.tracker import SPAN, CommitStep, Tracker

PLACE = Partition("in", 0)


def tracker_at(offset: int = 0, done: Iterable[int] = (), window: int = SPAN) -> Tracker:
    """A tracker that has just been restored."""
    tracker = Tracker(PLACE, window)
    tracker.restore(Committed(offset, set(done)), set(), 0.0)
    return tracker


def finish(tracker: Tracker, *offsets: int) -> None:
    """Those records are done."""
    for offset in offsets:
        tracker.finish(offset, [])


def commit(tracker: Tracker, now: float = 0.0) -> CommitStep:
    """One transaction that succeeds."""
    step = tracker.collect(1_000, now, 1e9)
    assert step is not None
    tracker.settle(step, now)
    return step


def test_the_watermark_waits_for_the_lowest_open_record() -> None:
    """What lies beyond is said in the map (I2)."""
    tracker = tracker_at()
    for offset in range(4):
        assert tracker.admit(offset)
    finish(tracker, 3, 1)

    step = commit(tracker)

    assert (step.low, set(step.done)) == (0, {1, 3})


def test_the_watermark_reaches_the_end_when_all_is_done() -> None:
    """No map is left then."""
    tracker = tracker_at()
    for offset in (0, 1, 5):
        tracker.admit(offset)
    finish(tracker, 5, 0, 1)

    step = commit(tracker)
    assert (step.low, set(step.done)) == (6, set())


def test_a_record_that_is_visible_is_not_run_again() -> None:
    """The map says so after any crash (I1)."""
    tracker = tracker_at(10, {11})

    assert [tracker.admit(offset) for offset in (10, 11, 12)] == [True, False, True]


def test_a_run_held_over_a_reopen_is_not_started_again() -> None:
    """It goes on; fetching its record once more only gives it back its place."""
    tracker = tracker_at()
    tracker.admit(0)
    tracker.admit(1)
    finish(tracker, 1)
    tracker.restore(Committed(0, set()), {0}, 0.0)

    assert [tracker.admit(0), tracker.admit(1), tracker.admit(2)] == [False, False, True]
    assert (step := tracker.collect(9, 0.0, 1e9)) is not None
    assert step.offsets == {1}


def test_an_unfetched_record_below_a_held_run_is_not_passed() -> None:
    """The watermark must not jump over what the new life has not read yet (I2)."""
    tracker = tracker_at()
    for offset in range(3):
        tracker.admit(offset)
    tracker.restore(Committed(0, set()), {2}, 0.0)
    finish(tracker, 2)

    assert commit(tracker).low == 0


def test_after_an_unknown_outcome_only_what_is_missing_is_sent_again() -> None:
    """What the map holds is never sent twice (I15)."""
    tracker = tracker_at()
    for offset in range(3):
        tracker.admit(offset)
    finish(tracker, 0, 2)

    tracker.restore(Committed(1, {2}), {1}, 0.0)

    assert tracker.pending == []
    assert tracker.kept == {1}


def test_a_late_completion_is_not_expected() -> None:
    """Of a partition that was dropped, or an offset that is visible already (I6)."""
    tracker = tracker_at(5)
    tracker.admit(5)
    assert tracker.expects(5)
    assert not tracker.expects(4)

    tracker.alive = False
    assert not tracker.expects(5)


def test_a_new_life_has_to_be_sought_before_it_is_polled() -> None:
    """A left-over position would make unread records look like gaps (I8)."""
    tracker = tracker_at()
    tracker.unsought = False
    life = tracker.life

    tracker.restore(Committed(3, set()), set(), 0.0)

    assert tracker.unsought
    assert tracker.life == life + 1


def test_the_window_bounds_what_is_admitted_and_not_committed() -> None:
    """A stage may want to hold less of a partition than the map could."""
    tracker = tracker_at(window=3)
    tracker.admit(0)
    assert tracker.room() == 2
    tracker.admit(1)
    tracker.admit(2)
    finish(tracker, 1)
    assert tracker.room() == 0

    commit(tracker)
    assert tracker.room() == 1


def test_what_holds_up_nobody_does_not_count_against_the_window_but_against_the_span() -> None:
    """The map has to fit whatever waits where."""
    tracker = tracker_at(window=3)
    for offset in range(5):
        tracker.admit(offset)
    assert [tracker.room(beside) for beside in (0, 2, 4)] == [-2, 0, 2]
    tracker.admit(SPAN - 1)
    assert tracker.room(99) <= 0


def test_intake_stops_a_span_beyond_the_watermark() -> None:
    """Else the map would not fit (I3)."""
    tracker = tracker_at()
    tracker.admit(0)
    tracker.admit(SPAN - 2)
    assert tracker.room() == 1
    tracker.admit(SPAN - 1)
    assert tracker.room() <= 0


def test_a_completion_too_far_ahead_waits_for_the_watermark() -> None:
    """Compaction and aborted transactions leave gaps of any width (I3)."""
    tracker = tracker_at()
    tracker.admit(0)
    tracker.admit(AHEAD + 7)
    finish(tracker, AHEAD + 7)
    assert tracker.collect(9, 0.0, 1e9) is None

    finish(tracker, 0)
    assert commit(tracker).low == AHEAD + 7
    assert commit(tracker).low == AHEAD + 8


def test_an_unchanged_offset_is_committed_again_in_time() -> None:
    """Brokers forget offsets that are not."""
    tracker = tracker_at(4)
    assert tracker.collect(9, 59.0, 60.0) is None

    step = tracker.collect(9, 61.0, 60.0)
    assert step is not None
    assert (step.low, step.batch) == (4, [])
    tracker.settle(step, 61.0)
    assert tracker.collect(9, 70.0, 60.0) is None


class Log:
    """One partition's log and its committed state; the outcomes that are visible."""

    def __init__(self, offsets: list[int]) -> None:
        self.offsets, self.visible = offsets, list[int]()
        self.base, self.text = 0, ""
        self.tracker = tracker_at()
        self.running = set[int]()

    def state(self) -> Committed:
        return Committed(self.base, decode(self.base, self.text))

    def poll(self, count: int) -> None:
        for offset in [offset for offset in self.offsets if offset >= self.tracker.next][:count]:
            if self.tracker.room() > 0 and self.tracker.admit(offset):
                self.running.add(offset)

    def finish(self, pick: int) -> None:
        if self.running:
            offset = sorted(self.running)[pick % len(self.running)]
            self.running.discard(offset)
            if self.tracker.expects(offset):
                self.tracker.finish(offset, [ProducerRecord("out", None, b"%d" % offset)])

    def commit(self, limit: int, fate: str) -> None:
        step = self.tracker.collect(limit, 0.0, 1e9)
        if step is None:
            return
        if fate != "lost":
            self.base, self.text = step.low, encode(step.low, set(step.done))
            self.visible += step.offsets
        if fate == "ok":
            self.tracker.settle(step, 0.0)
        else:
            self.reopen()

    def reopen(self) -> None:
        state = self.state()
        self.running = {offset for offset in self.running if not state.holds(offset)}
        self.tracker.restore(state, set(self.running), 0.0)

    def crash(self) -> None:
        self.tracker, self.running = tracker_at(*self.state()), set()

    def act(self, action: str, number: int) -> None:
        match action:
            case "poll":
                self.poll(number % 20 + 1)
            case "finish":
                self.finish(number)
            case "crash":
                self.crash()
            case _:
                self.commit(number % 9 + 1, action)

    def run_out(self) -> None:
        while self.base <= self.offsets[-1]:
            self.poll(50)
            while self.running:
                self.finish(0)
            self.commit(1_000, "ok")


actions = st.sampled_from(["poll", "finish", "finish", "finish", "ok", "ok", "lost", "answer lost", "crash"])


@given(st.lists(st.tuples(actions, st.integers(0, 1 << 16)), max_size=150), st.sets(st.integers(0, 120), min_size=1))
def test_every_record_is_visible_exactly_once_whatever_is_lost(script: list[tuple[str, int]], log: set[int]) -> None:
    """Completions in any order, commits that fail before or after they happened, crashes (I1, I2, I15)."""
    model = Log(sorted(log))
    for action, number in script:
        model.act(action, number)
        assert sorted(model.visible) == sorted(offset for offset in model.offsets if model.state().holds(offset))

    model.run_out()

    assert sorted(model.visible) == model.offsets


@pytest.mark.parametrize("seed", range(8))
def test_every_record_is_visible_exactly_once_in_a_long_run(seed: int) -> None:
    """The same over thousands of records, with gaps, and the map near its bounds."""
    chance = random.Random(seed)
    model = Log(sorted(chance.sample(range(3_000), 2_500)))
    kinds, weights = ["poll", "finish", "ok", "lost", "answer lost", "crash"], [30, 50, 17, 0.9, 0.9, 0.2]
    while model.base <= model.offsets[-1]:
        model.act(chance.choices(kinds, weights)[0], chance.randrange(1 << 16))

    assert sorted(model.visible) == model.offsets


def test_a_transaction_takes_as_much_as_fits_and_one_at_least() -> None:
    """I12: a thousand large results are many transactions, and one that is too large for any has its own."""
    tracker = tracker_at(0)
    for offset, size in enumerate((30, 30, 50, 200, 10)):
        tracker.admit(offset)
        tracker.finish(
            offset, [ProducerRecord("out", None, b"x" * (size - 10)), ProducerRecord("out", None, b"x" * 10)]
        )

    sizes = list[list[int]]()
    while (step := tracker.collect(9, 0.0, 1e9, 100)) is not None and step.batch:
        sizes.append([entry.size for entry in step.batch])
        tracker.settle(step, 0.0)

    assert sizes == [[30, 30], [50], [200], [10]]


def test_a_copy_counts_with_its_size_in_what_one_transaction_writes() -> None:
    """Several large records may be carried at once; each then has a transaction of its own."""

    class Leaves:
        void = False

        def placed(self, offset: int) -> None:
            raise AssertionError

    tracker = tracker_at()
    for offset in range(3):
        tracker.admit(offset)
        tracker.leave(offset, ProducerRecord("in", None, bytes(100)), Leaves())

    step = tracker.collect(9, 0.0, 1e9, 250)
    assert step is not None
    assert step.offsets == {0, 1}
