"""A span collector that keeps nothing, in a process of its own, so that its work is not measured."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from aiohttp import web

from ops.lab.bench.child import announced

LIMIT = 64 * 1024 * 1024


def sink() -> AbstractAsyncContextManager[str]:
    """Run the collector for the block, and yield its address for an exporter."""
    return announced("ops.lab.bench.sink")


async def _take(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


async def serve() -> None:
    """Serve on a free local port until killed."""
    application = web.Application(client_max_size=LIMIT)
    application.add_routes([web.post("/v1/traces", _take)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201 - the announcement
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
