"""A model behind the chat completions endpoint, on aiohttp alone: neither the OpenAI SDK nor httpx2 is imported."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from consumers.agent.models.openai_answer import decode
from consumers.agent.models.openai_errors import Refusal, error_of
from consumers.agent.models.openai_wire import encode
from consumers.agent.models.port import ModelRequest, ModelResponse
from consumers.agent.models.provider_http import ACCEPTED, ProviderAnswer, ProviderHttp, session
from schemas.clock import Clock
from schemas.errors import ModelTimeoutError

PATH = "/chat/completions"
AGENT = "headrace"


def connect(*, base_url: str, connections: int, connect_timeout: float, idle_timeout: float) -> ProviderHttp:
    """Return a connection pool with every limit set explicitly. Times are in seconds."""
    opened = session(
        base_url=base_url,
        connections=connections,
        connect_timeout=connect_timeout,
        idle_timeout=idle_timeout,
        trusted=ssl.create_default_context(),
    )
    return ProviderHttp(opened)


@dataclass(frozen=True, slots=True)
class ThinModel:
    """One model of one provider."""

    provider: ProviderHttp
    url: str
    headers: Mapping[str, str]
    """The headers of every call, with the key."""

    name: str
    """The provider's name for the model."""

    total_timeout: float
    """Seconds that one call may take from end to end."""

    clock: Clock
    odd: Callable[[str], None] = lambda _: None
    """Called with the name of each field of an answer that was clamped or dropped."""

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Ask once. Raises a ModelError."""
        try:
            async with asyncio.timeout(self.total_timeout):
                answer = await self._post(request)
        except TimeoutError:
            raise ModelTimeoutError(f"the model did not answer within {self.total_timeout:g} s") from None
        if not answer.succeeded:
            raise error_of(_refusal(answer), self.clock, self.odd)
        return decode(answer.body, {tool.name for tool in request.tools}, self.odd)

    async def _post(self, request: ModelRequest) -> ProviderAnswer:
        traced = {**self.headers, "traceparent": request.traceparent} if request.traceparent else self.headers
        return await self.provider.send("POST", self.url, traced, encode(request, self.name))


def address_of(base_url: str) -> str:
    """Return the address of the chat completions endpoint."""
    return base_url.rstrip("/") + PATH


def headers_of(api_key: str | None) -> dict[str, str]:
    """Return the headers of every call."""
    fixed = {
        "accept": "application/json",
        "accept-encoding": ACCEPTED,
        "content-type": "application/json",
        "user-agent": AGENT,
    }
    return fixed if api_key is None else {**fixed, "authorization": f"Bearer {api_key}"}


def _refusal(answer: ProviderAnswer) -> Refusal:
    facts = _facts(answer.body)
    return Refusal(answer.status, answer.headers, facts.get("code"), facts.get("type"), facts.get("param"))


def _facts(body: bytes) -> dict[str, Any]:
    """Return the error object of a body, or the body itself if it has none; empty for anything but JSON objects."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    inner = value.get("error", value) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}
