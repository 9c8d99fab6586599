"""A model of one partition, its broker and its owners, around the real tracker, carrier and map codec."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from schemas.records import Partition, Record
from streams.handler import Fallback, Outputs
from streams.offsets.offset_map import Committed, decode, encode
from streams.offsets.relocation import Relocator
from streams.offsets.tracker import CommitStep, Completion, Tracker

SPAN, AHEAD, DISTANCE = 200, 240, 60
PLACE = Partition("in", 0)
LENGTH = 500

Fate: TypeAlias = Literal["ok", "lost", "answer lost", "repeated"]
"""Of a transaction: committed; aborted; committed, and nobody is told; committed by an EndTxn that was sent twice: a
late copy of it may end the next transaction of the same epoch."""


class FencedError(Exception):
    """A newer epoch has been opened."""


class LostError(Exception):
    """The answer to a commit did not arrive, or the epoch is in doubt."""


class Defect(Exception):
    """A law was broken."""


@dataclass(frozen=True)
class Rules:
    """What an engine is made of; a mutant is made of something else, or leaves a rule away."""

    tracker: type[Tracker] = Tracker
    relocator: type[Relocator] = Relocator
    without: str = ""
    """The rule that is left away."""


class Broker:
    """One input partition with gaps, what is committed for it, and the outcomes that are visible.

    The *subject* of an offset is the record that was written first; a copy has that of its original.
    """

    def __init__(self, chance: random.Random, rules: Rules) -> None:
        self.chance, self.rules = chance, rules
        hole = chance.choice([0, 60, 150])
        gaps = set(chance.sample(range(LENGTH), 30)) | set(range(250, 250 + hole))
        self.subjects = [offset for offset in range(LENGTH) if offset not in gaps]
        self.records, self.end = list(self.subjects), LENGTH
        self.subject = {offset: offset for offset in self.subjects}
        self.single = {offset for offset in self.subjects if chance.random() < 0.3}
        self.slow = {offset for offset in self.single if chance.random() < 0.1}
        self.lane = {o: -1 - o if o in self.single else chance.randrange(LENGTH // 6) for o in self.subjects}
        self.offset, self.text, self.epoch = 0, "", 0
        self.late: int | None = None
        self.visible: list[int] = []
        self.copies, self.mirrored = 0, False
        self.placed: dict[int, int] = {}

    def state(self) -> Committed:
        if self.chance.random() < 0.1:  # the coordinator is loading
            if self.rules.without == "look at the error of an offset that is read":
                return Committed(0, set())
            return self.state()
        base = self.base if self.rules.without == "name the base in the map" else self.offset
        done = decode(base, self.text)
        return Committed(self.offset, {offset - base + self.offset for offset in done})

    @property
    def base(self) -> int:
        """The one in the map."""
        return int(self.text[2 : self.text.index(".")], 16) if self.text else self.offset

    def fence(self) -> int:
        self.epoch += 1
        return self.epoch

    def place(self, epoch: int, batch: list[Completion]) -> None:
        """The outputs of an open transaction; copies learn where they stand."""
        if epoch != self.epoch:
            raise FencedError
        for entry in batch:
            if entry.move is not None:
                self.subject[self.end] = self.subject[entry.offset]
                self.placed[entry.offset] = self.end
                entry.move.placed(self.end + (self.rules.without == "say where the copy stands"))
                if self.rules.without == "write the copy in the transaction":
                    insort(self.records, self.end)
                self.end += self.chance.randrange(1, 3)  # a marker may follow
        if self.late == epoch:
            self.late = None
            self.show(batch)  # without the offsets, which were not sent yet
            raise LostError

    def commit(self, epoch: int, step: CommitStep, fate: Fate) -> None:
        if epoch != self.epoch:
            raise FencedError
        if max(step.done, default=0) - step.low >= AHEAD:
            raise Defect("the map does not fit (I3)")
        if fate == "lost":
            raise LostError
        self.show(step.batch)
        self.offset, self.text = step.low, encode(step.low, step.done)
        self.late = epoch if fate == "repeated" else None

    def show(self, batch: list[Completion]) -> None:
        for entry in batch:
            if entry.move is None:
                self.visible.append(self.subject[entry.offset])
            elif self.rules.without not in {"append the copy", "write the copy in the transaction"}:
                insort(self.records, self.placed[entry.offset])
                self.copies += 1

    def mirror(self) -> None:
        """Another cluster takes over, with offsets that are somewhat lower, and the same maps."""
        self.offset = max(0, self.offset - self.chance.randrange(20))
        self.mirrored = True

    @property
    def finished(self) -> bool:
        return self.offset > self.records[-1]


class Shard:
    """One owner of the partition, through its re-opens."""

    def __init__(self, broker: Broker, chance: random.Random, rules: Rules) -> None:
        self.broker, self.chance, self.rules = broker, chance, rules
        self.tracker = rules.tracker(PLACE)
        self.relocator = rules.relocator(DISTANCE, self.alone, self.complete)
        self.lanes: defaultdict[int, list[int]] = defaultdict(list)
        self.obsolete: list[int] = []
        self.fetched: tuple[int, list[int]] | None = None
        self.sent: CommitStep | None = None
        self.answered = False
        self.epoch = self.position = 0
        self.may_start = True

    # --- what the real shard does -------------------------------------------------------------------------------------

    def alone(self, _: Tracker, first: int) -> Record | None:
        """Behind the door a lane has one open record; in other lanes nothing is carried."""
        subject = self.broker.subject[first]
        if subject not in self.broker.single and self.rules.without != "leave lanes with several records alone":
            return None
        running = first in self.lanes[self.broker.lane[subject]]
        return Record("in", 0, first, 0, None, None, ()) if running else None

    def complete(self, tracker: Tracker, offset: int, outputs: Outputs, fallback: Fallback | None) -> None:
        if tracker.expects(offset):
            tracker.finish(offset, outputs, fallback)

    def open(self, early: Committed | None = None) -> None:
        """Fence, then read; *early* is what a mutant has read before. Runs that are visible go, the others stay."""
        self.epoch = self.broker.fence()
        state = early or self.broker.state()
        self.relocator.resolve({PLACE: state})
        self.keep(lambda first: self.relocator.knows(self.tracker, first) or not state.holds(first))
        running = [first for lane in self.lanes.values() for first in lane]
        places = self.relocator.places(self.tracker, running)
        self.tracker.restore(state, {offset for offset in places if not state.holds(offset)}, 0.0)
        self.sent, self.answered = None, False
        if self.rules.without != "seek before the poll":
            self.position = self.tracker.next

    def keep(self, wanted: Callable[[int], bool]) -> None:
        for lane in self.lanes.values():
            self.obsolete += [first for first in lane if not wanted(first)]
            lane[:] = [first for first in lane if wanted(first)]

    def fetch(self, size: int) -> None:
        """A poll that will be answered later; meanwhile the shard may re-open."""
        if self.fetched is None and (room := self.tracker.room()) > 0:
            records = self.broker.records
            start = bisect_left(records, self.position)
            found = records[start : start + min(size, room)]
            self.position = found[-1] + 1 if found else self.position
            self.fetched = (self.tracker.life, found)

    def admit(self) -> None:
        if self.fetched is None:
            return
        (life, offsets), self.fetched = self.fetched, None
        if life != self.tracker.life and self.rules.without != "admit only what this life fetched":
            return
        if self.chance.random() < 0.05:  # it was to move, and stays after all: what was fetched is thrown away
            if self.rules.without != "seek after a discard":
                self.position = self.tracker.next
            return
        for offset in offsets:
            if offset >= self.tracker.next and self.tracker.admit(offset):
                self.start(offset)

    def start(self, offset: int) -> None:
        subject = self.broker.subject[offset]
        lane = self.lanes[self.broker.lane[subject]]
        if not self.may_start:
            raise Defect("a former owner starts runs again")
        beside = any(self.broker.subject[first] == subject for first in lane)
        fenced = self.epoch != self.broker.epoch  # and does not know it: it may find what its successor has carried
        if beside and not fenced and not self.relocator.doubts and not self.broker.mirrored:
            raise Defect("started a second time beside the first")
        lane.append(offset)

    def finish(self) -> None:
        """The head of some lane finishes."""
        patient = self.chance.random() < 0.97
        slow = {0, *(self.broker.lane[subject] for subject in self.broker.slow)} if patient else set[int]()
        heads = [key for key, lane in self.lanes.items() if lane and key not in slow]
        if self.relocates and self.chance.random() < 0.1:  # a failpoint: in the middle of its carry
            subjects = {self.broker.subject[offset] for offset in self.relocates}
            heads = [key for subject in subjects if self.lanes[key := self.broker.lane[subject]]]
        if self.obsolete and self.chance.random() < 0.1:
            self.end(self.obsolete.pop())
        elif heads:
            self.end(self.lanes[self.chance.choice(heads)].pop(0))

    def end(self, first: int) -> None:
        """A run is over; if it was cancelled, it did not care."""
        if not self.relocator.finish(self.tracker, first, [], None):
            self.complete(self.tracker, first, [], None)

    @property
    def relocates(self) -> list[int]:
        """The offsets that are left by a transaction which has not ended."""
        return [entry.offset for entry in self.sent.batch if entry.move is not None] if self.sent else []

    def commit(self, fate: Fate) -> None:
        """The next part of a transaction: it is sent, ended, or settled."""
        if self.sent is None:
            self.send()
        elif not self.answered:
            self.broker.commit(self.epoch, self.sent, fate)
            self.answered = True
            if fate == "answer lost":
                raise LostError
        else:
            self.settle(self.sent)

    def send(self) -> None:
        lost = {relocation.first for relocation in self.relocator.look()}
        self.keep(lambda first: first not in lost)
        self.relocator.begin([self.tracker])
        self.sent = self.tracker.collect(self.chance.randrange(1, 30), 0.0, 1e9)
        if self.sent is not None:
            self.relocator.send(self.sent.batch)
            self.broker.place(self.epoch, self.sent.batch)
            if self.rules.without == "keep the copy from being started":
                self.tracker.kept.clear()

    def settle(self, step: CommitStep) -> None:
        self.sent, self.answered = None, False
        self.tracker.settle(step, 0.0)
        self.relocator.settle(step.batch)
        if self.broker.late == self.epoch and self.rules.without != "reopen after a repeated EndTxn":
            raise LostError


class World:
    """The owner, and those that were owners and do not know better yet."""

    def __init__(self, seed: int, rules: Rules, *, mirrored: bool = False) -> None:
        self.chance, self.rules, self.mirrored = random.Random(seed), rules, mirrored
        self.broker = Broker(self.chance, rules)
        self.zombies: list[Shard] = []
        self.owner = self.newcomer()
        self.owner.open()

    def newcomer(self) -> Shard:
        return Shard(self.broker, self.chance, self.rules)

    def step(self) -> None:
        zombie = bool(self.zombies) and self.chance.random() < 0.2
        shard = self.chance.choice(self.zombies) if zombie else self.owner
        try:
            self.act(shard, self.chance.random())
        except (FencedError, LostError):
            self.recover(shard)

    def recover(self, shard: Shard) -> None:
        """The owner opens again. A zombie ends, or the group gives it the shard back, with all that it still runs."""
        if shard is self.owner:
            shard.open()
        elif self.rules.without == "reopen only what is owned":
            shard.may_start = False
            shard.open()
        else:
            self.zombies.remove(shard)
            if self.chance.random() < 0.3:
                self.zombies.append(self.owner)
                self.owner = shard
                shard.open()

    def act(self, shard: Shard, dice: float) -> None:
        if dice < 0.18:
            shard.fetch(self.chance.randrange(1, 20))
        elif dice < 0.36:
            shard.admit()
        elif dice < 0.66:
            shard.finish()
        elif dice < 0.98:
            shard.commit(self.fate())
        elif shard is self.owner:
            self.move(crashed=dice < 0.99)
        if self.owner.relocates and self.chance.random() < 0.03:  # a failpoint: its successor comes in the middle
            self.move(crashed=False)

    def fate(self) -> Fate:
        fates: tuple[Fate, ...] = ("ok", "lost", "answer lost", "repeated")
        return self.chance.choices(fates, [90, 4, 4, 2])[0]

    def move(self, *, crashed: bool) -> None:
        """Another takes over: from a dead owner, or from one that has only been silent."""
        former, early = self.owner, None
        if not crashed:
            self.zombies.append(former)
        if self.rules.without == "fence before the read":
            early = self.broker.state()
            self.last_words(former)
        if self.mirrored and self.chance.random() < 0.03:
            self.broker.mirror()
        self.owner = self.newcomer()
        self.owner.open(early)

    def last_words(self, former: Shard) -> None:
        try:
            for _ in range(5):
                former.finish()
                former.commit("ok")
        except (FencedError, LostError):
            return

    def judge(self) -> None:
        visible = self.broker.visible
        if not self.broker.finished:
            raise Defect("it did not reach the end")
        if lost := set(self.broker.subjects) - set(visible):
            raise Defect(f"lost {sorted(lost)}")
        if self.mirrored:
            return
        if len(visible) != len(set(visible)):
            raise Defect("answered twice")
        order: dict[int, list[int]] = defaultdict(list)
        for offset in visible:
            order[self.broker.lane[offset]].append(offset)
        if any(lane != sorted(lane) for lane in order.values()):
            raise Defect("out of order")
