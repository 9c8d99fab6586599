"""The agent that a stack belongs to."""

from __future__ import annotations

import sys
from types import FrameType

from consumers.agent.blocked_agent import blamed_agent
from consumers.agent.run import Run
from tests.unit.consumers.agent.fakes import run_of


def _stack() -> FrameType:
    return sys._getframe()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _agents_code(_text: str, _run: Run) -> FrameType:
    return _stack()


def test_the_agent_is_that_of_the_run_on_the_stack() -> None:
    """With its lines of the user's own code, the outermost first."""
    told = blamed_agent(_agents_code("hello", run_of()))

    assert (told["agent"], told["run_id"]) == ("shout", "run-1")
    lines = told["user_code"]
    assert isinstance(lines, list)
    assert str(lines[-2]).endswith(" _agents_code")
    assert str(lines[-1]).endswith(" _stack")


def test_a_stack_without_a_run_names_no_agent() -> None:
    """It may be a task that the agent has left behind, or our own code."""
    assert "agent" not in blamed_agent(_stack())
