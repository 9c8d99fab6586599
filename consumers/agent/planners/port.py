"""The planner port: the state of a run goes in, the next action comes out.

A planner is a pure function of the state. A resumed run therefore plans as it did before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from consumers.agent.models.port import Message, ToolCall


@dataclass(frozen=True, slots=True)
class PlanState:
    """The state of one agent's run."""

    agent: str
    messages: tuple[Message, ...]
    """The conversation so far, without the agent's instructions. It is never empty."""

    model_calls: int
    """Model calls of this agent in this run."""


@dataclass(frozen=True, slots=True)
class CallModel:
    """Ask the model to continue the conversation."""

    added: tuple[Message, ...] = ()
    """Messages to add to the conversation first."""

    offers_tools: bool = True


@dataclass(frozen=True, slots=True)
class CallTools:
    """Call these tools, all at once."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run with this answer."""

    text: str


Action: TypeAlias = CallModel | CallTools | Finish
Planner: TypeAlias = Callable[[PlanState], Action]
"""Returns the next action."""
