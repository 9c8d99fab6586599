"""The names that become labels of metrics: those of the settings and of the agents' code."""

from __future__ import annotations

from consumers.agent.agents import Agent
from consumers.agent.registry import AgentRegistry
from ops.known_names import known_names
from ops.settings import Settings


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return city


def test_a_plain_function_is_a_known_tool() -> None:
    """An agent's tools may be functions without ``@tool``."""
    agents = AgentRegistry([Agent("support", tools=[get_weather])])

    known = known_names(Settings(model_name="small-model"), agents, {}, guards=("pii",))

    assert known.guards == {"pii"}
    assert (set(known.agents), set(known.tools)) == ({"support"}, {"get_weather"})
    assert "small-model" in known.models
