"""One shard's transactions: what goes into one, when, and what an error means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.carries import carried
from schemas.clock import SystemClock
from schemas.records import Outgoing, Partition, Record
from streams import committer as committing
from streams.carrying import Carrier
from streams.committer import FEW, Committer
from streams.early import MEMORY_S, Early
from streams.measures import Metrics
from streams.metrics import CARRIED, RECORDS, TRANSACTIONS
from streams.offsetmap import AHEAD, Committed, encode
from streams.outlets import Outlets
from streams.pace import Pace
from streams.parameters import Parameters
from streams.screening import RECALL_S
from streams.slots import Slots
from streams.tracker import Tracker
from streams.transport.connection import Connection
from streams.transport.errors import FencedError, RecordRefusedError
from streams.transport.standings import Standing
from streams.work import Instead, Outputs
from tests.clock import Clock

pytestmark = pytest.mark.anyio

PARAMETERS = Parameters(Connection("nowhere"), carry_behind=10)
COPIES_AT = 1_000
"""Where the first copy of a carried record stands."""


class Publisher:
    """Keeps what it is given, slowly if told so."""

    def __init__(self) -> None:
        self.pause_s = 0.0
        self.began: Callable[[float], None] = lambda _: None
        self.error: Exception | None = None
        self.transactions: list[tuple[list[Outgoing], dict[Partition, tuple[int, str]]]] = []
        self.copies: list[Outgoing] = []

    async def transact(
        self,
        outputs: Iterable[Outgoing],
        offsets: Mapping[Partition, tuple[int, str]],
        group: str,
        copies: Iterable[tuple[Outgoing, Callable[[int], None]]],
    ) -> None:
        assert group == "group"
        for copy, told in copies:
            told(COPIES_AT + len(self.copies))
            self.copies.append(copy)
        self.began(asyncio.get_running_loop().time())
        await asyncio.sleep(self.pause_s)
        if self.error is not None:
            raise self.error
        self.transactions.append((list(outputs), dict(offsets)))


class Suspicion:
    """Has something to say, if it is told so."""

    def __init__(self) -> None:
        self.words: dict[Partition, tuple[int, str]] = {}

    def unsaid(self) -> dict[Partition, tuple[int, str]]:
        return self.words

    def settled(self, offsets: Mapping[Partition, tuple[int, str]]) -> None:
        self.words = {place: word for place, word in self.words.items() if place not in offsets}


async def everything_is_there(topics: Collection[str]) -> dict[str, Standing]:
    """The broker's answer."""
    return dict.fromkeys(topics, Standing(3))


class Bench:
    """A shard as its committer sees it."""

    def __init__(self, parameters: Parameters = PARAMETERS) -> None:
        self.publisher: Any = Publisher()
        self.trackers: dict[Partition, Tracker] = {}
        firsts: dict[Partition, tuple[int, list[Outgoing]]] = {}
        self.carries = False
        self.carrier = Carrier(parameters.carry_behind, self.alone, self.complete)
        shard: Any = SimpleNamespace(
            alive=True,
            carrier=self.carrier,
            look=self.carrier.look,
            publisher=self.publisher,
            trackers=self.trackers,
            firsts=firsts,
            started=firsts.pop,
            suspicion=Suspicion(),
            runtime=SimpleNamespace(
                parameters=parameters,
                work=SimpleNamespace(group="group", committed=lambda *_: None),
                clock=SystemClock(),
                metrics=Metrics("stage"),
                slots=Slots(10, 1_000),
                outlets=Outlets(everything_is_there, SystemClock()),
                pace=Pace(parameters, SystemClock()),
                early=Early(SystemClock(), parameters.early_commits),
            ),
        )
        self.shard, self.committer = shard, Committer(shard)

    def tracker(self, number: int, *admitted: int) -> Tracker:
        tracker = self.trackers[Partition("in", number)] = Tracker(Partition("in", number))
        tracker.restore(Committed(0, set()), set(), self.shard.runtime.clock.monotonic())
        for offset in admitted:
            tracker.admit(offset)
        return tracker

    def finish(self, tracker: Tracker, *offsets: int) -> None:
        for offset in offsets:
            tracker.finish(offset, [answer(tracker, offset)])
            self.committer.add(tracker)

    def alone(self, tracker: Tracker, offset: int) -> Record | None:
        return record_of(tracker, offset) if self.carries else None

    def complete(self, tracker: Tracker, offset: int, outputs: Outputs, instead: Instead | None) -> None:
        assert tracker.expects(offset)
        tracker.finish(offset, outputs, instead)
        self.committer.add(tracker)

    async def run(self, seconds: float = 0.05) -> str | None:
        """Let it commit. Why it stopped, if it did."""
        try:
            async with asyncio.timeout(seconds):
                return await self.committer.run()
        except TimeoutError:
            return None


def record_of(tracker: Tracker, offset: int) -> Record:
    """The record of a run that has its lane to itself."""
    return Record(*tracker.partition, offset, 5, b"key", b"value", ())


def answer(tracker: Tracker, offset: int) -> Outgoing:
    """The output of one record."""
    return Outgoing("out", None, b"%d:%d" % (tracker.partition.number, offset))


async def test_outputs_offsets_and_maps_of_all_partitions_share_a_transaction() -> None:
    """A result is visible exactly if its offset is done (I1)."""
    bench = Bench()
    one, two = bench.tracker(1, 0, 1), bench.tracker(2, 0, 1, 2)
    bench.finish(one, 0, 1)
    bench.finish(two, 2)

    assert await bench.run() is None

    [(outputs, offsets)] = bench.publisher.transactions
    assert sorted(outputs) == sorted([answer(one, 0), answer(one, 1), answer(two, 2)])
    assert offsets == {one.partition: (2, ""), two.partition: (0, encode(0, {2}))}
    assert (two.committed, set(two.done), bench.committer.waiting) == (0, {2}, 0)


async def test_what_finishes_while_a_topic_is_asked_about_has_its_own_topics_asked_about() -> None:
    """Nobody had, so they counted as not known for certain: the outcome was set aside for half a second, and a shard
    that was handed over meanwhile left it behind, to be run again.
    """
    bench = Bench()
    tracker = bench.tracker(0, 0, 1)
    asked: list[set[str]] = []

    async def ask(topics: Collection[str]) -> dict[str, Standing]:
        asked.append(set(topics))
        if len(asked) == 1:
            tracker.finish(1, [Outgoing("other", None, b"")])
            bench.committer.add(tracker)
        return await everything_is_there(topics)

    bench.shard.runtime.outlets = Outlets(ask, SystemClock())
    bench.finish(tracker, 0)

    assert await bench.run(RECALL_S / 2) is None

    assert asked == [{"out"}, {"other"}]
    [(outputs, offsets)] = bench.publisher.transactions
    assert [output.topic for output in outputs] == ["out", "other"]
    assert offsets == {tracker.partition: (2, "")}


async def test_an_idle_shard_commits_at_once_and_a_busy_one_every_interval() -> None:
    """Latency where there is no load, few transactions where there is."""
    bench = Bench(replace(PARAMETERS, commit_interval_s=0.2, early_commits=0.0))
    tracker = bench.tracker(0, *range(50))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(0.3))
        for offset in range(50):
            bench.finish(tracker, offset)
            await asyncio.sleep(0.001)
        assert len(bench.publisher.transactions) == 1
        assert len(bench.publisher.transactions[0][0]) < 10
        await running

    assert len(bench.publisher.transactions) == 2
    assert tracker.committed == 50


async def test_few_records_do_not_wait_for_the_interval_while_that_is_allowed() -> None:
    """What is sparse is visible at once; the allowance bounds what it costs."""
    bench = Bench(replace(PARAMETERS, commit_interval_s=60.0))
    bench.shard.runtime.early = Early(Clock(), 20 / MEMORY_S)  # nothing of it comes again
    tracker = bench.tracker(0, *range(20))
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.run(0.2))
        for offset in range(20):
            bench.finish(tracker, offset)
            await asyncio.sleep(0.005)

    assert len(bench.publisher.transactions) == 1 + 7  # of twenty: the rest is for others


async def test_what_is_sparse_waits_neither_beside_a_flood_of_its_shard_nor_for_an_interval_begun() -> None:
    """A neighbour's records wait for each other; an innocent one among them would wait as long (I13)."""
    bench = Bench(replace(PARAMETERS, commit_interval_s=60.0))
    flood, calm = bench.tracker(0, *range(100)), bench.tracker(1, 0)
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.run(0.2))
        bench.finish(flood, *range(2 * FEW))
        await asyncio.sleep(0.02)
        bench.finish(flood, *range(2 * FEW, 5 * FEW))
        await asyncio.sleep(0.02)
        assert calm.committed == 0
        bench.finish(calm, 0)
        await asyncio.sleep(0.02)
        assert calm.committed == 1

    assert flood.committed == 5 * FEW


async def test_who_comes_often_beside_another_leaves_the_shard_free_between_its_transactions() -> None:
    """A neighbour would wait for the rest of one each time, however slow they are (I13)."""
    bench, begins = Bench(), list[float]()
    bench.publisher.pause_s, bench.publisher.began = 0.02, begins.append
    often, seldom = bench.tracker(0, *range(2_000)), bench.tracker(1, 0)
    bench.finish(seldom, 0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(30.0))
        for offset in range(2_000):
            if len(begins) > 5:
                break
            bench.finish(often, offset)
            await asyncio.sleep(0.005)
        running.cancel()

    assert begins[4] - begins[3] > 0.09, "many times what the last ones took; the interval is 0.05 s"


async def test_many_records_wait_for_the_interval_although_more_is_allowed() -> None:
    """There are enough to make a transaction worth its cost."""
    bench = Bench(replace(PARAMETERS, commit_interval_s=60.0))
    tracker = bench.tracker(0, *range(20))
    bench.finish(tracker, 0)
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.run(0.1))
        await asyncio.sleep(0.02)
        bench.finish(tracker, *range(1, 2 + FEW))

    assert len(bench.publisher.transactions) == 1


async def test_a_full_shard_does_not_wait_for_its_interval() -> None:
    """Else the interval would bound the throughput."""
    bench = Bench(replace(PARAMETERS, commit_interval_s=60.0, batch=20))
    tracker = bench.tracker(0, *range(100))
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.run(0.2))
        for offset in range(100):
            bench.finish(tracker, offset)
            await asyncio.sleep(0)

    assert tracker.committed >= 80


async def test_a_first_offset_is_committed_with_its_outputs() -> None:
    """Then, and only then, its partition begins."""
    bench = Bench()
    new, said = Partition("new", 0), Outgoing("inbox", b"serving", b"")
    bench.shard.firsts[new] = (7, [said])
    bench.committer.wake.set()

    await bench.run()

    assert bench.publisher.transactions == [([said], {new: (7, "")})]
    assert bench.shard.firsts == {}


async def test_what_a_shard_has_to_say_of_itself_makes_it_busy_until_it_is_said() -> None:
    """A shard that is let go of must not be released before its name is taken back."""
    bench = Bench()
    word = {Partition("shards", 0): (0, "a word")}
    bench.shard.suspicion.words = word
    assert bench.committer.busy
    bench.committer.wake.set()

    await bench.run()

    assert bench.publisher.transactions == [([], word)]
    assert not bench.committer.busy


@pytest.mark.parametrize(
    ("error", "outcome"), [(FencedError("somebody else"), "fenced"), (ValueError("anything"), "failed")]
)
async def test_any_error_of_a_transaction_is_a_doubt(error: Exception, outcome: str) -> None:
    """Nothing is settled and nothing resent: the re-open reads what really happened (I15)."""
    bench = Bench()
    tracker = bench.tracker(0, 0)
    bench.finish(tracker, 0)
    bench.publisher.error = error

    assert repr(error) in (await bench.run() or "")
    assert (tracker.committed, len(tracker.pending), bench.committer.waiting) == (0, 1, 1)
    assert bench.shard.runtime.metrics.total(TRANSACTIONS, outcome) == 1


async def test_a_transaction_that_does_not_end_is_a_doubt() -> None:
    """One that began before its broker died never does."""
    bench = Bench(replace(PARAMETERS, transaction_deadline_s=0.05))
    tracker = bench.tracker(0, 0)
    bench.finish(tracker, 0)
    bench.publisher.pause_s = 60.0

    assert "TimeoutError" in (await bench.run(1.0) or "")
    assert not bench.committer.stalled()


async def test_completions_that_wait_for_their_commit_hold_the_brake() -> None:
    """A crash would throw the work away."""
    bench = Bench(replace(PARAMETERS, brake_s=0.02))
    bench.finish(bench.tracker(0, 0), 0)
    assert not bench.committer.stalled()
    await asyncio.sleep(0.03)
    assert bench.committer.stalled()

    await bench.run()
    assert not bench.committer.stalled()


async def test_a_completion_that_waits_for_an_earlier_record_holds_no_brake() -> None:
    """The brake would hold that record back too, and both would wait for ever."""
    bench = Bench(replace(PARAMETERS, brake_s=0.02))
    tracker = bench.tracker(0, 0, AHEAD + 5)
    bench.finish(tracker, AHEAD + 5)

    await bench.run(0.1)
    assert not bench.committer.stalled()
    assert bench.publisher.transactions == []

    bench.finish(tracker, 0)
    await bench.run(0.2)
    assert tracker.committed == AHEAD + 6


async def test_many_maps_are_spread_over_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker takes so much metadata at once; nothing is left out for good."""
    monkeypatch.setattr(committing, "METADATA_LIMIT", 20)
    bench = Bench(replace(PARAMETERS, commit_interval_s=0.001))
    for number in range(9):
        bench.finish(bench.tracker(number, 0, 1), 1)

    await bench.run(0.3)

    assert len(bench.publisher.transactions) > 2
    assert all(tracker.done == {1} for tracker in bench.trackers.values())
    assert sum(len(outputs) for outputs, _ in bench.publisher.transactions) == 9


async def test_those_whose_maps_are_left_out_are_first_in_the_next_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whoever always has something to say would keep the others from saying anything."""
    monkeypatch.setattr(committing, "METADATA_LIMIT", 20)
    bench = Bench(replace(PARAMETERS, commit_interval_s=0.001))
    for number in range(9):
        bench.finish(bench.tracker(number, *range(400)), 1)
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.run(0.6))
        for offset in range(2, 200):
            for tracker in bench.trackers.values():
                bench.finish(tracker, offset)
            await asyncio.sleep(0.002)
        assert all(len(tracker.done) > 20 for tracker in bench.trackers.values())


async def test_an_unchanged_offset_is_committed_again() -> None:
    """Brokers expire those that are not."""
    bench = Bench(replace(PARAMETERS, keepalive_s=0.1, commit_interval_s=0.001))
    bench.tracker(0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(30.0))
        while len(bench.publisher.transactions) < 2:
            await asyncio.sleep(0.01)
            assert not running.done(), "two of them in thirty seconds"
        running.cancel()

    assert [offsets for _, offsets in bench.publisher.transactions][:2] == [{Partition("in", 0): (0, "")}] * 2


async def test_a_dropped_partition_is_committed_no_more() -> None:
    """And what it had finished counts no longer (I6)."""
    bench = Bench()
    gone, stays = bench.tracker(0, 0), bench.tracker(1, 0)
    bench.finish(gone, 0)
    bench.finish(stays, 0)
    gone.alive = False
    del bench.trackers[gone.partition]

    await bench.run()

    assert [offsets.keys() for _, offsets in bench.publisher.transactions] == [{stays.partition}]
    assert bench.committer.waiting == 0


async def test_a_doubt_from_outside_is_answered_between_two_transactions() -> None:
    """A repartition that could not read its offsets asks for a re-open."""
    bench = Bench()
    bench.finish(bench.tracker(0, 0), 0)
    bench.committer.doubt("who knows")

    assert await bench.run() == "who knows"
    bench.committer.restart()
    assert await bench.run(0.3) is None
    assert len(bench.publisher.transactions) == 1


# --- runs that are carried --------------------------------------------------------------------------------------------


def left_behind(bench: Bench, slow: int = 0) -> Tracker:
    """All is done but one run, which is far behind, and has its lane to itself."""
    bench.carries = True
    tracker = bench.tracker(0, *range(12))
    bench.finish(tracker, *[offset for offset in range(12) if offset != slow])
    return tracker


async def test_a_run_far_behind_is_carried_with_what_is_committed_anyway() -> None:
    """One transaction: its copy, the outcomes of others, and an offset that is past it. It is not an outcome itself."""
    bench = Bench()
    tracker = left_behind(bench)

    assert await bench.run() is None

    [(outputs, offsets)] = bench.publisher.transactions
    assert bench.publisher.copies == [carried(record_of(tracker, 0))]
    assert (len(outputs), offsets) == (11, {tracker.partition: (12, "")})
    metrics = bench.shard.runtime.metrics
    assert (metrics.total(CARRIED), metrics.total(RECORDS), bench.committer.waiting) == (1, 11, 0)


async def test_the_outcome_of_a_carried_run_is_committed_under_its_new_offset() -> None:
    """Whether it ends before its carry is answered or after."""
    for seconds in (0.0, 0.1):
        bench = Bench()
        bench.publisher.pause_s = 0.05
        tracker = left_behind(bench)
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.run(0.4))
            await asyncio.sleep(0.02 + seconds)
            assert bench.carrier.finish(tracker, 0, [answer(tracker, 0)], None)

        assert tracker.done == {COPIES_AT}
        assert [output for outputs, _ in bench.publisher.transactions for output in outputs].count(
            answer(tracker, 0)
        ) == 1


async def test_a_run_that_ends_while_its_neighbours_are_looked_at_is_not_carried() -> None:
    """What is written instead of an unwritable output is asked about meanwhile; a copy too would be a second answer."""
    bench = Bench()
    asked, told = asyncio.Event(), asyncio.Event()

    async def slowly(topics: Collection[str]) -> dict[str, Standing]:
        if "other" in topics:
            asked.set()
            await told.wait()
        return await everything_is_there(topics)

    outlets = bench.shard.runtime.outlets = Outlets(slowly, SystemClock())
    outlets.refuse(RecordRefusedError("no", topic="shut", records=1, size=0))
    bench.carries, tracker = True, bench.tracker(0, *range(12))
    tracker.finish(1, [Outgoing("shut", None, b"")], lambda _, __: [Outgoing("other", None, b"")])
    bench.finish(tracker, *range(2, 12))
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.run(0.3))
        await asked.wait()
        assert bench.carrier.finish(tracker, 0, [], None)
        told.set()

    assert bench.publisher.copies == []
    assert (tracker.committed, tracker.pending, tracker.aside) == (12, [], [])


async def test_a_doubtful_copy_is_looked_for_though_nothing_else_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run may have ended, and its caller waits."""
    monkeypatch.setattr(committing, "RECALL_S", 0.02)
    bench = Bench()
    tracker = left_behind(bench)
    bench.publisher.error = ValueError("no answer")
    assert await bench.run() is not None

    done = Committed(12, set())
    bench.carrier.resolve({tracker.partition: done})
    tracker.restore(done, bench.carrier.places(tracker, ()), bench.shard.runtime.clock.monotonic())
    bench.publisher.error = None
    bench.committer.restart()
    assert bench.carrier.finish(tracker, 0, [answer(tracker, 0)], None)
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.run(0.4))
        await asyncio.sleep(0.1)
        assert bench.publisher.transactions == []
        tracker.admit(COPIES_AT)

    assert bench.publisher.transactions == [([answer(tracker, 0)], {tracker.partition: (COPIES_AT + 1, "")})]


async def test_what_waits_is_known_in_bytes_until_it_is_visible() -> None:
    """I12: a shard takes no more in while its finished records have too much to write."""
    bench = Bench()
    tracker = bench.tracker(1, 0, 1)
    bench.finish(tracker, 0, 1)
    assert bench.committer.bytes == 2 * len(b"1:0")

    await bench.run()

    assert bench.committer.bytes == bench.committer.waiting == 0
