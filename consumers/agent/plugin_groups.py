"""The kinds of plugins: the entry-point group of each, and the check of its values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, cast

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
    return cast("Planner", _function(value, "(state)", 1, is_async=False))


def _model(_: str, value: object) -> ModelFactory:
    if not callable(value) or not _takes(value, 1):
        message = "it is no function of (settings) that returns an async context manager"
        raise AgentDefinitionError(message)
    return cast("ModelFactory", value)


def _middleware(_: str, value: object) -> Middleware:
    return cast("Middleware", _function(value, "(operation, next)", 2, is_async=True))


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


def _function(value: object, arguments: str, count: int, *, is_async: bool) -> Callable[..., Any]:
    """Return *value* if it is a function of *count* arguments. Raises AgentDefinitionError."""
    if callable(value) and not isinstance(value, type) and _is_async(value) is is_async and _takes(value, count):
        return value
    wanted = "an async function" if is_async else "a plain function"
    message = f"it is not {wanted} of {arguments}, nor an object that can be called as one"
    raise AgentDefinitionError(message)


def _is_async(function: Callable[..., Any]) -> bool:
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
GUARD = PluginGroup("guards", "guard", _any, used=False)

GROUPS: tuple[PluginGroup[Any], ...] = (PLANNER, MODEL, MEMORY, TOOL, MIDDLEWARE, GUARD)
