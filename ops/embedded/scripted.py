"""A scripted model behind real HTTP: OpenAI-compatible, deterministic, and able to simulate every failure.

In the same process: ``async with scripted_model(ScriptedAnswer(text="hello")) as model``, then ``model.base_url``.
As a child: ``python -m ops.embedded.scripted --port 0`` prints one JSON line when it is ready. Other processes script
it with ``POST /script`` (an answer or a list of them) and ``DELETE /script``, give it a scenario with
``PUT /scenario`` (or ``--scenario FILE``), and read its calls with ``GET /calls``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from ops.embedded.calls import Call, Calls
from ops.embedded.chat_rules import BAD_REQUEST, refusal_of, unauthorized
from ops.embedded.completions import CREATED, chunks, completion
from ops.embedded.errors import ScenarioFileError
from ops.embedded.scenario import Scenario
from ops.embedded.scenario_file import read_scenario
from ops.embedded.scripted_faults import misbehave
from ops.embedded.scripts import OK, ChatBody, Matcher, Script, ScriptedAnswer, ScriptedError
from ops.http_binding import guards_of

HOST = "127.0.0.1"
BACKLOG = 8192
BODY_LIMIT = 16 * 1024 * 1024
MODEL = "scripted"

_ANSWERS: TypeAdapter[ScriptedAnswer | list[ScriptedAnswer]] = TypeAdapter(ScriptedAnswer | list[ScriptedAnswer])
_NOT_JSON = ScriptedAnswer(status=BAD_REQUEST, error=ScriptedError(message="the body is not JSON"))

Send: TypeAlias = Callable[[web.Request, ScriptedAnswer, ChatBody, int], Awaitable[web.StreamResponse]]
"""A function that sends an answer to the client. Replace it for streams that are slow, stall or break off."""


async def send(request: web.Request, answer: ScriptedAnswer, body: ChatBody, number: int) -> web.StreamResponse:
    """Send the complete answer, or server-sent events if the request asks for a stream."""
    if answer.fault is not None:
        return await misbehave(request, answer.fault)
    if answer.raw is not None or answer.body is not None or answer.status != OK:
        return _plain(answer)
    if not body.get("stream"):
        return web.json_response(completion(answer, body, number), headers=_headers(answer))
    response = web.StreamResponse(headers=_headers(answer) | {"content-type": "text/event-stream"})
    await response.prepare(request)
    for chunk in chunks(answer, body, number):
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _plain(answer: ScriptedAnswer) -> web.Response:
    if answer.body is not None:
        return web.Response(body=answer.body, status=answer.status, headers=_headers(answer))
    if answer.raw is not None:
        return web.Response(text=answer.raw, status=answer.status, headers=_headers(answer))
    return web.json_response(answer.error_body(), status=answer.status, headers=_headers(answer))


def _headers(answer: ScriptedAnswer) -> dict[str, str]:
    return answer.headers if answer.retry_after is None else {"retry-after": str(answer.retry_after)} | answer.headers


@dataclass(slots=True)
class ScriptedModel:
    """A scripted model behind HTTP, with its script and the calls it received."""

    script: Script
    key: str | None = None
    name: str = MODEL
    send: Send = send
    calls: Calls = field(default_factory=Calls)
    address: str = ""
    """The address as ``http://host:port``, once it listens."""

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self.address}/v1"

    def application(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(client_max_size=BODY_LIMIT, middlewares=guards_of(HOST))
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._complete),
                web.get("/v1/models", self._models),
                web.post("/script", self._add),
                web.delete("/script", self._clear),
                web.put("/scenario", self._play),
                web.get("/calls", self._report),
            ]
        )
        return app

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncGenerator[ScriptedModel]:
        """Serve on loopback; port 0 takes a free one."""
        runner = web.AppRunner(self.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, port, backlog=BACKLOG)
            await site.start()
            self.address = f"http://{HOST}:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return _plain(refused)
        try:
            body = await request.json()
        except ValueError:
            return _plain(_NOT_JSON)
        with self.calls.flying():
            number = self.calls.taken(Call(body, _shown(request)))
            answer = refusal_of(body) or self.script.answer(body)
            await asyncio.sleep(answer.delay)
            return await self.send(request, answer, body, number)

    def _refused(self, request: web.Request) -> ScriptedAnswer | None:
        return None if self.key is None else unauthorized(request.headers.get("authorization"), self.key)

    async def _models(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return _plain(refused)
        model = {"id": self.name, "object": "model", "created": CREATED, "owned_by": "headrace"}
        return web.json_response({"object": "list", "data": [model]})

    async def _add(self, request: web.Request) -> web.Response:
        try:
            answers = _ANSWERS.validate_json(await request.read())
        except ValidationError as error:
            return _plain(_invalid(error))
        self.script.add(*(answers if isinstance(answers, list) else [answers]))
        return web.json_response({"queued": len(self.script)})

    async def _clear(self, _request: web.Request) -> web.Response:
        self.script.clear()
        return web.json_response({"queued": 0})

    async def _play(self, request: web.Request) -> web.Response:
        try:
            self.script.scenario = scenario = Scenario.model_validate_json(await request.read())
        except ValidationError as error:
            return _plain(_invalid(error))
        return web.json_response({"rules": len(scenario.rules)})

    async def _report(self, _request: web.Request) -> web.Response:
        return web.json_response(self.calls.report())


def _invalid(error: ValidationError) -> ScriptedAnswer:
    return ScriptedAnswer(status=BAD_REQUEST, error=ScriptedError(message=str(error)))


def _shown(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items() if name.lower() != "authorization"}


@asynccontextmanager
async def scripted_model(
    *answers: ScriptedAnswer,
    matcher: Matcher | None = None,
    scenario: Matcher | None = None,
    key: str | None = None,
    port: int = 0,
    sender: Send = send,
) -> AsyncGenerator[ScriptedModel]:
    """Serve a model that gives these answers in order, then the scenario's, then the last user message.

    A ``matcher`` is called before the queue is used. With a ``key``, callers must send it as the bearer key.
    """
    model = ScriptedModel(Script(*answers, matcher=matcher, scenario=scenario), key=key, send=sender)
    async with model.listening(port):
        yield model


async def serve(port: int, key: str | None, scenario: Scenario | None = None) -> None:
    """Serve until SIGTERM or SIGINT, and print the address on standard output."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with scripted_model(key=key, port=port, scenario=scenario) as model:
        print(json.dumps({"event": "ready", "base_url": model.base_url, "model": MODEL}), flush=True)  # noqa: T201 - the announcement
        await stopped.wait()


def main() -> None:
    """Run the model as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m ops.embedded.scripted", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--key", help="the bearer key that callers need; without it, none is asked for")
    parser.add_argument("--scenario", type=Path, help="a scenario as .toml or .json (ops.embedded.scenario)")
    given = parser.parse_args()
    try:
        scenario = read_scenario(given.scenario) if given.scenario else None
    except ScenarioFileError as error:
        parser.error(str(error))
    asyncio.run(serve(given.port, given.key, scenario))


if __name__ == "__main__":
    main()
