"""The behaviour of every implementation of the journal port, over a real Valkey and in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.agent.journal.limits import BYTES_LIMIT, STEPS_LIMIT
from consumers.agent.journal.memory import MemoryJournal
from consumers.agent.journal.port import ENTRY_LIMIT, Entry, Journal, RunJournal, RunKey
from consumers.agent.journal.valkey import valkey_journal
from consumers.fencing_token import FencingToken
from ops.embedded.valkey import Valkey
from schemas.clock import SystemClock
from schemas.errors import JournalLostError, RunSupersededError, TooLargeError

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
HOUR_MS = 3_600_000
FIRST, SECOND = FencingToken(1, 9), FencingToken(1, 10)
BINARY = bytes(range(256))
RUNS = count(1)

Open: TypeAlias = Callable[[int], AbstractAsyncContextManager[Journal]]
"""Opens an implementation that keeps a journal for at least the given milliseconds."""


@asynccontextmanager
async def in_memory(shortest_ms: int) -> AsyncGenerator[Journal]:
    """Open a journal in memory."""
    yield MemoryJournal(CLOCK, shortest_ms=shortest_ms)


@pytest.fixture(scope="module", params=["memory", "valkey"])
async def opened(request: pytest.FixtureRequest, valkey: Valkey) -> Open:
    """One implementation after the other."""
    return {
        "memory": in_memory,
        "valkey": lambda shortest_ms: valkey_journal(valkey.url, CLOCK, shortest_ms=shortest_ms),
    }[str(request.param)]


@pytest.fixture(scope="module")
async def journal(opened: Open) -> AsyncIterator[Journal]:
    """The implementation, open for all tests."""
    async with opened(HOUR_MS) as journal:
        yield journal


def new_run(tenant: str = "acme") -> RunKey:
    """Return the key of a run that no other test has."""
    return RunKey(tenant, f"run-{next(RUNS)}")


@pytest.fixture
def run() -> RunKey:
    """A run of its own."""
    return new_run()


def in_an_hour() -> int:
    """Return the time in an hour, in milliseconds since the epoch."""
    return CLOCK.now_ms() + HOUR_MS


async def found(journal: Journal, run: RunKey, token: FencingToken = FIRST, *, lost: bool = False) -> RunJournal:
    """Open the run's journal."""
    return await journal.open(run, token, lost=lost, expires_ms=in_an_hour())


def finished(step: str, value: bytes = b"") -> Entry:
    """Return the entry of a finished step."""
    return Entry(step, "finished", value)


def started(step: str, value: bytes = b"") -> Entry:
    """Return the entry of a started step."""
    return Entry(step, "started", value)


async def test_the_first_open_creates_the_journal_and_the_next_one_finds_it(journal: Journal, run: RunKey) -> None:
    """The first write of a run is the proof that it has not started before."""
    assert await found(journal, run) == RunJournal(created=True, lost=False, entries={})
    assert await found(journal, run) == RunJournal(created=False, lost=False, entries={})


async def test_a_stale_journal_is_lost_from_then_on(journal: Journal, run: RunKey) -> None:
    """Its steps stay, and the newest ones may be missing."""
    await found(journal, run)
    await journal.write(run, FIRST, [finished("a", b"1")], known=0)

    stale = await journal.open(run, SECOND, lost=True, stale=True, expires_ms=in_an_hour())

    assert (stale.created, stale.lost, list(stale.entries)) == (False, True, ["a"])
    assert (await found(journal, run, SECOND)).lost


async def test_the_lost_flag_is_that_of_the_creation(journal: Journal, run: RunKey) -> None:
    """A journal that is there is not lost; one that was created as lost stays so for every later owner."""
    await found(journal, run, lost=True)
    other = new_run()
    await found(journal, other, lost=False)

    assert (await found(journal, run, SECOND, lost=False)).lost
    assert not (await found(journal, other, SECOND, lost=True)).lost


@pytest.mark.parametrize("durable", [False, True])
async def test_entries_come_back_in_the_order_of_their_first_writes(
    journal: Journal, run: RunKey, *, durable: bool
) -> None:
    """The next owner replays the history as it was."""
    await found(journal, run)
    steps = [f"step-{number}" for number in range(20, 0, -1)]
    for known, step in enumerate(steps):
        await journal.write(run, FIRST, [started(step)], known=known, durable=durable)
    await journal.write(run, FIRST, [finished(step, step.encode()) for step in reversed(steps)], known=20)

    entries = (await found(journal, run, SECOND)).entries

    assert list(entries.items()) == [(step, finished(step, step.encode())) for step in steps]


async def test_values_are_bytes_and_may_be_empty(journal: Journal, run: RunKey) -> None:
    """Whatever a tool returns comes back as it was."""
    await found(journal, run)
    entries = [finished("binary", BINARY), finished("empty"), finished(" ~", b"\r\n"), started("s", b"\0")]
    await journal.write(run, FIRST, entries, known=0)

    assert list((await found(journal, run)).entries.values()) == entries


async def test_writing_again_changes_nothing(journal: Journal, run: RunKey) -> None:
    """A write without an answer is repeated, and a late start must not hide an outcome."""
    await found(journal, run)
    for entry in (started("a", b"1"), started("a", b"2")):
        await journal.write(run, FIRST, [entry], known=0)
    assert (await found(journal, run)).entries == {"a": started("a", b"1")}

    for entry in (finished("a", b"3"), finished("a", b"4"), started("a", b"5")):
        await journal.write(run, FIRST, [entry], known=1, durable=True)

    assert (await found(journal, run)).entries == {"a": finished("a", b"3")}


async def test_one_write_may_name_a_step_twice(journal: Journal, run: RunKey) -> None:
    """The rules hold within a write as between two."""
    await found(journal, run)
    entries = [started("a"), finished("a", b"1"), finished("a", b"22"), started("a"), finished("b", b"3")]

    await journal.write(run, FIRST, entries, known=0)

    assert list((await found(journal, run)).entries.values()) == [finished("a", b"1"), finished("b", b"3")]


@pytest.mark.parametrize(
    ("lower", "higher"),
    [((1, 9), (1, 10)), ((1, 100), (2, 1)), ((9, 5), (10, 5)), ((1, 2**40), (1, 2**40 + 1)), ((0, 0), (0, 1))],
)
async def test_a_higher_token_locks_the_lower_one_out(
    journal: Journal, run: RunKey, lower: tuple[int, int], higher: tuple[int, int]
) -> None:
    """Tokens are numbers, not texts; the layout comes first."""
    low, high = FencingToken(*lower), FencingToken(*higher)
    await found(journal, run, low)
    await journal.write(run, low, [started("a")], known=0)
    await found(journal, run, high)

    for call in (
        found(journal, run, low),
        journal.write(run, low, [finished("a", b"late")], known=1),
        journal.write(run, low, [finished("a", b"late")], known=99, durable=True),
        journal.rebuild(run, low, [finished("a", b"late")], lost=True, expires_ms=in_an_hour()),
    ):
        with pytest.raises(RunSupersededError):
            await call

    assert await found(journal, run, high) == RunJournal(created=False, lost=False, entries={"a": started("a")})


@pytest.mark.parametrize("way", ["write", "rebuild"])
async def test_every_call_raises_the_token(journal: Journal, run: RunKey, way: Literal["write", "rebuild"]) -> None:
    """A shard reopens in the middle of a run, which does not open its journal again."""
    await found(journal, run, FIRST)
    if way == "write":
        await journal.write(run, SECOND, [], known=0)
    else:
        await journal.rebuild(run, SECOND, [], lost=False, expires_ms=in_an_hour())

    with pytest.raises(RunSupersededError):
        await journal.write(run, FIRST, [], known=0)


async def test_a_journal_with_fewer_steps_than_known_is_a_lost_one(journal: Journal, run: RunKey) -> None:
    """The store has lost its newest writes, and must not take the next one for the first."""
    await found(journal, run)
    await journal.write(run, FIRST, [finished("a")], known=0)

    with pytest.raises(JournalLostError):
        await journal.write(run, FIRST, [finished("b")], known=2)

    assert list((await found(journal, run)).entries) == ["a"]
    await journal.write(run, FIRST, [finished("b")], known=1)


@pytest.mark.parametrize("durable", [False, True])
async def test_a_write_creates_no_journal(journal: Journal, run: RunKey, *, durable: bool) -> None:
    """It would have no end and no lost flag."""
    for entries in ([], [finished("a")]):
        with pytest.raises(JournalLostError):
            await journal.write(run, FIRST, entries, known=0, durable=durable)

    assert (await found(journal, run)).created


async def test_a_rebuilt_journal_has_all_entries_and_its_flag(journal: Journal, run: RunKey) -> None:
    """The process that runs the run knows all of its steps."""
    entries = [finished("a", BINARY), started("b"), finished("c")]

    await journal.rebuild(run, FIRST, entries, lost=True, expires_ms=in_an_hour())

    rebuilt = await found(journal, run)
    assert (rebuilt.created, rebuilt.lost, list(rebuilt.entries.values())) == (False, True, entries)
    await journal.write(run, FIRST, [finished("d")], known=3)


async def test_a_late_rebuild_removes_nothing(journal: Journal, run: RunKey) -> None:
    """A server that was stopped executes a call long after its caller has repeated it, and gone on."""
    await found(journal, run, lost=True)
    await journal.write(run, FIRST, [finished("a", b"1"), finished("b", b"2")], known=0)

    await journal.rebuild(run, FIRST, [started("a"), finished("c", b"3")], lost=False, expires_ms=in_an_hour())

    after = await found(journal, run)
    assert list(after.entries.values()) == [finished("a", b"1"), finished("b", b"2"), finished("c", b"3")]
    assert after.lost


async def test_runs_see_nothing_of_each_other(journal: Journal) -> None:
    """Neither by one run id in two tenants, nor by one tenant with two runs."""
    runs = [RunKey("acme", "r-1"), RunKey("acme", "r-2"), RunKey("acme-eu", "r-1"), RunKey("acme", "r-1:x")]
    for number, run in enumerate(runs):
        await journal.open(run, FencingToken(1, number), lost=False, expires_ms=in_an_hour())
        await journal.write(run, FencingToken(1, number), [finished("a", b"%d" % number)], known=0)

    values = [(await found(journal, run)).entries["a"].value for run in runs]

    assert values == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("step", ["", "ä", "a\n", "a\x00", "x" * 201])
async def test_an_odd_step_id_is_refused(journal: Journal, run: RunKey, step: str) -> None:
    """An id is part of a key and of messages."""
    await found(journal, run)
    with pytest.raises(ValueError, match="printable ASCII"):
        await journal.write(run, FIRST, [finished("b"), finished(step)], known=0)
    with pytest.raises(ValueError, match="printable ASCII"):
        await journal.rebuild(run, FIRST, [finished(step)], lost=False, expires_ms=in_an_hour())

    assert not (await found(journal, run)).entries


async def test_an_entry_has_a_limit(journal: Journal, run: RunKey) -> None:
    """One outcome must not fill the store."""
    await found(journal, run)
    await journal.write(run, FIRST, [finished("x" * 200, b"\xff" * ENTRY_LIMIT)], known=0)

    with pytest.raises(TooLargeError, match=str(ENTRY_LIMIT)):
        await journal.write(run, FIRST, [finished("a"), finished("b", b"x" * (ENTRY_LIMIT + 1))], known=0)

    assert list((await found(journal, run)).entries) == ["x" * 200]


async def test_the_steps_of_a_run_have_a_limit(journal: Journal, run: RunKey) -> None:
    """A run in a loop must not fill the store, and what it has recorded stays."""
    await found(journal, run)
    all_steps = [started(f"{number}") for number in range(STEPS_LIMIT)]
    await journal.rebuild(run, FIRST, all_steps, lost=False, expires_ms=in_an_hour())

    with pytest.raises(TooLargeError, match=str(STEPS_LIMIT)):
        await journal.write(run, FIRST, [finished("0", b"1"), started("one more")], known=0)
    assert list((await found(journal, run)).entries.values()) == all_steps

    await journal.write(run, FIRST, [finished("0", b"1")], known=STEPS_LIMIT)


async def test_the_bytes_of_a_run_have_a_limit(journal: Journal, run: RunKey) -> None:
    """The next owner reads them at once. A start's value counts no longer when its step has finished."""
    await found(journal, run)
    fits = BYTES_LIMIT // ENTRY_LIMIT
    for number in range(fits):
        await journal.write(run, FIRST, [started(f"{number}", b"x" * ENTRY_LIMIT)], known=number)
        await journal.write(run, FIRST, [finished(f"{number}", b"x" * ENTRY_LIMIT)], known=number)

    with pytest.raises(TooLargeError, match=str(BYTES_LIMIT)):
        await journal.write(run, FIRST, [finished("a"), finished("b", b"x")], known=fits)

    assert list((await found(journal, run)).entries) == [f"{number}" for number in range(fits)]
    await journal.write(run, FIRST, [finished("a")], known=fits)


async def expired(journal: Journal, run: RunKey) -> None:
    """Wait until the run has no journal. An empty write shows it and keeps nothing alive."""
    async with asyncio.timeout(20):
        while True:
            try:
                await journal.write(run, FIRST, [], known=0)
            except JournalLostError:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["open", "rebuild"])
async def test_a_journal_expires(opened: Open, run: RunKey, way: Literal["open", "rebuild"]) -> None:
    """Runs end, and their contents must not stay."""
    async with opened(50) as journal:
        if way == "open":
            await journal.open(run, FIRST, lost=False, expires_ms=CLOCK.now_ms() - HOUR_MS)
        else:
            await journal.rebuild(run, FIRST, [finished("a")], lost=False, expires_ms=CLOCK.now_ms() - HOUR_MS)

        await expired(journal, run)

        assert (await found(journal, run)).created


async def test_a_wrong_clock_does_not_end_a_journal(opened: Open, run: RunKey) -> None:
    """Neither at once, nor before the time that an earlier owner has named."""
    async with opened(HOUR_MS) as journal:
        await journal.open(run, FIRST, lost=False, expires_ms=0)
        assert not (await found(journal, run)).created

    other = new_run()
    async with opened(50) as journal:
        await found(journal, other)
        await journal.open(other, FIRST, lost=False, expires_ms=0)
        await journal.rebuild(other, FIRST, [], lost=False, expires_ms=0)
        await asyncio.sleep(0.1)
        assert not (await found(journal, other)).created


async def test_the_identity_stays_while_the_data_does(opened: Open) -> None:
    """Every worker sees the same one."""
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(opened(HOUR_MS))
        first = await journal.identity()
        await found(journal, new_run())

        assert await journal.identity() == first


async def test_two_owners_that_race_leave_one_history(journal: Journal) -> None:
    """The new owner sees all that the former has written; after that, nothing of the former is written."""
    seen: Counter[str] = Counter()
    for pause in range(12):
        run = new_run()
        await found(journal, run, FIRST)
        former, later = asyncio.Event(), list[str]()
        async with asyncio.TaskGroup() as tasks:
            acknowledged = tasks.create_task(_writes_until_superseded(journal, run, former))
            await former.wait()
            for _ in range(pause):
                await asyncio.sleep(0)
            taken = await found(journal, run, SECOND)
            for known in range(3):
                later.append(f"second-{known}")
                await journal.write(run, SECOND, [finished(later[-1])], known=len(taken.entries) + known)

        written = acknowledged.result()
        last = list((await found(journal, run, SECOND)).entries)
        assert last == [*taken.entries, *later]
        assert list(taken.entries)[: len(written)] == written
        seen["taken over"] += 1
    assert seen["taken over"] == 12


async def _writes_until_superseded(journal: Journal, run: RunKey, begun: asyncio.Event) -> list[str]:
    acknowledged: list[str] = []
    try:
        for number in range(10_000):
            await journal.write(run, FIRST, [finished(f"first-{number}")], known=number)
            acknowledged.append(f"first-{number}")
            begun.set()
            await asyncio.sleep(0)
    except RunSupersededError:
        return acknowledged
    raise AssertionError("the former owner was never locked out")


@dataclass
class JournalModel:
    """The port as its docstrings say it, for one run."""

    token: FencingToken | None = None
    lost: bool = False
    steps: dict[str, Entry] = field(default_factory=dict[str, Entry])

    def open(self, token: FencingToken, *, lost: bool) -> RunJournal:
        created = self.token is None
        if created:
            self.lost = lost
        self._claim(token)
        return RunJournal(created, self.lost, dict(self.steps))

    def write(self, token: FencingToken, entries: Sequence[Entry], known: int) -> None:
        if self.token is None:
            raise JournalLostError
        self._claim(token)
        if len(self.steps) < known:
            raise JournalLostError
        self._put(entries)

    def rebuild(self, token: FencingToken, entries: Sequence[Entry], *, lost: bool) -> None:
        self._claim(token)
        self.lost = self.lost or lost
        self._put(entries)

    def _claim(self, token: FencingToken) -> None:
        if self.token is not None and token < self.token:
            raise RunSupersededError
        self.token = token

    def _put(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            stored = self.steps.setdefault(entry.step, entry)
            if (stored.state, entry.state) == ("started", "finished"):
                self.steps[entry.step] = entry


tokens = st.builds(FencingToken, st.integers(1, 2), st.integers(9, 11))
entry_lists = st.lists(
    st.builds(Entry, st.sampled_from("abcd"), st.sampled_from(["started", "finished"]), st.binary(max_size=3)),
    max_size=4,
)
calls = st.one_of(
    st.tuples(st.just("open"), tokens, st.booleans()),
    st.tuples(st.just("write"), tokens, entry_lists, st.integers(0, 3), st.booleans()),
    st.tuples(st.just("rebuild"), tokens, entry_lists, st.booleans()),
)


async def _opened_after(journal: Journal, run: RunKey, call: tuple[object, ...]) -> RunJournal | None:
    match call:
        case ("open", FencingToken() as token, bool(lost)):
            return await found(journal, run, token, lost=lost)
        case ("write", FencingToken() as token, list(entries), int(known), bool(durable)):
            await journal.write(run, token, entries, known=known, durable=durable)
        case ("rebuild", FencingToken() as token, list(entries), bool(lost)):
            await journal.rebuild(run, token, entries, lost=lost, expires_ms=in_an_hour())
        case _:
            raise AssertionError(call)
    return None


def _expected_after(model: JournalModel, call: tuple[object, ...]) -> RunJournal | None:
    match call:
        case ("open", FencingToken() as token, bool(lost)):
            return model.open(token, lost=lost)
        case ("write", FencingToken() as token, list(entries), int(known), bool()):
            model.write(token, entries, known)
        case ("rebuild", FencingToken() as token, list(entries), bool(lost)):
            model.rebuild(token, entries, lost=lost)
        case _:
            raise AssertionError(call)
    return None


async def _done(journal: Journal, run: RunKey, call: tuple[object, ...]) -> RunJournal | type[Exception] | None:
    try:
        return await _opened_after(journal, run, call)
    except (JournalLostError, RunSupersededError) as error:
        return type(error)


def _expected(model: JournalModel, call: tuple[object, ...]) -> RunJournal | type[Exception] | None:
    try:
        return _expected_after(model, call)
    except (JournalLostError, RunSupersededError) as error:
        return type(error)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(calls, max_size=12))
async def test_any_interleaving_of_owners_does_as_the_model(
    journal: Journal, history: list[tuple[object, ...]]
) -> None:
    """Owners come and go in any order, and each call is one operation."""
    run, model = new_run(), JournalModel()
    for call in history:
        assert await _done(journal, run, call) == _expected(model, call)

    last = await found(journal, run, FencingToken(9, 9))
    assert list(last.entries.values()) == list(model.steps.values())
