"""What every core, recall and archival memory must do; the stored ones over a real Valkey."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, TypeAlias

import pytest
from redis.asyncio import Redis

from consumers.agent.memory.archival import ArchivalLimits
from consumers.agent.memory.archival_local import LocalArchivalMemory
from consumers.agent.memory.archival_valkey import ValkeyArchivalMemory
from consumers.agent.memory.core_blocks import CoreLimits
from consumers.agent.memory.core_local import LocalCoreMemory
from consumers.agent.memory.core_valkey import ValkeyCoreMemory
from consumers.agent.memory.exchanges import ExchangeLimits, pass_entry
from consumers.agent.memory.port import (
    ArchivalMemory,
    CoreMemory,
    MemoryEntry,
    MemoryGuard,
    MemoryLimitError,
    MemoryScope,
    RecallMemory,
)
from consumers.agent.memory.recall import RECALL_LIMITS
from consumers.agent.memory.recall_local import LocalRecallMemory
from consumers.agent.memory.recall_valkey import ValkeyRecallMemory
from consumers.agent.memory.subject_data import ValkeySubjectData
from consumers.agent.memory.valkey_calls import ValkeyCalls, memory_client
from consumers.agent.provenance import Source
from ops.embedded.valkey import Valkey
from schemas.errors import BlockedError

pytestmark = pytest.mark.anyio

AnyMemory: TypeAlias = CoreMemory | RecallMemory | ArchivalMemory
KINDS = ("core", "recall", "archival")
STORES = ("local", "valkey")


def said(text: str, tool: str = "web") -> MemoryEntry:
    """Return an entry that a tool has written."""
    return MemoryEntry(role="note", text=text, source=Source(kind="tool", name=tool), run_id="r", at_ms=7)


class LetterEmbedder:
    """Embeds a text by how often each letter occurs. ``numbers`` is the dimension."""

    def __init__(self, numbers: int = 26) -> None:
        self.numbers = numbers

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [[text.count(chr(97 + n)) for n in range(self.numbers)] for text in texts]


class FixedEmbedder:
    """Embeds every text by the same answer."""

    def __init__(self, answer: Sequence[Sequence[float]]) -> None:
        self._answer = answer

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._answer


class Store(NamedTuple):
    """The place that the memories of a test share."""

    calls: ValkeyCalls | None
    """None for memories of this process."""

    def core(self, limits: CoreLimits | None = None, guard: MemoryGuard = pass_entry) -> CoreMemory:
        limits = limits or CoreLimits()
        return ValkeyCoreMemory(self.calls, limits, guard) if self.calls else LocalCoreMemory(limits, guard)

    def recall(self, limits: ExchangeLimits = RECALL_LIMITS, guard: MemoryGuard = pass_entry) -> RecallMemory:
        return ValkeyRecallMemory(self.calls, limits, guard) if self.calls else LocalRecallMemory(limits, guard)

    def archival(self, limits: ArchivalLimits | None = None, guard: MemoryGuard = pass_entry) -> ArchivalMemory:
        limits, embedder = limits or ArchivalLimits(), LetterEmbedder()
        if self.calls:
            return ValkeyArchivalMemory(self.calls, embedder, limits, guard)
        return LocalArchivalMemory(embedder, limits, guard)

    def any(self, kind: str, guard: MemoryGuard = pass_entry) -> AnyMemory:
        match kind:
            case "core":
                return self.core(guard=guard)
            case "recall":
                return self.recall(guard=guard)
            case _:
                return self.archival(guard=guard)


async def write(memory: AnyMemory, scope: MemoryScope, entry: MemoryEntry) -> None:
    """Write a new entry by the memory's own method."""
    match memory:
        case ValkeyCoreMemory() | LocalCoreMemory():
            await memory.put(scope, "human", entry, version=0)
        case ValkeyRecallMemory() | LocalRecallMemory():
            await memory.append(scope, "r", [entry])
        case ValkeyArchivalMemory() | LocalArchivalMemory():
            await memory.add(scope, [entry])
        case _:
            raise AssertionError(memory)


async def read(memory: AnyMemory, scope: MemoryScope) -> list[MemoryEntry]:
    """Return all that the memory has of entries with the word ``note``."""
    match memory:
        case ValkeyCoreMemory() | LocalCoreMemory():
            return [block.entry for block in await memory.blocks(scope)]
        case ValkeyRecallMemory() | LocalRecallMemory():
            return [entry.model_copy(update={"position": 0}) for entry in await memory.search(scope, "note")]
        case ValkeyArchivalMemory() | LocalArchivalMemory():
            return [passage.entry for passage in await memory.search(scope, "note")]
        case _:
            raise AssertionError(memory)


@pytest.fixture(scope="session")
async def client(anyio_backend: str, valkey: Valkey) -> AsyncIterator[Redis]:
    """One client of the shared server."""
    async with memory_client(valkey.url) as open_client:
        yield open_client


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, client: Redis) -> Store:
    """A store of each kind."""
    return Store(ValkeyCalls(client) if request.param == "valkey" else None)


@pytest.fixture
def scope(request: pytest.FixtureRequest) -> MemoryScope:
    """An owner of the test's own."""
    return MemoryScope("acme", request.node.name)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_entry_comes_back_whole_with_its_source(store: Store, scope: MemoryScope, kind: str) -> None:
    """Taint rules judge a text by its source, however long ago it was written."""
    memory = store.any(kind)
    entry = said("a note").model_copy(update={"origins": (Source(kind="user", name="ann"),)})

    await write(memory, scope, entry)

    assert await read(memory, scope) == [entry]


@pytest.mark.parametrize("kind", KINDS)
async def test_owners_see_nothing_of_each_other(store: Store, scope: MemoryScope, kind: str) -> None:
    """Tenant, issuer and subject are part of the key, so no search can reach beyond them."""
    memory = store.any(kind)
    owners = [
        scope,
        scope._replace(tenant="globex"),
        scope._replace(issuer="other"),
        scope._replace(subject="other" + scope.subject),
        scope._replace(session="s"),
        scope._replace(subject="", session=scope.subject),
        scope._replace(subject=scope.subject + "\0{acme}:*\ud800"),
    ]
    for number, owner in enumerate(owners):
        await write(memory, owner, said(f"note {number}"))

    for number, owner in enumerate(owners):
        assert [entry.text for entry in await read(memory, owner)] == [f"note {number}"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_forgotten_memory_is_empty(store: Store, scope: MemoryScope, kind: str) -> None:
    """Other owners keep theirs."""
    memory, other = store.any(kind), scope._replace(session="other")
    await write(memory, scope, said("a note"))
    await write(memory, other, said("a note"))

    await memory.forget(scope)

    assert await read(memory, scope) == []
    assert len(await read(memory, other)) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_forgotten_subject_has_no_memory(store: Store, scope: MemoryScope, kind: str) -> None:
    """A request to delete a person's data names no sessions."""
    memory, other = store.any(kind), scope._replace(subject="other" + scope.subject)
    for owner in (scope, scope._replace(session="s"), other):
        await write(memory, owner, said("a note"))

    data = ValkeySubjectData(store.calls) if store.calls else memory
    assert isinstance(data, ValkeySubjectData | LocalCoreMemory | LocalRecallMemory | LocalArchivalMemory)
    await data.forget_subject(scope)

    assert await read(memory, scope) == await read(memory, scope._replace(session="s")) == []
    assert len(await read(memory, other)) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_guard_changes_or_refuses_what_is_stored(store: Store, scope: MemoryScope, kind: str) -> None:
    """A poisoned memory would speak in every later run."""

    async def guard(entry: MemoryEntry, owner: MemoryScope) -> MemoryEntry:
        if "bad" in entry.text:
            raise BlockedError
        return entry.model_copy(update={"text": entry.text.replace("secret", "***")})

    memory = store.any(kind, guard)
    with pytest.raises(BlockedError):
        await write(memory, scope, said("a bad note"))
    await write(memory, scope, said("a secret note"))

    assert [entry.text for entry in await read(memory, scope)] == ["a *** note"]


@pytest.mark.parametrize("kind", KINDS)
async def test_lone_surrogates_are_replaced(store: Store, scope: MemoryScope, kind: str) -> None:
    """A model's JSON may hold them, and UTF-8 may not."""
    memory = store.any(kind)
    await write(memory, scope, said("note \ud800\0", tool="\udfff"))

    (found,) = await read(memory, scope)
    assert (found.text, found.source.name) == ("note \ufffd\0", "\ufffd")


async def test_a_block_is_changed_only_in_the_version_that_was_read(store: Store, scope: MemoryScope) -> None:
    """Two runs that edit one block at once must not undo each other unseen."""
    core = store.core()
    first = await core.put(scope, "human", said("one"), version=0)
    second = await core.put(scope, "human", said("two"), version=1)
    assert first is not None
    assert second is not None

    assert (first.version, second.version) == (1, 2)
    for version in (-1, 0, 1, 3, 10**30):
        assert await core.put(scope, "human", said("late"), version=version) is None
    assert await core.put(scope, "persona", said("late"), version=1) is None
    assert await core.blocks(scope) == (second,)


async def test_a_block_that_is_written_again_is_as_it_was(store: Store, scope: MemoryScope) -> None:
    """A worker that is killed after the write repeats it, and must not take it for another's."""
    core = store.core()
    written = [await core.put(scope, "human", said("one"), version=0) for _ in range(3)]

    assert written[0] == written[1] == written[2] == (await core.blocks(scope))[0]


async def test_one_of_concurrent_changes_is_made(store: Store, scope: MemoryScope) -> None:
    """Compare and set is one step in the store."""
    core = store.core()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(core.put(scope, "human", said(str(n)), version=0)) for n in range(30)]

    made = [call.result() for call in calls if call.result()]
    assert made == list(await core.blocks(scope))


async def test_blocks_come_by_name_and_are_bounded(store: Store, scope: MemoryScope) -> None:
    """All of them are in every prompt."""
    core = store.core(CoreLimits(blocks=2, text_bytes=10))
    await core.put(scope, "persona", said("p"), version=0)
    await core.put(scope, "human", said("ü" * 5), version=0)

    with pytest.raises(MemoryLimitError, match="2 blocks already"):
        await core.put(scope, "third", said("x"), version=0)
    with pytest.raises(MemoryLimitError, match="12 bytes"):
        await core.put(scope, "human", said("ü" * 6), version=1)
    for name in ("", "A", "1", "a b", "a\n", "a" * 64, "ä", "\ud800"):
        with pytest.raises(MemoryLimitError, match="name"):
            await core.put(scope, name, said("x"), version=0)
    assert [block.name for block in await core.blocks(scope)] == ["human", "persona"]


async def test_a_search_finds_the_newest_entries_with_all_words(store: Store, scope: MemoryScope) -> None:
    """Case, width and composition are a matter of keyboards."""
    recall = store.recall()
    texts = ["The Straße is long", "a long note", "A ＬＯＮＧ STRASSE", "東京の天気", "Cafe\u0301", ".*"]
    for number, text in enumerate(texts):
        await recall.append(scope, f"r{number}", [said(text)])

    async def found(query: str, limit: int = 10) -> list[str]:
        return [entry.text for entry in await recall.search(scope, query, limit=limit)]

    assert await found("long") == [texts[2], texts[1], texts[0]]
    assert await found("long", limit=1) == [texts[2]]
    assert await found("strasse LONG") == [texts[2], texts[0]]
    assert await found("天気") == [texts[3]]
    assert await found("café") == [texts[4]]
    assert await found("missing long") == await found("") == await found(".*") == await found("long", limit=0) == []
    assert await found("x" * 1_000_000) == []


async def test_a_run_is_recalled_once(store: Store, scope: MemoryScope) -> None:
    """A run that is killed after its append appends again."""
    recall = store.recall()
    for run in ("r1", "r2", "r1"):
        await recall.append(scope, run, [said(f"note {run}")])

    assert [entry.text for entry in await recall.search(scope, "note")] == ["note r2", "note r1"]


async def test_the_oldest_history_is_dropped_at_the_limits(store: Store, scope: MemoryScope) -> None:
    """A search reads all of it."""
    recall = store.recall(ExchangeLimits(exchanges=2))
    for number in range(4):
        await recall.append(scope, f"r{number}", [said(f"note {number}")])

    assert [entry.text for entry in await recall.search(scope, "note")] == ["note 3", "note 2"]


async def test_passages_come_by_the_cosine_of_their_angle(store: Store, scope: MemoryScope) -> None:
    """Exact: the length of a text does not matter, and no passage is missed."""
    archive = store.archival()
    ids = await archive.add(scope, [said("aaaa"), said("ab"), said("b"), said("zz")])

    found = await archive.search(scope, "aa", limit=3)

    assert [passage.entry.text for passage in found][:2] == ["aaaa", "ab"]
    assert [round(passage.score, 6) for passage in found] == [1.0, round(math.sqrt(0.5), 6), 0.0]
    assert found[0].id == ids[0]
    assert await archive.search(scope, "aa", limit=0) == await archive.search(scope, "aa", limit=-1) == ()


async def test_a_text_is_archived_once(store: Store, scope: MemoryScope) -> None:
    """A repeated call changes nothing, so a killed worker may repeat it; nor may a later source launder a text."""
    archive = store.archival()
    first = await archive.add(scope, [said("a note", "web"), said("a note", "desk")])
    second = await archive.add(scope, [said("a note", "desk")])

    (found,) = await archive.search(scope, "a note")
    assert first == second == (found.id,)
    assert found.entry.source.name == "web"


async def test_a_removed_passage_is_not_found(store: Store, scope: MemoryScope) -> None:
    """Ids that are none change nothing."""
    archive = store.archival()
    kept, removed = await archive.add(scope, [said("kept"), said("removed")])
    for name in ("", "bytes", "f" * 64, "\ud800", removed, removed):
        await archive.remove(scope, name)

    assert [passage.id for passage in await archive.search(scope, "kept")] == [kept]
    await archive.remove(scope, kept)
    assert await archive.search(scope, "kept") == ()


async def test_the_archive_is_bounded(store: Store, scope: MemoryScope) -> None:
    """A search compares all of it. A passage that was stored on purpose is not dropped for another."""
    archive = store.archival(ArchivalLimits(passages=3, text_bytes=10, added=2))
    await archive.add(scope, [said("a"), said("b")])
    await archive.add(scope, [said("c")])

    with pytest.raises(MemoryLimitError, match="more than 3 passages"):
        await archive.add(scope, [said("d")])
    with pytest.raises(MemoryLimitError, match="at most 2"):
        await archive.add(scope, [said("e"), said("f"), said("g")])
    with pytest.raises(MemoryLimitError, match="11 bytes"):
        await archive.add(scope, [said("e" * 11)])
    with pytest.raises(MemoryLimitError, match="shorten"):
        await archive.search(scope, "e" * 10_000)
    assert len(await archive.add(scope, [said("a"), said("c")])) == 2
    assert await archive.add(scope, []) == ()
    assert len(await archive.search(scope, "abc")) == 3


@pytest.mark.parametrize(
    "answer",
    [[], [[]], [[0.0, 0.0]], [[math.nan, 1]], [[math.inf, 1]], [[1.0] * 5_000], [[1.0], [1.0]], [[1.0], [1.0, 2.0]]],
)
async def test_vectors_that_cannot_be_compared_are_refused(
    store: Store, scope: MemoryScope, answer: Sequence[Sequence[float]]
) -> None:
    """A NaN in one passage would disturb the order of all."""
    embedder = FixedEmbedder(answer)
    archive = ValkeyArchivalMemory(store.calls, embedder) if store.calls else LocalArchivalMemory(embedder)

    with pytest.raises(MemoryLimitError):
        await archive.add(scope, [said("x")])
    assert await archive.search(scope, "x") == ()


async def test_another_embedder_is_noticed_by_its_dimension(store: Store, scope: MemoryScope) -> None:
    """Vectors of two embedders have nothing to say about each other."""
    embedder = LetterEmbedder(26)
    archive = ValkeyArchivalMemory(store.calls, embedder) if store.calls else LocalArchivalMemory(embedder)
    await archive.add(scope, [said("a note")])
    embedder.numbers = 25

    with pytest.raises(MemoryLimitError, match="another dimension"):
        await archive.add(scope, [said("b note")])
    with pytest.raises(MemoryLimitError, match="another dimension"):
        await archive.search(scope, "a note")
    await archive.forget(scope)
    assert len(await archive.add(scope, [said("b note")])) == 1
