"""The kinds of plugins: the entry-point group of each, and the check of its values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeGuard, TypeVar, cast

from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.middleware import Middleware
from consumers.agent.models.port import Model
from consumers.agent.planners.port import Planner
from consumers.agent.tools.tool import Tool, tool

Value = TypeVar("Value")

ModelFactory: TypeAlias = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Model]]
"""Opens a model for the life of a worker. The mapping holds the plugin's settings; it is empty in this version."""


@dataclass(frozen=True, slots=True)
class PluginGroup(Generic[Value]):
    """One kind of plugin."""

    name: str
    """Its plural. The entry-point group is ``headrace.NAME``."""

    kind: str
    """The name of one."""

    check: Callable[[str, object], Value]
    """Returns the usable value of an entry point's name and object. Raises AgentDefinitionError for an unusable one."""

    used: bool = True
    """False if this version lists other packages' plugins and does not use them."""

    @property
    def entry_points(self) -> str:
        """Return the name of the entry-point group."""
        return f"headrace.{self.name}"


def _planner(_: str, value: object) -> Planner:
    if not is_function(value, 1) or is_async(value):
        message = "it is not a plain function of (state), nor an object that can be called as one"
        raise AgentDefinitionError(message)
    return cast("Planner", value)


def _model(_: str, value: object) -> ModelFactory:
    if not (callable(value) and _takes(value, 1)):
        message = "it is no function of (settings) that returns an async context manager"
        raise AgentDefinitionError(message)
    return cast("ModelFactory", value)


def _middleware(_: str, value: object) -> Middleware:
    if not is_function(value, 2):
        message = "it is not an async function of (operation, next), nor an object that can be called as one"
        raise AgentDefinitionError(message)
    return cast("Middleware", value)


def _tool(name: str, value: object) -> Tool:
    if not isinstance(value, Tool) and (not callable(value) or isinstance(value, type)):
        message = "it is neither a Tool nor a function"
        raise AgentDefinitionError(message)
    found = value if isinstance(value, Tool) else tool(value)
    if found.name != name:
        message = f"the tool's own name is {found.name!r}: give both one name"
        raise AgentDefinitionError(message)
    return found


def _any(_: str, value: object) -> object:
    return value


def is_function(value: object, count: int) -> TypeGuard[Callable[..., Any]]:
    """Return True for a function, or an object with ``__call__``, that takes *count* arguments. A class is none."""
    return callable(value) and not isinstance(value, type) and _takes(value, count)


def is_async(function: Callable[..., Any]) -> bool:
    """Return True for an async function, or an object whose ``__call__`` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Return True if *function* can be called with *count* positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True  # a function of an extension module need not have a signature
    return True


PLANNER = PluginGroup("planners", "planner", _planner)
MODEL = PluginGroup("models", "model", _model)
MEMORY = PluginGroup("memories", "memory", _any, used=False)
TOOL = PluginGroup("tools", "tool", _tool)
MIDDLEWARE = PluginGroup("middleware", "middleware", _middleware)

AGENT_GROUPS: tuple[PluginGroup[Any], ...] = (PLANNER, MODEL, MEMORY, TOOL, MIDDLEWARE)
"""The groups of agents. ``ops`` adds that of the guards, which agents do not know."""
