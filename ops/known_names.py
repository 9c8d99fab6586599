"""The names of agents, models and tools that a worker's metrics may show."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from consumers.agent.models.port import Model
from consumers.agent.registry import AgentRegistry as Agents
from ops.agents import DEFAULT_NAME
from ops.settings import Settings
from streams.telemetry.agent_metrics import KnownNames


def known_names(
    settings: Settings, agents: Agents, models: Mapping[str, Model], guards: Collection[str] = ()
) -> KnownNames:
    """Return the names that the settings and the agents' code define. Names that a model writes are not among them."""
    return KnownNames(
        agents=frozenset(agents),
        models=frozenset({*models, settings.model_name or DEFAULT_NAME}),
        tools=frozenset(tool.name for agent in agents.values() for tool in agent.toolbox),
        guards=frozenset(guards),
    )
