"""The law of the engine, on a model of a broker: nothing lost, nothing twice, in order; and each rule is needed.

The tracker is the real one. Around it a shard is modelled that fences, reads, polls, runs and commits, with answers
that are lost, crashes, zombies, and polls that overtake a re-open. Each mutant takes one rule away, and must be caught.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Container
from itertools import count

import pytest

from schemas.records import Partition
from streams import tracker as tracking
from streams.offsetmap import Committed
from streams.tracker import Step, Tracker

SPAN, AHEAD = 200, 240
PLACE = Partition("in", 0)
STEPS = 12_000


class FencedError(Exception):
    """A newer epoch has been opened."""


class LostError(Exception):
    """The answer to a commit did not arrive."""


class Defect(Exception):
    """A law was broken."""


class Broker:
    """One input partition with gaps, what is committed for it, and the outcomes that are visible."""

    def __init__(self, chance: random.Random) -> None:
        length = 500
        hole = chance.choice([0, 60, 150])
        gaps = set(chance.sample(range(length), 30)) | set(range(250, 250 + hole))
        self.records = [offset for offset in range(length) if offset not in gaps]
        self.lane = {offset: chance.randrange(length // 6) for offset in self.records}
        self.offset, self.done, self.epoch = 0, frozenset[int](), 0
        self.visible: list[int] = []

    def state(self) -> Committed:
        return Committed(self.offset, set(self.done))

    def fence(self) -> int:
        self.epoch += 1
        return self.epoch

    def commit(self, epoch: int, step: Step, fate: str) -> None:
        if epoch != self.epoch:
            raise FencedError
        if max(step.done, default=0) - step.low >= AHEAD:
            raise Defect("the map does not fit (I3)")
        if fate == "lost":
            raise LostError
        self.visible += [entry.offset for entry in step.batch]
        self.offset, self.done = step.low, frozenset(step.done)
        if fate == "answer lost":
            raise LostError

    @property
    def finished(self) -> bool:
        return self.offset > self.records[-1]


class Shard:
    """One owner of the partition, through its re-opens."""

    def __init__(self, broker: Broker, chance: random.Random, kind: type[Tracker], mutant: str) -> None:
        self.broker, self.chance, self.mutant = broker, chance, mutant
        self.tracker = kind(PLACE)
        self.lanes: defaultdict[int, list[int]] = defaultdict(list)
        self.fetched: tuple[int, list[int]] | None = None
        self.epoch = 0

    def open(self, early: Committed | None = None) -> None:
        """Fence, then read; *early* is what a mutant has read before. Runs that are visible go, the others stay."""
        self.epoch = self.broker.fence()
        state = early or self.broker.state()
        held = {offset for lane in self.lanes.values() for offset in lane}
        self.tracker.restore(state, {offset for offset in held if not state.holds(offset)}, 0.0)

    def fetch(self, size: int) -> None:
        """A poll that will be answered later; meanwhile the shard may re-open."""
        if self.fetched is None and (room := self.tracker.room()) > 0:
            waiting = [offset for offset in self.broker.records if offset >= self.tracker.next]
            self.fetched = (self.tracker.life, waiting[: min(size, room)])

    def admit(self) -> None:
        if self.fetched is None:
            return
        (life, offsets), self.fetched = self.fetched, None
        if life != self.tracker.life and self.mutant != "admit what an earlier life fetched":
            return
        for offset in offsets:
            if offset >= self.tracker.next and self.tracker.admit(offset):
                self.lanes[self.broker.lane[offset]].append(offset)

    def finish(self) -> None:
        """The head of some lane finishes, also one that a re-open has made obsolete."""
        slow = self.chance.random() < 0.97  # lane 0 is
        heads = [key for key, lane in self.lanes.items() if lane and not (slow and key == 0)]
        if heads:
            offset = self.lanes[self.chance.choice(heads)].pop(0)
            if self.tracker.expects(offset):
                self.tracker.finish(offset, [])

    def commit(self, fate: str) -> None:
        step = self.tracker.collect(self.chance.randrange(1, 30), 0.0, 1e9)
        if step is not None:
            self.broker.commit(self.epoch, step, fate)
            self.tracker.settle(step, 0.0)


class PassesHeldRuns(Tracker):
    """The watermark looks at what is open and held, and forgets that the new life has not read in between."""

    def low(self, without: Container[int] = ()) -> int:
        return min((offset for offset in (*self.open, *self.kept) if offset not in without), default=self.next)


class ForgetsNothing(Tracker):
    """After a re-open everything that was pending is sent again."""

    def restore(self, committed: Committed, held: set[int], now: float) -> None:
        pending = list(self.pending)
        super().restore(committed, held, now)
        self.pending = pending


class RunsHeldAgain(Tracker):
    """A run held over a re-open is started a second time beside the first."""

    def admit(self, offset: int, at_ms: int = 0) -> bool:
        return super().admit(offset, at_ms) or offset not in self.done


class CommitsAnything(Tracker):
    """Completions however far ahead go into the map."""

    def collect(self, limit: int, now: float, keepalive_s: float) -> Step | None:
        step = super().collect(limit, now, keepalive_s)
        far = self.pending[:limit]
        if step is None or len(step.batch) == len(far):
            return step
        offsets = {entry.offset for entry in far}
        low = self.low(offsets)
        return Step(self, far, offsets, low, {offset for offset in self.done | offsets if offset >= low})


class SpansFromCommitted(Tracker):
    """Room and map are measured from the committed watermark, which moves only with a commit."""

    def low(self, without: Container[int] = ()) -> int:
        return super().low(without) if without else self.committed


class ExpectsAnything(Tracker):
    """A completion of a record that is visible already is taken again (I6)."""

    def expects(self, offset: int) -> bool:
        return True


MUTANTS: dict[str, type[Tracker]] = {
    "pass held runs": PassesHeldRuns,
    "forget nothing": ForgetsNothing,
    "run held again": RunsHeldAgain,
    "commit anything": CommitsAnything,
    "span from the committed watermark": SpansFromCommitted,
    "expect anything": ExpectsAnything,
    "read before the fence": Tracker,
    "admit what an earlier life fetched": Tracker,
}


class World:
    """The owner, and those that were owners and do not know better yet."""

    def __init__(self, seed: int, mutant: str = "") -> None:
        self.chance = random.Random(seed)
        self.mutant, self.kind = mutant, MUTANTS.get(mutant, Tracker)
        self.broker = Broker(self.chance)
        self.zombies: list[Shard] = []
        self.owner = self.newcomer()
        self.owner.open()

    def newcomer(self) -> Shard:
        return Shard(self.broker, self.chance, self.kind, self.mutant)

    def step(self) -> None:
        zombie = bool(self.zombies) and self.chance.random() < 0.2
        shard = self.chance.choice(self.zombies) if zombie else self.owner
        try:
            self.act(shard, self.chance.random())
        except (FencedError, LostError):
            self.recover(shard)

    def recover(self, shard: Shard) -> None:
        """The owner opens again. A zombie ends, or the group gives it the shard back, with all that it still runs."""
        if shard is not self.owner:
            self.zombies.remove(shard)
            if self.chance.random() < 0.7:
                return
            self.zombies.append(self.owner)
            self.owner = shard
        shard.open()

    def act(self, shard: Shard, dice: float) -> None:
        if dice < 0.2:
            shard.fetch(self.chance.randrange(1, 20))
        elif dice < 0.4:
            shard.admit()
        elif dice < 0.75:
            shard.finish()
        elif dice < 0.97:
            shard.commit(self.chance.choices(["ok", "lost", "answer lost"], [90, 5, 5])[0])
        elif shard is self.owner:
            self.move(crashed=dice < 0.985)

    def move(self, *, crashed: bool) -> None:
        """Another takes over: from a dead owner, or from one that has only been silent."""
        former, early = self.owner, None
        if not crashed:
            self.zombies.append(former)
        if self.mutant == "read before the fence":
            early = self.broker.state()
            self.last_words(former)
        self.owner = self.newcomer()
        self.owner.open(early)

    def last_words(self, former: Shard) -> None:
        for _ in range(5):
            former.finish()
        try:
            former.commit("ok")
        except (FencedError, LostError):
            return

    def judge(self) -> None:
        visible = self.broker.visible
        if not self.broker.finished:
            raise Defect("it did not reach the end")
        if lost := set(self.broker.records) - set(visible):
            raise Defect(f"lost {sorted(lost)}")
        if len(visible) != len(set(visible)):
            raise Defect("answered twice")
        order: dict[int, list[int]] = defaultdict(list)
        for offset in visible:
            order[self.broker.lane[offset]].append(offset)
        if any(lane != sorted(lane) for lane in order.values()):
            raise Defect("out of order")


def run(seed: int, mutant: str = "") -> None:
    """One world to its end. Defect if a law is broken."""
    world = World(seed, mutant)
    for _ in range(STEPS):
        world.step()
        if world.broker.finished:
            break
    world.judge()


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a small log can reach."""
    monkeypatch.setattr(tracking, "SPAN", SPAN)
    monkeypatch.setattr(tracking, "AHEAD", AHEAD)


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_or_repeated_or_out_of_order(seed: int) -> None:
    """I1, I2, I3, I5, I6, I7, I8 and I15 together, whatever fails when."""
    run(seed)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_rule_is_needed(mutant: str) -> None:
    """A rule whose absence nobody notices is either no rule or not tested."""
    for seed in count():
        assert seed < 150, f"nobody notices: {mutant}"
        try:
            run(seed, mutant)
        except Defect:
            return
