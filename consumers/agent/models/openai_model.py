"""The settings and the opening of a model of an OpenAI-compatible provider, by the OpenAI SDK or without it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from consumers.agent.models.port import Model, StreamingModel
from schemas.clock import Clock

KEYLESS = "none"
"""Sent if no key is given: local servers need none, but the SDK requires one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISettings:
    """Address, credentials, connection limits and timeouts of a model. Times are in seconds."""

    base_url: str
    """Up to and including ``/v1``."""

    name: str
    """The provider's name for the model."""

    api_key: str | None = field(default=None, repr=False)
    connections: int = 10_000
    """Calls in flight; further ones wait for a connection. The process's limit of open files must be above it."""

    connect_timeout: float = 10.0
    total_timeout: float = 300.0
    """For one call, from connecting to the last byte."""

    pause_timeout: float = 60.0
    """Between two pieces of a streamed answer. The first piece has the time of the call."""

    idle_timeout: float = 30.0
    """An idle connection is closed after it, before most servers and load balancers close theirs."""


@asynccontextmanager
async def openai_model(
    settings: OpenAISettings, clock: Clock, odd: Callable[[str], None] = lambda _: None
) -> AsyncGenerator[Model]:
    """Open a model, and close its connections at the end.

    *odd* is called with the name of each field of an answer that was clamped or dropped.

    The SDK is imported here and nowhere earlier: it costs half a second or more, and only agent workers need it.
    """
    from consumers.agent.models.openai_client import OpenAIModel, connect  # noqa: PLC0415 - see above

    client = connect(
        base_url=settings.base_url,
        api_key=settings.api_key or KEYLESS,
        connections=settings.connections,
        connect_timeout=settings.connect_timeout,
        idle_timeout=settings.idle_timeout,
    )
    async with client:
        yield OpenAIModel(client, settings.name, settings.total_timeout, clock, odd)


@asynccontextmanager
async def thin_model(
    settings: OpenAISettings, clock: Clock, odd: Callable[[str], None] = lambda _: None
) -> AsyncGenerator[StreamingModel]:
    """Open the same model without the OpenAI SDK: a call costs a fraction of the CPU. Arguments as ``openai_model``."""
    from consumers.agent.models.thin_client import ThinModel, address_of, connect, headers_of  # noqa: PLC0415 - aiohttp is slow

    provider = connect(
        base_url=settings.base_url,
        connections=settings.connections,
        connect_timeout=settings.connect_timeout,
        idle_timeout=settings.idle_timeout,
    )
    async with provider.http:
        url, headers = address_of(settings.base_url), headers_of(settings.api_key)
        times = settings.total_timeout, settings.pause_timeout
        yield ThinModel(provider, url, headers, settings.name, *times, clock, odd)
