"""Names that agents refer to: other agents, planners, models and tools of plugins. All must exist in the worker."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from consumers.agent.agents import Agent
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.plugin_groups import MODEL, PLANNER, TOOL, PluginGroup, Value
from consumers.agent.plugins import PluginRegistry
from consumers.agent.registry import AgentRegistry
from consumers.agent.tools.tool import Tool

SHOWN = 10
"""Known names in one message."""


def resolved(agents: AgentRegistry, plugins: PluginRegistry) -> AgentRegistry:
    """Return the agents with the tools that they name. Raises AgentDefinitionError for a name without meaning.

    The message begins with the place of the agent. Plugins that no agent names are not loaded.
    """
    for each in agents.values():
        _check_agents(each, agents)
        _check_planner(each, plugins)
    return AgentRegistry(each.with_tools(partial(_tool, each, plugins)) for each in agents.values())


def check_models(agents: AgentRegistry, plugins: PluginRegistry) -> None:
    """Raise AgentDefinitionError for a model that is neither ``default`` nor a plugin's.

    The settings decide if there is a ``default``. Without one, its calls fail.
    """
    for each in agents.values():
        _check(each, MODEL, each.model, plugins)


def _check_agents(agent: Agent, agents: AgentRegistry) -> None:
    for verb, names in (("hands over to", [each.agent for each in agent.transfers]), ("asks", agent.delegates)):
        for name in names:
            if name not in agents:
                raise _unknown(agent, f"{verb} {name!r}", "agent", agents.names)


def _check_planner(agent: Agent, plugins: PluginRegistry) -> None:
    if isinstance(agent.planner, str):
        _check(agent, PLANNER, agent.planner, plugins)
        return
    try:
        PLANNER.check("", agent.planner)
    except AgentDefinitionError as error:
        raise AgentDefinitionError(f"{_place(agent)}the planner of the agent {agent.name!r}: {error}") from error


def _check(agent: Agent, group: PluginGroup[Any], name: str, plugins: PluginRegistry) -> None:
    if name not in plugins.own.get(group.name, ()):
        _value(agent, group, name, plugins)


def _tool(agent: Agent, plugins: PluginRegistry, name: str) -> Tool:
    return _value(agent, TOOL, name, plugins)


def _value(agent: Agent, group: PluginGroup[Value], name: str, plugins: PluginRegistry) -> Value:
    try:
        return plugins.value(group, name)
    except KeyError:
        raise _unknown(agent, f"has the {group.kind} {name!r}", group.kind, plugins.names(group)) from None
    except AgentDefinitionError as error:
        raise AgentDefinitionError(f"{_place(agent)}the agent {agent.name!r} has the {error}") from error


def _unknown(agent: Agent, told: str, kind: str, known: Iterable[str]) -> AgentDefinitionError:
    names = sorted(known)
    more = ", ..." if len(names) > SHOWN else ""
    there = f"it has {', '.join(names[:SHOWN])}{more}" if names else "no package with one is installed"
    return AgentDefinitionError(
        f"{_place(agent)}the agent {agent.name!r} {told}, and this worker has no {kind} of this name: {there}"
    )


def _place(agent: Agent) -> str:
    return f"{agent.place}: " if agent.place else ""
