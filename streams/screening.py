"""Sorts what has finished before it joins a transaction: what no topic takes is answered otherwise, or waits apart."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from producers.letters import shortened
from schemas.errors import HeadraceError, UnwritableError
from schemas.records import Outgoing
from schemas.topics import DEAD_LETTERS, PLATFORM
from streams.metrics import HELD_BACK, UNWRITABLE
from streams.runtime import Runtime
from streams.tracker import ASIDE, SPAN, Finished, Tracker

RECALL_S = 0.5
"""What waits apart is looked at again this often."""

TOLD_S = 30.0
"""A topic that takes nothing is complained about this often."""

_PLATFORM = frozenset(topic.name for topic in PLATFORM)

log = structlog.get_logger()


class Screening:
    """One shard's. What waits apart holds its own offset back, and nobody else's outcome."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._recalled = runtime.clock.monotonic()
        self._told: dict[str, float] = {}

    def recall(self, trackers: Collection[Tracker]) -> list[Tracker]:
        """Those of *trackers* whose set-aside outcomes are due to be tried again; they are pending from now on."""
        now = self._runtime.clock.monotonic()
        if now - self._recalled < RECALL_S:
            return []
        self._recalled = now
        due = [tracker for tracker in trackers if tracker.aside]
        for tracker in due:
            tracker.recall()
        return due

    async def sort(self, trackers: Collection[Tracker]) -> None:
        """Leave pending only what can be written, of all that has finished up to the return."""
        outlets = self._runtime.outlets
        while unclear := [tracker for tracker in trackers if not self._is_clear(tracker)]:
            topics = {output.topic for tracker in unclear for entry in tracker.pending for output in entry.outputs}
            await outlets.learn(topics)
            for tracker in unclear:
                await self._resolve(tracker, topics)

    def _is_clear(self, tracker: Tracker) -> bool:
        clear = self._runtime.outlets.clear
        return all(clear(entry.outputs) for entry in tracker.pending)

    async def _resolve(self, tracker: Tracker, asked: set[str]) -> None:
        """Take each outcome that cannot be written out of what is pending, or put another in its place.

        What has finished since topics were *asked* about, and has others, stays pending: theirs have their own turn.
        """
        clear, pending, tracker.pending = self._runtime.outlets.clear, tracker.pending, []
        for entry in pending:
            other: Finished | None = entry
            if not clear(entry.outputs) and asked.issuperset(output.topic for output in entry.outputs):
                other = await self._other(entry, patient=_is_patient(tracker, entry))
            if entry.move is not None and entry.move.void:
                continue
            if other is not None:
                tracker.pending.append(other)
            else:
                tracker.aside.append(entry)

    async def _other(self, entry: Finished, *, patient: bool) -> Finished | None:
        """The outcome instead of one that cannot be written; None if it has to wait.

        The platform's own topics are waited for: their trouble is ours, and it passes. So does that of a topic with too
        few copies, for which whoever is *patient* waits. Everybody else's is not waited for.
        """
        entry = entry._replace(outputs=[*map(self._fitting, entry.outputs)])
        bad = self._bad(entry.outputs)
        if not bad:
            return entry
        if entry.instead is None or any(self._waits(output, patient=patient) for output in bad):
            self._tell(bad[0])
            return None
        outputs = [*map(self._fitting, entry.instead(entry.outputs, _unwritable(bad[0])))]
        await self._runtime.outlets.learn({output.topic for output in outputs})
        lost = self._bad(outputs)
        if any(output.topic in _PLATFORM or self._waits(output, patient=patient) for output in lost):
            self._tell(lost[0])
            return None
        self._runtime.metrics.count(UNWRITABLE)
        log.warning("output_unwritable", group=self._runtime.work.group, topic=bad[0].topic, untold=len(lost))
        return Finished(entry.offset, [output for output in outputs if output not in lost], entry.instead)

    def _fitting(self, output: Outgoing) -> Outgoing:
        """A letter that its topic is too small for, cut to half of what was refused; anything else as it is."""
        if output.topic != DEAD_LETTERS.name or self._runtime.outlets.fault(output) != "too_large":
            return output
        return shortened(output, self._runtime.outlets.refused_size(output.topic) // 2)

    def _bad(self, outputs: list[Outgoing]) -> list[Outgoing]:
        return [output for output in outputs if self._runtime.outlets.fault(output) is not None]

    def _waits(self, output: Outgoing, *, patient: bool) -> bool:
        fault = self._runtime.outlets.fault(output)
        ours = output.topic in _PLATFORM and (fault != "too_large" or output.topic == DEAD_LETTERS.name)
        return fault == "unsure" or (fault == "starved" and patient) or ours

    def _tell(self, output: Outgoing) -> None:
        """One line a topic, now and then; not while it may only be new."""
        fault, now = self._runtime.outlets.fault(output), self._runtime.clock.monotonic()
        if fault == "unsure" or now - self._told.get(output.topic, -TOLD_S) < TOLD_S:
            return
        self._told[output.topic] = now
        self._runtime.metrics.count(HELD_BACK)
        log.error("output_held_back", group=self._runtime.work.group, topic=output.topic, fault=fault)


def _is_patient(tracker: Tracker, entry: Finished) -> bool:
    """Whether what waits apart holds up nobody yet: neither by their number nor by how far the others have come."""
    return len(tracker.aside) < ASIDE // 2 and tracker.next - entry.offset < SPAN // 2


def _unwritable(output: Outgoing) -> HeadraceError:
    return UnwritableError("the answer could not be written to the topic it was meant for", detail=output.topic)
