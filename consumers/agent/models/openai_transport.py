"""The HTTP transport below the OpenAI SDK: one aiohttp session whose answers are bounded while they are read.

The SDK's own transport reads and decompresses an answer of any size. It also keeps the provider's cookies.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2

from consumers.agent.models.answer_body import ANSWER_LIMIT, ERROR_LIMIT, BodyReader
from schemas.errors import ModelError, ModelTimeoutError, ModelUnavailableError, ModelUnreadableError

ERROR_BODY_S = 5.0
"""Seconds for the body of an error. Its status has arrived, and decides."""

ACCEPTED = "gzip"
"""The only compression that is asked for."""

_SUCCESS = 2
_KEPT = ("retry-after", "retry-after-ms", "x-request-id")
"""The headers that are used. Others could change how a library reads the body, or where it goes next."""


def session(*, base_url: str, connections: int, connect_timeout: float, idle_timeout: float) -> aiohttp.ClientSession:
    """Open a session without cookies, for one provider. Times are in seconds."""
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=idle_timeout, ssl=httpx2.create_ssl_context())
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
        proxy=_proxy(base_url),
    )


def _proxy(base_url: str) -> str | None:
    """Return the operator's proxy for the provider, as the usual variables name it."""
    address, proxies = urlsplit(base_url), getproxies()
    if not address.hostname or proxy_bypass(address.hostname):
        return None
    return proxies.get(address.scheme) or proxies.get("all")


@dataclass(frozen=True, slots=True)
class AnswerTransport(httpx2.AsyncBaseTransport):
    """Sends requests, and returns answers that are read to their end."""

    http: aiohttp.ClientSession
    bodies: BodyReader = field(default_factory=BodyReader)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer. Raises a ModelError if there is none, or if an answer of status 2xx cannot be read."""
        try:
            async with self.http.request(
                request.method, str(request.url), headers=request.headers, data=request.content, allow_redirects=False
            ) as response:
                body = await (self._answer(response) if response.status // 100 == _SUCCESS else self._error(response))
        except aiohttp.ClientError as error:
            raise _fate_of(error) from None  # the error's text may hold what the provider sent
        return httpx2.Response(response.status, headers=_kept(response), content=body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.http.close()

    async def _answer(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of a success. It is paid for, so that a body which breaks off is no lost connection."""
        try:
            return await self._read(response, ANSWER_LIMIT)
        except aiohttp.ClientError as error:
            message = "the connection ended within the provider's answer"
            raise ModelUnreadableError(message, detail=type(error).__name__) from None

    async def _error(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of an error, or nothing if it cannot be read."""
        try:
            async with asyncio.timeout(ERROR_BODY_S):
                return await self._read(response, ERROR_LIMIT)
        except (aiohttp.ClientError, ModelUnreadableError, TimeoutError):
            return b""

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        encoding = ",".join(response.headers.getall("content-encoding", ()))
        return await self.bodies.read(response.content.iter_any(), encoding, limit)


def _kept(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: response.headers[name] for name in _KEPT if name in response.headers}


def _fate_of(error: aiohttp.ClientError) -> ModelError:
    name = type(error).__name__
    if isinstance(error, aiohttp.ServerTimeoutError):
        return ModelTimeoutError("the provider accepted no connection in time", detail=name)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return ModelUnreadableError("the provider's answer is not valid HTTP", detail=name)
    return ModelUnavailableError(detail=name)
