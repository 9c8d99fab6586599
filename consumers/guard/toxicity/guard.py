"""The toxicity guard: it acts on the score of a model that the operator supplies. Without one it cannot start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, model_validator

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Action, Guard, GuardResult, Policy
from consumers.guard.injection.guard import TIMEOUT_S, Score, Thresholds
from consumers.guard.injection.judge import EXCERPT, TOXICITY_QUESTION, Ask, Judge, ModelJudge
from consumers.guard.injection.scorer import OnnxModel, Scorer, onnx_scorer
from consumers.guard.text_tasks import TextWork
from schemas.errors import GuardUnavailableError
from schemas.guards import GuardStage
from schemas.models import Payload

NOTE: Final = "toxicity"


class ToxicityConfig(Payload):
    """The configuration of the toxicity guard. It needs a model or the judge."""

    model: OnnxModel | None = None
    """A text classifier in ONNX."""

    judge: bool = False
    """True: a language model decides. Its decision counts as a score of 0 or 1."""

    judge_timeout: Annotated[float, Field(gt=0, le=30)] = 5.0
    """Seconds for the judge's answer."""

    flag: Score = 0.5
    block: Score = 0.9

    @model_validator(mode="after")
    def _has_one_model(self) -> ToxicityConfig:
        if (self.model is None) != self.judge:
            raise ValueError("toxicity needs a model of yours: give either config.model.directory or config.judge")
        Thresholds(flag=self.flag, block=self.block)
        return self

    def action(self, score: float) -> Action:
        """Return the action for a score."""
        if score >= self.block:
            return "block"
        return "flag" if score >= self.flag else "pass"


@dataclass(frozen=True, slots=True)
class JudgeScorer:
    """A scorer that asks the judge about the beginning of a text."""

    judge: Judge

    async def __call__(self, text: str) -> float:
        """Return 1 or 0. Raise GuardUnavailableError without a usable answer: there is no other detector to decide."""
        decision = await self.judge(text[:EXCERPT])
        if decision is None:
            raise GuardUnavailableError("the model of the toxicity guard gave no answer")
        return float(decision)


@dataclass(frozen=True, slots=True)
class ToxicityGuard:
    """Acts on the score of a model."""

    scorer: Scorer
    config: ToxicityConfig

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:  # noqa: ARG002 - the seam gives it
        """Return the result for the content."""
        score = await self.scorer(content.text)
        action = self.config.action(score)
        return GuardResult(action=action, score=score, note=NOTE if action != "pass" else "")


def toxicity_plugin(ask: Ask | None = None) -> GuardPlugin[ToxicityConfig]:
    """Return the plugin. *ask* sends a prompt to the judge's model."""

    def make(config: ToxicityConfig, _stage: GuardStage, _work: TextWork) -> Guard:
        if config.model is not None:
            return ToxicityGuard(onnx_scorer(config.model), config)
        if ask is None:
            raise ValueError("config.judge needs a model, and none is configured for the judge")
        return ToxicityGuard(JudgeScorer(ModelJudge(ask, TOXICITY_QUESTION, config.judge_timeout)), config)

    return GuardPlugin("toxicity", ToxicityConfig, make, policy=Policy(timeout=TIMEOUT_S))


TOXICITY: Final = toxicity_plugin()
"""The toxicity guard without a model for the judge."""
