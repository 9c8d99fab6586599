"""The plugins of installed distributions, found by entry point and loaded by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.plugin_groups import AGENT_GROUPS, PluginGroup, Value
from schemas.tenants import ToolName

PluginState: TypeAlias = Literal["ok", "failed", "unused"]
"""``unused``: it is installed, and this version does not use plugins of its group."""

OwnPlugins: TypeAlias = Mapping[str, Mapping[str, str]]
"""Headrace's own values: the name of a group to names and the places of their objects."""

_NAME: TypeAdapter[str] = TypeAdapter(ToolName)


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One line of ``headrace plugins``."""

    group: str
    name: str
    distribution: str
    version: str
    value: str
    """The place of the object: ``package.module:attribute``."""

    state: PluginState
    error: str = ""


@dataclass(frozen=True, slots=True)
class PluginRegistry:
    """The plugins by group and name. A name that two distributions have, or Headrace itself, cannot be used."""

    entries: tuple[EntryPoint, ...]
    own: OwnPlugins
    version: str
    """The version of Headrace."""

    groups: tuple[PluginGroup[Any], ...] = AGENT_GROUPS

    def names(self, group: PluginGroup[Any]) -> tuple[str, ...]:
        """Return the names that can be meant, sorted: Headrace's own and those of plugins."""
        return tuple(sorted({*self.own.get(group.name, ()), *(each.name for each in self._of(group))}))

    def value(self, group: PluginGroup[Value], name: str) -> Value:
        """Return a plugin's value, loaded and checked. Raises KeyError if there is none, AgentDefinitionError."""
        found = [each for each in self._of(group) if each.name == name]
        if not found:
            raise KeyError(name)
        self._check_name(group, found)
        return loaded(group, found[0])

    def values(self, group: PluginGroup[Value]) -> dict[str, Value]:
        """Return the values of all plugins of a group, by name. Raises AgentDefinitionError if one is unusable."""
        return {name: self.value(group, name) for name in sorted({each.name for each in self._of(group)})}

    def listed(self) -> tuple[PluginInfo, ...]:
        """Return Headrace's own values and all plugins, group by group. Plugins are loaded and checked."""
        return tuple(info for group in self.groups for info in (*self._own(group), *self._installed(group)))

    def _of(self, group: PluginGroup[Any]) -> list[EntryPoint]:
        return [each for each in self.entries if each.group == group.entry_points]

    def _own(self, group: PluginGroup[Any]) -> Iterable[PluginInfo]:
        for name, value in sorted(self.own.get(group.name, {}).items()):
            yield PluginInfo(group.name, name, "headrace", self.version, value, "ok")

    def _installed(self, group: PluginGroup[Any]) -> Iterable[PluginInfo]:
        for each in sorted(self._of(group), key=lambda entry: (entry.name, *origin(entry))):
            error = self._error(group, each)
            state: PluginState = "failed" if error else "ok" if group.used else "unused"
            yield PluginInfo(group.name, each.name, *origin(each), each.value, state, error)

    def _error(self, group: PluginGroup[Any], entry: EntryPoint) -> str:
        try:
            self._check_name(group, [each for each in self._of(group) if each.name == entry.name])
            loaded(group, entry)
        except AgentDefinitionError as error:
            return str(error)
        return ""

    def _check_name(self, group: PluginGroup[Any], found: list[EntryPoint]) -> None:
        """Raise AgentDefinitionError for a name that is invalid, or that not exactly one distribution has."""
        name, who = found[0].name, " and ".join(_called(each) for each in found)
        if name in self.own.get(group.name, ()):
            raise AgentDefinitionError(f"{group.kind} {name!r} of {who}: Headrace has a {group.kind} of this name")
        if len(found) > 1:
            raise AgentDefinitionError(f"{group.kind} {name!r}: {who} have one of this name; uninstall all but one")
        try:
            _NAME.validate_python(name)
        except ValidationError as error:
            message = f"{group.kind} {name!r} of {who}: a name has 1 to 64 of a-z, A-Z, 0-9, _ and -"
            raise AgentDefinitionError(message) from error


def loaded(group: PluginGroup[Value], entry: EntryPoint) -> Value:
    """Return the checked value of an entry point. Raises AgentDefinitionError, one line with its distribution."""
    try:
        return group.check(entry.name, entry.load())
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything, or exit
        text = " ".join(str(error).split())
        said = text if isinstance(error, AgentDefinitionError) else f"{type(error).__name__}: {text}"
        message = f"{group.kind} {entry.name!r} of {_called(entry)} ({entry.value}): {said}"
        raise AgentDefinitionError(message) from error


def origin(entry: EntryPoint) -> tuple[str, str]:
    """Return the name and the version of an entry point's distribution; empty if its metadata has none."""
    metadata = entry.dist.metadata if entry.dist else None
    return (metadata["Name"] or "", metadata["Version"] or "") if metadata else ("", "")


def _called(entry: EntryPoint) -> str:
    return " ".join(origin(entry)).strip() or "an unnamed distribution"
