"""The injection guard: it flags or blocks a text that tries to instruct the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from consumers.guard.content import Channel, Content
from consumers.guard.detection import Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Guard
from consumers.guard.injection.rule import RuleKind
from consumers.guard.injection.task import RULES_ONLY, WITH_CLASSIFIER, warm
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload

Score = Annotated[float, Field(ge=0, le=1)]


class Thresholds(Payload):
    """The scores from which a text is flagged and blocked."""

    flag: Score = 0.5
    block: Score = 0.9

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.flag > self.block:
            raise ValueError("flag must not be above block")
        return self


class InjectionConfig(Payload):
    """The configuration of the injection guard."""

    thresholds: dict[Channel, Thresholds] = Field(default_factory=dict[Channel, Thresholds])
    """Thresholds by channel, such as ``headrace guard calibrate`` prints. A channel without them has the usual ones."""

    classifier: bool = True
    """False: only the rules count."""

    flag_only: bool = False
    """True: a text is never blocked, only flagged."""

    off: list[RuleKind] = Field(default_factory=list[RuleKind])
    """Kinds of rules that do not count."""

    def at(self, channel: Channel) -> Thresholds:
        """Return the thresholds of a channel."""
        return self.thresholds.get(channel, USUAL[channel])

    def act(self, found: Detected, content: Content) -> Literal["pass", "flag", "block"]:
        """Return the action for a score."""
        thresholds = self.at(content.channel)
        if found.score >= thresholds.block and not self.flag_only:
            return "block"
        return "flag" if found.score >= thresholds.flag else "pass"


USUAL: Final[Mapping[Channel, Thresholds]] = {
    "request": Thresholds(),
    "tool_result": Thresholds(),
    "memory": Thresholds(),
    "tool_call": Thresholds(),
    "answer": Thresholds(),
}
"""The thresholds of each channel."""


def _guard(config: InjectionConfig, _stage: GuardStage, work: TextWork) -> Guard:
    warm()
    method = WITH_CLASSIFIER if config.classifier else RULES_ONLY
    off = ",".join(sorted(config.off))
    return Detection("injection", config.act, work, lambda content: (content.channel, method, off))


INJECTION = GuardPlugin("injection", InjectionConfig, _guard, stages=frozenset({"input", "tool"}))
