"""The injection guard: it flags or blocks a text that tries to instruct the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from consumers.context import StepContext
from consumers.guard.content import Channel, Content
from consumers.guard.detection import Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Action, Guard, GuardResult, Policy
from consumers.guard.injection.judge import INJECTION_QUESTION, Ask, Judge, ModelJudge, excerpt
from consumers.guard.injection.rule import RuleKind
from consumers.guard.injection.scorer import OnnxModel, Scorer, onnx_scorer
from consumers.guard.injection.task import RULES_ONLY, WITH_CLASSIFIER, warm
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload

Score: TypeAlias = Annotated[float, Field(ge=0, le=1)]

TIMEOUT_S: Final = 30.0
"""Time limit: a megabyte takes about a second of CPU time, which a busy machine gives slowly."""

SURE: Final = 1e-6
"""Distance from 0 and 1 within which a probability counts as this much."""


class Thresholds(Payload):
    """The scores from which a text is flagged and blocked."""

    flag: Score
    block: Score

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.flag > self.block:
            raise ValueError("flag must not be above block")
        return self


USUAL: Final = Thresholds(flag=0.45, block=0.95)
"""The thresholds of every channel, unless the configuration has others."""


class InjectionConfig(Payload):
    """The configuration of the injection guard."""

    thresholds: dict[Channel, Thresholds] = Field(default_factory=dict[Channel, Thresholds])
    """Thresholds by channel, as ``headrace guard calibrate`` prints them. A channel without them has the usual ones."""

    classifier: bool = True
    """False: only the rules count."""

    flag_only: bool = False
    """True: a text is never blocked, only flagged."""

    off: list[RuleKind] = Field(default_factory=list[RuleKind])
    """Kinds of rules that do not count."""

    model: OnnxModel | None = None
    """A model of the operator. The score is then the mean of both in log-odds."""

    judge: bool = False
    """True: a language model decides about texts between the two thresholds."""

    judge_timeout: Annotated[float, Field(gt=0, le=30)] = 5.0
    """Seconds for the judge's answer."""

    def at(self, channel: Channel) -> Thresholds:
        """Return the thresholds of a channel."""
        return self.thresholds.get(channel, USUAL)

    def action(self, score: float, channel: Channel) -> Literal["pass", "flag", "block"]:
        """Return the action for a score."""
        thresholds = self.at(channel)
        if score >= thresholds.block and not self.flag_only:
            return "block"
        return "flag" if score >= thresholds.flag else "pass"

    def act(self, found: Detected, content: Content) -> Literal["pass", "flag", "block"]:
        """Return the action for what the task has found."""
        return self.action(found.score, content.channel)


@dataclass(frozen=True, slots=True)
class InjectionGuard:
    """The rules and the classifier, then the operator's model, then the judge. The last two are optional."""

    detect: Detection
    config: InjectionConfig
    scorer: Scorer | None = None
    judge: Judge | None = None

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:
        """Return the result for the content."""
        result = await self.detect(content, context)
        if self.scorer is not None:
            result = self._averaged(result, await self.scorer(content.text), content.channel)
        if self.judge is None or not self._is_grey(result, content.channel):
            return result
        start, end = next(iter(result.evidence), (0, 0))
        return self._judged(result, await self.judge(excerpt(content.text, start, end)))

    def _averaged(self, result: GuardResult, probability: float, channel: Channel) -> GuardResult:
        score = 1 / (1 + math.exp(-(_log_odds(result.score) + _log_odds(probability)) / 2))
        return replace(result, score=score, action=self.config.action(score, channel))

    def _is_grey(self, result: GuardResult, channel: Channel) -> bool:
        thresholds = self.config.at(channel)
        return thresholds.flag <= result.score < thresholds.block

    def _judged(self, result: GuardResult, decision: bool | None) -> GuardResult:  # noqa: FBT001 - the judge's answer
        if decision is None:
            return replace(result, note=f"{result.note}; the judge gave no answer")
        if not decision:
            return replace(result, action="pass", note=f"{result.note}; not by the judge")
        action: Action = "flag" if self.config.flag_only else "block"
        return replace(result, action=action, note=f"{result.note}; confirmed by the judge")


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, SURE), 1 - SURE)
    return math.log(bounded / (1 - bounded))


def injection_plugin(ask: Ask | None = None) -> GuardPlugin[InjectionConfig]:
    """Return the plugin. *ask* sends a prompt to the judge's model."""

    def make(config: InjectionConfig, _stage: GuardStage, work: TextWork) -> Guard:
        if config.judge and ask is None:
            raise ValueError("config.judge needs a model, and none is configured for the judge")
        warm()
        method = WITH_CLASSIFIER if config.classifier else RULES_ONLY
        off = ",".join(sorted(config.off))
        return InjectionGuard(
            detect=Detection("injection", config.act, work, lambda content: (content.channel, method, off)),
            config=config,
            scorer=onnx_scorer(config.model) if config.model else None,
            judge=ModelJudge(ask, INJECTION_QUESTION, config.judge_timeout) if config.judge and ask else None,
        )

    return GuardPlugin(
        "injection",
        InjectionConfig,
        make,
        stages=frozenset({"input", "tool"}),
        policy=Policy(timeout=TIMEOUT_S),
    )


INJECTION: Final = injection_plugin()
"""The injection guard without a model for the judge."""
