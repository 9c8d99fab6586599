"""A model behind the chat completions endpoint, through the OpenAI SDK's low-level ``post`` on a transport of ours.

``chat.completions.create`` costs twice the CPU for the same bytes. The SDK's default client does not finish 5,000 calls
in flight, and reads answers of any size. The platform retries; the SDK does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import openai

from consumers.agent.models.openai_answer import decode
from consumers.agent.models.openai_errors import Refusal, error_of
from consumers.agent.models.openai_transport import AnswerTransport
from consumers.agent.models.openai_wire import encode
from consumers.agent.models.port import ModelRequest, ModelResponse
from consumers.agent.models.provider_http import ACCEPTED, ProviderHttp, session
from schemas.clock import Clock
from schemas.errors import ModelError, ModelTimeoutError, ModelUnavailableError, chain_of

PATH = "/chat/completions"


def connect(
    *, base_url: str, api_key: str, connections: int, connect_timeout: float, idle_timeout: float
) -> openai.AsyncOpenAI:
    """Return a client with every limit set explicitly. Times are in seconds; the caller limits the time of a call."""
    opened = session(
        base_url=base_url,
        connections=connections,
        connect_timeout=connect_timeout,
        idle_timeout=idle_timeout,
        trusted=httpx2.create_ssl_context(),
    )
    http = httpx2.AsyncClient(
        transport=AnswerTransport(ProviderHttp(opened)),
        headers={"accept-encoding": ACCEPTED},
        timeout=httpx2.Timeout(None, connect=connect_timeout),
        follow_redirects=False,
        trust_env=False,  # the session knows the operator's proxy
    )
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=http.timeout, http_client=http)


@dataclass(frozen=True, slots=True)
class OpenAIModel:
    """One model of one provider."""

    client: openai.AsyncOpenAI
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
                body = await self._post(request)
        except TimeoutError:
            raise ModelTimeoutError(f"the model did not answer within {self.total_timeout:g} s") from None
        return decode(body, {tool.name for tool in request.tools}, self.odd)

    async def _post(self, request: ModelRequest) -> bytes:
        headers = {"traceparent": request.traceparent} if request.traceparent else {}
        try:
            response = await self.client.post(
                PATH, cast_to=httpx2.Response, content=encode(request, self.name), options={"headers": headers}
            )
        except openai.APIError as error:
            raise self._error(error) from None  # the error's text may quote the prompt or the key
        return response.content

    def _error(self, error: openai.APIError) -> ModelError:
        if not isinstance(error, openai.APIStatusError):
            return ModelUnavailableError(detail=" from ".join(type(cause).__name__ for cause in chain_of(error)))
        refusal = Refusal(error.status_code, error.response.headers, error.code, error.type, error.param)
        return error_of(refusal, self.clock, self.odd)
