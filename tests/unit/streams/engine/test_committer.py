"""One shard's transactions: what goes into one, when, and what an error means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.clock import SystemClock
from schemas.headers import input_position, with_input
from schemas.records import Partition, ProducerRecord, Record
from schemas.relocation import relocated
from streams.engine import committer as committing
from streams.engine.committer import EARLY_COMMIT_MAX, Committer
from streams.engine.config import EngineConfig
from streams.engine.output_check import RECALL_S
from streams.engine.topic_health import TopicHealth
from streams.handler import Fallback, Outputs
from streams.offsets.offset_map import AHEAD, Committed, encode
from streams.offsets.relocation import Relocator
from streams.offsets.tracker import Tracker
from streams.scheduling.commit_pacing import EARLY_MEMORY_S, CommitPacing, EarlyCommits
from streams.scheduling.scheduler import InFlight
from streams.telemetry.metric_definitions import RECORDS, RELOCATIONS, TRANSACTIONS
from streams.telemetry.metric_store import MetricStore
from streams.transport.connection import Connection
from streams.transport.errors import FencedError, RecordRefusedError
from streams.transport.open_transactions import OpenTransactionError
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.protocol.requests import NOBODY
from streams.transport.topic_state import TopicState
from tests.clock import Clock

pytestmark = pytest.mark.anyio

PARAMETERS = EngineConfig(Connection("nowhere"), relocation_distance=10)
COPIES_AT = 1_000
"""Where the first copy of a carried record stands."""


class Publisher:
    """Keeps what it is given, slowly if told so."""

    def __init__(self) -> None:
        self.pause_s = 0.0
        self.began: Callable[[float], None] = lambda _: None
        self.error: Exception | None = None
        self.transactions: list[tuple[list[ProducerRecord], dict[Partition, tuple[int, str]]]] = []
        self.copies: list[ProducerRecord] = []

    async def transact(
        self,
        outputs: Iterable[ProducerRecord],
        offsets: Mapping[Partition, tuple[int, str]],
        group: str,
        copies: Iterable[tuple[ProducerRecord, Callable[[int], None]]],
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


class Ended:
    """Ends open transactions, or leaves a doubt."""

    def __init__(self) -> None:
        self.found: list[Mapping[Partition, OpenTransaction]] = []
        self.doubt: str | None = None

    async def end(self, _: object, found: Mapping[Partition, OpenTransaction]) -> str | None:
        self.found.append(found)
        return self.doubt


async def everything_is_there(topics: Collection[str]) -> dict[str, TopicState]:
    """The broker's answer."""
    return dict.fromkeys(topics, TopicState(3))


class Setup:
    """A shard as its committer sees it."""

    def __init__(self, config: EngineConfig = PARAMETERS) -> None:
        self.producer: Any = Publisher()
        self.trackers: dict[Partition, Tracker] = {}
        initial_commits: dict[Partition, tuple[int, list[ProducerRecord]]] = {}
        self.relocates = False
        self.open_transactions = Ended()
        self.relocator = Relocator(config.relocation_distance, self.alone, self.complete)
        shard: Any = SimpleNamespace(
            alive=True,
            relocator=self.relocator,
            look=self.relocator.look,
            producer=self.producer,
            trackers=self.trackers,
            initial_commits=initial_commits,
            started=initial_commits.pop,
            crash_tracking=Suspicion(),
            open_transactions=self.open_transactions,
            runtime=SimpleNamespace(
                config=config,
                handler=SimpleNamespace(group="group", committed=lambda *_: None),
                clock=SystemClock(),
                metrics=MetricStore("stage"),
                in_flight=InFlight(10, 1_000),
                topic_health=TopicHealth(everything_is_there, SystemClock()),
                commit_pacing=CommitPacing(config, SystemClock()),
                early=EarlyCommits(SystemClock(), config.early_commits),
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
        return record_of(tracker, offset) if self.relocates else None

    def complete(self, tracker: Tracker, offset: int, outputs: Outputs, fallback: Fallback | None) -> None:
        assert tracker.expects(offset)
        tracker.finish(offset, outputs, fallback)
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


def answer(tracker: Tracker, offset: int) -> ProducerRecord:
    """The output of one record."""
    return ProducerRecord("out", None, b"%d:%d" % (tracker.partition.number, offset))


def written(tracker: Tracker, offset: int, at: int | None = None) -> ProducerRecord:
    """The same as it is written, by the record *at* which its input was completed."""
    return with_input(answer(tracker, offset), input_position(tracker.partition, offset if at is None else at))


async def test_outputs_offsets_and_maps_of_all_partitions_share_a_transaction() -> None:
    """A result is visible exactly if its offset is done (I1)."""
    setup = Setup()
    one, two = setup.tracker(1, 0, 1), setup.tracker(2, 0, 1, 2)
    setup.finish(one, 0, 1)
    setup.finish(two, 2)

    assert await setup.run() is None

    [(outputs, offsets)] = setup.producer.transactions
    assert sorted(outputs) == sorted([written(one, 0), written(one, 1), written(two, 2)])
    assert offsets == {one.partition: (2, ""), two.partition: (0, encode(0, {2}))}
    assert (two.committed, set(two.done), setup.committer.waiting) == (0, {2}, 0)


async def test_what_finishes_while_a_topic_is_asked_about_has_its_own_topics_asked_about() -> None:
    """Nobody had, so they counted as not known for certain: the outcome was set aside for half a second, and a shard
    that was handed over meanwhile left it behind, to be run again.
    """
    setup = Setup()
    tracker = setup.tracker(0, 0, 1)
    asked: list[set[str]] = []

    async def ask(topics: Collection[str]) -> dict[str, TopicState]:
        asked.append(set(topics))
        if len(asked) == 1:
            tracker.finish(1, [ProducerRecord("other", None, b"")])
            setup.committer.add(tracker)
        return await everything_is_there(topics)

    setup.shard.runtime.topic_health = TopicHealth(ask, SystemClock())
    setup.finish(tracker, 0)

    assert await setup.run(RECALL_S / 2) is None

    assert asked == [{"out"}, {"other"}]
    [(outputs, offsets)] = setup.producer.transactions
    assert [output.topic for output in outputs] == ["out", "other"]
    assert offsets == {tracker.partition: (2, "")}


async def test_an_idle_shard_commits_at_once_and_a_busy_one_every_interval() -> None:
    """Latency where there is no load, few transactions where there is."""
    setup = Setup(replace(PARAMETERS, commit_interval_s=0.2, early_commits=0.0))
    tracker = setup.tracker(0, *range(50))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(setup.run(0.3))
        for offset in range(50):
            setup.finish(tracker, offset)
            await asyncio.sleep(0.001)
        assert len(setup.producer.transactions) == 1
        assert len(setup.producer.transactions[0][0]) < 10
        await running

    assert len(setup.producer.transactions) == 2
    assert tracker.committed == 50


async def test_few_records_do_not_wait_for_the_interval_while_that_is_allowed() -> None:
    """What is sparse is visible at once; the allowance bounds what it costs."""
    setup = Setup(replace(PARAMETERS, commit_interval_s=60.0))
    setup.shard.runtime.early = EarlyCommits(Clock(), 20 / EARLY_MEMORY_S)  # nothing of it comes again
    tracker = setup.tracker(0, *range(20))
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run(0.2))
        for offset in range(20):
            setup.finish(tracker, offset)
            await asyncio.sleep(0.005)

    assert len(setup.producer.transactions) == 1 + 7  # of twenty: the rest is for others


async def test_what_is_sparse_waits_neither_beside_a_flood_of_its_shard_nor_for_an_interval_begun() -> None:
    """A neighbour's records wait for each other; an innocent one among them would wait as long (I13)."""
    setup = Setup(replace(PARAMETERS, commit_interval_s=60.0))
    flood, calm = setup.tracker(0, *range(100)), setup.tracker(1, 0)
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run(0.2))
        setup.finish(flood, *range(2 * EARLY_COMMIT_MAX))
        await asyncio.sleep(0.02)
        setup.finish(flood, *range(2 * EARLY_COMMIT_MAX, 5 * EARLY_COMMIT_MAX))
        await asyncio.sleep(0.02)
        assert calm.committed == 0
        setup.finish(calm, 0)
        await asyncio.sleep(0.02)
        assert calm.committed == 1

    assert flood.committed == 5 * EARLY_COMMIT_MAX


async def test_who_comes_often_beside_another_leaves_the_shard_free_between_its_transactions() -> None:
    """A neighbour would wait for the rest of one each time, however slow they are (I13)."""
    setup, begins = Setup(), list[float]()
    setup.producer.pause_s, setup.producer.began = 0.02, begins.append
    often, seldom = setup.tracker(0, *range(2_000)), setup.tracker(1, 0)
    setup.finish(seldom, 0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(setup.run(30.0))
        for offset in range(2_000):
            if len(begins) > 5:
                break
            setup.finish(often, offset)
            await asyncio.sleep(0.005)
        running.cancel()

    assert begins[4] - begins[3] > 0.09, "many times what the last ones took; the interval is 0.05 s"


async def test_many_records_wait_for_the_interval_although_more_is_allowed() -> None:
    """There are enough to make a transaction worth its cost."""
    setup = Setup(replace(PARAMETERS, commit_interval_s=60.0))
    tracker = setup.tracker(0, *range(20))
    setup.finish(tracker, 0)
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run(0.1))
        await asyncio.sleep(0.02)
        setup.finish(tracker, *range(1, 2 + EARLY_COMMIT_MAX))

    assert len(setup.producer.transactions) == 1


async def test_a_full_shard_does_not_wait_for_its_interval() -> None:
    """Else the interval would bound the throughput."""
    setup = Setup(replace(PARAMETERS, commit_interval_s=60.0, batch=20))
    tracker = setup.tracker(0, *range(100))
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run(0.2))
        for offset in range(100):
            setup.finish(tracker, offset)
            await asyncio.sleep(0)

    assert tracker.committed >= 80


async def test_a_first_offset_is_committed_with_its_outputs() -> None:
    """Then, and only then, its partition begins."""
    setup = Setup()
    new, said = Partition("new", 0), ProducerRecord("inbox", b"serving", b"")
    setup.shard.initial_commits[new] = (7, [said])
    setup.committer.wake.set()

    await setup.run()

    assert setup.producer.transactions == [([said], {new: (7, "")})]
    assert setup.shard.initial_commits == {}


async def test_what_a_shard_has_to_say_of_itself_makes_it_busy_until_it_is_said() -> None:
    """A shard that is let go of must not be released before its name is taken back."""
    setup = Setup()
    word = {Partition("shards", 0): (0, "a word")}
    setup.shard.crash_tracking.words = word
    assert setup.committer.busy
    setup.committer.wake.set()

    await setup.run()

    assert setup.producer.transactions == [([], word)]
    assert not setup.committer.busy


@pytest.mark.parametrize(
    ("error", "outcome"), [(FencedError("somebody else"), "fenced"), (ValueError("anything"), "failed")]
)
async def test_any_error_of_a_transaction_is_a_doubt(error: Exception, outcome: str) -> None:
    """Nothing is settled and nothing resent: the re-open reads what really happened (I15)."""
    setup = Setup()
    tracker = setup.tracker(0, 0)
    setup.finish(tracker, 0)
    setup.producer.error = error

    assert repr(error) in (await setup.run() or "")
    assert setup.committer.fenced == (outcome == "fenced"), "then another worker may own the shard"
    setup.committer.restart()
    assert not setup.committer.fenced
    assert (tracker.committed, len(tracker.pending), setup.committer.waiting) == (0, 1, 1)
    assert setup.shard.runtime.metrics.total(TRANSACTIONS, outcome) == 1


async def test_a_transaction_that_does_not_end_is_a_doubt() -> None:
    """One that began before its broker died never does."""
    setup = Setup(replace(PARAMETERS, transaction_deadline_s=0.05))
    tracker = setup.tracker(0, 0)
    setup.finish(tracker, 0)
    setup.producer.pause_s = 60.0

    assert "TimeoutError" in (await setup.run(1.0) or "")
    assert not setup.committer.stalled()


async def test_completions_that_wait_for_their_commit_hold_the_brake() -> None:
    """A crash would throw the work away."""
    setup = Setup(replace(PARAMETERS, max_commit_delay_s=0.02))
    setup.finish(setup.tracker(0, 0), 0)
    assert not setup.committer.stalled()
    await asyncio.sleep(0.03)
    assert setup.committer.stalled()

    await setup.run()
    assert not setup.committer.stalled()


async def test_a_completion_that_waits_for_an_earlier_record_holds_no_brake() -> None:
    """The brake would hold that record back too, and both would wait for ever."""
    setup = Setup(replace(PARAMETERS, max_commit_delay_s=0.02))
    tracker = setup.tracker(0, 0, AHEAD + 5)
    setup.finish(tracker, AHEAD + 5)

    await setup.run(0.1)
    assert not setup.committer.stalled()
    assert setup.producer.transactions == []

    setup.finish(tracker, 0)
    await setup.run(0.2)
    assert tracker.committed == AHEAD + 6


async def test_many_maps_are_spread_over_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker takes so much metadata at once; nothing is left out for good."""
    monkeypatch.setattr(committing, "METADATA_LIMIT", 20)
    setup = Setup(replace(PARAMETERS, commit_interval_s=0.001))
    for number in range(9):
        setup.finish(setup.tracker(number, 0, 1), 1)

    await setup.run(0.3)

    assert len(setup.producer.transactions) > 2
    assert all(tracker.done == {1} for tracker in setup.trackers.values())
    assert sum(len(outputs) for outputs, _ in setup.producer.transactions) == 9


async def test_those_whose_maps_are_left_out_are_first_in_the_next_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whoever always has something to say would keep the others from saying anything."""
    monkeypatch.setattr(committing, "METADATA_LIMIT", 20)
    setup = Setup(replace(PARAMETERS, commit_interval_s=0.001))
    for number in range(9):
        setup.finish(setup.tracker(number, *range(400)), 1)
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run(0.6))
        for offset in range(2, 200):
            for tracker in setup.trackers.values():
                setup.finish(tracker, offset)
            await asyncio.sleep(0.002)
        assert all(len(tracker.done) > 20 for tracker in setup.trackers.values())


async def test_an_unchanged_offset_is_committed_again() -> None:
    """Brokers expire those that are not."""
    setup = Setup(replace(PARAMETERS, keepalive_s=0.1, commit_interval_s=0.001))
    setup.tracker(0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(setup.run(30.0))
        while len(setup.producer.transactions) < 2:
            await asyncio.sleep(0.01)
            assert not running.done(), "two of them in thirty seconds"
        running.cancel()

    assert [offsets for _, offsets in setup.producer.transactions][:2] == [{Partition("in", 0): (0, "")}] * 2


async def test_a_dropped_partition_is_committed_no_more() -> None:
    """And what it had finished counts no longer (I6)."""
    setup = Setup()
    gone, stays = setup.tracker(0, 0), setup.tracker(1, 0)
    setup.finish(gone, 0)
    setup.finish(stays, 0)
    gone.alive = False
    del setup.trackers[gone.partition]

    await setup.run()

    assert [offsets.keys() for _, offsets in setup.producer.transactions] == [{stays.partition}]
    assert setup.committer.waiting == 0


async def test_a_doubt_from_outside_is_answered_between_two_transactions() -> None:
    """A repartition that could not read its offsets asks for a re-open."""
    setup = Setup()
    setup.finish(setup.tracker(0, 0), 0)
    setup.committer.reopen("who knows")

    assert await setup.run() == "who knows"
    setup.committer.restart()
    assert await setup.run(0.3) is None
    assert len(setup.producer.transactions) == 1


# --- runs that are carried --------------------------------------------------------------------------------------------


def left_behind(setup: Setup, slow: int = 0) -> Tracker:
    """All is done but one run, which is far behind, and has its lane to itself."""
    setup.relocates = True
    tracker = setup.tracker(0, *range(12))
    setup.finish(tracker, *[offset for offset in range(12) if offset != slow])
    return tracker


async def test_a_run_far_behind_is_carried_with_what_is_committed_anyway() -> None:
    """One transaction: its copy, the outcomes of others, and an offset that is past it. It is not an outcome itself."""
    setup = Setup()
    tracker = left_behind(setup)

    assert await setup.run() is None

    [(outputs, offsets)] = setup.producer.transactions
    assert setup.producer.copies == tracker.named(0, [relocated(record_of(tracker, 0))])
    assert (len(outputs), offsets) == (11, {tracker.partition: (12, "")})
    metrics = setup.shard.runtime.metrics
    assert (metrics.total(RELOCATIONS), metrics.total(RECORDS), setup.committer.waiting) == (1, 11, 0)


async def test_the_outcome_of_a_carried_run_is_committed_under_its_new_offset() -> None:
    """Whether it ends before its carry is answered or after."""
    for seconds in (0.0, 0.1):
        setup = Setup()
        setup.producer.pause_s = 0.05
        tracker = left_behind(setup)
        async with asyncio.TaskGroup() as group:
            group.create_task(setup.run(0.4))
            await asyncio.sleep(0.02 + seconds)
            assert setup.relocator.finish(tracker, 0, [answer(tracker, 0)], None)

        assert tracker.done == {COPIES_AT}
        assert [output for outputs, _ in setup.producer.transactions for output in outputs].count(
            written(tracker, 0, at=COPIES_AT)
        ) == 1


async def test_a_run_that_ends_while_its_neighbours_are_looked_at_is_not_carried() -> None:
    """What is written instead of an unwritable output is asked about meanwhile; a copy too would be a second answer."""
    setup = Setup()
    asked, told = asyncio.Event(), asyncio.Event()

    async def slowly(topics: Collection[str]) -> dict[str, TopicState]:
        if "other" in topics:
            asked.set()
            await told.wait()
        return await everything_is_there(topics)

    topic_health = setup.shard.runtime.topic_health = TopicHealth(slowly, SystemClock())
    topic_health.refuse(RecordRefusedError("no", topic="shut", records=1, size=0))
    setup.relocates, tracker = True, setup.tracker(0, *range(12))
    tracker.finish(1, [ProducerRecord("shut", None, b"")], lambda _, __: [ProducerRecord("other", None, b"")])
    setup.finish(tracker, *range(2, 12))
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run(0.3))
        await asked.wait()
        assert setup.relocator.finish(tracker, 0, [], None)
        told.set()

    assert setup.producer.copies == []
    assert (tracker.committed, tracker.pending, tracker.delayed) == (12, [], [])


async def test_a_doubtful_copy_is_looked_for_though_nothing_else_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run may have ended, and its caller waits."""
    monkeypatch.setattr(committing, "RECALL_S", 0.02)
    setup = Setup()
    tracker = left_behind(setup)
    setup.producer.error = ValueError("no answer")
    assert await setup.run() is not None

    done = Committed(12, set())
    setup.relocator.resolve({tracker.partition: done})
    tracker.restore(done, setup.relocator.places(tracker, ()), setup.shard.runtime.clock.monotonic())
    setup.producer.error = None
    setup.committer.restart()
    assert setup.relocator.finish(tracker, 0, [answer(tracker, 0)], None)
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run(0.4))
        await asyncio.sleep(0.1)
        assert setup.producer.transactions == []
        tracker.admit(COPIES_AT)

    assert setup.producer.transactions == [
        ([written(tracker, 0, at=COPIES_AT)], {tracker.partition: (COPIES_AT + 1, "")})
    ]


@pytest.mark.parametrize("doubt", [None, "open transaction of out:0 not ended: no answer"])
async def test_a_forgotten_transaction_is_ended_before_the_batch_is_written(doubt: str | None) -> None:
    """Its end decides nothing about the batch, which was not written yet; if it fails, the shard reopens."""
    setup = Setup()
    tracker, place = setup.tracker(1, 0), Partition("out", 0)
    setup.finish(tracker, 0)
    found = {place: OpenTransaction(NOBODY, 7, 0)}
    setup.producer.error, setup.open_transactions.doubt = OpenTransactionError(found), doubt

    def once(_: float) -> None:
        if setup.open_transactions.found:
            setup.producer.error = None

    setup.producer.began = once

    assert await setup.run() == doubt
    assert setup.open_transactions.found == [found]
    assert len(setup.producer.transactions) == (doubt is None)
    assert setup.shard.runtime.metrics.total(TRANSACTIONS, "deferred") == 1


async def test_a_forgotten_transaction_is_ended_although_nothing_is_written() -> None:
    """Its readers wait; the next transaction comes after it (I4)."""
    setup = Setup()
    found = {Partition("out", 0): OpenTransaction(NOBODY, 7, 0)}
    async with asyncio.TaskGroup() as group:
        group.create_task(setup.run())
        await asyncio.sleep(0.01)
        setup.committer.end_first(found)

    assert setup.open_transactions.found == [found]
    assert setup.producer.transactions == []


async def test_what_waits_is_known_in_bytes_until_it_is_visible() -> None:
    """I12: a shard takes no more in while its finished records have too much to write."""
    setup = Setup()
    tracker = setup.tracker(1, 0, 1)
    setup.finish(tracker, 0, 1)
    assert setup.committer.bytes == 2 * len(b"1:0")

    await setup.run()

    assert setup.committer.bytes == setup.committer.waiting == 0
