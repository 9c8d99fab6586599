"""Serve the pages of a local platform over HTTP: alive, ready, its contract and its endpoints."""

from __future__ import annotations

import html
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from ops.dev.stages import DISCOVERY
from ops.embedded.ports import LOOPBACK
from ops.errors import OperationError
from ops.http_binding import bound, guards_of
from streams.contracts.document import DOCUMENT, render

PORT = 8_765
STYLE = "body{font:16px/1.5 system-ui;margin:3rem auto;max-width:44rem}td{padding:0 2rem .3rem 0}code{font-size:.95em}"


@dataclass(slots=True)
class Page:
    """The pages and the data that they show."""

    waiting: Callable[[], list[str]]
    """Returns the stages that are not ready."""

    workers: Callable[[], dict[str, str]] = dict[str, str]
    """Returns the address of each stage's health and metrics, by stage."""

    rows: dict[str, str] = field(default_factory=dict[str, str])
    """Names and values on the index page."""

    draining: bool = False

    @asynccontextmanager
    async def served(self, port: int | None) -> AsyncGenerator[str]:
        """Serve on loopback during the block, and yield the address.

        *port* 0 is any free one. None is ``PORT``, or any free one if that is taken.
        """
        app = web.Application(middlewares=guards_of(LOOPBACK))
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get(f"/{DOCUMENT}", self._asyncapi),
                web.get(DISCOVERY, self._targets),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            yield await (_bound_somewhere(runner) if port is None else bound(runner, LOOPBACK, port))
        finally:
            await runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        waiting = self.waiting()
        ready = not waiting and not self.draining
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": ready, "draining": self.draining, "waiting": waiting}, status=status)

    async def _asyncapi(self, _request: web.Request) -> web.Response:
        return web.Response(body=render()[DOCUMENT], content_type="application/json")

    async def _targets(self, _request: web.Request) -> web.Response:
        """Answer Prometheus' HTTP service discovery: the workers of now. Their metrics have the label ``stage``."""
        return web.json_response(
            [
                {"targets": [address.removeprefix("http://")], "labels": {"__meta_headrace_stage": stage}}
                for stage, address in self.workers().items()
            ]
        )

    async def _index(self, _request: web.Request) -> web.Response:
        links = {"alive": "/livez", "ready": "/readyz", "contract": f"/{DOCUMENT}", "Prometheus": DISCOVERY}
        cells = [_row(name, f"<code>{html.escape(value)}</code>") for name, value in self.rows.items()]
        cells += [_row(name, f'<a href="{link}">{link}</a>') for name, link in links.items()]
        head = f"<!doctype html><meta charset=utf-8><title>Headrace</title><style>{STYLE}</style><h1>Headrace</h1>"
        return web.Response(text=f"{head}<table>{''.join(cells)}</table>", content_type="text/html")


async def _bound_somewhere(runner: web.AppRunner) -> str:
    try:
        return await bound(runner, LOOPBACK, PORT)
    except OperationError:
        return await bound(runner, LOOPBACK, 0)


def _row(name: str, cell: str) -> str:
    return f"<tr><td>{html.escape(name)}<td>{cell}"
