"""A Maven repository over HTTP, with proxy settings, certificates and retries."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from ops.embedded.errors import JarsUnavailableError, NotInstalledError

CONNECTIONS = 8
PAUSES = (0.2, 0.6)
"""Seconds before the second and the third attempt. stamina would log each retry, and 46 jars may retry at once."""
SILENCE = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
"""Timeouts in seconds. A slow download may continue, but a silent one may not."""
BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Repository:
    """An open connection to ``base``, which does not end with a slash."""

    base: str
    session: aiohttp.ClientSession

    @property
    def host(self) -> str:
        """The host name for messages, without a password that the address may hold."""
        parts = urlsplit(self.base)
        return parts.netloc.rpartition("@")[2] or self.base

    async def fetch(self, path: str, target: Path, arrived: Callable[[int], None]) -> None:
        """Write the file at ``path`` to ``target``, and report the bytes so far.

        Raise JarsUnavailableError after a few attempts, or OSError if ``target`` cannot be written.
        """
        try:
            await self._persist(path, target, arrived)
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise JarsUnavailableError(self._explained(error)) from error

    async def _persist(self, path: str, target: Path, arrived: Callable[[int], None]) -> None:
        for pause in PAUSES:
            try:
                return await self._download(path, target, arrived)
            except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                if not _passing(error):
                    raise
            await asyncio.sleep(pause)
        return await self._download(path, target, arrived)

    async def _download(self, path: str, target: Path, arrived: Callable[[int], None]) -> None:
        async with self.session.get(f"{self.base}/{path}") as response:
            response.raise_for_status()
            size = 0
            with target.open("wb") as file:
                async for block in response.content.iter_chunked(BLOCK):
                    size += file.write(block)
                    arrived(size)

    def _explained(self, error: Exception) -> str:
        reason = " ".join((str(error) or type(error).__name__).split())
        return (
            f"Kafka's jars cannot be fetched from {self.host} ({reason}): connect this machine to the network once, "
            "or set HEADRACE_MAVEN_REPOSITORY to a mirror, or --use-cluster with HEADRACE_KAFKA_BOOTSTRAP"
        )


def _passing(error: Exception) -> bool:
    """Return True if another attempt may succeed. A 4xx response is permanent."""
    return not isinstance(error, aiohttp.ClientResponseError) or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


@asynccontextmanager
async def opened(base: str | None) -> AsyncGenerator[Repository]:
    """Connect to the repository at ``base``, or to the public one.

    Use the machine's proxy settings and certificates (``SSL_CERT_FILE``). Raise NotInstalledError if jgo is missing.
    """
    address = base if base is not None else await asyncio.to_thread(_public)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=ssl.create_default_context())
    async with aiohttp.ClientSession(connector=connector, timeout=SILENCE, trust_env=True) as session:
        yield Repository(address.rstrip("/"), session)


def _public() -> str:
    """Return the public address from jgo. Call it only for missing jars: the import takes 0.3 s."""
    try:
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    except ImportError as error:
        message = "the embedded Kafka needs an extra: pip install 'headrace[embedded]'"
        raise NotInstalledError(message) from error
    return MAVEN_CENTRAL_URL
