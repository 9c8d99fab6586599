"""Judge texts outside Kafka, one JSON object a line, with the guards of one stage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Final, NamedTuple

from pydantic import AliasChoices, Field, ValidationError

from consumers.context import StepContext
from consumers.guard.content import Channel, Content
from consumers.guard.pipeline import Pipeline, PipelineResult
from ops.guard_streams import StreamCheck
from schemas.errors import HeadraceError
from schemas.guards import GuardStage
from schemas.models import TolerantPayload
from schemas.stage_records import Verdict

CHUNK: Final = 256 * 1024
"""The most bytes of one read. The lines of a read are judged side by side."""

DIGITS: Final = 4
"""Decimal places of a score."""

CHANNELS: Final[dict[GuardStage, Channel]] = {"input": "request", "tool": "tool_call", "output": "answer"}
"""The channel of a text that names none, by stage."""


class CheckedText(TolerantPayload):
    """One line of input. Further fields, such as a label, are ignored."""

    id: str | int | float | None = None
    text: Annotated[str, Field(validation_alias=AliasChoices("text", "input"))]
    channel: Channel | None = None
    tool: str = ""
    instructions: str = ""


class CheckedLine(NamedTuple):
    """The result of one line: the line to print, or the reason why there is none."""

    number: int
    output: dict[str, Any] | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class GuardCheck:
    """Judges lines with one pipeline."""

    pipeline: Pipeline
    stage: GuardStage
    context: StepContext
    channel: Channel | None = None
    """The channel of a line that names none; None: the usual one of the stage."""

    stream: StreamCheck | None = None
    """Judges each text as a stream, too."""

    async def judged(self, lines: Iterable[tuple[int, bytes]]) -> list[CheckedLine]:
        """Return the results of numbered lines, in order. The lines are judged side by side."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._line(number, line)) for number, line in lines]
        return [task.result() for task in tasks]

    async def _line(self, number: int, line: bytes) -> CheckedLine:
        try:
            checked = CheckedText.model_validate_json(line)
        except ValidationError as error:
            return CheckedLine(number, None, _fault(error))
        name = number if checked.id is None else checked.id
        content = self._content(checked)
        streamed = {"stream": self.stream(content)} if self.stream else {}
        return CheckedLine(number, {"id": name, **await self._judgement(content), **streamed})

    def _content(self, checked: CheckedText) -> Content:
        return Content(
            checked.text,
            channel=checked.channel or self.channel or CHANNELS[self.stage],
            tool=checked.tool,
            instructions=checked.instructions,
        )

    async def _judgement(self, content: Content) -> dict[str, Any]:
        judge = {"input": self.pipeline.input, "tool": self.pipeline.tool, "output": self.pipeline.output}[self.stage]
        try:
            return _shown(await judge(content, self.context))
        except HeadraceError as error:  # the stage refuses such a request
            return {"action": "block", "score": 1.0, "guards": [], "error": error.code}


def _shown(outcome: PipelineResult) -> dict[str, Any]:
    score = max((verdict.score for verdict in outcome.verdicts if verdict.action == outcome.action), default=0.0)
    guards = [_guard(verdict) for verdict in outcome.verdicts if verdict.action != "pass" or verdict.note]
    return {"action": outcome.action, "score": round(score, DIGITS), "guards": guards}


def _guard(verdict: Verdict) -> dict[str, Any]:
    return {
        "guard": verdict.guard,
        "action": verdict.action,
        "score": round(verdict.score, DIGITS),
        "note": verdict.note,
    }


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def chunks_of_lines(source: BinaryIO) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the numbered lines of each read, without blank ones. It waits for input only if no line is complete."""
    number, rest = 0, b""
    while chunk := source.read1(CHUNK):  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        yield [(number + place, line) for place, line in enumerate(lines, 1) if line.strip()]
        number += len(lines)
    if rest.strip():
        yield [(number + 1, rest)]
