"""The guard pipeline: first the guards that rewrite, one after another, then the detectors, side by side.

So every detector reads exactly the text that is passed on, and its evidence refers to that text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple, Protocol

from consumers.context import StepContext
from consumers.guard.content import LARGE, Content
from consumers.guard.guard_time import GUARD_TIME, GuardTime
from consumers.guard.guards import Action, GuardResult, GuardSpec
from consumers.guard.text_tasks import EVIDENCE_LIMIT, TextWork, unpacked_views
from consumers.guard.text_threads import text_thread
from consumers.meter import GuardEnded
from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.timeouts import lazy_timeout
from schemas.errors import GuardUnavailableError, TooLargeError
from schemas.guards import GuardStage
from schemas.stage_records import Verdict
from schemas.tenants import Tenant

__all__ = [
    "EVIDENCE_LIMIT",
    "NOTE_LIMIT",
    "WORST_FIRST",
    "GuardContractError",
    "Pipeline",
    "PipelineOf",
    "PipelineResult",
    "always",
]

WORST_FIRST: Final[tuple[Action, ...]] = ("block", "review", "redact", "flag", "pass")
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

    unavailable: tuple[str, ...] = ()
    """Guards that block only because they did not judge in time. The content may be sent again."""

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

    def refusal(self) -> Verdict | None:
        """Return the first verdict by which a guard, not its failure to judge in time, blocks the content."""
        for verdict in self.verdicts:
            if verdict.action == "block" and verdict.guard not in self.unavailable:
                return verdict
        return None


class Pipeline:
    """The guards of the three stages. No guard's failure escapes; a cancellation and a TooLargeError do."""

    __slots__ = ("_input", "_output", "_tool")

    def __init__(
        self,
        *,
        input: Sequence[GuardSpec] = (),
        output: Sequence[GuardSpec] = (),
        tool: Sequence[GuardSpec] = (),
        work: TextWork = text_thread,
    ) -> None:
        self._input = _Stage.of("input", input, work)
        self._output = _Stage.of("output", output, work)
        self._tool = _Stage.of("tool", tool, work)

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
    unavailable: tuple[str, ...] = ()
    shadow: Action | Literal[""] = ""
    """The action that a guard in shadow mode would have taken."""


@dataclass(frozen=True, slots=True)
class _Stage:
    name: GuardStage
    rewriters: tuple[GuardSpec, ...]
    detectors: tuple[GuardSpec, ...]
    work: TextWork

    @classmethod
    def of(cls, name: GuardStage, specs: Sequence[GuardSpec], work: TextWork) -> _Stage:
        names = [spec.name for spec in specs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"guards of one stage share a name: {', '.join(twice)}")
        return cls(
            name=name,
            rewriters=tuple(spec for spec in specs if spec.rewrites),
            detectors=tuple(spec for spec in specs if not spec.rewrites),
            work=work,
        )

    async def run(self, content: Content, context: StepContext) -> PipelineResult:
        rulings: list[_Ruling] = []
        for spec in self.rewriters:
            rulings.append(await self._measured(spec, content, context))
            content = rulings[-1].content
            if rulings[-1].verdict.action == "block":  # no detector can worsen it, and one may cost a model call
                return _combined(content, rulings)

        if self.detectors:
            rulings += await self._detect(content, context)
        return _combined(content, rulings)

    async def _detect(self, content: Content, context: StepContext) -> list[_Ruling]:
        if len(content.text) > LARGE and any(spec.reads_views for spec in self.detectors):  # none decodes on the loop
            packed = await self.work(context.tenant.id, "packed_views", content.text, content.hidden)
            content.with_views(unpacked_views(packed))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._measured(spec, content, context)) for spec in self.detectors]
        return [task.result() for task in tasks]

    async def _measured(self, spec: GuardSpec, content: Content, context: StepContext) -> _Ruling:
        began = context.clock.monotonic()
        ruling = await _rule(spec, content, context)
        seconds = context.clock.monotonic() - began
        context.meter.record(
            GuardEnded(
                stage=self.name,
                guard=spec.name,
                action=ruling.verdict.action,
                seconds=seconds,
                shadow=ruling.shadow,
            )
        )
        return ruling


def _combined(content: Content, rulings: list[_Ruling]) -> PipelineResult:
    unavailable = tuple(name for ruling in rulings for name in ruling.unavailable)
    return PipelineResult(content, tuple(ruling.verdict for ruling in rulings), unavailable)


async def _rule(spec: GuardSpec, content: Content, context: StepContext) -> _Ruling:
    """Run one guard within its time limit. Every failure inside it becomes a verdict."""
    before = cancel_count()
    guard_time = GuardTime(spec.policy.timeout)
    token = GUARD_TIME.set(guard_time)
    try:
        judgement = await lazy_timeout(lambda: guard_time, spec.guard(content, context))
        return _ruling(spec, content, judgement)
    except asyncio.CancelledError as error:
        if cancel_count() > before:
            raise
        return _failure(spec, content, error)  # something inside the guard was cancelled, not the run
    except TooLargeError:
        raise  # a property of the content, not a failure of the guard
    except Exception as error:  # noqa: BLE001 - guards are plug-ins: the policy decides what their failure means
        return _failure(spec, content, error)
    finally:
        GUARD_TIME.reset(token)


def _ruling(spec: GuardSpec, content: Content, judgement: GuardResult) -> _Ruling:
    _check(spec, judgement)
    verdict = _verdict(spec.name, judgement)
    if spec.policy.shadow:
        return _Ruling(_shadowed(verdict), content, shadow=verdict.action)
    if judgement.text is None:
        return _Ruling(verdict, content)
    return _Ruling(verdict, content.rewritten(judgement.text, judgement.hidden, judgement.placeholders))


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
    if spec.policy.shadow:
        return _Ruling(_shadowed(verdict), content, shadow=verdict.action)
    late = action == "block" and isinstance(error, TimeoutError | GuardUnavailableError)
    return _Ruling(verdict, content, (spec.name,) if late else ())


def _shadowed(verdict: Verdict) -> Verdict:
    note = f"shadow {verdict.action}: {verdict.note}".removesuffix(": ")
    return verdict.model_copy(update={"action": "pass", "note": note[:NOTE_LIMIT]})


class PipelineOf(Protocol):
    """Gives each tenant its pipeline."""

    async def __call__(self, tenant: Tenant, /) -> Pipeline:
        """Return the pipeline of the tenant. Raise GuardUnavailableError if its guards cannot be used."""
        ...


def always(pipeline: Pipeline) -> PipelineOf:
    """Return the function that gives every tenant this pipeline."""

    async def same(_: Tenant) -> Pipeline:
        return pipeline

    return same
