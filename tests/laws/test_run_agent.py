"""The tests that a user writes for agents of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from headrace import Agent, BlockedError, InternalError, ModelError, Run, ToolSpec, agent
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
