"""Serve a worker's probes and metrics over HTTP: alive, ready, started, and the measurements.

The probes read the worker's memory and never ask Kafka or a model: their outage must not restart the fleet.
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

from ops.http_binding import bound, guards_of
from streams.telemetry.metric_store import MetricStore

BEAT_S = 10.0
POLL_S = 30.0
"""A worker that has not polled for this many seconds is not ready; after twice as many, it is not alive."""

LAST_WORDS_S = 0.5
"""Seconds for open responses when the worker ends: nothing else delays a drained worker."""

log = structlog.get_logger()


class Watched(Protocol):
    """The parts of a worker that its probes read."""

    @property
    def metrics(self) -> MetricStore:
        """The worker's metrics."""
        ...

    @property
    def ready(self) -> bool:
        """True if every shard that the worker owns is open."""
        ...

    @property
    def joined(self) -> bool:
        """True if the group has assigned the worker its shards, even if there are none."""
        ...

    @property
    def stopping(self) -> bool:
        """True if the worker is draining."""
        ...

    @property
    def fatal(self) -> str | None:
        """The reason why the worker cannot go on, or None."""
        ...

    def beat_ago_s(self) -> float:
        """Return the seconds since the event loop last ran."""
        ...

    def polled_ago_s(self) -> float:
        """Return the seconds since the worker last polled for records."""
        ...


@dataclass(slots=True)
class Health:
    """The probes of one worker. Each returns the reasons why it fails."""

    worker: Watched
    more: Callable[[], list[str]] = list[str]
    """Returns further reasons not to be ready."""

    _started: bool = field(default=False)

    def alive(self) -> list[str]:
        """Return the reasons to end the process."""
        beat, polled = self.worker.beat_ago_s(), self.worker.polled_ago_s()
        late = [f"the event loop was last seen {beat:.0f} s ago"] if beat > BEAT_S else []
        if polled > 2 * POLL_S and not self.worker.stopping:
            late.append(f"records were last looked for {polled:.0f} s ago")
        return late

    def ready(self) -> list[str]:
        """Return the reasons why the worker does not serve."""
        worker, polled = self.worker, self.worker.polled_ago_s()
        reasons = {
            "it has failed": worker.fatal is not None,
            "it drains": worker.stopping,
            "its group has given it nothing yet": not worker.joined,
            "a shard that it owns is not open": worker.joined and not (worker.ready or worker.stopping or worker.fatal),
            f"records were last looked for {polled:.0f} s ago": polled > POLL_S,
        }
        return [*self.more(), *(reason for reason, holds in reasons.items() if holds)]

    def started(self) -> list[str]:
        """Return the reasons why the worker has never been ready; none once it was ready.

        A start that waits for something outside of the process has begun: a restart would only wait again.
        """
        self._started = self._started or self.worker.ready
        return [] if self._started or self.more() else self.ready()


@asynccontextmanager
async def served(
    worker: Watched, host: str, port: int, more: Callable[[], list[str]] = list[str]
) -> AsyncGenerator[str]:
    """Serve the probes and metrics on *port* (0: a free one) during the block, and yield the address.

    *more* returns further reasons not to be ready.

    Raises OperationError if the address cannot be bound.
    """
    health = Health(worker, more)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=worker.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=guards_of(host))
    app.router.add_get("/metrics", metrics)
    for path, ask in (("/livez", health.alive), ("/readyz", health.ready), ("/startupz", health.started)):
        app.router.add_get(path, _answering(ask))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_WORDS_S)
    await runner.setup()
    try:
        address = await bound(runner, host, port)
        log.info("http_started", address=address)
        yield address
    finally:
        await runner.cleanup()


def _answering(ask: Callable[[], list[str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        reasons = ask()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return web.json_response({"ok": not reasons, "reasons": reasons}, status=status)

    return answer
