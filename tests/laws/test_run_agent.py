"""The tests that a user writes for agents of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from headrace import Agent, BlockedError, InternalError, ModelError, Run, ToolSpec, agent, tool
from headrace.testing import ScriptedAnswer, UnscriptedCallError, call, run_agent, scripted_worker

pytestmark = pytest.mark.anyio

support = Agent("support", model="any-name", instructions="You are kind.")
WEATHER = ToolSpec(
    "get_weather",
    "The weather now.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@agent("planner")
async def planner(text: str, run: Run) -> list[str]:
    """Return the arguments of the model's tool calls."""
    response = await run.ask(text, tools=[WEATHER])
    return [each.arguments for each in response.tool_calls]


MADE: list[str] = []
"""The calls of ``send_parcel``, in their order."""


@tool
async def send_parcel(city: str) -> dict[str, str]:
    """Send a parcel to *city*."""
    MADE.append(city)
    return {"sent": city}


desk = Agent("desk", instructions="You are the desk.", tools=[send_parcel], handoffs=["cashier"], memory=("session",))
cashier = Agent("cashier", instructions="You are the cashier.")


@pytest.fixture(autouse=True)
def forget() -> None:
    """Each test counts its own calls."""
    MADE.clear()


async def test_a_tool_and_a_handoff_are_tested_by_one_script() -> None:
    """The model reads what the tool returned, and the other agent has its own instructions."""
    script = [[call("send_parcel", city="Oslo"), call("send_parcel", city="Rome")]]
    result = await run_agent(
        desk, "Two parcels", agents=[cashier], script=[*script, call("transfer_to_cashier", reason="to pay"), "Paid."]
    )

    assert (result.output, result.handoffs, result.usage.tool_calls) == ("Paid.", ("cashier",), 2)
    assert sorted(MADE) == ["Oslo", "Rome"]
    assert [message["content"] for message in result.calls[1]["messages"] if message["role"] == "tool"] == [
        '{"sent":"Oslo"}',
        '{"sent":"Rome"}',
    ]
    assert result.calls[2]["messages"][0]["content"] == "You are the cashier."


async def test_without_a_script_tools_and_handoffs_are_those_that_the_text_names() -> None:
    """The built-in scenario drives a whole run."""
    result = await run_agent(desk, "send_parcel to Oslo, then transfer_to_cashier", agents=[cashier])

    assert (result.output, result.handoffs, MADE) == ('{"sent":"Oslo"}', ("cashier",), ["Oslo"])


async def test_a_second_attempt_repeats_no_tool() -> None:
    """The worker keeps the journal of a run, as a real one does: the run goes on behind its last step."""
    failing = ScriptedAnswer(status=503, times=3)
    async with scripted_worker(desk, cashier, script=[call("send_parcel", city="Oslo"), failing, "Sent."]) as worker:
        first = await worker.run("desk", "Send it", request_id="r")
        second = await worker.run("desk", "Send it", request_id="r")

    assert first.error is not None
    assert (first.error.retryable, second.output, MADE) == (True, "Sent.", ["Oslo"])
    assert len(second.calls) == 1


async def test_a_session_is_remembered_for_its_subject_only() -> None:
    """From one run of a worker to the next."""
    async with scripted_worker(desk, cashier, script=["Hello Ann.", "Ann.", "Who?"]) as worker:
        await worker.run("desk", "I am Ann", session="s")
        same = await worker.run("desk", "Who am I?", session="s")
        other = await worker.run("desk", "Who am I?", session="s", subject="ben")

    assert [message["content"] for message in same.calls[0]["messages"]][1:] == ["I am Ann", "Hello Ann.", "Who am I?"]
    assert [message["content"] for message in other.calls[0]["messages"]][1:] == ["Who am I?"]


async def test_an_agent_answers_by_its_script() -> None:
    """The result is what a client would get; the calls are what the provider would get."""
    result = await run_agent(support, "Hello?", script=["Hi!"], metadata={"a": "b"}, session="s")

    assert (result.status, result.output, result.agent) == ("succeeded", "Hi!", "support")
    assert result.calls[0]["messages"] == [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": "Hello?"},
    ]
    assert (result.usage.model_calls, result.usage.input_tokens) == (1, 4)


async def test_the_model_calls_tools_as_scripted() -> None:
    """One call, or several at once."""
    one = await run_agent(planner, "Weather?", script=[call("get_weather", city="Oslo")])
    two = await run_agent(
        planner, "Weather?", script=[[call("get_weather", city="Oslo"), call("get_weather", city="Rome")]]
    )

    assert one.output == ['{"city": "Oslo"}']
    assert two.output == ['{"city": "Oslo"}', '{"city": "Rome"}']


async def test_without_a_script_the_model_calls_what_the_text_names() -> None:
    """The first test of a tool needs no script."""
    result = await run_agent(planner, "get_weather Bergen")

    assert result.output == ['{"city": "Bergen"}']


async def test_a_scenario_file_is_a_script(tmp_path: Path) -> None:
    """The same file serves the tests and ``headrace dev --scripted``."""
    file = tmp_path / "scenario.toml"
    file.write_text("[[rules]]\nmatch = { user_contains = 'hello' }\nanswer = { text = 'You said {user}.' }\n")

    assert (await run_agent(support, "Hello", script=file)).output == "You said Hello."


async def test_a_call_without_an_answer_fails_the_test() -> None:
    """An agent that asks once more than expected would otherwise go on with an answer that nobody wrote."""

    @agent("eager")
    async def eager(text: str, run: Run) -> str:
        await run.ask(text)
        return (await run.ask("and now?")).text

    @agent("stubborn")
    async def stubborn(text: str, run: Run) -> None:
        try:
            await run.ask(text)
        except ModelError as error:
            message = "odd"
            raise RuntimeError(message) from error

    with pytest.raises(UnscriptedCallError, match=r"call 2 of the model .*and now"):
        await run_agent(eager, "x", script=["once"])
    with pytest.raises(UnscriptedCallError, match="call 1 of the model"):
        await run_agent(stubborn, "x", script=[])


async def test_a_temporary_failure_is_retried_without_a_wait() -> None:
    """As in production, but a unit test has no seconds for it."""
    result = await run_agent(support, "x", script=[ScriptedAnswer(status=503, times=2), "back again"])

    assert (result.output, len(result.calls)) == ("back again", 3)


async def test_a_lasting_failure_is_a_result() -> None:
    """With the status and the code that a client sees."""
    result = await run_agent(support, "x", script=[ScriptedAnswer(status=401, times=9)])

    assert result.status == "failed"
    assert result.error is not None
    assert result.error.code == "model_rejected"


async def test_an_error_of_headrace_is_a_result() -> None:
    """An agent may refuse with it."""

    @agent("strict")
    async def strict(_text: str) -> str:
        raise BlockedError("no")

    result = await run_agent(strict, "x")

    assert result.error is not None
    assert (result.status, result.error.code) == ("refused", "blocked")


async def test_a_mistake_in_the_agent_is_raised_with_its_traceback() -> None:
    """A result that says ``internal`` would hide the line."""

    @agent("broken")
    async def broken(text: str) -> str:
        return str(int(text))

    with pytest.raises(InternalError) as caught:
        await run_agent(broken, "x")
    assert isinstance(caught.value.__cause__, ValueError)


async def test_the_deadline_ends_the_run() -> None:
    """Also while the model is silent."""
    result = await run_agent(support, "x", script=[ScriptedAnswer(text="late", delay=30)], deadline=0.2)

    assert result.status == "expired"


async def test_a_worker_serves_several_runs() -> None:
    """Each result has its own calls."""
    async with scripted_worker(support, planner, script=["one", "two"], tenant="acme") as worker:
        first = await worker.run("support", "1", session="s")
        second = await worker.run("support", "2", session="s")

    assert (first.output, second.output) == ("one", "two")
    assert [result.calls[0]["messages"][-1]["content"] for result in (first, second)] == ["1", "2"]


def test_a_plain_function_can_test_an_agent() -> None:
    """Without a plugin of pytest."""
    assert asyncio.run(run_agent(support, "x", script=["y"])).output == "y"


def test_the_package_itself_does_not_load_the_test_support() -> None:
    """A worker needs no scripted server."""
    code = "import sys, headrace; print('headrace.testing' in sys.modules, 'ops.embedded.scripted' in sys.modules)"

    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.split() == ["False", "False"]
