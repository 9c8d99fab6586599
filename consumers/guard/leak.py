"""The guard for instructions: an answer must not repeat those of the agents that wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.detection import TEXT_POLICY, Detected, Detection
from consumers.guard.finding import Finding
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Guard, GuardResult
from consumers.guard.leak_places import GRAM, REMOVED
from consumers.guard.leak_stream import LiveHexadecimal, LiveLeak
from consumers.guard.stream import StreamStage
from consumers.guard.stream_redaction import StreamRedaction, blocking
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload


class LeakConfig(Payload):
    """The configuration of the guard for instructions."""

    characters: Annotated[int, Field(ge=GRAM, le=100_000)] = 80
    """Letters and digits of the shortest run that counts. Shorter instructions are not protected."""

    action: Literal["flag", "redact", "block"] = "redact"
    """The action for an answer that repeats instructions."""


def _guard(config: LeakConfig, _stage: GuardStage, work: TextWork) -> Guard:
    def act(found: Detected, _content: Content) -> Literal["flag", "redact", "block"]:
        return "block" if config.action == "redact" and found.text is None else config.action

    shortest = str(config.characters)
    detection = Detection("leak", act, work, options=lambda content: (content.instructions, shortest))

    async def judge(content: Content, context: StepContext) -> GuardResult:
        return await detection(content, context) if content.instructions else GuardResult()

    return judge


def _stream(config: LeakConfig, content: Content, context: str) -> Sequence[StreamStage]:
    if config.action == "flag" or not content.instructions:
        return ()
    replacement = blocking("leak") if config.action == "block" else _removed
    told, shortest = content.instructions, max(config.characters, GRAM)
    return (
        StreamRedaction(LiveLeak(told, shortest), replacement, context, reach=0),
        StreamRedaction(LiveHexadecimal(told, shortest), replacement, context, views=False, reach=0),
    )


def _removed(_found: Finding, _text: str) -> str:
    return REMOVED


LEAK = GuardPlugin(
    "leak", LeakConfig, _guard, rewrites=True, stages=frozenset({"output"}), stream=_stream, policy=TEXT_POLICY
)
