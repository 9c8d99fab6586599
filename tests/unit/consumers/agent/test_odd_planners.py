"""Planners that go wrong: none of them may hold the loop, or a run, for ever."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from consumers.agent.agents import Agent
from consumers.agent.models.port import AssistantMessage, ToolCall, ToolMessage
from consumers.agent.planners.port import CallModel, CallTools, Finish, PlanState
from consumers.agent.tools.tool import tool
from schemas.errors import InternalError, StepsExhaustedError
from tests.unit.consumers.agent.test_tools_in_a_run import AgentWorld, ToldAnswers

pytestmark = pytest.mark.anyio

LOOKUP = CallTools((ToolCall("1", "look", "{}"),))


async def look() -> str:
    """Look."""
    return "seen"


def _never(_state: PlanState) -> Any:  # noqa: ANN401 - a planner that forgets its return
    return None


def _text(_state: PlanState) -> Any:  # noqa: ANN401 - as above
    return "done"


def _nothing(_state: PlanState) -> CallTools:
    return CallTools(())


@pytest.mark.parametrize("planner", [_never, _text, _nothing])
async def test_a_planner_that_returns_no_action_fails_the_run(planner: Any) -> None:  # noqa: ANN401 - as above
    """The loop would turn without a pause, and the worker would answer nobody."""
    error = await AgentWorld(ToldAnswers([]), (Agent("a", planner=planner),)).fails()
    assert isinstance(error, InternalError)
    assert "planner" in error.public_message


async def test_a_planner_that_calls_tools_for_ever_is_stopped() -> None:
    """Each result is another one, so that the run does not repeat itself."""
    made: list[int] = []

    @tool(trusted=True)
    async def count() -> int:
        made.append(1)
        return len(made)

    batch = CallTools((ToolCall("1", "count", "{}"),))
    world = AgentWorld(ToldAnswers([]), (Agent("a", tools=[count], planner=lambda _: batch),))
    assert isinstance(await world.fails(), StepsExhaustedError)
    assert len(made) == world.agents[0].limits.steps


async def test_a_model_reads_the_results_of_calls_that_the_planner_made() -> None:
    """A result without a call is dropped from the history, so the call goes into it as well."""

    def first_look(state: PlanState) -> Any:  # noqa: ANN401 - an action
        if len(state.messages) == 1:
            return LOOKUP
        last = state.messages[-1]
        return Finish(last.text) if isinstance(last, AssistantMessage) else CallModel()

    model = ToldAnswers(["done"])
    assert (await AgentWorld(model, (Agent("a", tools=[look], planner=first_look),)).run()).output == "done"
    assert model.asked[0].messages[1:] == (AssistantMessage("", LOOKUP.calls), ToolMessage("1", "seen"))


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), ValueError("x")])
async def test_a_planner_of_a_delegate_that_exits_ends_the_run_only(raised: BaseException) -> None:
    """A delegate runs in a task of its own, whose exit would end the event loop."""

    def leaves(_state: PlanState) -> Any:  # noqa: ANN401 - as above
        raise raised

    asks = CallTools((ToolCall("1", "ask_b", '{"request": "?"}'),))
    agents = (Agent("a", delegates=["b"], planner=lambda _: asks), Agent("b", planner=leaves))
    error = await cast("Any", asyncio.wait_for(AgentWorld(ToldAnswers([]), agents).fails(), 5))
    assert isinstance(error, InternalError)
