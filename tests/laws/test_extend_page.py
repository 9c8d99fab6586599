"""The package of the page about extensions, as it is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.agent.models.port import ModelRequest, UserMessage
from consumers.agent.registry import AgentRegistry
from headrace import Agent
from ops.agent_check import checked_agents
from ops.agent_plugins import installed_plugins, model_factories, used_plugins
from ops.agents import models_of
from ops.errors import AgentsError
from ops.settings import Settings
from schemas.clock import SystemClock
from tests.distributions import install
from tests.howto_pages import blocks_of, install_page

PAGE = "extend.md"


def blocks(language: str) -> list[str]:
    """The code blocks of a language on the page."""
    return blocks_of(PAGE, language)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path that has the page's package as an installer would leave it."""
    install_page(PAGE, "acme_headrace", tmp_path, monkeypatch)
    return tmp_path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """The end of a command that has the folder on its path."""
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, timeout=120)


def test_the_test_of_the_page_passes_as_it_is_printed(folder: Path) -> None:
    """In a folder of a user, by a pytest without our configuration."""
    (folder / "test_mine.py").write_text(blocks("python")[1])
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = run("pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_command_lists_the_package(folder: Path) -> None:
    """A faulty neighbour is told, and the exit code is one that a pipeline stops at."""
    done = run("ops.cli.app", "plugins", "--json")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    ours = {each["group"]: each for each in listed if each["distribution"] == "acme-headrace"}

    assert done.returncode == 0, done.stderr
    assert {group: (each["name"], each["state"]) for group, each in ours.items()} == {
        "planners": ("brief", "ok"),
        "models": ("parrot", "ok"),
        "tools": ("count_words", "ok"),
        "middleware": ("timed", "ok"),
    }

    install(folder, "other", {"headrace.tools": {"broken": "loud:x"}}, loud="print('hello')\nimport no_such_module\n")
    done = run("ops.cli.app", "plugins")

    assert done.returncode == 1
    assert "tool 'broken' of other 1.0 (loud:x): ModuleNotFoundError" in done.stdout
    assert done.stderr.splitlines() == ["hello", f"headrace: 1 of {len(listed) + 1} plugins cannot be used"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "planner='breif'",
            "has the planner 'breif', and this worker has no planner of this name: it has brief, plan_",
        ),
        ("tools=['x']", "has the tool 'x', and this worker has no tool of this name: it has count_words"),
        ("model='x'", "has the model 'x', and this worker has no model of this name: it has default, parrot"),
        ("delegates=['x']", "asks 'x', and this worker has no agent of this name: it has assistant, echo, writer"),
    ],
)
def test_a_worker_does_not_start_with_a_name_without_meaning(folder: Path, arguments: str, message: str) -> None:
    """One line, with the place, before any client."""
    (folder / "mine.py").write_text(f"from headrace import Agent\n\nwriter = Agent('writer', {arguments})\n")
    done = run("ops.cli.app", "run", "agent", "--agents", "mine")

    assert done.returncode == 2
    assert done.stderr.startswith(f"headrace: {folder}/mine.py:3: the agent 'writer' {message}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_faulty_middleware_stops_every_worker(folder: Path) -> None:
    """It may be what keeps a secret from leaving: runs without it are not what was installed."""
    install(folder, "other", {"headrace.middleware": {"broken": "no_such_module:x"}})

    with pytest.raises(AgentsError, match=r"^middleware 'broken' of other"):
        checked_agents(None)


@pytest.mark.anyio
async def test_a_worker_opens_the_model_that_an_agent_names(folder: Path) -> None:
    """And no other one: a model may cost memory or money."""
    plugins, settings = installed_plugins(), Settings.model_validate({})
    assert model_factories(AgentRegistry([Agent("a")]), plugins) == {}
    factories = model_factories(AgentRegistry([Agent("a", model="parrot")]), plugins)

    async with models_of(settings, SystemClock(), factories) as models:
        answer = await models["parrot"].complete(ModelRequest((UserMessage("hello"),)))

    assert (answer.text, answer.model) == ("hello", "parrot")


def test_a_worker_gets_the_planners_that_agents_name(folder: Path) -> None:
    """Beside Headrace's own, and all middleware."""
    agents = AgentRegistry([Agent("a", planner="brief")])

    used = used_plugins(agents, installed_plugins())

    assert sorted(used.planners) == ["brief", "plan_execute", "react"]
    assert len(used.middleware) == 1
