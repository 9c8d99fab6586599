"""Find the plugins of installed distributions, and load those that a worker's agents use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points, version

from consumers.agent.middleware import Middleware
from consumers.agent.planners.port import Planner
from consumers.agent.planners.registry import PLANNERS
from consumers.agent.plugin_groups import AGENT_GROUPS, MEMORY, MIDDLEWARE, MODEL, PLANNER, ModelFactory
from consumers.agent.plugins import OwnPlugins, PluginRegistry
from consumers.agent.registry import AgentRegistry as Agents
from consumers.guard.registry import OWN as GUARDS
from ops.guard_plugins import GUARD

OWN: OwnPlugins = {
    PLANNER.name: {name: f"{each.__module__}:{each.__name__}" for name, each in PLANNERS.items()},
    MODEL.name: {"default": "consumers.agent.models.openai_model:openai_model"},
    MEMORY.name: {"session": "consumers.agent.memory.session_valkey:ValkeySessionMemory"},
    GUARD.name: {each.name: f"{each.make.__module__}:{each.name.upper()}" for each in GUARDS},
}
"""Headrace's own planners, models, memories and guards. An agent names the first three."""


@dataclass(frozen=True, slots=True)
class UsedPlugins:
    """The planners and the middleware of a worker."""

    planners: Mapping[str, Planner] = field(default_factory=lambda: PLANNERS)
    """Headrace's own, and those that agents name."""

    middleware: tuple[Middleware, ...] = ()
    """All that is installed, in the order of the names. The first is the outermost."""


GROUPS = (*AGENT_GROUPS, GUARD)


def installed_plugins() -> PluginRegistry:
    """Return the plugins of all distributions that this process can import. None is loaded yet."""
    found = [each for group in GROUPS for each in entry_points(group=group.entry_points)]
    return PluginRegistry(tuple(found), OWN, version("headrace"), GROUPS)


def used_plugins(agents: Agents, plugins: PluginRegistry) -> UsedPlugins:
    """Return the planners that *agents* name, and all middleware. Raises AgentDefinitionError if one is unusable."""
    planners = {each.planner for each in agents.values() if isinstance(each.planner, str)} - PLANNERS.keys()
    return UsedPlugins(
        planners={**PLANNERS, **{name: plugins.value(PLANNER, name) for name in planners}},
        middleware=tuple(plugins.values(MIDDLEWARE).values()),
    )


def model_factories(agents: Agents, plugins: PluginRegistry) -> dict[str, ModelFactory]:
    """Return the models of plugins that *agents* name. Raises AgentDefinitionError if one is unusable."""
    names = {each.model for each in agents.values()} - OWN[MODEL.name].keys()
    return {name: plugins.value(MODEL, name) for name in sorted(names)}
