"""Whose end nobody can explain, what is suspected for it, and when that is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from consumers.fencing_token import FencingToken
from schemas.records import Partition, ProducerRecord, Record
from streams.engine.config import EngineConfig
from streams.engine.crash_mark import NO_STORE, CrashMark, decode, encode
from streams.engine.crash_tracking import CrashTracking
from streams.engine.reach import reach
from streams.handler import Job
from streams.offsets.offset_map import Committed
from streams.offsets.tracker import Tracker
from streams.telemetry.metric_definitions import SHARDS_SUSPECTED, UNEXPLAINED_ENDS
from streams.telemetry.metric_store import MetricStore
from streams.transport.connection import Connection
from streams.transport.errors import FencedError

pytestmark = pytest.mark.anyio

PLACE, INPUT = Partition("shards", 3), Partition("in", 3)


class Log:
    """What stands in the group's metadata, how far the input goes, and what of it is done."""

    def __init__(self, end: int = 10, low: int = 0, done: tuple[int, ...] = ()) -> None:
        self.text, self.end, self.writes = "", end, 0
        self.fails = False
        self.tracker = Tracker(INPUT)
        self.tracker.restore(Committed(low, set(done)), set(), 0.0)

    async def note(self, partition: Partition) -> str:
        assert partition == PLACE
        return self.text

    async def ends(self, partitions: set[Partition], _: float) -> dict[Partition, int]:
        return dict.fromkeys(partitions, self.end)

    async def transact(
        self, outputs: list[ProducerRecord], offsets: dict[Partition, tuple[int, str]], group: str
    ) -> None:
        assert (outputs, group) == ([], "group")
        if self.fails:
            raise FencedError
        self.writes += 1
        self.text = offsets[PLACE][1]


class Life:
    """One worker with the shard, from its opening on."""

    def __init__(self, log: Log, name: str, *, watches: bool = True) -> None:
        self.log, self.metrics = log, MetricStore("stage")
        runtime: Any = SimpleNamespace(
            name=name,
            config=EngineConfig(Connection("nowhere"), shard_topic="shards"),
            handler=SimpleNamespace(
                group="group", max_in_flight=50, prepare_isolated=apart if watches else None, journal_identity=None
            ),
            offsets=log,
            consumer=log,
            metrics=self.metrics,
        )
        self.runs: Any = SimpleNamespace(prepare=plain)
        self.crash_tracking = CrashTracking(runtime, 3, self.runs)

    async def open(self) -> Life:
        producer: Any = self.log
        await self.crash_tracking.open(producer, [self.log.tracker])
        return self

    def commit(self, low: int) -> None:
        """A transaction with whatever there is to be said."""
        said = dict(self.crash_tracking.unsaid())
        self.log.text = said[PLACE][1] if said else self.log.text
        self.crash_tracking.settled({INPUT: (low, ""), **said})

    def how(self, offset: int) -> object:
        """How a record runs."""
        return self.runs.prepare(Record("in", 3, offset, 0, None, b"", ())).lane


async def lives(log: Log, names: str) -> Life:
    """One owner after another, each of which ends without a word; the last one."""
    opened = [await Life(log, name).open() for name in names]
    return opened[-1]


def plain(_: Record) -> Job:
    """As every record runs."""
    return Job("plain", list)


def apart(_: int, __: Record) -> Job:
    """As a suspect runs."""
    return Job("apart", list)


async def test_two_ends_without_a_word_suspect_what_was_open_and_nothing_later() -> None:
    """The first may be the kernel's or an operator's."""
    log = Log(end=10, low=4, done=(5, 6))
    first = await Life(log, "a").open()
    second = await Life(log, "b").open()
    assert (first.how(4), second.how(4)) == ("plain", "plain")
    assert second.metrics.total(UNEXPLAINED_ENDS) == 1

    third = await Life(log, "c").open()

    assert [third.how(offset) for offset in (4, 9, 10)] == ["apart", "apart", "plain"]
    assert third.metrics.total(SHARDS_SUSPECTED) == 1
    assert decode(log.text) == CrashMark("c", 2, 3, NO_STORE)


async def test_nobody_is_suspected_any_more_once_all_that_was_open_is_visible() -> None:
    """Else one kill in a month would be the second."""
    log = Log(end=10, low=4)
    await lives(log, "ab")
    life = await Life(log, "c").open()
    life.commit(9)
    assert (life.how(9), life.crash_tracking.unsaid()) == ("apart", {})

    life.commit(10)

    assert life.how(9) == "plain"
    assert life.crash_tracking.unsaid() == {PLACE: (0, encode(CrashMark("c", 0, 3, NO_STORE)))}
    life.commit(10)
    assert life.crash_tracking.unsaid() == {}
    assert (await Life(log, "d").open()).how(10) == "plain"


async def test_who_lets_go_by_plan_takes_its_name_back() -> None:
    """A deploy explains everything, also what is still running when it ends; who stays signs again."""
    log = Log()
    for name in "ab":
        life = await Life(log, name).open()
        life.crash_tracking.leave()
        life.commit(0)
    third = await Life(log, "c").open()
    assert third.metrics.total(UNEXPLAINED_ENDS) == 0
    third.crash_tracking.leave()
    third.commit(0)
    third.crash_tracking.stay()
    third.commit(0)
    assert decode(log.text) == CrashMark("c", 0, 3, NO_STORE)


async def test_a_deploy_clears_what_was_suspected() -> None:
    """The new version may be the cure."""
    log = Log()
    life = await lives(log, "abc")
    life.crash_tracking.leave()
    life.commit(0)

    assert (await Life(log, "d").open()).how(0) == "plain"


async def test_an_owner_that_opens_again_has_not_ended() -> None:
    """A fence, a broker that was away, an unknown outcome: it suspects what it suspected."""
    log = Log()
    life = await Life(log, "a").open()
    await life.open()
    await life.open()
    assert (life.how(0), log.writes) == ("plain", 3)

    life = await lives(log, "bc")
    await life.open()
    assert (life.how(0), log.writes) == ("apart", 6)


async def test_a_worker_that_gets_back_what_it_has_just_lost_has_not_ended_either() -> None:
    """The group may take a shard from a worker and return it, with nobody in between."""
    log = Log()
    life = await lives(log, "aaaa")
    assert (life.metrics.total(UNEXPLAINED_ENDS), decode(log.text)) == (0, CrashMark("a", 0, 4, NO_STORE))


async def test_an_owner_with_nothing_open_was_killed_by_no_record() -> None:
    """An idle shard that is killed every night is suspected of nothing."""
    log = Log(end=7, low=7)
    for name in "abcd":
        life = await Life(log, name).open()
        assert life.metrics.total(UNEXPLAINED_ENDS) == 0
    assert decode(log.text) == CrashMark("d", 0, 4, NO_STORE)


async def test_a_stage_without_code_of_users_asks_and_writes_nothing() -> None:
    """Auth and guard pay nothing for what they cannot have."""
    log = Log()
    for _ in range(3):
        await Life(log, "a", watches=False).open()
    life = await Life(log, "b", watches=False).open()
    assert (life.how(0), log.writes, life.crash_tracking.unsaid()) == ("plain", 0, {})
    life.crash_tracking.leave()
    assert life.crash_tracking.unsaid() == {}


def test_the_reach_of_what_may_have_run_is_bounded() -> None:
    """Of a backlog only as much as a worker can have had in its hands; what is done does not count."""
    log = Log(low=100, done=(101, 102))
    assert reach(log.tracker, 1_000, 5) == 107
    assert reach(log.tracker, 103, 5) == 103
    assert reach(log.tracker, 100, 5) == 100


async def test_each_opening_has_a_higher_token_also_after_a_planned_release() -> None:
    """The journal knows the later owner by it, also if both are the same worker."""
    log, tokens = Log(), list[FencingToken]()
    for name in "aab":
        life = await Life(log, name).open()
        tokens.append(life.crash_tracking.token())
        await life.open()
        tokens.append(life.crash_tracking.token())
        life.crash_tracking.leave()
        life.commit(0)
    assert tokens == [FencingToken(1, number) for number in range(1, 7)]
    assert decode(log.text) == CrashMark("", 0, 6, NO_STORE)


async def test_a_token_counts_only_once_its_mark_is_committed() -> None:
    """An opening that fails before that may have been overtaken: the next one reads the number again."""
    log = Log()
    life = await Life(log, "a").open()
    log.fails = True
    with pytest.raises(FencedError):
        await life.open()
    assert life.crash_tracking.token() == FencingToken(1, 1)

    log.fails = False
    other = await Life(log, "b").open()
    assert other.crash_tracking.token() == FencingToken(1, 2)
    assert life.crash_tracking.token() == FencingToken(1, 1)


async def test_the_mark_of_an_earlier_version_is_counted_on() -> None:
    """Its owner has ended without a word; openings were not counted then."""
    log = Log()
    log.text = "1|a|1"
    life = await Life(log, "b").open()
    assert (life.how(0), decode(log.text)) == ("apart", CrashMark("b", 2, 1, NO_STORE))
