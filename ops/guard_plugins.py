"""The guards of installed packages: the check of their values, and the plugins that can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationError

from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.plugin_groups import PluginGroup, is_async, is_function
from consumers.agent.plugins import PluginRegistry
from consumers.guard.guard_plugin import ALL_STAGES, GuardPlugin
from consumers.guard.guards import Guard, Policy
from consumers.guard.registry import OWN
from schemas.models import Payload

Config = TypeVar("Config", bound=Payload)

PROTOCOL_ARGUMENTS: Final = 2
"""A guard takes the content and the context."""


class NoConfig(Payload):
    """The configuration of a guard without settings."""


def guard_plugin(name: str, value: object) -> GuardPlugin[Any]:
    """Return the plugin of an entry point's object. Raise AgentDefinitionError for an object that is no guard."""
    if not isinstance(value, GuardPlugin):
        return _of_function(name, value)
    if value.name != name:
        raise AgentDefinitionError(f"the guard's own name is {value.name!r}: give both one name")
    _check_config(value.config)
    if not (is_function(value.make, 3) or (isinstance(value.make, type) and callable(value.make))):
        raise AgentDefinitionError("its `make` is no function of (config, stage, work)")
    if not value.stages or not value.stages <= ALL_STAGES:
        raise AgentDefinitionError(f"its stages are not among {', '.join(sorted(ALL_STAGES))}")
    if not isinstance(value.policy, Policy):
        raise AgentDefinitionError("its policy is no Policy")
    return value


def _of_function(name: str, value: object) -> GuardPlugin[Any]:
    if not (is_function(value, PROTOCOL_ARGUMENTS) and is_async(value)):
        message = "it is neither a GuardPlugin nor an async function of (content, context)"
        raise AgentDefinitionError(message)
    guard = cast("Guard", value)
    return GuardPlugin(name, NoConfig, lambda _config, _stage, _work: guard, reads_views=True)


def _check_config(config: object) -> None:
    if not (isinstance(config, type) and issubclass(config, Payload)):
        raise AgentDefinitionError("its config is no subclass of Payload")
    if config.model_config.get("extra") != "forbid":
        raise AgentDefinitionError("its config accepts unknown fields, so that a misspelt one would be ignored")
    try:
        config()
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise AgentDefinitionError(f"its config has fields without a default: {fields}") from error


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
