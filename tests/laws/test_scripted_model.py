"""The scripted server over real HTTP, without any client of ours: tests that trust it must be able to."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from ops.embedded.scenario import ANY_TOOLS, Scenario
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


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
HANDOFF = {"type": "function", "function": {"name": "transfer_to_billing"}}
TRIP = Scenario.model_validate(
    {
        "rules": [
            {
                "match": {"user_contains": "trip", "step": 0},
                "answer": {
                    "tool_calls": [
                        {"name": "get_weather", "arguments": {"city": "Oslo"}},
                        {"name": "get_weather", "arguments": {"city": "Rome"}},
                    ]
                },
            },
            {
                "match": {"step": 2},
                "answer": {"text": "{tool_results}", "tool_calls": [{"name": "transfer_to_billing"}]},
            },
            {"match": {"after_tool": "transfer_to_billing"}, "answer": {"text": "Paid after {step} results."}},
        ]
    }
)


def answered(body: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """The next request of an agent: every call of the model has its result."""
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"result of {call['id']}"}
        for call in message.get("tool_calls") or ()
    ]
    return body | {"messages": [*body["messages"], message, *results]}


async def played(http: aiohttp.ClientSession, urls: list[str], body: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of the model until it answers; each step asks the next of the servers, and asks it twice."""
    said: list[dict[str, Any]] = []
    while not said or said[-1].get("tool_calls"):
        url = urls[len(said) % len(urls)]
        (status, once), (_, again) = await post(http, url, body), await post(http, url, body)
        assert (status, once["choices"]) == (200, again["choices"])
        said.append(once["choices"][0]["message"])
        body = answered(body, said[-1])
    return said


async def test_a_scenario_answers_every_worker_and_every_attempt_alike(http: aiohttp.ClientSession) -> None:
    """A killed run goes on in another worker, and repeats at most the step that was not recorded."""
    body = BODY | {"messages": [{"role": "user", "content": "Plan a trip"}], "tools": [WEATHER, HANDOFF]}
    async with scripted_model(scenario=TRIP) as one, scripted_model(scenario=TRIP) as two:
        whole = await played(http, [completions(one)], body)
        split = await played(http, [completions(two), completions(one)], body)

    assert whole == split
    assert [[call["id"] for call in message.get("tool_calls", ())] for message in whole] == [
        ["call_1", "call_2"],
        ["call_3"],
        [],
    ]
    assert whole[1]["content"] == "result of call_1\nresult of call_2"
    assert whole[2]["content"] == "Paid after 3 results."


async def test_the_sdk_takes_a_streamed_tool_call_of_a_scenario(http: aiohttp.ClientSession) -> None:
    """The ids of a stream are those of the complete answer."""
    asking = {"messages": [{"role": "user", "content": "use get_weather for Oslo"}], "tools": [WEATHER], "model": "m"}
    async with scripted_model(scenario=ANY_TOOLS) as model:
        _, first = await post(http, completions(model), asking)
        going_on = answered(asking, first["choices"][0]["message"]) | {"tools": [WEATHER, HANDOFF]}
        going_on["messages"].append({"role": "user", "content": "transfer to billing"})
        async with openai.AsyncOpenAI(base_url=model.base_url, api_key="k", max_retries=0) as client:
            create: Any = client.chat.completions.create
            stream = await create(**going_on, stream=True)
            calls = [call async for chunk in stream for call in chunk.choices[0].delta.tool_calls or ()]

    assert first["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'
    assert [(call.id, call.function.name) for call in calls] == [("call_2", "transfer_to_billing")]


async def test_a_queued_failure_does_not_move_the_scenario(http: aiohttp.ClientSession) -> None:
    """The retry gets the answer that the failed attempt would have got."""
    async with scripted_model(scenario=TRIP) as model:
        model.script.add(ScriptedAnswer(status=503))
        body = BODY | {"messages": [{"role": "user", "content": "trip"}], "tools": [WEATHER]}
        failed, _ = await post(http, completions(model), body)
        _, answer = await post(http, completions(model), body)

    assert failed == 503
    assert len(answer["choices"][0]["message"]["tool_calls"]) == 2


async def test_another_process_may_give_the_scenario(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    """A faulty one is refused, and the one before stays."""
    url = f"{model.address}/scenario"
    async with http.put(url, data=TRIP.model_dump_json()) as taken:
        assert await taken.json() == {"rules": 3}
    async with http.put(url, json={"rules": [{"answer": {"text": "{nope}"}}]}) as refused:
        assert (refused.status, "is no placeholder" in await refused.text()) == (400, True)

    _, answer = await post(http, completions(model), BODY | {"messages": [{"role": "user", "content": "trip"}]})
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_calls_are_counted_by_trace(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    """All attempts of one run share a trace, so that a test sees how often a run has asked."""
    for headers in ({"traceparent": TRACEPARENT}, {"traceparent": TRACEPARENT}, {}):
        async with http.post(completions(model), json=BODY, headers=headers) as response:
            assert response.status == 200
    async with http.get(f"{model.address}/calls") as response:
        report = await response.json()

    assert (report["by_trace"], report["number"]) == ({"0af7651916cd43dd8448eb211c80319c": 2}, 3)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tools": []}, "tools"),
        ({"tools": [WEATHER, WEATHER]}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]}, "messages[0].tool_calls"),
    ],
)
async def test_tools_are_refused_as_openai_refuses_them(
    model: ScriptedModel, http: aiohttp.ClientSession, changes: dict[str, Any], param: str
) -> None:
    """With status 400 and the parameter, before a scenario sees them."""
    model.script.scenario = ANY_TOOLS

    status, answer = await post(http, completions(model), BODY | changes)

    assert (status, answer["error"]["type"], answer["error"]["param"]) == (400, "invalid_request_error", param)


async def test_a_process_refuses_a_faulty_scenario_before_it_serves(tmp_path: Path) -> None:
    """With the place of the fault on the last line."""
    file = tmp_path / "a.toml"
    file.write_text("[[rules]]\n")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.embedded.scripted", "--scenario", str(file), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(child.communicate(), 30)

    assert child.returncode == 2
    assert errors.decode().splitlines()[-1].endswith("rules[0].answer: Field required")
