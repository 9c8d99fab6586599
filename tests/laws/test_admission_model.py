"""The law of the door, on a model of its log: nobody goes in twice, or passes, or is forgotten; each rule is needed.

Nobody runs who was taken back before, no minute sees more of a tenant than its rate, and nobody goes in while too much
of what the door has read of has become dead letters.

Door and doors are the real ones. Around them a shard is modelled that fences, remembers, lets jobs wait, and commits,
with outcomes that stay unknown, crashes, takeovers and zombies; and workers beyond the door that close requests in
transactions of their own, which stay open for a while and hold the inbox's last stable offset back. Each mutant takes
one rule away, and must be caught.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from contextlib import nullcontext, suppress
from itertools import count
from typing import Literal, NamedTuple, TypeAlias

import pytest

from consumers.admission import tenant_admission as tenant_admission_module
from consumers.admission.controller import AdmissionController, AdmissionDecision, CancelResult, WaitScope
from consumers.admission.dead_letter_breaker import DeadLetterBreaker
from consumers.admission.rates import MINUTE_MS, UNLIMITED, Rates
from consumers.admission.tenant_admission import TenantAdmission
from schemas.admissions import AdmissionEvent, AdmissionKey
from schemas.records import Partition, Record
from schemas.tenants import DlqLimit
from schemas.topics import ADMISSIONS
from streams.engine import admission_memory as memory_module
from streams.engine.admission_memory import AdmissionMemory
from streams.transport.reader import Reader, Start
from tests.clock import Clock

pytestmark = pytest.mark.anyio

TENANT = "acme"
PLACE = Partition(ADMISSIONS.name, 0)
STEPS = 6_000
STEP_MS = 700
QUIET = 2_500
"""Steps after which nothing fails any more: what is left must come to its end."""

DLQ = DlqLimit(share=0.01, count=3, window=60, cool_down=30)
PART_S = DLQ.window / 12
"""By as much a window may be longer than it is said to be."""

Outcome: TypeAlias = Literal["forward", "answer", "conflict", "joined"]


class FencedError(Exception):
    """A newer epoch has been opened."""


class LostError(Exception):
    """The answer to a commit did not arrive."""


class Defect(Exception):
    """A law was broken."""


class Transaction:
    def __init__(self, state: Literal["open", "committed"]) -> None:
        self.state = state


class Entry(NamedTuple):
    transaction: Transaction
    key: str
    value: bytes
    at_ms: int
    dead_lettered: bool = False


class Word(NamedTuple):
    """What the door has made of one cancel."""

    key: str
    found: CancelResult


class Decision(NamedTuple):
    """What a job has made of one record."""

    offset: int
    admission: AdmissionKey
    outcome: Outcome


class Broker:
    """One tenant's requests, what is committed of them, the inbox, and what runs beyond the door."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.cap = chance.choice([1, 2, 4])
        self.window_plan = chance.choice([0.3, 0.1, 0.04])
        """How soon a worker's open transaction ends."""
        self.clock = Clock()
        self.spoiled = chance.choice([0.0, 0.1, 0.6])
        """Part of the runs that end as dead letters."""

        self.rates = Rates(chance.choice([None, 4, 12]), None, chance.choice([None, 3]))
        self.requests = _requests(chance)
        self.cancels = [f"{TENANT}|r-{chance.randrange(60)}" for _ in range(chance.randrange(0, 12))]
        self.heard = 0
        """Cancels that have been committed."""

        self.unwanted: set[str] = set()
        """Keys that were taken back before they were let in."""

        self.charged: list[tuple[int, str]] = []
        """When whose request was let in."""

        self.offset, self.done, self.epoch = 0, frozenset[int](), 0
        self.inbox: list[Entry] = []
        self.running: dict[str, AdmissionKey] = {}
        self.closing: dict[str, Transaction] = {}
        self.ended: Counter[str] = Counter()
        """Times that an identity was forwarded or answered for good."""

    @property
    def finished(self) -> bool:
        return self.offset >= len(self.requests) and self.heard >= len(self.cancels) and not self.running

    def stable(self) -> int:
        opened = (at for at, entry in enumerate(self.inbox) if entry.transaction.state == "open")
        return next(opened, len(self.inbox))

    def shuts(self, read: int) -> tuple[int, int] | None:
        """From when to when the door is shut for the first time, for whoever has read so much of the inbox."""
        letters = [entry.at_ms for entry in self.inbox[:read] if entry.dead_lettered]
        for first, last in zip(letters, letters[DLQ.count - 1 :], strict=False):
            if last - first <= (DLQ.window + PART_S) * 1_000:
                return last, min(first + int(DLQ.window * 1_000), last + int(DLQ.cool_down * 1_000))
        return None

    def fence(self) -> int:
        self.epoch += 1
        return self.epoch

    def commit(
        self, epoch: int, offset: int, done: frozenset[int], decisions: list[Decision | Word], heard: int, fate: str
    ) -> None:
        if epoch != self.epoch:
            raise FencedError
        if fate == "lost":
            raise LostError
        transaction = Transaction("committed")
        for decision in decisions:
            if isinstance(decision, Word):
                self._take_back(transaction, decision)
            elif decision.outcome == "forward":
                self._let_in(decision.admission)
                self._write(transaction, "open", decision.admission)
            elif decision.outcome == "answer":
                self._count(decision.admission)
                self.ended[decision.admission.key] += 1
                self._write(transaction, "closed", decision.admission)
        self.offset, self.done, self.heard = offset, done, heard
        if fate == "answer lost":
            raise LostError

    def _take_back(self, transaction: Transaction, word: Word) -> None:
        if word.found == "ahead":
            self.unwanted.add(word.key)
            value = AdmissionEvent(state="cancelled").model_dump_json().encode()
            self.inbox.append(Entry(transaction, word.key, value, self.clock.at))
        elif not self.ended[word.key]:
            raise Defect(f"{word.key} was never let in, and is said to be {word.found}")

    def _count(self, admission: AdmissionKey) -> None:
        """No minute sees more than the rates allow; it is the moment of letting in that counts."""
        if admission.charged_ms is None:
            return
        self.charged.append((admission.charged_ms, admission.subject))
        for end, _ in self.charged:
            minute = [who for at, who in self.charged if end - MINUTE_MS < at <= end]
            if self.rates.tenant is not None and len(minute) > self.rates.tenant:
                raise Defect(f"{len(minute)} in a minute")
            if self.rates.user is not None and max(Counter(minute).values()) > self.rates.user:
                raise Defect("more than one user may in a minute")

    def _let_in(self, admission: AdmissionKey) -> None:
        if self.rates.any and admission.charged_ms is None:
            raise Defect(f"{admission.request_id} goes in uncounted")
        self._count(admission)
        if admission.key in self.unwanted:
            raise Defect(f"{admission.request_id} was taken back, and goes in")
        self.ended[admission.key] += 1
        if self.ended[admission.key] > 1:
            raise Defect(f"{admission.request_id} goes in twice")
        if any(other.lane == admission.lane for other in self.running.values()):
            raise Defect(f"two of {admission.lane} are beyond the door")
        if len(self.running) >= self.cap:
            raise Defect(f"more than {self.cap} are beyond the door")
        self.running[admission.key] = admission

    def _write(
        self,
        transaction: Transaction,
        state: Literal["open", "closed"],
        admission: AdmissionKey,
        *,
        dead_lettered: bool = False,
    ) -> None:
        entry = AdmissionEvent(state=state, admission=admission, dead_lettered=dead_lettered)
        self.inbox.append(
            Entry(transaction, admission.key, entry.model_dump_json().encode(), self.clock.at, dead_lettered)
        )

    def handler(self) -> None:
        """Some run comes to its end; the transaction that says so is committed later, in whatever order."""
        ready = [key for key in self.running if key not in self.closing]
        if ready and self.chance.random() < 0.5:
            key = self.chance.choice(ready)
            self.closing[key] = Transaction("open")
            dead_lettered = self.chance.random() < self.spoiled
            self._write(self.closing[key], "closed", self.running[key], dead_lettered=dead_lettered)
        for key, transaction in list(self.closing.items()):
            if self.chance.random() < self.window_plan:
                transaction.state = "committed"
                del self.running[key], self.closing[key]


def _requests(chance: random.Random) -> list[AdmissionKey]:
    """With duplicates, some of them under another session, and some of another body."""
    length, sessions = chance.randrange(20, 50), chance.choice([3, 8, 20])
    made = []
    for _ in range(length):
        number = chance.randrange(max(5, length * 4 // 5))
        session = number % sessions if chance.random() < 0.9 else chance.randrange(sessions)
        body = "other" if chance.random() < 0.05 else "same"
        name = f"r-{number}"
        made.append(
            AdmissionKey(
                key=f"{TENANT}|{name}",
                body=body,
                lane=f"s-{session}",
                request_id=name,
                deadline_ms=0,
                subject=f"u-{number % 3}",
            )
        )
    return made


class LogReader(Reader):
    """Reads what is committed below the last stable offset, a few at a time, and late."""

    def __init__(self, broker: Broker, *, stops_at_stable: bool) -> None:
        self.broker, self.stops_at_stable = broker, stops_at_stable
        self.compacts = broker.chance.random() < 0.5
        self.at: int | None = None
        self.waiter = asyncio.Event()

    async def add(self, partitions: Collection[Partition], start: Start = "earliest") -> None:
        self.at = 0 if self.at is None else self.at

    def remove(self, partitions: Collection[Partition]) -> None:
        self.at = None

    async def poll(self, timeout_s: float = 0.5, limit: int | None = None) -> list[Record]:
        await self.waiter.wait()
        self.waiter.clear()
        if self.at is None:
            return []
        start = self.at
        self.at = min(self.broker.stable(), start + self.broker.chance.randrange(0, 12))
        read = enumerate(self.broker.inbox[start : self.at], start)
        return [
            Record(PLACE.topic, 0, at, entry.at_ms, entry.key.encode(), entry.value, ())
            for at, entry in read
            if not self._compacted(at, entry)
        ]

    def _compacted(self, at: int, entry: Entry) -> bool:
        """Whether the log keeps only a later word on this key; it does so when it likes."""
        later = (each for each in self.broker.inbox[at + 1 : self.broker.stable()] if each.key == entry.key)
        return self.compacts and next(later, None) is not None

    def position(self, partition: Partition) -> int:
        assert self.at is not None
        return self.at

    async def high_watermarks(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        return {PLACE: self.broker.stable() if self.stops_at_stable else len(self.broker.inbox)}


class ForgetsPending(AdmissionController):
    """What is decided and not committed does not count."""

    async def enter(
        self, admission: AdmissionKey, limit: int, rates: Rates = UNLIMITED, wait_scope: WaitScope = nullcontext
    ) -> AdmissionDecision:
        lookup = await super().enter(admission, limit, rates, wait_scope)
        if lookup == "new":
            self.apply(admission.key, None, 0)
        return lookup


class Rebuilt(AdmissionController):
    """Knows when its memory has been rebuilt."""

    rebuilt = False


class CountsFromZero(Rebuilt):
    """It knows whom it has seen, and not who is still beyond the door."""

    def apply(self, key: str, entry: AdmissionEvent | None, at_ms: int) -> None:
        if not self.rebuilt and entry is not None and entry.state == "open":
            entry = entry.model_copy(update={"state": "closed"})
        super().apply(key, entry, at_ms)


class GivesLanesToAll(AdmissionController):
    """A lane that is free is free for everybody, also if the next of it waits for room."""

    async def enter(
        self, admission: AdmissionKey, limit: int, rates: Rates = UNLIMITED, wait_scope: WaitScope = nullcontext
    ) -> AdmissionDecision:
        self._tenant_admission(admission.key).reserved_lanes.clear()
        return await super().enter(admission, limit, rates, wait_scope)


class LooksOnce(AdmissionController):
    """Who has got in while one waited is not looked at again."""

    def lookup(self, admission: AdmissionKey) -> AdmissionDecision:
        return (
            "new"
            if admission.lane in self._tenant_admission(admission.key).reserved_lanes
            else super().lookup(admission)
        )


class RatesFromZero(AdmissionController):
    """It forgets who went in during the last minute."""

    def apply(self, key: str, entry: AdmissionEvent | None, at_ms: int) -> None:
        if entry is not None and entry.admission is not None:
            admission = entry.admission.model_copy(update={"charged_ms": None})
            entry = entry.model_copy(update={"admission": admission})
        super().apply(key, entry, at_ms)


class CountsOpenOnly(AdmissionController):
    """It believes that whoever went in is still said to be open."""

    def apply(self, key: str, entry: AdmissionEvent | None, at_ms: int) -> None:
        if entry is not None and entry.admission is not None and entry.state == "closed":
            admission = entry.admission.model_copy(update={"charged_ms": None})
            entry = entry.model_copy(update={"admission": admission})
        super().apply(key, entry, at_ms)


class ForgetsCancels(AdmissionController):
    """What was taken back is known only to the door that heard it."""

    def apply(self, key: str, entry: AdmissionEvent | None, at_ms: int) -> None:
        if entry is None or entry.state != "cancelled":
            super().apply(key, entry, at_ms)


class HearsNoCancels(AdmissionController):
    """A cancel is written down, and whoever is waiting goes in all the same."""

    def cancel(self, key: str) -> CancelResult:
        found = super().cancel(key)
        self._tenant_admission(key).cancelled.pop(key, None)
        return found


class CancelsWhatRuns(AdmissionController):
    """It does not look whether the request has gone in already."""

    def cancel(self, key: str) -> CancelResult:
        known = self._known.pop(key, None)
        found = super().cancel(key)
        if known is not None:
            self._known[key] = known
        return found


class SpoiledFromZero(Rebuilt):
    """It forgets what has been buried."""

    def apply(self, key: str, entry: AdmissionEvent | None, at_ms: int) -> None:
        if not self.rebuilt and entry is not None:
            entry = entry.model_copy(update={"dead_lettered": False})
        super().apply(key, entry, at_ms)


class NeverShuts(AdmissionController):
    """Whatever becomes of what it lets in."""

    def _tenant_admission(self, key: str) -> TenantAdmission:
        tenant_admission = super()._tenant_admission(key)
        tenant_admission.concurrency.breaker = DeadLetterBreaker(self._clock, lambda _: None, lambda: None)
        return tenant_admission


MUTANTS: dict[str, type[AdmissionController]] = {
    "read to the last stable offset": AdmissionController,
    "pending forwards do not count": ForgetsPending,
    "the count is not rebuilt": CountsFromZero,
    "read before the fence": AdmissionController,
    "the memory outlives the doubt": AdmissionController,
    "lanes are given to all": GivesLanesToAll,
    "look once": LooksOnce,
    "the rate is not rebuilt": RatesFromZero,
    "only open requests count against the rate": CountsOpenOnly,
    "cancels are forgotten": ForgetsCancels,
    "cancels are not heard": HearsNoCancels,
    "cancels overwrite what runs": CancelsWhatRuns,
    "dead letters are not rebuilt": SpoiledFromZero,
    "the door never shuts": NeverShuts,
}


class Shard:
    """One owner of the tenant's door, through its re-opens."""

    def __init__(self, broker: Broker, mutant: str) -> None:
        self.broker, self.mutant, self.chance = broker, mutant, broker.chance
        self.reader = LogReader(broker, stops_at_stable=mutant == "read to the last stable offset")
        self.admission_memory = AdmissionMemory(self.reader, 1, broker.clock, limit_of=lambda _: DLQ)
        self.epoch, self.ready = 0, False
        self.known = 0
        """Entries of the inbox that this life has read for certain."""

        self.jobs: dict[int, asyncio.Task[None]] = {}
        self.late: set[int] = set()
        self.pending: list[Decision | Word] = []
        self.group: asyncio.TaskGroup | None = None
        self.opening: asyncio.Task[None] | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.following = group.create_task(self.admission_memory.follow())
        self.reopen()

    def reopen(self) -> None:
        assert self.group is not None
        self.close()
        self.opening = self.group.create_task(self.open())

    def close(self) -> None:
        self.ready = False
        if self.opening is not None:
            self.opening.cancel()
        for task in self.jobs.values():
            task.cancel()
        self.late.clear()
        self.jobs.clear()
        self.pending = []
        if self.mutant != "the memory outlives the doubt":
            self.admission_memory.forget(0)

    def die(self) -> None:
        self.close()
        self.following.cancel()

    async def open(self) -> None:
        """Fence, then read."""
        if self.mutant == "read before the fence":
            await self.load_memory()
            offset, done = self.broker.offset, self.broker.done
            for _ in range(self.chance.randrange(0, 60)):
                await asyncio.sleep(0)
            self.epoch = self.broker.fence()
        else:
            self.epoch = self.broker.fence()
            await self.load_memory()
            offset, done = self.broker.offset, self.broker.done
        self.offset, self.done, self.next, self.unfinished = offset, set(done), offset, set[int]()
        self.heard, self.known = self.broker.heard, 0
        self.ready = True

    async def load_memory(self) -> None:
        with suppress(KeyError):
            if self.mutant == "the memory outlives the doubt":
                self.admission_memory.of(TENANT)
                return
        await self.admission_memory.load_memory(0)
        controller = self.admission_memory.of(TENANT)
        if isinstance(controller, Rebuilt):
            controller.rebuilt = True

    def step(self) -> None:
        read = self.reader.at or 0
        self.reader.waiter.set()
        if not self.ready:
            return
        self.known = read
        dice = self.chance.random()
        if dice < 0.5:
            self.admit()
        elif dice < 0.55:
            self.expire()
        elif dice < 0.6:
            self.hear()
        elif dice < 0.85:
            self.commit()

    def admit(self) -> None:
        assert self.group is not None
        for _ in range(self.chance.randrange(0, 4)):
            if self.next >= len(self.broker.requests):
                return
            offset, self.next = self.next, self.next + 1
            if offset not in self.done:
                self.unfinished.add(offset)
                self.jobs[offset] = self.group.create_task(self.decide(offset, self.admission_memory.of(TENANT)))

    def hear(self) -> None:
        """The next cancel."""
        if self.heard < len(self.broker.cancels):
            key, self.heard = self.broker.cancels[self.heard], self.heard + 1
            self.pending.append(Word(key, self.admission_memory.of(TENANT).cancel(key)))

    def expire(self) -> None:
        """The time of one who waits is up."""
        if self.jobs:
            offset = self.chance.choice(list(self.jobs))
            self.late.add(offset)
            self.jobs[offset].cancel()

    async def decide(self, offset: int, controller: AdmissionController) -> None:
        admission = self.broker.requests[offset]
        try:
            lookup = await controller.enter(admission, self.broker.cap, self.broker.rates)
        except asyncio.CancelledError:
            if offset not in self.late:
                raise
            lookup = controller.lookup(admission)
            refused = True
        else:
            refused = self.chance.random() < 0.1
            self.see(lookup)
        admission = controller.charged(admission)
        if lookup == "cancelled":
            lookup, refused = "new", True
        if lookup == "new" and refused:
            controller.close(admission)
        if lookup == "withdrawn":
            raise Defect("a wait ended, and no operator ended it")
        outcome: Outcome = ("answer" if refused else "forward") if lookup == "new" else lookup
        self.pending.append(Decision(offset, admission, outcome))
        del self.jobs[offset]

    def see(self, lookup: AdmissionDecision) -> None:
        """Nobody goes in while the door is shut."""
        on_open, now = self.broker.shuts(self.known), self.broker.clock.at
        if lookup == "new" and on_open is not None and on_open[0] <= now < on_open[1]:
            raise Defect("somebody goes in while the door is shut")

    def commit(self) -> None:
        """One transaction: the outcomes, the watermark, and what is done beyond it."""
        decided = {each.offset for each in self.pending if isinstance(each, Decision)}
        left = self.unfinished - decided
        low = min(left | {self.next})
        if not self.pending and low <= self.offset:
            return
        done = frozenset(offset for offset in self.done | decided if offset >= low)
        fate = self.chance.choices(["ok", "lost", "answer lost"], [8, 1, 1])[0]
        self.broker.commit(self.epoch, low, done, self.pending, self.heard, fate)
        self.unfinished, self.done, self.offset, self.pending = left, set(done), low, []


class World:
    """The owner, and those that were owners and do not know better yet."""

    def __init__(self, seed: int, mutant: str, group: asyncio.TaskGroup) -> None:
        self.chance, self.mutant, self.group = random.Random(seed), mutant, group
        self.broker = Broker(self.chance)
        self.shards: list[Shard] = []

    async def run(self) -> None:
        self.take_over()
        for number in range(STEPS):
            self.act(troubled=number < QUIET)
            for _ in range(3):
                await asyncio.sleep(0)
            if self.broker.finished:
                break
        await self.judge()

    def act(self, *, troubled: bool) -> None:
        self.broker.clock.at += self.chance.randrange(STEP_MS)
        shard = self.chance.choice(self.shards)
        try:
            shard.step()
        except FencedError:
            self.lose(shard)
        except LostError:
            shard.reopen()
        self.broker.handler()
        if troubled and self.chance.random() < 0.03:
            self.take_over()
        if troubled and self.chance.random() < 0.01:
            self.drop(self.chance.choice(self.shards))

    def take_over(self) -> None:
        """Another opens the door; the former owner goes on until it notices."""
        newcomer = Shard(self.broker, self.mutant)
        self.shards.append(newcomer)
        newcomer.start(self.group)
        if len(self.shards) > 4:
            self.drop(self.shards[0])

    def drop(self, shard: Shard) -> None:
        """It crashes."""
        shard.die()
        self.shards.remove(shard)
        if not self.shards:
            self.take_over()

    def lose(self, shard: Shard) -> None:
        """The group has given it to another, or gives it back."""
        if len(self.shards) == 1 or self.chance.random() < 0.2:
            shard.reopen()
        else:
            self.drop(shard)

    async def judge(self) -> None:
        broker = self.broker
        if not broker.finished:
            raise Defect(f"it did not reach the end: {broker.offset} of {len(broker.requests)}")
        wanted = {admission.key for admission in broker.requests}
        if lost := wanted - broker.ended.keys():
            raise Defect(f"lost {sorted(lost)}")
        if twice := [key for key, times in broker.ended.items() if times > 1]:
            raise Defect(f"answered twice {twice}")
        if inside := await self.in_flight_at_last():
            raise Defect(f"{inside} places have leaked")

    async def in_flight_at_last(self) -> int:
        last = self.shards[-1]
        for _ in range(2_000):
            last.reader.waiter.set()
            await asyncio.sleep(0)
            if last.ready and last.reader.at == len(self.broker.inbox):
                break
        return last.admission_memory.of(TENANT).in_flight(TENANT)

    def stop(self) -> None:
        for shard in self.shards:
            shard.die()


async def run(seed: int, mutant: str = "") -> None:
    """One world to its end. Defect if a law is broken."""
    try:
        async with asyncio.TaskGroup() as group:
            world = World(seed, mutant, group)
            try:
                await world.run()
            finally:
                world.stop()
    except* Defect as defects:
        raise Defect(*(str(each) for each in defects.exceptions)) from None


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model has turns instead of time."""
    monkeypatch.setattr(tenant_admission_module, "CHECK_S", 0)
    monkeypatch.setattr(memory_module, "LOOK_S", 0)


@pytest.mark.parametrize("first", range(0, 120, 24))
async def test_nobody_goes_in_twice_or_passes_or_is_forgotten(first: int) -> None:
    """I2, I5, I15 and I17 at the door, whatever fails when."""
    for seed in range(first, first + 24):
        await run(seed)


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_every_rule_of_the_door_is_needed(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule whose absence nobody notices is either no rule or not tested."""
    monkeypatch.setattr(memory_module, "AdmissionController", MUTANTS[mutant])
    for seed in count():
        assert seed < 200, f"nobody notices: {mutant}"
        try:
            await run(seed, mutant)
        except Defect:
            return
