"""Which agents a worker finds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consumers.agent.agents import Agent
from consumers.agent.builtin import BUILTIN
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.registry import AgentRegistry, load

MODULE = """
from headrace import Agent, agent

support = Agent("support", instructions="Help.")
alias = support

@agent("shout")
async def shout(text):
    return text.upper()

several = [support, shout]
number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a user's module and name it."""
    names: list[str] = []
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        name = f"users_agents_{len(names)}"
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


def test_every_agent_at_the_top_of_a_module_is_found(module: Callable[[str], str]) -> None:
    """Once, even under two names."""
    assert [each.name for each in load(module(MODULE))] == ["support", "shout"]


@pytest.mark.parametrize(("attribute", "names"), [("shout", ["shout"]), ("several", ["support", "shout"])])
def test_an_attribute_names_one_agent_or_several(
    module: Callable[[str], str], attribute: str, names: list[str]
) -> None:
    """As uvicorn names an application."""
    assert [each.name for each in load(f"{module(MODULE)}:{attribute}")] == names


@pytest.mark.parametrize("attribute", ["number", "missing", "__name__"])
def test_an_attribute_without_agents_is_refused(module: Callable[[str], str], attribute: str) -> None:
    """A worker without the agents it was started for would refuse every request."""
    with pytest.raises(AgentDefinitionError, match="no agents in"):
        load(f"{module(MODULE)}:{attribute}")


def test_a_module_without_agents_is_refused(module: Callable[[str], str]) -> None:
    """As above."""
    with pytest.raises(AgentDefinitionError, match="no agents in"):
        load(module("x = 1"))


@pytest.mark.parametrize("target", ["no_such_module", "no_such.module:attribute", "", ".relative", "a..b"])
def test_a_module_that_is_not_there_is_named(target: str) -> None:
    """The developer mistyped it, or started elsewhere."""
    with pytest.raises(AgentDefinitionError, match="module"):
        load(target)


FAULTS = {
    "x = (": ("1", r"SyntaxError: '\(' was never closed"),
    "x = 1\nimport no_such_dependency": ("2", "ModuleNotFoundError: No module named 'no_such_dependency'"),
    "\n\nraise ValueError('no key:\\nset it')": ("3", "ValueError: no key: set it"),
    "raise TypeError('odd')": ("1", "TypeError: odd"),
    "import sys\nsys.exit('bye')": ("2", "SystemExit: bye"),
    "from headrace import Agent\nAgent('Bad Name')": ("2", "an agent cannot be named 'Bad Name'"),
    "from headrace import Agent\nAgent.from_callable(lambda: 1, name='odd')": ("2", "the agent 'odd' must take"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_module_that_cannot_be_imported_is_one_line_with_its_place(
    module: Callable[[str], str], tmp_path: Path, text: str
) -> None:
    """The developer goes there with one click."""
    name, (line, said) = module(text), FAULTS[text]

    with pytest.raises(AgentDefinitionError, match=said) as caught:
        load(name)

    assert str(caught.value).startswith(f"{tmp_path / name}.py:{line}: ")
    assert "\n" not in str(caught.value)


def test_two_agents_of_one_name_are_refused(module: Callable[[str], str], tmp_path: Path) -> None:
    """Whichever won would be a surprise."""
    name = module("from headrace import Agent\na = Agent('one')\n\nb = Agent('one')")

    with pytest.raises(AgentDefinitionError) as caught:
        AgentRegistry(BUILTIN).joined(load(name))

    file = f"{tmp_path / name}.py"
    assert str(caught.value) == f"{file}:4: two agents are named 'one', the other one at {file}:2; rename one"


def test_the_name_of_a_built_in_agent_is_refused(module: Callable[[str], str], tmp_path: Path) -> None:
    """Every tenant may call `echo`, and expects it to echo."""
    name = module("from headrace import Agent\necho = Agent('echo')")

    with pytest.raises(AgentDefinitionError) as caught:
        AgentRegistry(BUILTIN).joined(load(name))

    assert str(caught.value).startswith(f"{tmp_path / name}.py:2: 'echo' is the name of an agent that every worker has")


def test_a_registry_knows_its_names() -> None:
    """What the door may let through."""
    registry = AgentRegistry(BUILTIN).joined([Agent("support")])

    assert registry.names == ("assistant", "echo", "support")
    assert registry["support"].name == "support"
    assert "nobody" not in registry
