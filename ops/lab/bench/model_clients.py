"""The clients of a model that are compared: bare aiohttp, and each implementation of the model port."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeAlias

import aiohttp

from consumers.agent.models.openai_model import OpenAISettings, openai_model, thin_model
from consumers.agent.models.port import Model, ModelRequest, UserMessage
from consumers.agent.models.prices import SHIPPED, PricedModel, Prices, read_prices
from ops.lab.bench.model import BODY
from ops.lab.bench.samples import WORDS
from schemas.clock import SystemClock

Ask: TypeAlias = Callable[[], Awaitable[object]]
"""Makes one call, and raises if it fails."""

Opened: TypeAlias = Callable[[str, int], AbstractAsyncContextManager[Ask]]
"""Opens a client of the model at a base URL, for so many calls at once."""

BARE = "bare aiohttp"
NAME, KEY = "scripted", "sk-bench"
REQUEST = ModelRequest((UserMessage(WORDS),))
TIMEOUT_S = 300.0


@asynccontextmanager
async def bare(base_url: str, connections: int) -> AsyncGenerator[Ask]:
    """Open the least client: it sends the same JSON and parses the answer."""
    url, headers = f"{base_url}/chat/completions", {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), headers=headers) as http:
        yield partial(_ask_bare, http, url)


async def _ask_bare(http: aiohttp.ClientSession, url: str) -> object:
    async with http.post(url, json=BODY, timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as answer:
        return (await answer.json())["choices"][0]["message"]["content"]


@asynccontextmanager
async def ported(
    open_model: Callable[..., AbstractAsyncContextManager[Model]], base_url: str, connections: int
) -> AsyncGenerator[Ask]:
    """Open an implementation of the port as workers do, with prices."""
    settings = OpenAISettings(
        base_url=base_url, name=NAME, api_key=KEY, connections=connections, total_timeout=TIMEOUT_S
    )
    async with open_model(settings, SystemClock()) as model:
        priced = PricedModel(model, NAME, Prices(read_prices(SHIPPED)))
        yield partial(priced.complete, REQUEST)


CLIENTS: Mapping[str, Opened] = {
    BARE: bare,
    "thin": partial(ported, thin_model),
    "openai": partial(ported, openai_model),
}
