"""The guards of the worker: a tenant's pipeline behind the seams of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json, to_json

from consumers.agent.guarded_fields import judge_fields
from consumers.agent.provenance import Source
from consumers.agent.seams import GuardedArguments, GuardedText, StepScope
from consumers.agent.taint import taint_of
from consumers.agent.tools.tool import Tool
from consumers.guard.content import Channel, Content
from consumers.guard.pipeline import PipelineOf, PipelineResult
from schemas.errors import GuardUnavailableError
from schemas.guards import GuardStage
from schemas.results import VerdictInfo, verdict_info


@dataclass(frozen=True, slots=True)
class AgentGuards:
    """The tool guard and the content guards of a worker's runs."""

    pipelines: PipelineOf

    async def read(self, text: str, source: Source, scope: StepScope) -> GuardedText:
        """Judge a tool's result or a memory before the model reads it (``ContentGuard``)."""
        memory = source.kind == "memory"
        content = _content(text, "memory" if memory else "tool_result", scope, [source], "" if memory else source.name)
        guards = await self.pipelines(scope.context.tenant)
        outcome = await guards.input(content, scope.context)
        named = "a text of the memory" if memory else f"the result of {source.name}"
        return _guarded(outcome, "input", scope.placeholders, named)

    async def answer(self, text: str, source: Source, scope: StepScope) -> GuardedText:  # noqa: ARG002 - the seam's argument
        """Judge an answer before it leaves (``ContentGuard``)."""
        guards = await self.pipelines(scope.context.tenant)
        outcome = await guards.output(_content(text, "answer", scope, scope.sources), scope.context)
        return _guarded(outcome, "output", scope.placeholders, "the answer")

    async def arguments(self, tool: Tool, arguments: Mapping[str, Any], scope: StepScope) -> GuardedArguments:
        """Judge the arguments of a tool call (``ToolGuard``)."""

        async def judge(text: str, known: Mapping[str, str]) -> GuardedText:
            content = replace(_content(text, "tool_call", scope, scope.sources, tool.name), placeholders=known)
            return _guarded(await guards.tool(content, scope.context), "tool", known, f"the arguments of {tool.name}")

        guards = await self.pipelines(scope.context.tenant)
        given = from_json(to_json(arguments, inf_nan_mode="constants", serialize_unknown=True))
        found = await judge_fields(given, judge, scope.placeholders)
        value = arguments if found.value is given else found.value
        return GuardedArguments(value, found.placeholders, found.verdicts, found.refusal)


def _content(text: str, channel: Channel, scope: StepScope, sources: Iterable[Source], tool: str = "") -> Content:
    return Content(
        text,
        channel=channel,
        tainted=bool(taint_of(sources)),
        tool=tool,
        instructions=scope.instructions if channel == "answer" else "",
        placeholders=scope.placeholders,
    )


def _guarded(outcome: PipelineResult, stage: GuardStage, known: Mapping[str, str], named: str) -> GuardedText:
    return GuardedText(
        outcome.content.text,
        {name: value for name, value in outcome.content.placeholders.items() if name not in known},
        _verdicts(outcome, stage),
        _refusal(outcome, named),
    )


def _verdicts(outcome: PipelineResult, stage: GuardStage) -> tuple[VerdictInfo, ...]:
    found = [each for each in outcome.verdicts if each.action != "pass"]
    return tuple(verdict_info(each.guard, each.action, stage) for each in found)


def _refusal(outcome: PipelineResult, named: str) -> str:
    """Return the reason to refuse the content; empty without one. Raise GuardUnavailableError if it is not judged."""
    if blocking := outcome.refusal():
        return f"the guard {blocking.guard} blocked {named}"
    if doubting := outcome.by("review"):
        return f"the guard {doubting.guard} requires a review of {named}, and no reviewer is configured"
    if outcome.unavailable:
        late = ", ".join(outcome.unavailable)
        raise GuardUnavailableError(f"the guard {late} could not judge {named} in time")
    return ""
