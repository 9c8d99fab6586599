"""``headrace bench guards``: CPU time of each guard and of the pipeline, for texts of several lengths and a stream."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import thread_time
from typing import Any, Final, TypeAlias

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.injection.guard import INJECTION
from consumers.guard.pipeline import Pipeline
from consumers.guard.registry import DEFAULTS, GuardRegistry
from consumers.guard.stream import StreamGuard
from consumers.guard.stream_guards import stream_guard
from consumers.guard.text_tasks import text_task
from ops.lab.bench.figures import Comparison, Rounds, Tell, quantile
from ops.lab.bench.guard_texts import texts_of
from ops.settings import Settings
from schemas.clock import SystemClock
from schemas.guards import GuardSettings, TenantGuards
from schemas.tenants import Tenant

Judge: TypeAlias = Callable[[str], Awaitable[object]]

SHORT, MEDIUM, LONG = 500, 4_096, 1_048_576
"""Characters."""

REFERENCE: Final = "NFKC and one search"
TARGET: Final = "a millisecond"
QUANTILES: Final = {"p50": 0.5, "p95": 0.95}
WHOLE, RULES = "pipeline", "pipeline without classifier"
GOALS: Final = {RULES: {"p50": 0.5, "p95": 1.0}, WHOLE: {"p50": 3.0, "p95": 5.0}}
"""Milliseconds for a text of 500 characters."""

DELTA: Final = 20
"""Characters of a delta."""

STREAM_GOAL: Final = 0.25
"""Milliseconds for a delta."""

STREAMS: Final = {
    "streamed delta": Content("", channel="answer"),
    "streamed delta, instructions": Content("", channel="answer", instructions="Greet each guest of the hotel. " * 25),
    "streamed delta, tainted": Content("", channel="answer", tainted=True),
}

_SEARCH: Final = re.compile(r"\b\w+@\w+\.\w+\b")


@dataclass(frozen=True, slots=True)
class GuardsPlan:
    """The size of the measurement."""

    calls: int = 320
    """Short texts of one round."""

    long: int = LONG
    """Characters of the long text, of which each round has one."""

    rounds: int = 3


@dataclass(slots=True)
class CountedWork:
    """Runs the work on long texts at once, and counts its time: a worker does it in another process."""

    spent_s: float = 0.0

    async def __call__(self, tenant: str, task: str, *texts: str) -> tuple[Any, ...]:  # noqa: ARG002 - the seam gives the tenant
        """Return the task's result."""
        began = thread_time()
        try:
            return text_task(task)(*texts)
        finally:
            self.spent_s += thread_time() - began


async def run(plan: GuardsPlan, _settings: Settings, _folder: Path, tell: Tell) -> list[Comparison]:
    """Measure in this process. The guards are those of a tenant without settings of its own, at the input stage."""
    bench = GuardsBench(plan, Rounds(plan.rounds, tell, unit="ms"))
    for number in range(plan.rounds):
        await bench.round(reverse=bool(number % 2))
    return bench.comparisons()


@dataclass(slots=True)
class GuardsBench:
    """The measurement: the values of all rounds."""

    plan: GuardsPlan
    rounds: Rounds
    _judges: Mapping[str, Judge] = field(init=False)

    def __post_init__(self) -> None:
        self._judges = {REFERENCE: _reference, **_judges()}

    async def round(self, *, reverse: bool) -> None:
        """Measure everything once."""
        names = list(self._judges)
        for name in reversed(names) if reverse else names:
            judge = self._judges[name]
            self._note_quantiles(name, [await _spent_ms(judge, text) for text in self._texts()])
            self._note(f"{name}, 4 KiB", quantile([await _spent_ms(judge, text) for text in texts_of(MEDIUM)], 0.5))
        await self._long(names)
        self._streams()
        self.rounds.add(TARGET, 1.0)

    def _texts(self) -> Iterable[str]:
        texts = texts_of(SHORT)
        return (texts[number % len(texts)] for number in range(self.plan.calls))

    def _note_quantiles(self, name: str, values: list[float]) -> None:
        for part, share in QUANTILES.items():
            self._note(f"{name}, {part}", quantile(values, share))

    def _note(self, what: str, value: float) -> None:
        self.rounds.add(what, value)
        self.rounds.tell({"what": what, "ms": round(value, 4)})

    async def _long(self, names: Iterable[str]) -> None:
        for name, text in zip(names, cycle(texts_of(self.plan.long)), strict=False):  # each reads another one
            work = CountedWork()
            judge = _reference if name == REFERENCE else _judges(work)[name]
            spent = await _spent_ms(judge, text)
            self._note(f"{name}, 1 MiB", spent)
            self._note(f"{name}, 1 MiB, on the loop", spent - work.spent_s * 1_000)

    def _streams(self) -> None:
        """Measure the mean of a delta, for each kind of answer."""
        registry, texts = GuardRegistry(), texts_of(SHORT)
        for name, content in STREAMS.items():
            began = thread_time()
            chunks = sum(_stream(stream_guard(registry, content), text) for text in texts)
            self._note(name, (thread_time() - began) * 1_000 / chunks)

    def comparisons(self) -> list[Comparison]:
        """Return each guard against the reference, and the pipeline against its goals."""
        against = [
            self.rounds.compare(f"{name}, {case}", f"{REFERENCE}, {case}")
            for name in self._judges
            if name != REFERENCE
            for case in (*QUANTILES, "4 KiB", "1 MiB")
        ]
        goals = [
            self.rounds.compare(f"{name}, {part}", TARGET, goal)
            for name, parts in GOALS.items()
            if name in self._judges
            for part, goal in parts.items()
        ]
        streams = [self.rounds.compare(name, TARGET, STREAM_GOAL) for name in STREAMS]
        return [*against, *goals, *streams]


def _judges(work: CountedWork | None = None) -> Mapping[str, Judge]:
    """Return each guard alone, and all of them."""
    work = work or CountedWork()
    alone = {name: _judge(_registry(work, name).pipeline()) for name in DEFAULTS["input"]}
    whole = {WHOLE: _judge(GuardRegistry(work).pipeline())}
    if "classifier" not in INJECTION.config.model_fields:
        return {**alone, **whole}
    without = TenantGuards(input={"injection": GuardSettings(config={"classifier": False})})
    return {**alone, RULES: _judge(GuardRegistry(work).pipeline(without)), **whole}


def _registry(work: CountedWork, name: str) -> GuardRegistry:
    return GuardRegistry(work, defaults={"input": (name,), "tool": (), "output": ()})


def _stream(stream: StreamGuard, text: str) -> int:
    """Guard the text as a stream. Return the number of its deltas."""
    starts = range(0, len(text), DELTA)
    for start in starts:
        stream.feed(text[start : start + DELTA])
    stream.finish()
    return len(starts)


def _judge(pipeline: Pipeline) -> Judge:
    context = StepContext(tenant=Tenant(id="bench"), clock=SystemClock())
    return lambda text: pipeline.input(Content(text), context)


async def _reference(text: str) -> object:
    return _SEARCH.search(unicodedata.normalize("NFKC", text))


async def _spent_ms(judge: Judge, text: str) -> float:
    began = thread_time()
    await judge(text)
    return (thread_time() - began) * 1_000
