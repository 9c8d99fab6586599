"""The scripted server over real HTTP, without any client of ours: tests that trust it must be able to."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import openai
import pytest

from ops.embedded.scripted import ScriptedModel, scripted_model
from ops.embedded.scripts import ScriptedAnswer, ScriptedToolCall

pytestmark = pytest.mark.anyio

BODY = {"model": "m", "messages": [{"role": "user", "content": "how are you"}]}


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    """A server without a key."""
    async with scripted_model() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, body: object) -> tuple[int, Any]:
    """The status and the JSON that came back."""
    async with http.post(url, json=body) as response:
        return response.status, await response.json()


def completions(model: ScriptedModel) -> str:
    """Where to ask."""
    return f"{model.base_url}/chat/completions"


async def test_the_sdk_itself_is_content_with_it(model: ScriptedModel) -> None:
    """Whole and as a stream, text and tools, by the client that everyone uses."""
    model.script.add(ScriptedAnswer(text="one two", times=2), ScriptedAnswer(tool_calls=(ScriptedToolCall(name="t"),)))
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="k", max_retries=0) as client:
        ask: Any = client.chat.completions.create
        whole = await ask(**BODY)
        stream = await ask(**BODY, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        tools = await ask(**BODY)
        models = [each.id async for each in client.models.list()]

    assert (whole.choices[0].message.content, text) == ("one two", "one two")
    assert tools.choices[0].message.tool_calls[0].function.name == "t"
    assert models == ["scripted"]


async def test_a_stream_ends_as_the_protocol_says(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    """Server-sent events: each a line of data and an empty one, the last of them DONE."""
    async with http.post(completions(model), json=BODY | {"stream": True}) as response:
        events = (await response.text()).split("\n\n")

    assert response.content_type == "text/event-stream"
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["object"] == "chat.completion.chunk" for event in events[:-2])


async def test_it_counts_what_it_is_asked(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    """Also what it refuses: the call was made."""
    model.script.add(ScriptedAnswer(status=429, retry_after=2))
    async with http.post(completions(model), json=BODY) as limited:
        assert (limited.status, limited.headers["retry-after"]) == (429, "2")
    status, answer = await post(http, completions(model), {"model": "m", "messages": []})

    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert model.calls.number == 2
    assert model.calls.bodies[0] == BODY


async def test_a_refused_call_does_not_use_up_the_script(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    """Else one broken request would shift all answers."""
    model.script.add(ScriptedAnswer(text="kept"))

    await post(http, completions(model), {"model": "m", "messages": []})
    _, answer = await post(http, completions(model), BODY)

    assert answer["choices"][0]["message"]["content"] == "kept"


async def test_what_is_no_json_is_refused(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    """As a client error, not as a crash of the server."""
    async with http.post(completions(model), data=b"{oops") as response:
        assert response.status == 400
    async with http.post(f"{model.address}/script", data=b"{oops") as response:
        assert response.status == 400


async def test_a_key_is_asked_for_where_one_is_set(http: aiohttp.ClientSession) -> None:
    """And callers without it are not counted: they did not reach the model."""
    async with scripted_model(key="right") as model:
        status, answer = await post(http, completions(model), BODY)
        async with http.get(f"{model.base_url}/models", headers={"authorization": "Bearer right"}) as models:
            allowed = models.status

        assert (status, answer["error"]["message"] != "", allowed) == (401, True, 200)
        assert model.calls.number == 0


async def test_the_peak_and_the_cancelled_are_counted(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    """A client that closes its connection is seen at once."""
    model.script.add(ScriptedAnswer(delay=30, times=3))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(post(http, completions(model), BODY)) for _ in range(3)]
        await _until(lambda: model.calls.in_flight == 3)
        for call in calls:
            call.cancel()

    await _until(lambda: model.calls.in_flight == 0)
    assert (model.calls.peak, model.calls.cancelled) == (3, 3)


async def test_another_process_can_run_it_and_script_it(http: aiohttp.ClientSession) -> None:
    """Journey tests do: one line when it is ready, the script over HTTP, a clean end on SIGTERM."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.embedded.scripted", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        ready = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))
        base = ready["base_url"]
        control = base.removesuffix("/v1")
        queued = await post(http, f"{control}/script", [{"text": "never"}, {"text": "said"}])
        async with http.delete(f"{control}/script") as cleared:
            left = await cleared.json()
        await post(http, f"{control}/script", {"status": 503, "error": {"code": "busy"}, "retry_after": 1})
        failed = await post(http, f"{base}/chat/completions", BODY)
        answered = await post(http, f"{base}/chat/completions", BODY)
        async with http.get(f"{control}/calls") as response:
            calls = await response.json()
        child.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(child.wait(), 10)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()

    assert (queued, left) == ((200, {"queued": 2}), {"queued": 0})
    assert (failed[0], failed[1]["error"]["code"]) == (503, "busy")
    assert answered[1]["choices"][0]["message"]["content"] == "scripted: how are you"
    assert (calls["number"], calls["calls"][0]["body"], code) == (2, BODY, 0)


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - the server's counters are no events
            await asyncio.sleep(0.005)


async def test_a_page_of_another_site_does_not_read_the_calls(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    """They hold prompts; a browser's page may have its own name lead here."""
    async with http.get(f"{model.address}/calls", headers={"Host": "evil.example"}) as response:
        assert response.status == 421
