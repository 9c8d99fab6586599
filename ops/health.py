"""What a worker says of itself over HTTP: whether it lives, is ready, has started, and what it has measured.

It asks the worker's memory and never Kafka or a model: an outage of theirs must not restart the fleet.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from ops.errors import OperationError
from streams.measures import Metrics

BEAT_S = 10.0
POLL_S = 30.0
"""A worker that has not looked for records this long is not ready; twice as long, and it is not alive."""

LAST_WORDS_S = 0.5
"""For answers on their way when the worker ends: nothing else keeps a drained worker."""

log = structlog.get_logger()


class Watched(Protocol):
    """A worker as its health is seen."""

    metrics: Metrics

    @property
    def ready(self) -> bool:
        """Whether every shard that it owns is open."""
        ...

    @property
    def joined(self) -> bool:
        """Whether its group has given it its shards, be they none."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether it drains."""
        ...

    @property
    def fatal(self) -> str | None:
        """Why it cannot go on."""
        ...

    def beat_ago_s(self) -> float:
        """Seconds since its loop turned."""
        ...

    def polled_ago_s(self) -> float:
        """Seconds since it looked for records."""
        ...


@dataclass(slots=True)
class Health:
    """The answers, each a list of reasons why not."""

    worker: Watched
    _started: bool = field(default=False)

    def alive(self) -> list[str]:
        """Why the process should be ended."""
        beat, polled = self.worker.beat_ago_s(), self.worker.polled_ago_s()
        late = [f"the event loop was last seen {beat:.0f} s ago"] if beat > BEAT_S else []
        if polled > 2 * POLL_S and not self.worker.stopping:
            late.append(f"records were last looked for {polled:.0f} s ago")
        return late

    def ready(self) -> list[str]:
        """Why it does not serve."""
        worker, polled = self.worker, self.worker.polled_ago_s()
        reasons = {
            "it has failed": worker.fatal is not None,
            "it drains": worker.stopping,
            "its group has given it nothing yet": not worker.joined,
            "a shard that it owns is not open": worker.joined and not (worker.ready or worker.stopping or worker.fatal),
            f"records were last looked for {polled:.0f} s ago": polled > POLL_S,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def started(self) -> list[str]:
        """Why it has not been ready once."""
        self._started = self._started or self.worker.ready
        return [] if self._started else self.ready()


@asynccontextmanager
async def served(worker: Watched, host: str, port: int) -> AsyncGenerator[str]:
    """Answer on *port* (0: a free one) for as long as the block. Its address; OperationError if the port is taken."""
    health = Health(worker)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=worker.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    for path, ask in (("/livez", health.alive), ("/readyz", health.ready), ("/startupz", health.started)):
        app.router.add_get(path, _answering(ask))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_WORDS_S)
    await runner.setup()
    try:
        await _bind(runner, host, port)
        address = f"http://{host}:{runner.addresses[0][1]}"
        log.info("http_serves", address=address)
        yield address
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise OperationError(
            f"port {port} of {host} cannot be had ({error.strerror}): set HEADRACE_HTTP_PORT to another, or to 0"
        ) from error


def _answering(ask: Callable[[], list[str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        reasons = ask()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return web.json_response({"ok": not reasons, "reasons": reasons}, status=status)

    return answer
