"""What every implementation of the model port must do, over real HTTP against the scripted server."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TypeAlias

import pytest
from aiohttp import web

from consumers.agent.models.openai_model import OpenAISettings, openai_model, thin_model
from consumers.agent.models.port import (
    AssistantMessage,
    Model,
    ModelRequest,
    ModelUsage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from ops.embedded.scripted import ScriptedModel, scripted_model
from ops.embedded.scripted_faults import MIB, bomb
from ops.embedded.scripts import (
    ChatBody,
    ScriptedAnswer,
    ScriptedError,
    ScriptedFault,
    ScriptedToolCall,
    ScriptedUsage,
)
from schemas.clock import SystemClock
from schemas.errors import (
    ContextOverflowError,
    ModelError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreadableError,
)
from tests.laws.odd_answers import (
    ERROR_BODIES,
    FAULTS,
    ODD_FIELDS,
    READABLE,
    TOO_MUCH,
    UNOFFERED,
    UNREADABLE,
    USAGES,
    WAITS,
    completion_with,
    numbered,
)

pytestmark = pytest.mark.anyio

KEY = "sk-test-7f3a"
PROMPT = "the heron stands in the millpond"
HELLO = ModelRequest((UserMessage(PROMPT),))

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[Model]]
"""Opens an implementation: base URL, connections, seconds that a call may take, and the count of odd fields."""


def _opener(open_model: Callable[..., AbstractAsyncContextManager[Model]]) -> Open:
    def opened(
        base_url: str,
        *,
        connections: int = 1_000,
        total_timeout: float = 30.0,
        odd: Callable[[str], None] = lambda _: None,
    ) -> AbstractAsyncContextManager[Model]:
        settings = OpenAISettings(
            base_url=base_url, name="scripted", api_key=KEY, connections=connections, total_timeout=total_timeout
        )
        return open_model(settings, SystemClock(), odd)

    return opened


IMPLEMENTATIONS: dict[str, Open] = {"openai": _opener(openai_model), "thin": _opener(thin_model)}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def opened(request: pytest.FixtureRequest) -> Open:
    """One implementation after the other."""
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedModel]:
    """A model that wants a key, fresh for every test."""
    async with scripted_model(key=KEY) as running:
        yield running


@pytest.fixture
async def model(opened: Open, server: ScriptedModel) -> AsyncIterator[Model]:
    """The implementation, connected to the server."""
    async with opened(server.base_url) as connected:
        yield connected


def offering(*names: str) -> ModelRequest:
    """The same question, with these tools."""
    return ModelRequest(HELLO.messages, tools=tuple(ToolSpec(name, "", {"type": "object"}) for name in names))


def resident() -> int:
    """The bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def failed(model: Model, request: ModelRequest = HELLO) -> ModelError:
    """The error of a call that must fail."""
    with pytest.raises(ModelError) as raised:
        await model.complete(request)
    return raised.value


async def test_a_text_comes_back_with_what_it_cost(model: Model, server: ScriptedModel) -> None:
    """And with why it ended."""
    server.script.add(ScriptedAnswer(text="hi", usage=ScriptedUsage(prompt_tokens=12, completion_tokens=34)))

    response = await model.complete(HELLO)

    assert (response.text, response.finish_reason, response.model) == ("hi", "stop", "scripted")
    assert response.usage == ModelUsage(input_tokens=12, output_tokens=34)


async def test_a_whole_conversation_goes_out_in_order(model: Model, server: ScriptedModel) -> None:
    """Two tool calls at once, both answered: the shape that providers insist on."""
    calls = (ToolCall("a", "clock", "{}"), ToolCall("b", "city", '{"n": 1}'))
    tool = ToolSpec("clock", "The time.", {"type": "object", "properties": {}})
    conversation = (
        SystemMessage("be brief"),
        UserMessage("hello"),
        AssistantMessage("one moment", calls),
        ToolMessage("a", "noon"),
        ToolMessage("b", "Oslo"),
        AssistantMessage("noon in Oslo"),
        UserMessage("thanks"),
    )

    await model.complete(ModelRequest(conversation, tools=(tool,), temperature=0.5, max_output_tokens=9))

    body = server.calls.bodies[0]
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": "one moment",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "city", "arguments": '{"n": 1}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "noon"},
        {"role": "tool", "tool_call_id": "b", "content": "Oslo"},
        {"role": "assistant", "content": "noon in Oslo"},
        {"role": "user", "content": "thanks"},
    ]
    assert body["tools"][0]["function"] == {"name": "clock", "description": "The time.", "parameters": tool.parameters}
    assert (body["model"], body["temperature"], body["max_completion_tokens"]) == ("scripted", 0.5, 9)


async def test_tool_calls_come_back_as_the_model_wrote_them(model: Model, server: ScriptedModel) -> None:
    """Broken arguments too: who runs the tool must see them."""
    server.script.add(ScriptedAnswer(tool_calls=(ScriptedToolCall(name="clock", arguments="{oops", id="c-7"),)))

    response = await model.complete(offering("clock"))

    assert response.tool_calls == (ToolCall("c-7", "clock", "{oops"),)
    assert (response.text, response.finish_reason) == ("", "tool_calls")


async def test_an_answer_with_tool_calls_can_be_carried_on(model: Model, server: ScriptedModel) -> None:
    """What came back is the next request's history, without any more work."""
    server.script.add(ScriptedAnswer(tool_calls=(ScriptedToolCall(name="a"), ScriptedToolCall(name="b"))))
    first = await model.complete(offering("a", "b"))

    results = tuple(ToolMessage(call.id, "done") for call in first.tool_calls)
    second = await model.complete(ModelRequest((*HELLO.messages, first.message, *results)))

    assert second.text == f"scripted: {PROMPT}"


@pytest.mark.parametrize(
    ("said", "understood"), [("length", "length"), ("content_filter", "content_filter"), ("eos", "other")]
)
async def test_an_unknown_reason_to_stop_is_other(
    model: Model, server: ScriptedModel, said: str, understood: str
) -> None:
    """Providers invent them."""
    server.script.add(ScriptedAnswer(text="hi", finish_reason=said))

    assert (await model.complete(HELLO)).finish_reason == understood


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelRejectedError),
        (401, ModelRejectedError),
        (403, ModelRejectedError),
        (404, ModelRejectedError),
        (408, ModelTimeoutError),
        (409, ModelOverloadedError),
        (413, ModelRejectedError),
        (422, ModelRejectedError),
        (429, ModelOverloadedError),
        (500, ModelUnavailableError),
        (502, ModelUnavailableError),
        (503, ModelOverloadedError),
        (504, ModelTimeoutError),
        (529, ModelOverloadedError),
    ],
)
async def test_a_status_decides_the_fate(
    model: Model, server: ScriptedModel, status: int, kind: type[ModelError]
) -> None:
    """And nothing is asked twice below the port: the platform counts its own attempts."""
    server.script.add(ScriptedAnswer(status=status))

    error = await failed(model)

    assert type(error) is kind
    assert str(status) in error.public_message
    assert server.calls.number == 1


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, ScriptedError(code="insufficient_quota"), ModelQuotaError),
        (429, ScriptedError(type="insufficient_quota"), ModelQuotaError),
        (400, ScriptedError(code="context_length_exceeded"), ContextOverflowError),
        (400, ScriptedError(code=400, type="exceed_context_size_error"), ContextOverflowError),
    ],
)
async def test_a_named_reason_wins_over_the_status(
    model: Model, server: ScriptedModel, status: int, error: ScriptedError, kind: type[ModelError]
) -> None:
    """A spent quota comes with the status of an overload, and asking again will not refill it."""
    server.script.add(ScriptedAnswer(status=status, error=error))

    raised = await failed(model)

    assert type(raised) is kind
    assert not raised.retryable


@pytest.mark.parametrize("given", ["7", "7.0"])
async def test_the_provider_says_in_seconds_when_to_come_back(model: Model, server: ScriptedModel, given: str) -> None:
    """With or without a fraction."""
    server.script.add(ScriptedAnswer(status=503, retry_after=given))

    assert (await failed(model)).retry_after == 7.0


async def test_the_provider_says_by_date_when_to_come_back(model: Model, server: ScriptedModel) -> None:
    """HTTP allows both; a date has no fraction."""
    later = datetime.now(UTC) + timedelta(seconds=30)
    server.script.add(ScriptedAnswer(status=429, retry_after=format_datetime(later, usegmt=True)))

    retry_after = (await failed(model)).retry_after

    assert retry_after is not None
    assert 25 < retry_after <= 30


async def test_a_conversation_that_the_provider_refuses_is_rejected(model: Model, server: ScriptedModel) -> None:
    """A tool result that answers no call: our own fault, and permanent."""
    orphan = ModelRequest((UserMessage("hello"), ToolMessage("nobody", "noon")))

    assert type(await failed(model, orphan)) is ModelRejectedError


async def test_a_wrong_key_is_rejected(opened: Open) -> None:
    """Asking again with the same key would not help."""
    async with scripted_model(key="another") as server, opened(server.base_url) as model:
        assert type(await failed(model)) is ModelRejectedError


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_an_error_quotes_neither_the_prompt_nor_the_key(
    model: Model, server: ScriptedModel, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Though the provider does: not to the caller, not in our details, not in a traceback, not in a library's log."""
    caplog.set_level(logging.DEBUG)
    server.script.add(ScriptedAnswer(status=status, error=ScriptedError(message=f"bad: {PROMPT} {KEY}", param=PROMPT)))

    error = await failed(model)

    shown = " ".join((error.public_message, error.detail, *traceback.format_exception(error), caplog.text))
    assert PROMPT not in shown
    assert KEY not in shown


async def test_a_provider_that_is_not_there_is_unavailable(opened: Open) -> None:
    """It was not slow: a refused connection is no timeout, whatever the client calls it."""
    async with scripted_model() as server:
        gone = server.base_url
    async with opened(gone) as model:
        assert type(await failed(model)) is ModelUnavailableError


async def test_a_connection_that_is_cut_is_unavailable(opened: Open) -> None:
    """Before the answer. An answer that breaks off is paid for, and is not asked for nine times."""

    async def cut(request: web.Request, answer: ScriptedAnswer, _body: ChatBody, _number: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000"})
        if answer.text == "within":
            await response.prepare(request)
            await response.write(b'{"id":')
        assert request.transport is not None
        request.transport.close()
        return response

    texts = ("before", "within")
    answers = (ScriptedAnswer(text=text) for text in texts)
    async with scripted_model(*answers, sender=cut) as server, opened(server.base_url) as model:
        kinds = [type(await failed(model)) for _ in texts]

    assert kinds == [ModelUnavailableError, ModelUnreadableError]


@pytest.mark.parametrize("body", UNREADABLE, ids=numbered(UNREADABLE))
async def test_an_answer_that_is_no_completion_is_unreadable(
    model: Model, server: ScriptedModel, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the status of a success, so that somebody paid for it: its class allows one more call, not nine."""
    server.script.add(ScriptedAnswer(body=body))

    error = await failed(model)

    assert (type(error), error.calls, error.retryable) == (ModelUnreadableError, 2, False)
    assert "secret" not in f"{error.public_message} {error.detail} {caplog.text}"


@pytest.mark.parametrize("body", READABLE, ids=numbered(READABLE))
async def test_what_is_odd_beside_or_within_the_content_loses_no_paid_answer(
    model: Model, server: ScriptedModel, body: bytes
) -> None:
    """Faults that real providers make. The text is what was paid for."""
    server.script.add(ScriptedAnswer(body=body))

    assert (await model.complete(HELLO)).text == READABLE[body]


@pytest.mark.parametrize(("odd", "counted", "field"), USAGES, ids=numbered(USAGES))
async def test_an_odd_usage_is_clamped_or_dropped_and_counted(
    opened: Open, server: ScriptedModel, odd: str, counted: ModelUsage, field: str | None
) -> None:
    """The content counts. What is no number of tokens is no reason to pay again."""
    told: list[str] = []
    server.script.add(ScriptedAnswer(raw=completion_with(usage=odd)))
    async with opened(server.base_url, odd=told.append) as model:
        response = await model.complete(HELLO)

    assert (response.text, response.usage) == ("hi", counted)
    assert set(told) == ({field} if field else set())


@pytest.mark.parametrize(("body", "field"), ODD_FIELDS, ids=numbered(ODD_FIELDS))
async def test_an_odd_side_field_is_dropped_and_counted(
    opened: Open, server: ScriptedModel, body: str, field: str
) -> None:
    """A name that is null, a reason that is a list, calls that are none."""
    told: list[str] = []
    server.script.add(ScriptedAnswer(raw=body))
    async with opened(server.base_url, odd=told.append) as model:
        response = await model.complete(HELLO)

    assert (response.text, response.tool_calls, set(told)) == ("hi", (), {field})
    assert len(response.model) <= 256


@pytest.mark.parametrize("message", UNOFFERED, ids=numbered(UNOFFERED))
async def test_only_tool_calls_that_nobody_offered_are_an_error(
    model: Model, server: ScriptedModel, message: str
) -> None:
    """An empty text would be a success without an answer. The tokens are known, and are counted."""
    usage = '{"prompt_tokens": 3, "completion_tokens": 2}'
    server.script.add(ScriptedAnswer(raw=completion_with(message=message, usage=usage), times=2))

    for request in (HELLO, offering("clock")):
        error = await failed(model, request)

        assert isinstance(error, ModelUnreadableError)
        assert (error.input_tokens, error.output_tokens) == (3, 2)


async def test_calls_of_offered_tools_survive_the_ones_beside_them(opened: Open, server: ScriptedModel) -> None:
    """An id that is missing and arguments that are an object are what some providers send."""
    told: list[str] = []
    calls = '[{"function": {"name": "rm"}}, {"function": {"name": "clock", "arguments": {"n": 1}}}, 7]'
    server.script.add(ScriptedAnswer(raw=completion_with(message=f'{{"content": null, "tool_calls": {calls}}}')))
    async with opened(server.base_url, odd=told.append) as model:
        response = await model.complete(offering("clock"))

    assert response.tool_calls == (ToolCall("call_2", "clock", '{"n": 1}'),)
    assert "tool_calls" in told


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=[f"{fault.kind}-{fault.size}" for fault, _ in FAULTS])
async def test_a_fault_below_http_is_bounded_and_typed(
    opened: Open, server: ScriptedModel, fault: ScriptedFault, kind: type[ModelError]
) -> None:
    """The time of the call ends the read, whatever still arrives; and the next call is answered."""
    if fault.kind == "bomb":
        bomb(fault.size)
    server.script.add(ScriptedAnswer(fault=fault))
    async with opened(server.base_url, total_timeout=1.0 if kind is ModelTimeoutError else 30.0) as model:
        began, before = time.monotonic(), resident()
        error = await failed(model)
        took, grown = time.monotonic() - began, resident() - before

        assert type(error) is kind
        assert took < 15
        assert grown < 64 * MIB
        await _until(lambda: server.calls.in_flight == 0)
    async with opened(server.base_url) as model:
        assert (await model.complete(HELLO)).text == f"scripted: {PROMPT}"


async def test_interim_answers_before_the_answer_are_passed_over(model: Model, server: ScriptedModel) -> None:
    """A thousand of them, too."""
    server.script.add(ScriptedAnswer(fault=ScriptedFault(kind="informational", size=1_000)))

    assert (await model.complete(HELLO)).text == "hi"


async def test_an_answer_of_three_mebibytes_arrives_packed_or_plain(model: Model, server: ScriptedModel) -> None:
    """Below the limit nothing is lost."""
    server.script.add(ScriptedAnswer(fault=ScriptedFault(kind="bomb", size=3)), ScriptedAnswer(text="B" * (3 * MIB)))

    assert [len((await model.complete(HELLO)).text) for _ in range(2)] == [3 * MIB, 3 * MIB]


@pytest.mark.parametrize(("body", "headers"), TOO_MUCH, ids=numbered(TOO_MUCH))
async def test_an_answer_that_is_too_much_is_unreadable(
    model: Model, server: ScriptedModel, body: bytes, headers: dict[str, str]
) -> None:
    """Too long, too many values, packed twice, or packed otherwise than was asked for."""
    server.script.add(ScriptedAnswer(body=body, headers=headers))

    assert type(await failed(model)) is ModelUnreadableError


async def test_many_large_answers_at_once_are_all_answered(model: Model, server: ScriptedModel) -> None:
    """Those that wait for their turn, too."""
    server.script.add(ScriptedAnswer(text="B" * MIB, times=40))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_length(model)) for _ in range(40)]

    assert {call.result() for call in calls} == {MIB}


async def _length(model: Model) -> int:
    return len((await model.complete(HELLO)).text)


@pytest.mark.parametrize(("status", "body"), ERROR_BODIES, ids=numbered(ERROR_BODIES))
async def test_the_body_of_an_error_changes_nothing(
    model: Model, server: ScriptedModel, status: int, body: bytes
) -> None:
    """Whatever its type: the status and the wait decide."""
    server.script.add(ScriptedAnswer(status=status, body=body, headers={"retry-after": "7"}))

    error = await failed(model)

    assert str(status) in error.public_message
    assert error.retry_after == 7.0
    assert error.retryable == (status in {429, 500})
    assert "secret" not in error.public_message + error.detail


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json; charset=hex"},
        {"content-type": "text/html; charset=\udcff".encode(errors="replace").decode()},
        {"content-encoding": "gzip"},
        {"content-encoding": "br"},
        {"location": "http://[::1"},
        {"set-cookie": "a=b"},
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [302, 400, 429])
async def test_the_headers_of_an_error_change_nothing(
    model: Model, server: ScriptedModel, status: int, headers: dict[str, str]
) -> None:
    """A library may read a body, or look for another address, because of them."""
    server.script.add(ScriptedAnswer(status=status, body=b'{"error": {"message": "m"}}', headers=headers))

    assert str(status) in (await failed(model)).public_message


@pytest.mark.parametrize("status", [304, 418, 599, 600, 999])
async def test_a_rare_status_is_typed(model: Model, server: ScriptedModel, status: int) -> None:
    """From 500 on it is the provider's fault."""
    server.script.add(ScriptedAnswer(status=status, body=b""))

    assert type(await failed(model)) is (ModelUnavailableError if status >= 500 else ModelRejectedError)


@pytest.mark.parametrize(("headers", "wait", "told"), WAITS, ids=numbered(WAITS))
async def test_an_odd_wait_is_clamped_or_is_none(
    opened: Open, server: ScriptedModel, headers: dict[str, str], wait: float | None, told: tuple[str, ...]
) -> None:
    """None leaves the wait to the platform's own backoff."""
    heard: list[str] = []
    server.script.add(ScriptedAnswer(status=429, headers=headers))
    async with opened(server.base_url, odd=heard.append) as model:
        error = await failed(model)

    assert type(error) is ModelOverloadedError
    assert error.retry_after == wait
    assert tuple(heard) == told


async def test_no_cookie_of_the_provider_is_kept(model: Model, server: ScriptedModel) -> None:
    """One tenant's answer would mark the next tenant's request, and their number has no bound."""
    server.script.add(ScriptedAnswer(text="hi", headers={"set-cookie": "sticky=1; path=/"}))

    await model.complete(HELLO)
    await model.complete(HELLO)

    assert "cookie" not in server.calls.kept[1].headers


async def test_a_redirect_is_not_followed(opened: Open) -> None:
    """The prompt and the key go where they were sent, and nowhere else."""
    async with scripted_model() as elsewhere:

        async def away(_request: web.Request, _answer: ScriptedAnswer, _body: ChatBody, _number: int) -> web.Response:
            return web.Response(status=307, headers={"location": f"{elsewhere.base_url}/chat/completions"})

        async with scripted_model(sender=away) as redirecting, opened(redirecting.base_url) as model:
            assert type(await failed(model)) is ModelRejectedError
        assert elsewhere.calls.number == 0


async def test_a_call_that_takes_too_long_is_a_timeout(opened: Open, server: ScriptedModel) -> None:
    """And its connection is closed, so that the provider can stop working."""
    server.script.add(ScriptedAnswer(delay=30))
    async with opened(server.base_url, total_timeout=0.2) as model:
        assert type(await failed(model)) is ModelTimeoutError

        await _until(lambda: server.calls.cancelled == 1)
        assert (await model.complete(HELLO)).text == f"scripted: {PROMPT}"


async def test_a_cancelled_call_closes_its_connection(model: Model, server: ScriptedModel) -> None:
    """What nobody waits for is not paid for."""
    server.script.add(ScriptedAnswer(delay=30))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(model.complete(HELLO))
        await _until(lambda: server.calls.in_flight == 1)
        call.cancel()

    assert call.cancelled()
    await _until(lambda: server.calls.cancelled == 1)


async def test_the_trace_goes_on_at_the_provider(model: Model, server: ScriptedModel) -> None:
    """Where the run has one; no empty header where it has none."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await model.complete(ModelRequest((UserMessage("hello"),), traceparent=trace))
    await model.complete(HELLO)

    assert [call.headers.get("traceparent") for call in server.calls.kept] == [trace, None]


async def test_hundreds_of_calls_are_in_flight_at_once(model: Model, server: ScriptedModel) -> None:
    """More than any client's default pool holds: every one of them is at the server at the same time."""
    server.script.add(ScriptedAnswer(text="hi", delay=60.0, times=300))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(model.complete(HELLO)) for _ in range(300)]
        await _until(lambda: server.calls.in_flight == 300)
        for call in calls:
            call.cancel()

    assert server.calls.peak == 300


async def test_no_more_connections_are_opened_than_allowed(opened: Open, server: ScriptedModel) -> None:
    """The others wait for one, and are answered."""
    server.script.add(ScriptedAnswer(text="hi", delay=0.05, times=6))
    async with opened(server.base_url, connections=2) as model, asyncio.TaskGroup() as group:
        calls = [group.create_task(model.complete(HELLO)) for _ in range(6)]

    assert {call.result().text for call in calls} == {"hi"}
    assert server.calls.peak == 2


def test_the_sdk_is_imported_by_nobody_who_makes_no_model() -> None:
    """Every stage pays for its imports, and this one costs more than all others together."""
    code = (
        "import sys, headrace, consumers.agent.executor, consumers.agent.builtin, consumers.agent.models.openai_model;"
        "print({'openai', 'aiohttp', 'httpx2'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_the_thin_client_needs_no_sdk() -> None:
    """Its worker starts without the seconds that the SDK takes to import."""
    code = (
        "import sys, consumers.agent.models.thin_client;"
        "print({'openai', 'httpx2'} & set(sys.modules), 'aiohttp' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr) == ("set() True\n", "")


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - the server's counters are no events
            await asyncio.sleep(0.005)
