"""The agents of a worker, each name once: the built-in agents and the user's."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType

from consumers.agent.agents import Agent
from consumers.agent.code_places import raised_at
from consumers.agent.definition_error import AgentDefinitionError


class AgentRegistry(Mapping[str, Agent]):
    """Agents by name. Raises AgentDefinitionError if two have the same name."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        self._agents: dict[str, Agent] = {}
        for each in agents:
            first = self._agents.setdefault(each.name, each)
            if first is not each:
                raise AgentDefinitionError(_named_twice(first, each))

    def __getitem__(self, name: str) -> Agent:
        """Return the agent of this name; raise KeyError if there is none."""
        return self._agents[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order in which they were given."""
        return iter(self._agents)

    def __len__(self) -> int:
        """Return the number of agents."""
        return len(self._agents)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._agents))

    def joined(self, *others: Iterable[Agent]) -> AgentRegistry:
        """Return a registry of these agents and others; raise AgentDefinitionError if two have the same name."""
        return AgentRegistry([*self.values(), *(each for agents in others for each in agents)])


def _named_twice(first: Agent, second: Agent) -> str:
    if first.place:
        return f"{second.place}: two agents are named {second.name!r}, the other one at {first.place}; rename one"
    return f"{second.place}: {second.name!r} is the name of an agent that every worker has; rename yours"


def load(target: str) -> tuple[Agent, ...]:
    """Load the agents of ``package.module`` (all at its top level), or of ``package.module:attribute``.

    The attribute is an Agent or several. Raises AgentDefinitionError if there are none, or if the module cannot be
    imported: one line, with the place in the user's code. The module's own exception is its cause.
    """
    name, _, attribute = target.partition(":")
    module = _module(name)
    found = _of_attribute(module, attribute) if attribute else _of_module(module)
    if not found:
        place = getattr(module, "__file__", None) or name
        message = (
            f"{place}:1: no agents in {target!r}: define one with Agent(...) or @agent(...) at the top of the module"
        )
        raise AgentDefinitionError(message)
    return found


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        message = f"{name!r} is not the name of a module: write package.module or package.module:attribute"
        raise AgentDefinitionError(message)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if raised_at(error) is None and f"{name}.".startswith(f"{error.name}."):
            message = f"there is no module {name!r} to load agents from; is its folder on the path?"
            raise AgentDefinitionError(message) from error
        raise AgentDefinitionError(_failed(name, error)) from error
    except (Exception, SystemExit) as error:  # a module may raise anything, or exit
        raise AgentDefinitionError(_failed(name, error)) from error


def _failed(name: str, error: BaseException) -> str:
    """Return the error of a module's import as one line that begins with its place."""
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    said = text if isinstance(error, AgentDefinitionError) else f"{type(error).__name__}: {text}"
    return f"{raised_at(error) or name}: {said}"


def _of_module(module: ModuleType) -> tuple[Agent, ...]:
    """Return the module's agents. An agent with two names in the module is one agent."""
    found = [value for value in vars(module).values() if isinstance(value, Agent)]
    return tuple({id(each): each for each in found}.values())


def _of_attribute(module: ModuleType, attribute: str) -> tuple[Agent, ...]:
    value = getattr(module, attribute, None)
    if isinstance(value, Agent):
        return (value,)
    if isinstance(value, Mapping):
        value = value.values()
    if not isinstance(value, Iterable) or isinstance(value, str):
        return ()
    return tuple(each for each in value if isinstance(each, Agent))
