"""What every implementation of the session memory must do; the stored one over a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

import pytest
from redis.asyncio import Redis

from consumers.agent.memory.exchanges import CUT, ExchangeLimits, pass_entry
from consumers.agent.memory.port import (
    MemoryEntry,
    MemoryGuard,
    MemoryLimitError,
    MemoryScope,
    SessionMemory,
    SubjectData,
)
from consumers.agent.memory.session_local import LocalSessionMemory
from consumers.agent.memory.session_valkey import ValkeySessionMemory
from consumers.agent.memory.subject_data import ValkeySubjectData
from consumers.agent.memory.valkey_calls import ValkeyCalls, memory_client
from consumers.agent.provenance import Source
from ops.embedded.valkey import Valkey
from schemas.errors import BlockedError

pytestmark = pytest.mark.anyio

KINDS = ("local", "valkey")
LIMITS = ExchangeLimits()
Memories: TypeAlias = Callable[..., SessionMemory]
ODD_NAMES = [
    "",
    "\0",
    "a:b",
    "{acme}",
    "{acme}:memory:session:x",
    "}{",
    "*",
    "a|b",
    "\ud800",
    "\udfff\ud800",
    "ä",
    "a\u0308",
    "x" * 10_240,
    "x" * 10_239,
    "\r\nFLUSHALL\r\n",
]


def said(text: str, role: str = "user") -> MemoryEntry:
    """One entry; a user's unless said otherwise."""
    source = Source.model_validate({"kind": "user" if role == "user" else "model", "name": "s"})
    return MemoryEntry.model_validate({"role": role, "text": text, "source": source})


def exchange(number: int) -> tuple[MemoryEntry, MemoryEntry]:
    """A question and its answer."""
    return said(f"q{number}"), said(f"a{number}", "assistant")


def texts(entries: Sequence[MemoryEntry]) -> list[str]:
    """Return the texts alone."""
    return [entry.text for entry in entries]


def summary_of(position: int, text: str = "so far") -> MemoryEntry:
    """Return a summary of the exchanges up to the position."""
    return said(text, "assistant").model_copy(update={"role": "summary", "position": position})


@pytest.fixture(scope="session")
async def client(anyio_backend: str, valkey: Valkey) -> AsyncIterator[Redis]:
    """One client of the shared server."""
    async with memory_client(valkey.url) as open_client:
        yield open_client


@pytest.fixture(params=KINDS)
def memories(request: pytest.FixtureRequest, client: Redis) -> Memories:
    """Makes memories of one kind."""

    def local(limits: ExchangeLimits = LIMITS, guard: MemoryGuard = pass_entry) -> SessionMemory:
        return LocalSessionMemory(limits, guard)

    def stored(limits: ExchangeLimits = LIMITS, guard: MemoryGuard = pass_entry) -> SessionMemory:
        return ValkeySessionMemory(ValkeyCalls(client), limits, guard)

    return local if request.param == "local" else stored


@pytest.fixture
def scope(request: pytest.FixtureRequest) -> MemoryScope:
    """A session of the test's own."""
    return MemoryScope("acme", request.node.name, "session")


def data_of(memory: SessionMemory) -> SubjectData:
    """Return the deletion of subjects in the same store."""
    return memory if isinstance(memory, LocalSessionMemory) else ValkeySubjectData(calls_of(memory))


def calls_of(memory: SessionMemory) -> ValkeyCalls:
    """Return the calls of a stored memory."""
    assert isinstance(memory, ValkeySessionMemory)
    return memory.calls


async def test_a_new_session_is_empty(memories: Memories, scope: MemoryScope) -> None:
    """A first request has no history, and that is no error."""
    assert await memories().load(scope) == ()


async def test_entries_come_back_whole_and_in_order(memories: Memories, scope: MemoryScope) -> None:
    """Models depend on the order, and taint rules on the source of each text."""
    memory = memories()
    entry = said("q1").model_copy(update={"run_id": "r1", "at_ms": 7, "origins": (Source(kind="tool", name="web"),)})

    await memory.append(scope, "r1", [entry, said("a1", "assistant")])
    await memory.append(scope, "r2", exchange(2))

    found = await memory.load(scope)
    assert texts(found) == ["q1", "a1", "q2", "a2"]
    assert found[0] == entry.model_copy(update={"position": 1})
    assert [each.position for each in found] == [1, 1, 2, 2]


async def test_a_run_appends_once_however_often_it_is_called(memories: Memories, scope: MemoryScope) -> None:
    """A run that is killed after its append appends again, after any number of later runs."""
    memory = memories()
    for run in ("r1", "r1", "r2", "r1", "r2", "r1"):
        await memory.append(scope, run, [said(run)])

    assert texts(await memory.load(scope)) == ["r1", "r2"]


async def test_concurrent_appends_of_one_run_add_one_exchange(memories: Memories, scope: MemoryScope) -> None:
    """A worker that has lost its shard may append at the same moment as its successor."""
    memory = memories()
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(memory.append(scope, f"r{number % 3}", exchange(number % 3)))

    found = texts(await memory.load(scope))
    assert sorted(found) == ["a0", "a1", "a2", "q0", "q1", "q2"]
    assert [(question[1], answer[1]) for question, answer in zip(found[::2], found[1::2], strict=True)] == [
        (question[1], question[1]) for question in found[::2]
    ]


async def test_owners_of_one_session_name_see_nothing_of_each_other(memories: Memories, scope: MemoryScope) -> None:
    """A session's name is chosen by the client, so it separates nobody."""
    memory = memories()
    owners = [
        scope,
        scope._replace(tenant="globex"),
        scope._replace(subject="other"),
        scope._replace(issuer="other"),
        scope._replace(session="other"),
        MemoryScope(scope.tenant, scope.session, scope.subject),
    ]
    for number, owner in enumerate(owners):
        await memory.append(owner, "one run id for all", [said(str(number))])

    assert [texts(await memory.load(owner)) for owner in owners] == [[str(number)] for number in range(len(owners))]


async def test_odd_names_are_names_like_any_other(memories: Memories, scope: MemoryScope) -> None:
    """No text names another owner's key, so none is refused."""
    memory = memories()
    owners = [scope._replace(subject=scope.subject + name, session=odd) for name in ODD_NAMES for odd in ODD_NAMES]
    for owner in owners:
        await memory.append(owner, owner.session, [said(repr(owner)[-99:])])

    for owner in owners:
        assert texts(await memory.load(owner)) == [repr(owner)[-99:]]


async def test_lone_surrogates_are_replaced(memories: Memories, scope: MemoryScope) -> None:
    """A model's JSON may hold them, and UTF-8 may not."""
    memory = memories()
    await memory.append(scope, "r", [said("a\ud800b\0")])

    assert texts(await memory.load(scope)) == ["a\ufffdb\0"]


async def test_a_long_text_is_cut(memories: Memories, scope: MemoryScope) -> None:
    """A long answer must not fail a run that has already paid for it."""
    memory = memories(ExchangeLimits(text_bytes=100))
    await memory.append(scope, "r", [said("ü" * 1_000), said("ü" * 50)])

    first, second = texts(await memory.load(scope))
    assert first == "ü" * 47 + CUT
    assert second == "ü" * 50


async def test_too_many_entries_of_one_run_are_refused(memories: Memories, scope: MemoryScope) -> None:
    """The size of a session is bounded only if that of an exchange is."""
    memory = memories()
    with pytest.raises(MemoryLimitError, match="at most 8"):
        await memory.append(scope, "r", [said("x")] * 9)

    assert await memory.load(scope) == ()


async def test_the_oldest_exchanges_are_dropped_at_the_limits(memories: Memories, scope: MemoryScope) -> None:
    """A session that never ends must not fill the store, and keeps whole exchanges."""
    few, small = memories(ExchangeLimits(exchanges=2)), memories(ExchangeLimits(total_bytes=400))
    for number in range(5):
        await few.append(scope, f"r{number}", exchange(number))
        await small.append(scope._replace(session="small"), f"r{number}", exchange(number))

    assert texts(await few.load(scope)) == ["q3", "a3", "q4", "a4"]
    assert texts(await small.load(scope._replace(session="small"))) == ["q3", "a3", "q4", "a4"]


async def test_the_newest_exchange_stays_at_any_size(memories: Memories, scope: MemoryScope) -> None:
    """The next question is most likely about the last answer."""
    memory = memories(ExchangeLimits(total_bytes=10))
    await memory.append(scope, "r1", exchange(1))
    await memory.append(scope, "r2", exchange(2))

    assert texts(await memory.load(scope)) == ["q2", "a2"]


async def test_a_summary_replaces_what_it_covers(memories: Memories, scope: MemoryScope) -> None:
    """A crash between two writes would lose the exchanges, or double them."""
    memory = memories()
    for number in range(1, 4):
        await memory.append(scope, f"r{number}", exchange(number))
    for _ in range(2):
        await memory.append(scope, "r4", exchange(4), summary=summary_of(2))

    found = await memory.load(scope)
    assert texts(found) == ["so far", "q3", "a3", "q4", "a4"]
    assert (found[0].role, found[0].position) == ("summary", 2)


async def test_a_summary_of_a_summary_replaces_it(memories: Memories, scope: MemoryScope) -> None:
    """A session has one summary."""
    memory = memories()
    for number in range(1, 4):
        await memory.append(scope, f"r{number}", exchange(number))
    await memory.append(scope, "r4", exchange(4), summary=summary_of(1, "one"))
    await memory.append(scope, "r5", exchange(5), summary=summary_of(4, "four"))

    assert texts(await memory.load(scope)) == ["four", "q5", "a5"]


async def test_a_late_summary_is_ignored(memories: Memories, scope: MemoryScope) -> None:
    """A worker that has lost its shard knows an old history: its summary must not replace newer entries."""
    memory = memories()
    for number in range(1, 4):
        await memory.append(scope, f"r{number}", exchange(number))
    await memory.append(scope, "r4", exchange(4), summary=summary_of(3, "new"))
    await memory.append(scope, "r5", exchange(5), summary=summary_of(2, "old"))
    await memory.append(scope, "r6", exchange(6), summary=summary_of(99, "of a time to come"))

    assert texts(await memory.load(scope)) == ["new", "q4", "a4", "q5", "a5", "q6", "a6"]


async def test_a_forgotten_session_is_empty_and_goes_on(memories: Memories, scope: MemoryScope) -> None:
    """A run that is redelivered after the deletion does not bring its text back; nor does an old summary."""
    memory = memories()
    for number in range(1, 4):
        await memory.append(scope, f"r{number}", exchange(number))
    await memory.forget(scope)
    assert await memory.load(scope) == ()

    await memory.append(scope, "r3", exchange(3))
    await memory.append(scope, "r4", exchange(4), summary=summary_of(3, "of forgotten texts"))

    assert texts(await memory.load(scope)) == ["q4", "a4"]
    assert (await memory.load(scope))[0].position == 4


async def test_a_forgotten_subject_has_no_session_left(memories: Memories, scope: MemoryScope) -> None:
    """A request to delete names a person, not sessions."""
    memory = memories()
    other = scope._replace(subject="other" + scope.subject)
    sessions = [scope._replace(session=str(number)) for number in range(1_100)]
    async with asyncio.TaskGroup() as group:
        for each in (*sessions, other):
            group.create_task(memory.append(each, "r", exchange(1)))

    await data_of(memory).forget_subject(scope)

    assert [each for each in sessions if await memory.load(each)] == []
    assert texts(await memory.load(other)) == ["q1", "a1"]


async def test_a_guard_changes_or_refuses_what_is_stored(memories: Memories, scope: MemoryScope) -> None:
    """A poisoned memory would speak in every later run."""

    async def guard(entry: MemoryEntry, owner: MemoryScope) -> MemoryEntry:
        if entry.text == "bad":
            raise BlockedError
        return entry.model_copy(update={"text": entry.text.replace("secret", owner.subject)})

    memory = memories(guard=guard)
    await memory.append(scope, "r1", [said("a secret")])
    with pytest.raises(BlockedError):
        await memory.append(scope, "r2", [said("fine"), said("bad")])

    assert texts(await memory.load(scope)) == [f"a {scope.subject}"]
