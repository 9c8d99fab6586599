"""What every streaming model must do, over real HTTP against the scripted server's streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web

from consumers.agent.models.openai_model import OpenAISettings, thin_model
from consumers.agent.models.port import (
    Delta,
    ModelRequest,
    ModelResponse,
    ModelUsage,
    StreamingModel,
    ToolCall,
    ToolSpec,
    UserMessage,
)
from ops.embedded.scripted import ScriptedModel, scripted_model
from ops.embedded.scripts import ChatBody, ScriptedAnswer, ScriptedToolCall, ScriptedUsage
from schemas.clock import SystemClock
from schemas.errors import (
    ContextOverflowError,
    ModelError,
    ModelOverloadedError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreadableError,
)

pytestmark = pytest.mark.anyio

HELLO = ModelRequest((UserMessage("hello"),))
OFFERING = ModelRequest(
    HELLO.messages, tools=(ToolSpec("clock", "", {"type": "object"}), ToolSpec("city", "", {"type": "object"}))
)
MIB = 1024 * 1024


def event(delta: object, finish: str | None = None) -> bytes:
    """One chunk as the provider sends it."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
DONE = b"data: [DONE]\n\n"
STOP = event({}, "stop")


class Cut(Exception):
    """Raised by a sender to close the connection."""


Sender = Callable[[web.StreamResponse], Awaitable[None]]


@asynccontextmanager
async def streaming(
    *answers: ScriptedAnswer, sends: Sender | None = None, total: float = 30.0, pause: float = 30.0
) -> AsyncGenerator[tuple[StreamingModel, ScriptedModel]]:
    """A streaming model and its server; *sends* writes the body of each stream."""

    async def stream(
        request: web.Request, _answer: ScriptedAnswer, _body: ChatBody, _number: int
    ) -> web.StreamResponse:
        assert sends is not None
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            await sends(response)
        except Cut:
            assert request.transport is not None
            request.transport.close()
        return response

    opened = scripted_model(*answers) if sends is None else scripted_model(*answers, sender=stream)
    async with opened as server:
        settings = OpenAISettings(
            base_url=server.base_url, name="scripted", total_timeout=total, pause_timeout=pause, connections=10
        )
        async with thin_model(settings, SystemClock()) as model:
            yield model, server


def writing(*parts: bytes) -> Sender:
    """Write these parts, then end properly."""

    async def sends(response: web.StreamResponse) -> None:
        for part in parts:
            await response.write(part)
        await response.write_eof()

    return sends


async def pieces(model: StreamingModel, request: ModelRequest = HELLO) -> list[Delta]:
    """All pieces of a stream."""
    async with asyncio.timeout(30), aclosing(model.stream(request)) as deltas:
        return [delta async for delta in deltas]


async def answer(model: StreamingModel, request: ModelRequest = HELLO) -> ModelResponse:
    """The answer at the end of a stream, whose texts add up to it."""
    *texts, last = await pieces(model, request)
    assert last.response is not None
    assert "".join(delta.text for delta in texts) + last.text == last.response.text
    return last.response


async def failed(model: StreamingModel) -> ModelError:
    """The error of a stream that must fail."""
    with pytest.raises(ModelError) as raised:
        await pieces(model)
    return raised.value


@pytest.mark.parametrize(
    "scripted",
    [
        ScriptedAnswer(text="one  two\nthree ü", usage=ScriptedUsage(prompt_tokens=7, completion_tokens=3)),
        ScriptedAnswer(
            tool_calls=(ScriptedToolCall(name="clock", arguments='{"n": 1}'), ScriptedToolCall(name="city"))
        ),
        ScriptedAnswer(text="cut", finish_reason="length"),
    ],
    ids=["text", "tools", "length"],
)
async def test_a_stream_adds_up_to_the_answer_that_is_not_streamed(scripted: ScriptedAnswer) -> None:
    """Usage included: the request asks for it."""
    async with streaming(scripted.model_copy(update={"times": 2})) as (model, server):
        streamed, whole = await answer(model, OFFERING), await model.complete(OFFERING)

    assert streamed == whole
    assert server.calls.bodies[0]["stream_options"] == {"include_usage": True}


async def test_a_piece_arrives_before_the_answer_has_ended() -> None:
    """Else it would be no stream."""
    seen = asyncio.Event()

    async def sends(response: web.StreamResponse) -> None:
        await response.write(event({"content": "first"}))
        await seen.wait()
        await response.write(event({"content": " last"}) + STOP + USAGE + DONE)
        await response.write_eof()

    async with streaming(sends=sends) as (model, _), asyncio.timeout(30), aclosing(model.stream(HELLO)) as deltas:
        assert (await anext(deltas)).text == "first"
        seen.set()
        rest = [delta async for delta in deltas]

    assert rest[-1].response == ModelResponse("first last", usage=ModelUsage(3, 2), model="m")


async def test_a_tool_call_arrives_in_pieces() -> None:
    """Id and name with the first one; two calls by turns."""
    parts = (
        {"index": 0, "id": "a", "function": {"name": "clock", "arguments": ""}},
        {"index": 1, "id": "b", "function": {"name": "city", "arguments": '{"x"'}},
        {"index": 0, "function": {"arguments": "{}"}},
        {"index": 1, "function": {"arguments": ": 1}"}},
    )
    body = b"".join(event({"tool_calls": [part]}) for part in parts) + event({}, "tool_calls") + DONE

    async with streaming(sends=writing(body)) as (model, _):
        response = await answer(model, OFFERING)

    assert response.tool_calls == (ToolCall("a", "clock", "{}"), ToolCall("b", "city", '{"x": 1}'))
    assert response.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "body",
    [
        event({"content": "hi"}) + STOP,
        event({"content": "hi"}) + STOP[:-1],
        event({"content": "hi"}) + DONE,
        b"\xef\xbb\xbf" + event({"content": "hi"}) + STOP + DONE,
        (event({"content": "hi"}) + STOP + DONE).replace(b"\n", b"\r\n"),
        (event({"content": "hi"}) + STOP + DONE).replace(b"\n", b"\r"),
        b": a comment\n\nevent: chunk\nid: 7\nretry: 10\n" + event({"content": "hi"}) + STOP + DONE,
        event({"role": "assistant", "content": None}) + event({"content": "hi", "refusal": None}) + STOP + DONE,
        event({"content": "hi"}) + b'data: {"choices": null}\n\ndata: {"choices": [7]}\n\n' + STOP + DONE,
        event({"content": "h"}) + event({"content": 7}) + event("odd") + event({"content": "i"}) + STOP + DONE,
        event({"content": "hi", "tool_calls": [7, {"index": "x"}, {"index": 0, "function": 7}]}) + STOP + DONE,
        event({"content": "hi"}) + STOP + b'data: {"choices": [], "usage": null}\n\n' + DONE,
        event({"content": "hi"}) + STOP + DONE + b"data: rubbish\n\n",
    ],
)
async def test_what_is_odd_in_a_stream_loses_no_paid_answer(body: bytes) -> None:
    """Also without the end mark: many providers omit it, and the reason to stop has come."""
    async with streaming(sends=writing(*(body[at : at + 3] for at in range(0, len(body), 3)))) as (model, _):
        assert (await answer(model)).text == "hi"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        event({"content": "hi"}),
        event({"content": "hi"}) + b"data: {\n\n",
        b"data: 7\n\n" + STOP + DONE,
        b"<html>captive portal</html>",
        event({"content": "hi"}) + b'data: {"error": {"message": "secret", "type": "server_error"}}\n\n' + DONE,
        event({"content": "hi"}) + b'data: {"error": "secret"}\n\n',
        b"data: " + b"x" * (2 * MIB),
        b"x" * (2 * MIB),
        b"data: [" + b"1," * 30_000 + b"1]\n\n",
        event({"content": "x" * 500_000}) * 9 + STOP + DONE,
    ],
    ids=range(11),
)
async def test_a_stream_that_is_no_answer_is_unreadable(body: bytes) -> None:
    """It was paid for, so that it is asked for once more. It is bounded, and its words are not quoted."""
    async with streaming(sends=writing(body)) as (model, _):
        error = await failed(model)

    assert (type(error), error.calls) == (ModelUnreadableError, 2)
    assert "secret" not in error.public_message + error.detail


async def test_a_named_reason_within_a_stream_decides() -> None:
    """As in the body of an error."""
    body = b'data: {"error": {"code": "context_length_exceeded"}}\n\n'

    async with streaming(sends=writing(body)) as (model, _):
        assert type(await failed(model)) is ContextOverflowError


async def test_a_stream_that_is_cut_is_unreadable() -> None:
    """After pieces too: nobody may take a part for the whole."""

    async def sends(response: web.StreamResponse) -> None:
        await response.write(event({"content": "half"}))
        raise Cut

    async with streaming(sends=sends) as (model, _):
        assert type(await failed(model)) is ModelUnreadableError


async def test_a_stream_that_stalls_is_a_timeout() -> None:
    """And its connection is closed."""

    async def sends(response: web.StreamResponse) -> None:
        await response.write(event({"content": "half"}))
        await asyncio.sleep(30)

    async with streaming(sends=sends, pause=0.2) as (model, server):
        error = await failed(model)
        await _until(lambda: server.calls.in_flight == 0)

    assert (type(error), "paused" in error.public_message) == (ModelTimeoutError, True)


@pytest.mark.parametrize("first", [b"", b": ping\n\n"])
async def test_a_stream_has_the_time_of_the_call(first: bytes) -> None:
    """Whatever still arrives."""

    async def sends(response: web.StreamResponse) -> None:
        for _ in range(300):
            await response.write(first)
            await asyncio.sleep(0.1)

    async with streaming(sends=sends, total=0.5) as (model, server):
        error = await failed(model)
        await _until(lambda: server.calls.in_flight == 0)

    assert (type(error), "within" in error.public_message) == (ModelTimeoutError, True)


async def test_a_stream_without_end_is_bounded() -> None:
    """Comments cost memory for no longer than the limit."""

    async def sends(response: web.StreamResponse) -> None:
        for _ in range(2_000):
            await response.write(b":" + b"x" * 65_535 + b"\n")

    async with streaming(sends=sends) as (model, _):
        assert type(await failed(model)) is ModelUnreadableError


async def test_closing_a_stream_closes_the_connection() -> None:
    """What nobody reads is not paid for."""

    async def sends(response: web.StreamResponse) -> None:
        for _ in range(300):
            await response.write(event({"content": "more "}))
            await asyncio.sleep(0.1)

    async with streaming(sends=sends) as (model, server):
        async with asyncio.timeout(30), aclosing(model.stream(HELLO)) as deltas:
            assert (await anext(deltas)).text == "more "
            assert server.calls.in_flight == 1
        await _until(lambda: server.calls.in_flight == 0)


async def test_a_slow_reader_is_no_slow_provider() -> None:
    """The time limits hold while the call waits for the provider."""
    async with streaming(sends=writing(event({"content": "a"}), event({"content": "b"}), STOP, DONE), total=0.5) as (
        model,
        _,
    ):
        texts: list[str] = []
        async with asyncio.timeout(30), aclosing(model.stream(HELLO)) as deltas:
            async for delta in deltas:
                texts.append(delta.text)
                await asyncio.sleep(0.3)

    assert "".join(texts) == "ab"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ModelRejectedError), (429, ModelOverloadedError), (500, ModelUnavailableError)]
)
async def test_an_error_instead_of_a_stream_is_the_one_of_the_table(status: int, kind: type[ModelError]) -> None:
    """With its wait."""
    async with streaming(ScriptedAnswer(status=status, retry_after=7)) as (model, _):
        error = await failed(model)

    assert (type(error), error.retry_after) == (kind, 7.0)


async def test_an_answer_that_is_no_stream_is_taken_whole() -> None:
    """Some providers ignore the wish for a stream."""
    completion = '{"model": "m", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
    async with streaming(ScriptedAnswer(raw=completion, headers={"content-type": "application/json"})) as (model, _):
        (only,) = await pieces(model)

    assert (only.text, only.response) == ("hi", ModelResponse("hi", model="m"))


async def test_a_provider_that_is_not_there_is_unavailable() -> None:
    """As without a stream."""
    async with streaming() as (_, server):
        gone = server.base_url
    async with thin_model(OpenAISettings(base_url=gone, name="m"), SystemClock()) as model:
        assert type(await failed(model)) is ModelUnavailableError


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - the server's counters are no events
            await asyncio.sleep(0.005)
