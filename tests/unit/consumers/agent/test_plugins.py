"""Plugins are found by entry point, and a faulty one is named with its distribution."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

import pytest

from consumers.agent.agents import Agent
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.plugin_groups import MEMORY, MIDDLEWARE, MODEL, PLANNER, TOOL, PluginGroup
from consumers.agent.plugins import PluginRegistry
from consumers.agent.references import check_models, resolved
from consumers.agent.registry import AgentRegistry
from consumers.agent.tools.tool import tool
from tests.distributions import install

PLACE = __name__
OWN = {"planners": {"react": "consumers.agent.planners.react:react"}, "models": {"default": "openai"}}


def plan(state: object) -> object:
    """A planner."""
    return state


async def plan_later(state: object) -> object:
    """Planners do not wait."""
    return state


async def around(operation: object, core: object) -> object:
    """A middleware."""
    return operation, core


def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@tool(name="other")
def misnamed(text: str) -> str:
    """A tool whose own name is another one."""
    return text


def needs_two(first: str, second: str) -> str:
    """No planner and no model: it has an argument too many."""
    return first + second


class Planner:
    """A class is not an instance of it."""

    def __call__(self, state: object) -> object:
        """Plan."""
        return state


planner = Planner()


class LatePlanner:
    """Its method is a coroutine function."""

    async def __call__(self, state: object) -> object:
        """Plan."""
        return state


class LaterPlanner(LatePlanner):
    """It inherits the method."""


later_planner = LaterPlanner()


def registry(folder: Path) -> PluginRegistry:
    """The plugins of a folder's distributions."""
    found = [each for package in distributions(path=[str(folder)]) for each in package.entry_points]
    return PluginRegistry(tuple(found), OWN, "0.0")


@pytest.mark.parametrize("attribute", ["plan", "planner"])
def test_a_plugin_is_loaded_by_its_name(tmp_path: Path, attribute: str) -> None:
    """A function, or an object that can be called as one."""
    install(tmp_path, "acme-plan", {"headrace.planners": {"mine": f"{PLACE}:{attribute}"}})

    assert registry(tmp_path).value(PLANNER, "mine") is globals()[attribute]
    assert registry(tmp_path).names(PLANNER) == ("mine", "react")


def test_a_function_becomes_a_tool(tmp_path: Path) -> None:
    """As in the list of an agent's tools."""
    install(tmp_path, "acme-words", {"headrace.tools": {"count_words": f"{PLACE}:count_words"}})

    assert registry(tmp_path).value(TOOL, "count_words").spec.description == "Count the words of a text."


FAULTS = [
    (PLANNER, f"{PLACE}:plan_later", r"it is not a plain function of \(state\)"),
    (PLANNER, f"{PLACE}:later_planner", r"it is not a plain function of \(state\)"),
    (PLANNER, f"{PLACE}:Planner", r"it is not a plain function of \(state\)"),
    (PLANNER, f"{PLACE}:needs_two", r"it is not a plain function of \(state\)"),
    (PLANNER, f"{PLACE}:PLACE", r"it is not a plain function of \(state\)"),
    (MIDDLEWARE, f"{PLACE}:plan", r"it is not an async function of \(operation, next\)"),
    (MIDDLEWARE, f"{PLACE}:Planner", r"it is not an async function of \(operation, next\)"),
    (TOOL, f"{PLACE}:PLACE", "it is neither a Tool nor a function"),
    (TOOL, f"{PLACE}:misnamed", "the tool's own name is 'other': give both one name"),
    (MODEL, f"{PLACE}:needs_two", r"it is no function of \(settings\)"),
    (PLANNER, f"{PLACE}:missing", "AttributeError: .* has no attribute 'missing'"),
    (PLANNER, "no_such_module:x", "ModuleNotFoundError: No module named 'no_such_module'"),
    (PLANNER, "broken:x", "ValueError: no key: set it"),
    (PLANNER, "exits:x", "SystemExit: bye"),
    (PLANNER, "not a place", "AttributeError"),
]


@pytest.mark.parametrize(("group", "value", "message"), FAULTS)
def test_a_faulty_plugin_is_one_line_with_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: PluginGroup[object], value: str, message: str
) -> None:
    """The user has not written it, and must know whom to ask."""
    faulty = {"broken": "raise ValueError('no key:\\nset it')", "exits": "import sys\nsys.exit('bye')"}
    install(tmp_path, "acme", {group.entry_points: {"mine": value}}, **faulty)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(AgentDefinitionError, match=rf"^{group.kind} 'mine' of acme 1.0 \(.*\): {message}") as caught:
        registry(tmp_path).value(group, "mine")

    assert "\n" not in str(caught.value)


def test_a_name_of_two_distributions_is_refused(tmp_path: Path) -> None:
    """Else the order of the path would decide."""
    install(tmp_path, "acme", {"headrace.planners": {"mine": f"{PLACE}:plan"}})
    install(tmp_path, "other", {"headrace.planners": {"mine": f"{PLACE}:plan"}})

    with pytest.raises(AgentDefinitionError, match=r"acme 1\.0") as caught:
        registry(tmp_path).value(PLANNER, "mine")
    assert "other 1.0" in str(caught.value)
    assert [each.state for each in registry(tmp_path).listed() if each.name == "mine"] == ["failed", "failed"]


def test_a_name_of_headrace_is_refused(tmp_path: Path) -> None:
    """A package must not change what `react` means."""
    install(tmp_path, "acme", {"headrace.planners": {"react": f"{PLACE}:plan"}})

    with pytest.raises(AgentDefinitionError, match=r"'react' of acme 1\.0: Headrace has a planner of this name"):
        registry(tmp_path).value(PLANNER, "react")


@pytest.mark.parametrize("name", ["a b", "ä", "a" * 65, "a.b"])
def test_an_odd_name_is_refused(tmp_path: Path, name: str) -> None:
    """Names are labels of metrics and fields of records."""
    install(tmp_path, "acme", {"headrace.planners": {name: f"{PLACE}:plan"}})

    with pytest.raises(AgentDefinitionError, match="a name has 1 to 64 of"):
        registry(tmp_path).value(PLANNER, name)


def test_a_list_states_what_is_not_used_and_what_failed(tmp_path: Path) -> None:
    """A guard that is listed as usable, and is not asked, would be believed."""
    install(
        tmp_path,
        "acme",
        {MEMORY.entry_points: {"strict": f"{PLACE}:plan"}, PLANNER.entry_points: {"late": f"{PLACE}:plan_later"}},
    )
    listed = {each.name: each for each in registry(tmp_path).listed()}

    assert {name: each.state for name, each in listed.items()} == {
        "react": "ok",
        "late": "failed",
        "default": "ok",
        "strict": "unused",
    }
    assert (listed["strict"].distribution, listed["strict"].version) == ("acme", "1.0")


def test_a_distribution_without_metadata_is_listed(tmp_path: Path) -> None:
    """Half an uninstallation leaves such."""
    install(tmp_path, "acme", {"headrace.planners": {"mine": f"{PLACE}:plan", "late": f"{PLACE}:plan_later"}})
    (tmp_path / "acme-1.0.dist-info" / "METADATA").unlink()

    assert {each.name: each.state for each in registry(tmp_path).listed()}["late"] == "failed"


# --- what agents refer to -----------------------------------------------------------------------------------------


def test_an_agent_gets_the_tools_that_it_names(tmp_path: Path) -> None:
    """In the order of its list, beside its own."""
    install(tmp_path, "acme", {"headrace.tools": {"count_words": f"{PLACE}:count_words"}})
    agents = AgentRegistry([Agent("a", tools=["count_words", needs_two])])

    found = resolved(agents, registry(tmp_path))

    assert [each.name for each in found["a"].toolbox] == ["count_words", "needs_two"]
    assert found["a"].place == agents["a"].place != ""
    assert [each.name for each in agents["a"].toolbox] == ["needs_two"]


UNKNOWN = [
    (Agent("a", handoffs=["b"]), "hands over to 'b', and this worker has no agent of this name: it has a"),
    (Agent("a", delegates=["b"]), "asks 'b', and this worker has no agent of this name: it has a"),
    (Agent("a", planner="b"), "has the planner 'b', and this worker has no planner of this name: it has react"),
    (Agent("a", model="b"), "has the model 'b', and this worker has no model of this name: it has default"),
    (Agent("a", tools=["b"]), "has the tool 'b', and this worker has no tool of this name: no package with one"),
]


@pytest.mark.parametrize(("agent", "message"), UNKNOWN)
def test_a_name_without_meaning_is_one_line_with_its_place(tmp_path: Path, agent: Agent, message: str) -> None:
    """Else the first run that needs it fails, perhaps days later."""
    agents = AgentRegistry([agent])

    with pytest.raises(AgentDefinitionError) as caught:
        check_models(resolved(agents, registry(tmp_path)), registry(tmp_path))

    assert str(caught.value).startswith(f"{agent.place}: the agent 'a' {message}")
    assert agent.place.startswith(__file__)


def test_a_faulty_plugin_is_told_with_the_agent_that_names_it(tmp_path: Path) -> None:
    """Both places matter: the name can be removed, or the package."""
    install(tmp_path, "acme", {"headrace.planners": {"mine": f"{PLACE}:plan_later"}})
    agent = Agent("a", planner="mine")

    with pytest.raises(AgentDefinitionError) as caught:
        resolved(AgentRegistry([agent]), registry(tmp_path))
    assert str(caught.value).startswith(f"{agent.place}: the agent 'a' has the planner 'mine' of acme 1.0")


def test_an_agents_own_planner_is_checked_too(tmp_path: Path) -> None:
    """A coroutine is no action."""
    agent = Agent("a", planner=plan_later)  # type: ignore[arg-type]

    with pytest.raises(AgentDefinitionError, match="the planner of the agent 'a': it is not a plain function"):
        resolved(AgentRegistry([agent]), registry(tmp_path))


def test_a_faulty_plugin_that_no_agent_names_stays_out_of_the_way(tmp_path: Path) -> None:
    """Its module is not even imported."""
    install(tmp_path, "acme", {"headrace.planners": {"mine": "no_such_module:x"}})

    assert resolved(AgentRegistry([Agent("a")]), registry(tmp_path)).names == ("a",)
