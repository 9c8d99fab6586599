"""The law of the engine, on a model of a broker: nothing lost, nothing twice, in order; and each rule is needed.

The tracker, the carrier and the map's codec are the real ones. Around them a shard is modelled that fences, reads,
polls, runs, carries and commits, with answers that are lost or come twice, crashes, zombies, and polls that overtake a
re-open. Each mutant takes one rule away, and must be caught.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from itertools import count

import pytest

from schemas.records import Partition, ProducerRecord
from streams.handler import Fallback, Outputs
from streams.offsets import tracker as tracking
from streams.offsets.offset_map import Committed
from streams.offsets.relocation import Relocation, Relocator
from streams.offsets.tracker import MOST_BYTES, CommitStep, RelocatedRun, Tracker
from tests.laws.engine_world import AHEAD, SPAN, Defect, Rules, World

STEPS = 16_000
SEEDS = 30
RARE = {"believe a carry before its copy is seen": 22, "end a run in the middle of its carry": 22}
"""Seeds before which chance does not bring about what these mutants get wrong."""


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

    def collect(self, limit: int, now: float, keepalive_s: float, size: int = MOST_BYTES) -> CommitStep | None:
        step = super().collect(limit, now, keepalive_s, size)
        far = self.pending[:limit]
        if step is None or len(step.batch) == len(far):
            return step
        offsets = {entry.offset for entry in far}
        low = self.low(offsets)
        return CommitStep(self, far, offsets, low, self.done.plus(offsets, low))


class SpansFromCommitted(Tracker):
    """Room and map are measured from the committed watermark, which moves only with a commit."""

    def low(self, without: Container[int] = ()) -> int:
        return super().low(without) if without else self.committed


class ExpectsAnything(Tracker):
    """A completion of a record that is visible already is taken again (I6)."""

    def expects(self, offset: int) -> bool:
        return True


class BelievesItsCarry(Relocator):
    """A carry is over once its old offset is done, though another owner may have done that and aborted the copy."""

    def resolve(self, committed: Mapping[Partition, Committed]) -> None:
        super().resolve(committed)
        for relocation in [relocation for relocation in self.runs.values() if relocation.state == "doubtful"]:
            self._arrive(relocation)


class BelievesALostCarry(Relocator):
    """A carry is over whatever became of its transaction."""

    def _stays(self, relocation: Relocation) -> bool:
        relocation.tracker.withdraw(relocation.offset)
        relocation.arrive()
        return True


class EndsWhereItBegan(Relocator):
    """The outcome of a carried run completes the offset that its lane knows."""

    def finish(self, tracker: Tracker, first: int, outputs: Outputs, fallback: Fallback | None) -> bool:
        return False


class EndsAtOnce(Relocator):
    """The outcome of a run does not wait for what becomes of its carry: it is said under the copy's offset."""

    def finish(self, tracker: Tracker, first: int, outputs: Outputs, fallback: Fallback | None) -> bool:
        relocation = self.runs.get((tracker, first))
        if relocation is not None and relocation.state in {"sent", "doubtful"}:
            relocation.arrive()
        return super().finish(tracker, first, outputs, fallback)


class NeverWithdraws(Tracker):
    """A run that was faster than its carry is carried all the same: its copy is one record too many."""

    def withdraw(self, offset: int) -> None:
        return


class LeavesTooEarly(Tracker):
    """The old offset is done before the transaction with the copy is."""

    def leave(self, offset: int, copy: ProducerRecord, move: RelocatedRun) -> None:
        super().leave(offset, copy, move)
        self.open.pop(offset, None)


MUTANTS: dict[str, Rules] = {
    # the tracker
    "pass held runs": Rules(PassesHeldRuns),
    "forget nothing": Rules(ForgetsNothing),
    "run held again": Rules(RunsHeldAgain),
    "commit anything": Rules(CommitsAnything),
    "span from the committed watermark": Rules(SpansFromCommitted),
    "expect anything": Rules(ExpectsAnything),
    # the carrier
    "believe a carry before its copy is seen": Rules(relocator=BelievesItsCarry),
    "believe a carry that was lost": Rules(relocator=BelievesALostCarry),
    "end a carried run where it began": Rules(relocator=EndsWhereItBegan),
    "end a run in the middle of its carry": Rules(relocator=EndsAtOnce),
    "carry what has ended": Rules(NeverWithdraws),
    "leave before the copy is written": Rules(LeavesTooEarly),
} | {
    f"do not {rule}": Rules(without=rule)
    for rule in (
        "fence before the read",
        "look at the error of an offset that is read",
        "seek before the poll",
        "seek after a discard",
        "admit only what this life fetched",
        "reopen only what is owned",
        "reopen after a repeated EndTxn",
        "append the copy",
        "write the copy in the transaction",
        "say where the copy stands",
        "keep the copy from being started",
        "leave lanes with several records alone",
    )
}


def run(seed: int, rules: Rules, *, mirrored: bool = False) -> World:
    """One world to its end. Defect if a law is broken."""
    world = World(seed, rules, mirrored=mirrored)
    for _ in range(STEPS):
        world.step()
        if world.broker.finished:
            break
    world.judge()
    return world


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a small log can reach."""
    monkeypatch.setattr(tracking, "SPAN", SPAN)
    monkeypatch.setattr(tracking, "AHEAD", AHEAD)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_lost_or_repeated_or_out_of_order(seed: int) -> None:
    """I1, I2, I3, I5, I6, I7, I8 and I15 together, whatever fails when."""
    run(seed, Rules())


def test_the_model_carries() -> None:
    """Else it would say nothing of carries."""
    assert sum(run(seed, Rules()).broker.copies for seed in range(2)) > 10


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_where_offsets_are_mirrored_with_maps_of_others(seed: int) -> None:
    """Work is repeated, for the offsets are older; nothing is skipped (I16)."""
    run(seed, Rules(), mirrored=True)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_rule_is_needed(mutant: str) -> None:
    """A rule whose absence nobody notices is either no rule or not tested."""
    notice(MUTANTS[mutant], mutant)


def test_the_base_in_the_map_is_needed() -> None:
    """A map that is applied wherever it is found skips records (I16)."""
    notice(Rules(without="name the base in the map"), "no base in the map", mirrored=True)


def notice(rules: Rules, mutant: str, *, mirrored: bool = False) -> None:
    """Run worlds until a law is broken."""
    for seed in count(RARE.get(mutant, 0)):
        assert seed < 60, f"nobody notices: {mutant}"
        try:
            run(seed, rules, mirrored=mirrored)
        except Defect:
            return
