"""The judge's model: the model of the settings, asked over HTTP for each text in the grey band."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.agent.models.openai_model import OpenAISettings, thin_model
from consumers.agent.models.port import ModelRequest, UserMessage
from consumers.guard.injection.judge import Ask
from ops.agents import DEFAULT_NAME, OPENAI_URL
from ops.settings import Settings
from schemas.clock import Clock, SystemClock

ANSWER_TOKENS = 32
"""Tokens of an answer at most: the object that is asked for has a few."""


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """Asks the model, with a connection of its own for each question: the grey band is narrow."""

    provider: OpenAISettings
    clock: Clock = field(default_factory=SystemClock)

    async def __call__(self, prompt: str) -> str:
        """Return the text of the answer. Raise a ModelError if there is none."""
        request = ModelRequest((UserMessage(prompt),), temperature=0, max_output_tokens=ANSWER_TOKENS)
        async with thin_model(self.provider, self.clock) as model:
            return (await model.complete(request)).text


def judge_model(settings: Settings) -> Ask | None:
    """Return the function that asks the settings' model; None if they have none."""
    if not settings.has_model:
        return None
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    return JudgeModel(
        OpenAISettings(
            base_url=str(settings.model_base_url or OPENAI_URL),
            name=settings.model_name or DEFAULT_NAME,
            api_key=key,
            connections=1,
        )
    )
