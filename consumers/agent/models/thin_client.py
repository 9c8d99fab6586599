"""A model behind the chat completions endpoint, on aiohttp alone: neither the OpenAI SDK nor httpx2 is imported."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from consumers.agent.models.openai_answer import decode
from consumers.agent.models.openai_errors import Refusal, error_of
from consumers.agent.models.openai_stream import ChunkReader
from consumers.agent.models.openai_wire import encode
from consumers.agent.models.port import Delta, ModelRequest, ModelResponse
from consumers.agent.models.provider_http import ACCEPTED, ProviderAnswer, ProviderHttp, session
from consumers.agent.models.streamed_call import StreamedCall, drain, is_event_stream
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

    pause_timeout: float
    """Seconds between two pieces of a stream."""

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
        return self._read(answer, {tool.name for tool in request.tools})

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Ask once, and yield the pieces of the answer. Raises a ModelError. Closing it closes the connection."""
        offered, call = {tool.name for tool in request.tools}, StreamedCall.of(self.total_timeout, self.pause_timeout)
        content = encode(request, self.name, stream=True)
        response = await call.within(self.provider.open(self.url, self._headers(request), content))
        try:
            if not is_event_stream(response):
                whole = self._read(await call.within(self.provider.rest(response)), offered)
                yield Delta(whole.text, whole)
                return
            reader = ChunkReader(self.odd)
            async with aclosing(self.provider.pieces(response)) as pieces:
                async with aclosing(call.texts(pieces, reader)) as texts:
                    async for text in texts:
                        yield Delta(text)
                yield Delta(response=reader.response(offered))
                await drain(pieces)
        finally:
            response.close()

    async def _post(self, request: ModelRequest) -> ProviderAnswer:
        return await self.provider.send("POST", self.url, self._headers(request), encode(request, self.name))

    def _headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {**self.headers, "traceparent": request.traceparent} if request.traceparent else self.headers

    def _read(self, answer: ProviderAnswer, offered: Collection[str]) -> ModelResponse:
        if not answer.succeeded:
            raise error_of(_refusal(answer), self.clock, self.odd)
        return decode(answer.body, offered, self.odd)


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
