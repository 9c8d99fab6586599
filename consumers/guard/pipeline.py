"""The guard pipeline: first the guards that rewrite, one after another, then the detectors, side by side.

So every detector reads exactly the text that is passed on, and its evidence refers to that text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, NamedTuple

from consumers.context import StepContext
from consumers.guard.content import LARGE, Content
from consumers.guard.guards import Action, GuardResult, GuardSpec
from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.timeouts import lazy_timeout
from schemas.stage_records import Verdict

WORST_FIRST: Final[tuple[Action, ...]] = ("block", "review", "redact", "flag", "pass")
EVIDENCE_LIMIT: Final = 64
"""Spans that one verdict carries at most."""

NOTE_LIMIT: Final = 200
"""Characters of a note that a verdict carries at most."""


class GuardContractError(Exception):
    """The guard did something that its spec excludes."""


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """The combined result of a stage's guards."""

    content: Content
    """The content after all rewrites; not for use if a guard blocks it."""

    verdicts: tuple[Verdict, ...] = ()
    """In the order of the stage, rewriting guards first."""

    @property
    def action(self) -> Action:
        """The most severe action of all verdicts."""
        for action in WORST_FIRST:
            if self.by(action):
                return action
        return "pass"

    @property
    def blocks(self) -> bool:
        """True if the content must not be passed on."""
        return self.action == "block"

    def by(self, action: Action) -> Verdict | None:
        """Return the first verdict with this action; None if there is none."""
        for verdict in self.verdicts:
            if verdict.action == action:
                return verdict
        return None


class Pipeline:
    """The guards of the three stages. No guard's failure escapes; a cancellation does."""

    __slots__ = ("_input", "_output", "_tool")

    def __init__(
        self,
        *,
        input: Sequence[GuardSpec] = (),
        output: Sequence[GuardSpec] = (),
        tool: Sequence[GuardSpec] = (),
    ) -> None:
        self._input = _Stage.of(input)
        self._output = _Stage.of(output)
        self._tool = _Stage.of(tool)

    async def input(self, content: Content, context: StepContext) -> PipelineResult:
        """Judge content before the model reads it: a request, a tool's result, a memory."""
        return await self._input.run(content, context)

    async def output(self, content: Content, context: StepContext) -> PipelineResult:
        """Judge content before the user reads it."""
        return await self._output.run(content, context)

    async def tool(self, content: Content, context: StepContext) -> PipelineResult:
        """Judge content before a tool runs with it."""
        return await self._tool.run(content, context)


class _Ruling(NamedTuple):
    verdict: Verdict
    content: Content


@dataclass(frozen=True, slots=True)
class _Stage:
    rewriters: tuple[GuardSpec, ...]
    detectors: tuple[GuardSpec, ...]

    @classmethod
    def of(cls, specs: Sequence[GuardSpec]) -> _Stage:
        names = [spec.name for spec in specs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"guards of one stage share a name: {', '.join(twice)}")
        return cls(
            rewriters=tuple(spec for spec in specs if spec.rewrites),
            detectors=tuple(spec for spec in specs if not spec.rewrites),
        )

    async def run(self, content: Content, context: StepContext) -> PipelineResult:
        verdicts: list[Verdict] = []
        for spec in self.rewriters:
            verdict, content = await _rule(spec, content, context)
            verdicts.append(verdict)
            if verdict.action == "block":  # no detector can worsen it, and one may cost a model call
                return PipelineResult(content, tuple(verdicts))

        if self.detectors:
            verdicts += await self._detect(content, context)
        return PipelineResult(content, tuple(verdicts))

    async def _detect(self, content: Content, context: StepContext) -> list[Verdict]:
        if len(content.text) > LARGE:
            await asyncio.to_thread(getattr, content, "views")  # cached there: no detector decodes on the loop

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_rule(spec, content, context)) for spec in self.detectors]
        return [task.result().verdict for task in tasks]


async def _rule(spec: GuardSpec, content: Content, context: StepContext) -> _Ruling:
    """Run one guard within its time limit. Every failure inside it becomes a verdict."""
    before = cancel_count()
    try:
        judgement = await lazy_timeout(partial(asyncio.timeout, spec.policy.timeout), spec.guard(content, context))
        return _ruling(spec, content, judgement)
    except asyncio.CancelledError as error:
        if cancel_count() > before:
            raise
        return _failure(spec, content, error)  # something inside the guard was cancelled, not the run
    except Exception as error:  # noqa: BLE001 - guards are plug-ins: the policy decides what their failure means
        return _failure(spec, content, error)


def _ruling(spec: GuardSpec, content: Content, judgement: GuardResult) -> _Ruling:
    _check(spec, judgement)
    verdict = _verdict(spec.name, judgement)
    if spec.policy.shadow:
        return _Ruling(_shadowed(verdict), content)
    if judgement.text is None:
        return _Ruling(verdict, content)
    return _Ruling(verdict, content.rewritten(judgement.text, judgement.hidden))


def _verdict(guard: str, judgement: GuardResult) -> Verdict:
    if not (judgement.score or judgement.evidence or judgement.note):
        return _bare(guard, judgement.action)
    return Verdict(
        guard=guard,
        action=judgement.action,
        score=judgement.score,
        evidence=judgement.evidence[:EVIDENCE_LIMIT],
        note=judgement.note[:NOTE_LIMIT],
    )


@lru_cache(maxsize=1_024)  # the verdict of most guards on most texts
def _bare(guard: str, action: Action) -> Verdict:
    return Verdict(guard=guard, action=action)


def _check(spec: GuardSpec, judgement: GuardResult) -> None:
    if judgement.text is not None and not spec.rewrites:
        raise GuardContractError("a detector gave another text")
    if judgement.text is None and judgement.action == "redact":
        raise GuardContractError("a redaction without a text")


def _failure(spec: GuardSpec, content: Content, error: BaseException) -> _Ruling:
    # Only the error's class: its message may quote the content.
    action: Action = "block" if spec.policy.failure == "closed" else "flag"
    verdict = Verdict(guard=spec.name, action=action, note=f"failed: {type(error).__name__}"[:NOTE_LIMIT])
    return _Ruling(_shadowed(verdict) if spec.policy.shadow else verdict, content)


def _shadowed(verdict: Verdict) -> Verdict:
    note = f"shadow {verdict.action}: {verdict.note}".removesuffix(": ")
    return verdict.model_copy(update={"action": "pass", "note": note[:NOTE_LIMIT]})
