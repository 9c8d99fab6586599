"""The output check: it sorts completed records before they join a transaction.

An outcome that no topic accepts is replaced by another, or set aside until its topic accepts it.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog

from producers.dead_letters import shortened
from schemas.errors import HeadraceError, UnwritableError
from schemas.records import ProducerRecord
from schemas.topics import DEAD_LETTERS, PLATFORM
from streams.engine.runtime import Runtime
from streams.offsets.tracker import MOST_DELAYED, SPAN, Completion, Tracker
from streams.telemetry.metric_definitions import DELAYED_OUTPUT_WARNINGS, UNWRITABLE

RECALL_S = 0.5
"""The interval at which outcomes set aside are checked again."""

WARNING_INTERVAL_S = 30.0
"""The interval between two log lines about a topic that accepts no records."""

_PLATFORM = frozenset(topic.name for topic in PLATFORM)

log = structlog.get_logger()


class OutputCheck:
    """The output check of one shard. An outcome set aside holds back its own offset, and no other outcome."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._recalled = runtime.clock.monotonic()
        self._warned: dict[str, float] = {}

    def recall(self, trackers: Collection[Tracker]) -> list[Tracker]:
        """Return those of *trackers* whose outcomes set aside are due for another try; these are pending again."""
        now = self._runtime.clock.monotonic()
        if now - self._recalled < RECALL_S:
            return []
        self._recalled = now
        due = [tracker for tracker in trackers if tracker.delayed]
        for tracker in due:
            tracker.recall()
        return due

    async def sort(self, trackers: Collection[Tracker]) -> None:
        """Leave only writable outcomes pending, among all records that have finished before the return."""
        topic_health = self._runtime.topic_health
        while unclear := [tracker for tracker in trackers if not self._is_clear(tracker)]:
            topics = {output.topic for tracker in unclear for entry in tracker.pending for output in entry.outputs}
            await topic_health.learn(topics)
            for tracker in unclear:
                await self._resolve(tracker, topics)

    def _is_clear(self, tracker: Tracker) -> bool:
        clear = self._runtime.topic_health.clear
        return all(clear(entry.outputs) for entry in tracker.pending)

    async def _resolve(self, tracker: Tracker, asked: set[str]) -> None:
        """Remove each outcome that cannot be written from the pending ones, or replace it.

        A record that finished after the topics in *asked* were checked may have other topics. It stays pending for the
        next check.
        """
        clear, pending, tracker.pending = self._runtime.topic_health.clear, tracker.pending, []
        for entry in pending:
            other: Completion | None = entry
            if not clear(entry.outputs) and asked.issuperset(output.topic for output in entry.outputs):
                other = await self._other(entry, tracker)
            if entry.move is not None and entry.move.void:
                continue
            if other is not None:
                tracker.pending.append(other)
            else:
                tracker.delayed.append(entry)

    async def _other(self, entry: Completion, tracker: Tracker) -> Completion | None:
        """Return the outcome to write instead of one that cannot be written; None if it must wait.

        An outcome waits for the platform's own topics: their faults are ours, and they pass. While few wait, it also
        waits for a starved topic, whose fault passes too. It does not wait for other topics.
        """
        patient = _is_patient(tracker, entry)
        entry = entry._replace(outputs=[*map(self._fitting, entry.outputs)])
        bad = self._bad(entry.outputs)
        if not bad:
            return entry
        if entry.fallback is None or any(self._waits(output, patient=patient) for output in bad):
            self._warn(bad[0])
            return None
        replaced = tracker.named(entry.offset, entry.fallback(entry.outputs, _unwritable(bad[0])))
        outputs = [*map(self._fitting, replaced)]
        await self._runtime.topic_health.learn({output.topic for output in outputs})
        lost = self._bad(outputs)
        if any(output.topic in _PLATFORM or self._waits(output, patient=patient) for output in lost):
            self._warn(lost[0])
            return None
        self._runtime.metrics.count(UNWRITABLE)
        log.warning("output_unwritable", group=self._runtime.handler.group, topic=bad[0].topic, untold=len(lost))
        return Completion(entry.offset, [output for output in outputs if output not in lost], entry.fallback)

    def _fitting(self, output: ProducerRecord) -> ProducerRecord:
        """Return *output*. A dead letter that is too large for its topic is cut to half of the refused size."""
        if output.topic != DEAD_LETTERS.name or self._runtime.topic_health.fault(output) != "too_large":
            return output
        return shortened(output, self._runtime.topic_health.refused_size(output.topic) // 2)

    def _bad(self, outputs: list[ProducerRecord]) -> list[ProducerRecord]:
        return [output for output in outputs if self._runtime.topic_health.fault(output) is not None]

    def _waits(self, output: ProducerRecord, *, patient: bool) -> bool:
        fault = self._runtime.topic_health.fault(output)
        ours = output.topic in _PLATFORM and (fault != "too_large" or output.topic == DEAD_LETTERS.name)
        return fault == "unsure" or (fault == "starved" and patient) or ours

    def _warn(self, output: ProducerRecord) -> None:
        """Log one line per topic at most every ``WARNING_INTERVAL_S`` seconds, and none while the topic may only be
        new.
        """
        fault, now = self._runtime.topic_health.fault(output), self._runtime.clock.monotonic()
        if fault == "unsure" or now - self._warned.get(output.topic, -WARNING_INTERVAL_S) < WARNING_INTERVAL_S:
            return
        self._warned[output.topic] = now
        self._runtime.metrics.count(DELAYED_OUTPUT_WARNINGS)
        log.error("output_delayed", group=self._runtime.handler.group, topic=output.topic, fault=fault)


def _is_patient(tracker: Tracker, entry: Completion) -> bool:
    """Return True if the outcomes set aside are few and near the fetch position, and so delay no others yet."""
    return len(tracker.delayed) < MOST_DELAYED // 2 and tracker.next - entry.offset < SPAN // 2


def _unwritable(output: ProducerRecord) -> HeadraceError:
    return UnwritableError("the answer could not be written to the topic it was meant for", detail=output.topic)
