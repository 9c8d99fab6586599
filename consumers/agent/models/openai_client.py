"""A model behind the chat completions endpoint, through the OpenAI SDK's low-level ``post`` on its aiohttp client.

``chat.completions.create`` costs twice the CPU for the same bytes. The SDK's default client does not finish 5,000 calls
in flight. The platform retries; the SDK does not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
import httpx2
import openai

from consumers.agent.models.openai_errors import error_of
from consumers.agent.models.openai_wire import decode, encode
from consumers.agent.models.port import ModelRequest, ModelResponse
from schemas.clock import Clock
from schemas.errors import ModelTimeoutError, ModelUnavailableError

PATH = "/chat/completions"


def connect(
    *, base_url: str, api_key: str, connections: int, connect_timeout: float, idle_timeout: float
) -> openai.AsyncOpenAI:
    """Return a client with every limit set explicitly. Times are in seconds; the caller limits the time of a call."""
    limits = httpx2.Limits(
        max_connections=connections,  # None would be the aiohttp connector's own 100
        max_keepalive_connections=connections,
        keepalive_expiry=idle_timeout,
    )
    timeout = httpx2.Timeout(None, connect=connect_timeout)
    http = openai.DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False)
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=timeout, http_client=http)


@dataclass(frozen=True, slots=True)
class OpenAIModel:
    """One model of one provider."""

    client: openai.AsyncOpenAI
    name: str
    """The provider's name for the model."""

    total_timeout: float
    """Seconds that one call may take from end to end."""

    clock: Clock

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Ask once. Raises a ModelError."""
        try:
            async with asyncio.timeout(self.total_timeout):
                return decode(await self._post(request))
        except TimeoutError:
            raise ModelTimeoutError(f"the model did not answer within {self.total_timeout:g} s") from None

    async def _post(self, request: ModelRequest) -> bytes:
        headers = {"traceparent": request.traceparent} if request.traceparent else {}
        try:
            response = await self.client.post(
                PATH, cast_to=httpx2.Response, content=encode(request, self.name), options={"headers": headers}
            )
        except openai.APIError as error:
            raise error_of(error, self.clock) from None  # the error's text may quote the prompt or the key
        except aiohttp.ClientError as error:  # the SDK's transport does not translate these
            raise ModelUnavailableError(detail=type(error).__name__) from None
        return response.content
