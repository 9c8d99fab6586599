"""HTTP to a provider: one aiohttp session whose answers are bounded while they are read. Both clients use it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from consumers.agent.models.answer_body import ANSWER_LIMIT, ERROR_LIMIT, STREAM_LIMIT, BodyReader, unpacked
from schemas.errors import ModelError, ModelTimeoutError, ModelUnavailableError, ModelUnreadableError

ERROR_BODY_S = 5.0
"""Seconds for the body of an error. Its status has arrived, and decides."""

ACCEPTED = "gzip"
"""The only compression that is asked for."""

_SUCCESS = 2
_KEPT = ("retry-after", "retry-after-ms", "x-request-id")
"""The headers that are used. Others could change how a library reads the body, or where it goes next."""


def session(
    *, base_url: str, connections: int, connect_timeout: float, idle_timeout: float, trusted: ssl.SSLContext
) -> aiohttp.ClientSession:
    """Open a session without cookies, for one provider. Times are in seconds."""
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=idle_timeout, ssl=trusted)
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
class ProviderAnswer:
    """An answer that has been read to its end."""

    status: int
    headers: Mapping[str, str]
    """The few headers that are used, by lower-case name."""

    body: bytes

    @property
    def succeeded(self) -> bool:
        """True if the status is 2xx."""
        return self.status // 100 == _SUCCESS


@dataclass(frozen=True, slots=True)
class ProviderHttp:
    """Sends requests, and returns answers that are read to their end."""

    http: aiohttp.ClientSession
    bodies: BodyReader = field(default_factory=BodyReader)

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> ProviderAnswer:
        """Return the answer. Raises a ModelError if there is none, or if an answer of status 2xx cannot be read."""
        try:
            async with self.http.request(method, url, headers=headers, data=content, allow_redirects=False) as response:
                return await self.rest(response)
        except aiohttp.ClientError as error:
            raise fate_of(error) from None  # the error's text may hold what the provider sent

    async def open(self, url: str, headers: Mapping[str, str], content: bytes) -> aiohttp.ClientResponse:
        """Return the answer to a POST when its headers have come; the caller closes it. Raises a ModelError."""
        try:
            return await self.http.post(url, headers=headers, data=content, allow_redirects=False)
        except aiohttp.ClientError as error:
            raise fate_of(error) from None

    async def rest(self, response: aiohttp.ClientResponse) -> ProviderAnswer:
        """Return an opened answer, read to its end. Raises as ``send`` does."""
        body = await (self._answer(response) if response.status // 100 == _SUCCESS else self._error(response))
        return ProviderAnswer(response.status, _kept(response), body)

    async def pieces(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        """Yield an opened answer's decompressed pieces. Raise ModelUnreadableError if it breaks off."""
        try:
            async for piece in unpacked(response.content.iter_any(), _encoding(response), STREAM_LIMIT):
                yield piece
        except aiohttp.ClientError as error:
            raise broken_off(error) from None

    async def _answer(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of a success. It is paid for, so that a body which breaks off is no lost connection."""
        try:
            return await self._read(response, ANSWER_LIMIT)
        except aiohttp.ClientError as error:
            raise broken_off(error) from None

    async def _error(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of an error, or nothing if it cannot be read."""
        try:
            async with asyncio.timeout(ERROR_BODY_S):
                return await self._read(response, ERROR_LIMIT)
        except (aiohttp.ClientError, ModelUnreadableError, TimeoutError):
            return b""

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        return await self.bodies.read(response.content.iter_any(), _encoding(response), limit)


def _encoding(response: aiohttp.ClientResponse) -> str:
    return ",".join(response.headers.getall("content-encoding", ()))


def broken_off(error: aiohttp.ClientError) -> ModelUnreadableError:
    """Return the error for an answer that ended before its end."""
    return ModelUnreadableError("the connection ended within the provider's answer", detail=type(error).__name__)


def _kept(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: response.headers[name] for name in _KEPT if name in response.headers}


def fate_of(error: aiohttp.ClientError) -> ModelError:
    """Return the Headrace error for a failure below HTTP."""
    name = type(error).__name__
    if isinstance(error, aiohttp.ServerTimeoutError):
        return _not_sent(ModelTimeoutError("the provider accepted no connection in time", detail=name))
    if isinstance(error, aiohttp.ClientConnectorError):
        return _not_sent(ModelUnavailableError(detail=name))
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return ModelUnreadableError("the provider's answer is not valid HTTP", detail=name)
    return ModelUnavailableError(detail=name)


def _not_sent(error: ModelError) -> ModelError:
    error.uncharged = True
    return error
