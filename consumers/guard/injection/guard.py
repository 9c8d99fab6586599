"""The injection guard: it flags or blocks a text that tries to instruct the model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from consumers.guard.content import Content
from consumers.guard.detection import Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload


class InjectionConfig(Payload):
    """The configuration of the injection guard."""

    block: Annotated[float, Field(ge=0, le=1)] = 0.9
    """The score from which a text is blocked. A lower score flags it."""


def _guard(config: InjectionConfig, _stage: GuardStage, work: TextWork) -> Detection:
    def act(found: Detected, _content: Content) -> Literal["flag", "block"]:
        return "block" if found.score >= config.block else "flag"

    return Detection("injection", act, work)


INJECTION = GuardPlugin("injection", InjectionConfig, _guard, stages=frozenset({"input", "tool"}))
