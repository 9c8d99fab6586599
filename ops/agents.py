"""Build the agents, and the models that they know by name, from the settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from consumers.agent import builtin
from consumers.agent.models.openai_model import OpenAISettings, openai_model, thin_model
from consumers.agent.models.port import Model
from consumers.agent.registry import AgentRegistry as Agents
from consumers.agent.registry import load
from ops.settings import Settings
from schemas.clock import Clock

DEFAULT_MODEL = "default"
DEFAULT_NAME = "gpt-4o-mini"
"""The provider's name for the model, if the settings have none."""


@asynccontextmanager
async def models_of(
    settings: Settings, clock: Clock, odd: Callable[[str], None] = lambda _: None
) -> AsyncGenerator[Mapping[str, Model]]:
    """Yield the models that agents know by name; none if the settings have neither a base URL nor an API key.

    *odd* is called with the name of each field of an answer that was clamped or dropped.
    """
    if settings.model_base_url is None and settings.model_api_key is None:
        yield {}
        return
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    provider = OpenAISettings(
        base_url=settings.model_base_url or "https://api.openai.com/v1",
        name=settings.model_name or DEFAULT_NAME,
        api_key=key,
    )
    opened = thin_model if settings.model_client == "thin" else openai_model
    async with opened(provider, clock, odd) as model:
        yield {DEFAULT_MODEL: model}


def agents_of(settings: Settings) -> Agents:
    """Return the built-in agents that every worker has, joined with the user's."""
    own = load(settings.agents) if settings.agents else ()
    return Agents(builtin.BUILTIN).joined(own)
