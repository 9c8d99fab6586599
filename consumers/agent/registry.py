"""The agents of a worker, each name once: the built-in agents and the user's."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType

from consumers.agent.agents import Agent
from consumers.agent.definition_error import AgentDefinitionError


class AgentRegistry(Mapping[str, Agent]):
    """Agents by name. Raises AgentDefinitionError if two have the same name."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        self._agents: dict[str, Agent] = {}
        for each in agents:
            if self._agents.setdefault(each.name, each) is not each:
                message = f"two agents are named {each.name!r}; rename one"
                raise AgentDefinitionError(message)

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


def load(target: str) -> tuple[Agent, ...]:
    """Load the agents of ``package.module`` (all at its top level), or of ``package.module:attribute``.

    The attribute is an Agent or several. Raises AgentDefinitionError if there are none. An exception that the module
    itself raises is not caught.
    """
    name, _, attribute = target.partition(":")
    module = _module(name)
    found = _of_attribute(module, attribute) if attribute else _of_module(module)
    if not found:
        message = f"no agents in {target!r}: define one with Agent(...) or @agent(...) at the top of the module"
        raise AgentDefinitionError(message)
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # the module exists, but a module that it imports does not
        message = f"there is no module {name!r} to load agents from; is its folder on the path?"
        raise AgentDefinitionError(message) from error
    except (TypeError, ValueError) as error:
        message = f"{name!r} is not the name of a module: write package.module or package.module:attribute"
        raise AgentDefinitionError(message) from error


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
