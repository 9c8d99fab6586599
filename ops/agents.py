"""Build the agents, and the models that they know by name, from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from consumers.agent.models.openai_model import OpenAISettings, openai_model, thin_model
from consumers.agent.models.port import Model
from consumers.agent.models.prices import SHIPPED, Prices, PriceTable, priced, read_prices
from consumers.agent.plugin_groups import ModelFactory
from consumers.agent.registry import AgentRegistry as Agents
from ops.agent_check import checked_agents
from ops.errors import AgentsError, UsageError
from ops.settings import Settings
from schemas.clock import Clock

DEFAULT_MODEL = "default"
DEFAULT_NAME = "gpt-4o-mini"
"""The provider's name for the model, if the settings have none."""

OPENAI_URL = "https://api.openai.com/v1"
"""Address of the model, if the settings have none."""

OPEN_S = 30.0
"""Seconds for a plugin to open its model."""

NAMES_LIMIT = 100
"""Models without a price that are logged."""

log = structlog.get_logger()


@asynccontextmanager
async def models_of(
    settings: Settings,
    clock: Clock,
    factories: Mapping[str, ModelFactory],
    odd: Callable[[str], None] = lambda _: None,
    unpriced: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Mapping[str, Model]]:
    """Yield the models that agents know by name: those of plugins, and ``default`` if the settings have one.

    *odd* is called with the name of each field of an answer that was clamped or dropped, *unpriced* for each call that
    the price table does not cover. Raises AgentsError if a plugin cannot open its model.
    """
    prices = Prices(price_table(settings), UnpricedModels(unpriced))
    async with AsyncExitStack() as stack:
        found: dict[str, Model] = {}
        for name, factory in factories.items():
            found[name] = priced(await _opened(name, factory, stack), name, prices)
        if settings.model_base_url is not None or settings.model_api_key is not None:
            found[DEFAULT_MODEL] = await stack.enter_async_context(_default_model(settings, clock, prices, odd))
        yield found


async def _opened(name: str, factory: ModelFactory, stack: AsyncExitStack) -> Model:
    try:
        async with asyncio.timeout(OPEN_S):
            model = await stack.enter_async_context(factory({}))
    except TimeoutError as error:
        raise AgentsError(f"the model {name!r} of a plugin did not open within {OPEN_S:g} s") from error
    except Exception as error:  # a plugin may raise anything
        said = " ".join(str(error).split())
        raise AgentsError(f"the model {name!r} of a plugin did not open: {type(error).__name__}: {said}") from error
    if not callable(getattr(model, "complete", None)):
        raise AgentsError(f"the model {name!r} of a plugin has no complete(request)")
    return model


@asynccontextmanager
async def _default_model(
    settings: Settings, clock: Clock, prices: Prices, odd: Callable[[str], None]
) -> AsyncGenerator[Model]:
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    provider = OpenAISettings(
        base_url=settings.model_base_url or OPENAI_URL,
        name=settings.model_name or DEFAULT_NAME,
        api_key=key,
    )
    opened = thin_model if settings.model_client == "thin" else openai_model
    async with opened(provider, clock, odd) as model:
        yield priced(model, provider.name, prices)


@dataclass(frozen=True, slots=True)
class UnpricedModels:
    """Counts the calls without a price, and logs each model once."""

    count: Callable[[], None]
    logged: set[str] = field(default_factory=set[str])

    def __call__(self, model: str) -> None:
        """Count a call of *model*."""
        self.count()
        if model not in self.logged and len(self.logged) < NAMES_LIMIT:
            self.logged.add(model)
            log.warning("model_unpriced", model=model)


def price_table(settings: Settings) -> PriceTable:
    """Return the shipped prices, and the operator's over them. Raise UsageError if the operator's cannot be read."""
    shipped = read_prices(SHIPPED)
    if settings.prices is None:
        return shipped
    try:
        return read_prices(settings.prices).over(shipped)
    except (OSError, ValueError) as error:
        raise UsageError(f"HEADRACE_PRICES is `{settings.prices}`: {_fault(error)}") from error


def _fault(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"the file cannot be read ({error.strerror})"
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return f"the file is no TOML: {error}"


def agents_of(settings: Settings) -> Agents:
    """Return the built-in agents that every worker has, joined with the user's. Raises AgentsError."""
    return checked_agents(settings.agents)
