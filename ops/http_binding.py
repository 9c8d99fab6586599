"""Bind a web server to an address, and keep web pages of other sites away from one that is bound to loopback."""

from __future__ import annotations

import errno
import socket
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ops.addresses import bracketed, is_loopback
from ops.errors import OperationError, UsageError


@web.middleware
async def loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request whose Host is no loopback address.

    A page of another site may have its own name lead to 127.0.0.1 (DNS rebinding). The browser then lets that page read
    the answers, and sends its name as Host.
    """
    if is_loopback(_host_of(request)):
        return await handler(request)
    text = "the Host of this request is no loopback address: use http://127.0.0.1 and the port\n"
    return web.Response(text=text, status=HTTPStatus.MISDIRECTED_REQUEST)


def guards_of(host: str) -> list[Middleware]:
    """Return the middlewares of a server that is bound to *host*."""
    return [loopback_only] if is_loopback(host) else []


async def bound(runner: web.AppRunner, host: str, port: int) -> str:
    """Serve *runner* at *host* and *port* (0: a free one), and return the address.

    Raises UsageError if *host* is no address of this machine, and OperationError if the port cannot be had.
    """
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise _refused(host, port, error) from error
    return f"http://{bracketed(host)}:{runner.addresses[0][1]}"


def _refused(host: str, port: int, error: OSError) -> OperationError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return UsageError(
            f"HEADRACE_HTTP_HOST is `{host}`: that is no address of this machine; write 127.0.0.1, or 0.0.0.0 for all"
        )
    reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
    return OperationError(
        f"port {port} of {host} cannot be had ({reason}): set HEADRACE_HTTP_PORT to another, or to 0 for a free one"
    )


def _host_of(request: web.Request) -> str:
    given = request.headers.get("Host", "")
    try:
        return "" if "@" in given else urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return ""
