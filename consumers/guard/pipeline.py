"""The guard pipeline: first the guards that rewrite, one after another, then the detectors, side by side.

So every detector reads exactly the text that is passed on, and its evidence refers to that text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consumers.context import StepContext
from consumers.guard.content import LARGE, Content
from consumers.guard.guard_contract import NOTE_LIMIT, GuardContractError
from consumers.guard.guards import Action, GuardSpec
from consumers.guard.ruling import Ruling, failure, rule
from consumers.guard.text_tasks import EVIDENCE_LIMIT, TextWork, unpacked_views
from consumers.guard.text_threads import text_thread
from consumers.meter import GuardEnded
from schemas.errors import BlockedError, GuardUnavailableError, resolve_error
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
        outcome = await self._judged(content, context)
        if outcome.action != "pass":
            _record(self.name, outcome, context)
        return outcome

    async def _judged(self, content: Content, context: StepContext) -> PipelineResult:
        rulings: list[Ruling] = []
        for spec in self.rewriters:
            undecoded = await self._decode((spec,), content, context)
            rulings.append(await self._rule(spec, content, context, undecoded))
            content = rulings[-1].content
            if rulings[-1].verdict.action == "block":  # no detector can worsen it, and one may cost a model call
                return _combined(content, rulings)

        if self.detectors:
            rulings += await self._detect(content, context)
        return _combined(content, rulings)

    async def _detect(self, content: Content, context: StepContext) -> list[Ruling]:
        undecoded = await self._decode(self.detectors, content, context)
        if len(self.detectors) == 1:  # a task would cost a tenth of the pipeline
            return [await self._rule(self.detectors[0], content, context, undecoded)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._rule(spec, content, context, undecoded)) for spec in self.detectors]
        except ExceptionGroup as errors:  # a TooLargeError, the one error that leaves a ruling
            raise resolve_error(errors) from errors
        return [task.result() for task in tasks]

    async def _decode(
        self, specs: Sequence[GuardSpec], content: Content, context: StepContext
    ) -> GuardUnavailableError | None:
        """Compute the views of a long text outside the event loop if a guard reads them. Return the failure."""
        if len(content.text) <= LARGE or not any(spec.reads_views for spec in specs):
            return None
        try:
            packed = await self.work(context.tenant.id, "packed_views", content.text, content.hidden)
        except GuardUnavailableError as error:
            return error
        content.with_views(unpacked_views(packed))
        return None

    async def _rule(
        self, spec: GuardSpec, content: Content, context: StepContext, undecoded: GuardUnavailableError | None
    ) -> Ruling:
        """Return the measured ruling of one guard. A guard without its views has failed."""
        began = context.clock.monotonic()
        if undecoded is not None and spec.reads_views:
            ruling = failure(spec, content, undecoded)
        else:
            ruling = await rule(spec, content, context)
        action, seconds = ruling.verdict.action, context.clock.monotonic() - began
        context.meter.record(
            GuardEnded(stage=self.name, guard=spec.name, action=action, seconds=seconds, shadow=ruling.shadow)
        )
        return ruling


def _combined(content: Content, rulings: list[Ruling]) -> PipelineResult:
    unavailable = tuple(name for ruling in rulings for name in ruling.unavailable)
    return PipelineResult(content, tuple(ruling.verdict for ruling in rulings), unavailable)


def _record(stage: GuardStage, outcome: PipelineResult, context: StepContext) -> None:
    """Record a span for content that does not pass unchanged. Most content passes, and costs nothing."""
    found = {verdict.guard: verdict.action for verdict in outcome.verdicts if verdict.action != "pass"}
    attributes = {
        "headrace.guard.stage": stage,
        "headrace.guard.action": outcome.action,
        "headrace.guard.verdicts": tuple(f"{guard}:{action}" for guard, action in found.items()),
    }
    with context.spans.open(f"guard {stage}", "internal", attributes) as span:
        if outcome.blocks:
            span.fail(BlockedError.code if outcome.refusal() else GuardUnavailableError.code)
