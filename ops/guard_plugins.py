"""The guards of installed packages: the check of their values, and the plugins that can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.plugin_groups import PluginGroup, is_async, is_function
from consumers.agent.plugins import PluginRegistry
from consumers.guard.guard_contract import GuardContractError, check_plugin
from consumers.guard.guard_plugin import GuardPlugin, plugin_of
from consumers.guard.guards import Guard
from consumers.guard.registry import OWN

ARGUMENTS: Final = 2
"""A guard takes the content and the context."""


def guard_plugin(name: str, value: object) -> GuardPlugin[Any]:
    """Return the plugin of an entry point's object. Raise AgentDefinitionError for an object that is no guard."""
    if not isinstance(value, GuardPlugin):
        return _of_function(name, value)
    if value.name != name:
        raise AgentDefinitionError(f"the guard's own name is {value.name!r}: give both one name")
    try:
        check_plugin(value)
    except GuardContractError as error:
        raise AgentDefinitionError(str(error)) from error
    return value


def _of_function(name: str, value: object) -> GuardPlugin[Any]:
    if not (is_function(value, ARGUMENTS) and is_async(value)):
        message = "it is neither a GuardPlugin nor an async function of (content, context)"
        raise AgentDefinitionError(message)
    return plugin_of(name, cast("Guard", value))


GUARD: PluginGroup[GuardPlugin[Any]] = PluginGroup("guards", "guard", guard_plugin)


@dataclass(frozen=True, slots=True)
class InstalledGuards:
    """Headrace's own guards and those of packages."""

    plugins: Mapping[str, GuardPlugin[Any]]
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    """The names of guards that cannot be used, with the error of each."""


def installed_guards(registry: PluginRegistry) -> InstalledGuards:
    """Return all guards. One that cannot be used stops nothing until settings name it."""
    plugins, failed = {each.name: each for each in OWN}, dict[str, str]()
    for name in registry.names(GUARD):
        if name in plugins:
            continue
        try:
            plugins[name] = registry.value(GUARD, name)
        except AgentDefinitionError as error:
            failed[name] = str(error)
    return InstalledGuards(plugins, failed)
