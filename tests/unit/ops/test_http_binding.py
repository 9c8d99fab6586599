"""A web server's address, and who may ask it."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from ops.errors import OperationError
from ops.http_binding import bound, guards_of

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _served(host: str, port: int = 0) -> AsyncGenerator[str]:
    app = web.Application(middlewares=guards_of(host))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="inside")

    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        yield await bound(runner, host, port)
    finally:
        await runner.cleanup()


async def _status(address: str, host: str) -> int:
    async with aiohttp.ClientSession(address) as session, session.get("/", headers={"Host": host}) as answer:
        return answer.status


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:80", "127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example:1"),
        *("0.0.0.0", "10.0.0.1", "evil.example@localhost", "[::1", "[::2]:80", "localhost.", ""),
    ],
)
async def test_a_page_of_another_site_is_refused(host: str) -> None:
    """Its name may lead to 127.0.0.1; the browser then sends that name."""
    async with _served("127.0.0.1") as address:
        assert await _status(address, host) == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9100", "localhost", "LOCALHOST:80", "[::1]:9100", "[::1]"])
async def test_a_loopback_host_is_answered(host: str) -> None:
    """Browsers, curl, Prometheus, and a tunnel."""
    async with _served("127.0.0.1") as address:
        assert await _status(address, host) == 200


async def test_a_server_for_other_hosts_takes_their_names() -> None:
    """A kubelet asks by the pod's address, Prometheus by a service's name."""
    async with _served("0.0.0.0") as address:
        assert await _status(address.replace("0.0.0.0", "127.0.0.1"), "headrace.svc:9100") == 200


async def test_an_ipv6_address_has_brackets() -> None:
    """Or it is no URL."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with _served("::1") as address:
        assert address.startswith("http://[::1]:")
        assert await _status(address, "localhost") == 200


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
async def test_a_host_that_is_not_here_names_the_variable(host: str) -> None:
    """Another port would not help."""
    with pytest.raises(OperationError, match=f"HEADRACE_HTTP_HOST is `{host}`: .* write 127.0.0.1") as caught:
        async with _served(host):
            pass

    assert caught.value.exit_code == 2


async def test_a_port_that_is_taken_names_the_variable() -> None:
    """The host is right then."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(
            OperationError, match=rf"port {port} of 127.0.0.1 .* \(it is taken\): set HEADRACE_HTTP_PORT"
        ):
            async with _served("127.0.0.1", port):
                pass
