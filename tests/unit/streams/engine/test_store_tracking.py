"""The records that may have been started before with a journal that is lost, and the store that the mark names."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.records import Partition, Record
from schemas.relocation import relocated
from schemas.topics import SCREENED
from streams.engine import store_tracking
from streams.engine.crash_mark import NO_STORE, UNKNOWN_STORE, CrashMark
from streams.engine.store_tracking import StoreIdentity, StoreTracking
from streams.offsets.offset_map import Committed
from streams.offsets.tracker import Tracker
from tests.clock import settled

pytestmark = pytest.mark.anyio

INPUT = Partition(SCREENED.name, 3)


class Store:
    """A store that has an identity, or does not answer."""

    def __init__(self, identity: str = "one") -> None:
        self.identity, self.asked = identity, 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> str:
        self.asked += 1
        await self.gate.wait()
        if not self.identity:
            raise ConnectionError
        return self.identity


class Opened:
    """One opening of a shard, with 100 offsets of which the first 10 are visible."""

    def __init__(self, store: Store | None, end: int = 100) -> None:
        self.end = end
        runtime: Any = SimpleNamespace(
            handler=SimpleNamespace(
                group="group",
                max_in_flight=20,
                prepare_isolated=run,
                journal_identity=store,
                route=lambda _: {INPUT},
            ),
            consumer=self,
        )
        self.tracker = Tracker(INPUT)
        self.tracker.restore(Committed(10, set()), set(), 0.0)
        self.tracking = StoreTracking(runtime, 3)

    async def high_watermarks(self, places: set[Partition], _: float) -> dict[Partition, int]:
        return dict.fromkeys(places, self.end)

    async def open(self, mark: CrashMark) -> Opened:
        await self.tracking.open(mark, [self.tracker])
        return self

    async def before(self, *offsets: int) -> list[bool]:
        return [await self.tracking.started_before(record(offset)) for offset in offsets]

    def commit(self, low: int) -> None:
        self.tracking.settled({INPUT: (low, "")})


def run(_: int, __: Record) -> None:
    """Not called."""


def record(offset: int) -> Record:
    """One of the input."""
    return Record(*INPUT, offset, 0, None, b"", ())


async def test_a_missing_journal_in_the_same_store_proves_that_no_tool_was_started() -> None:
    """Else a crash would end every waiting record of a backlog."""
    opened = await Opened(Store()).open(CrashMark("a", 1, 7, "one"))
    assert await opened.before(10, 49, 50) == [False, False, False]
    assert opened.tracking.text == "one"


@pytest.mark.parametrize(("former", "now"), [("one", "two"), ("one", ""), ("", "one"), ("", "")])
@pytest.mark.parametrize("owner", ["", "a"], ids=["released", "ended"])
async def test_another_or_an_unknown_store_leaves_what_former_owners_may_have_started(
    former: str, now: str, owner: str
) -> None:
    """A planned release counts too: it ends runs that take longer than its drain."""
    opened = await Opened(Store(now)).open(CrashMark(owner, 0, 7, former))
    assert await opened.before(10, 49, 50, 99) == [True, True, False, False]
    assert opened.tracking.text == UNKNOWN_STORE, "a second crash must not forget the first"


async def test_the_mark_names_the_store_once_every_older_record_is_visible() -> None:
    """Relocated runs may lie anywhere before the end of the log, beyond the reach."""
    opened = await Opened(Store("two")).open(CrashMark("a", 1, 7, "one"))
    opened.commit(99)
    assert opened.tracking.text == UNKNOWN_STORE
    opened.commit(100)
    assert opened.tracking.text == "two"


async def test_a_second_crash_before_that_still_knows_that_journals_may_be_lost() -> None:
    """Its mark named no store, although the second owner knew the store."""
    first = await Opened(Store("two")).open(CrashMark("a", 1, 7, "one"))
    second = await Opened(Store("two")).open(CrashMark("b", 1, 8, first.tracking.text))
    assert await second.before(10, 50) == [True, False]


async def test_a_store_that_changes_after_the_opening_is_seen_at_the_start_of_a_run() -> None:
    """A record may wait in its lane for hours."""
    store = Store()
    opened = await Opened(store).open(CrashMark("a", 1, 7, "one"))
    assert await opened.before(10) == [False]
    store.identity = "two"
    assert await opened.before(10, 50) == [True, False]


async def test_a_relocated_run_was_started_wherever_it_lies() -> None:
    """Its copy is at the end of the log."""
    copy = relocated(record(12))
    far = Record(*INPUT, 5_000, 0, copy.key, copy.value, copy.headers)
    opened = await Opened(Store("two")).open(CrashMark("a", 1, 7, "one"))
    same = await Opened(Store("one")).open(CrashMark("a", 1, 7, "one"))
    assert await opened.tracking.started_before(far)
    assert not await same.tracking.started_before(far)


async def test_a_shard_whose_openings_were_not_counted_had_no_journals() -> None:
    """A new shard, and one of an earlier version."""
    opened = await Opened(Store()).open(CrashMark("a", 1))
    assert (await opened.before(10), opened.tracking.text) == ([False], "one")


async def test_the_first_store_after_owners_without_one_ends_no_record() -> None:
    """A deploy that brings the first tools: what waits had none to start."""
    without = await Opened(None).open(CrashMark("a", 1))
    assert without.tracking.text == NO_STORE
    opened = await Opened(Store()).open(CrashMark("b", 1, 1, NO_STORE))
    assert (await opened.before(10), opened.tracking.text) == ([False], "one")


async def test_an_owner_without_a_store_keeps_what_the_mark_says() -> None:
    """It starts no tools, and does not know of earlier ones."""
    opened = await Opened(None).open(CrashMark("a", 1, 7, "one"))
    assert (await opened.before(10), opened.tracking.text) == ([False], "one")


async def test_a_partition_that_could_not_be_read_at_the_opening_is_suspected_whole() -> None:
    """It may be readable later in the same life."""
    opened = Opened(Store("two"))
    await opened.tracking.open(CrashMark("a", 1, 7, "one"), [])
    assert await opened.before(10, 10_000) == [True, True]
    opened.commit(1_000)
    assert opened.tracking.text == UNKNOWN_STORE


async def test_a_store_that_is_another_one_during_a_life_is_named_once_all_older_records_are_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the next planned move of the shard would doubt its whole backlog. Unknown for a while is no change."""
    monkeypatch.setattr(store_tracking, "FOLLOW_S", 0.0)
    store, told = Store(), list[str]()
    opened = await Opened(store).open(CrashMark("a", 1, 7, "one"))
    async with asyncio.TaskGroup() as group:
        follow = group.create_task(
            opened.tracking.follow({INPUT: opened.tracker}, lambda: told.append(opened.tracking.text))
        )
        store.identity = ""
        await settled()
        assert (opened.tracking.text, told) == ("one", [])
        store.identity = "two"
        await settled()
        assert (opened.tracking.text, told) == (UNKNOWN_STORE, [UNKNOWN_STORE])
        opened.commit(100)
        assert opened.tracking.text == "two"
        follow.cancel()


@pytest.mark.parametrize("name", ["a|b", "", NO_STORE, "a b", "s" * 201])
async def test_an_identity_that_the_mark_cannot_hold_is_unknown(name: str) -> None:
    """It would read as another mark."""

    async def misnamed() -> str:
        return name

    assert await StoreIdentity(misnamed).now() == UNKNOWN_STORE


async def test_a_store_that_does_not_answer_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The opening does not wait for it."""
    monkeypatch.setattr(store_tracking, "ASK_S", 0.01)
    store = Store()
    store.gate.clear()
    assert await StoreIdentity(store).now() == UNKNOWN_STORE


async def test_runs_that_begin_together_share_a_request_that_began_after_they_came() -> None:
    """An older answer may be that of a store which is lost by now."""
    store = Store()
    identity = StoreIdentity(store)
    store.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(identity.now())
        await settled()
        later = [group.create_task(identity.now()) for _ in range(50)]
        await settled()
        first.cancel()
        await settled()
        store.identity = "two"
        store.gate.set()
    assert {each.result() for each in later} == {"two"}
    assert store.asked == 2
