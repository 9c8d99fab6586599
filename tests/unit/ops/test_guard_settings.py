"""Guard settings come from a file and from packages, and are checked where they are written."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.plugins import PluginRegistry
from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guard_plugin import GuardPlugin, NoConfig
from consumers.guard.guards import Guard, GuardResult
from consumers.guard.registry import OWN
from ops import agent_plugins
from ops.errors import InvalidError
from ops.guard_plugins import GUARD, guard_plugin, installed_guards
from ops.guard_settings import check_guards, guard_registry, guards_in
from ops.settings import Settings
from schemas.guards import GuardSettings, TenantGuards
from schemas.tenants import Tenant


async def function(content: Content, context: StepContext) -> GuardResult:
    """A guard in its shortest form."""
    return GuardResult()


def make(*_: object) -> Guard:
    """Make the guard."""
    return function


PLUGIN = GuardPlugin("here", NoConfig, make)


def settings_of(path: Path) -> Settings:
    """The settings of a platform with this file."""
    return Settings.model_validate({"guards": path})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file for guard settings."""
    return tmp_path / "guards.json"


def test_the_platform_has_settings_for_all_tenants(file: Path) -> None:
    """In the form of a tenant's record."""
    file.write_text(json.dumps({"input": {"injection": {"shadow": True}}}))
    assert guard_registry(settings_of(file)).settings("input")["injection"].shadow is True
    assert guard_registry(Settings()).settings("input")["injection"].shadow is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ('{"inputs": {}}', "inputs: Extra inputs are not permitted"),
        ('{"input": {"injection": {"enabled": "never"}}}', "input.injection.enabled: Input should be"),
        ('{"input": {"injectoin": {}}}', "guard input:injectoin: no guard of this name is installed"),
        ('{"input": {"injection": {"config": {"blok": 1}}}}', "guard input:injection: config.blok: Extra inputs"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_setting(file: Path, text: str, fault: str) -> None:
    """A worker does not start with fewer guards than its operator wanted."""
    file.write_text(text)
    with pytest.raises(InvalidError) as caught:
        guard_registry(settings_of(file))
    assert str(caught.value).startswith(f"HEADRACE_GUARDS: {file}: {fault}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """As any other fault of it."""
    with pytest.raises(InvalidError, match=r"HEADRACE_GUARDS: .*none cannot be read: No such file"):
        guard_registry(settings_of(tmp_path / "none"))
    with pytest.raises(InvalidError, match="cannot be read"):
        guards_in(tmp_path)


def test_a_record_with_unusable_guards_is_refused_where_it_is_written() -> None:
    """A stage would keep the last good ones, or refuse the tenant's requests."""
    wrong = TenantGuards(input={"nope": GuardSettings()})
    with pytest.raises(InvalidError, match="guard input:nope: no guard of this name is installed"):
        check_guards(Settings(), Tenant(id="acme", guards=wrong))
    check_guards(Settings(), Tenant(id="acme", guards=TenantGuards(input={"pii": GuardSettings(enabled=False)})))


def test_a_misspelt_name_is_refused_also_if_it_is_turned_off() -> None:
    """The guard that was meant would stay on."""
    off = TenantGuards(output={"pi": GuardSettings(enabled=False)})
    with pytest.raises(InvalidError, match="guard output:pi: no guard of this name is installed"):
        check_guards(Settings(), Tenant(id="acme", guards=off))


def entry(name: str, value: str) -> EntryPoint:
    """An entry point of a package."""
    return EntryPoint(name, f"{__name__}:{value}", GUARD.entry_points)


def plugins(*entries: EntryPoint) -> PluginRegistry:
    """The plugins of packages with these guards."""
    return PluginRegistry(entries, agent_plugins.OWN, "0", agent_plugins.GROUPS)


def test_packages_bring_plugins_and_functions() -> None:
    """A function runs at no stage until settings name it."""
    found = installed_guards(plugins(entry("here", "PLUGIN"), entry("plain", "function")))
    assert found.plugins["here"] is PLUGIN
    assert found.plugins["plain"].config is NoConfig
    assert found.failed == {}


def test_a_broken_package_stops_nothing_until_settings_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its error is in the line."""
    broken = plugins(entry("gone", "missing"), entry("pii", "PLUGIN"))
    monkeypatch.setattr("ops.guard_settings.installed_plugins", lambda: broken)

    assert "gone" not in guard_registry(Settings()).plugins
    with pytest.raises(InvalidError, match="guard input:gone: it cannot be loaded: guard 'gone' of an unnamed"):
        check_guards(Settings(), Tenant(id="acme", guards=TenantGuards(input={"gone": GuardSettings()})))
    assert guard_registry(Settings()).plugins["pii"] in OWN


def test_own_guards_are_listed_with_their_places() -> None:
    """`headrace plugins` shows objects that exist."""
    for name, place in agent_plugins.OWN[GUARD.name].items():
        assert EntryPoint(name, place, GUARD.entry_points).load().name == name


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (make, "it is neither a GuardPlugin nor an async function of (content, context)"),
        (GuardPlugin, "it is neither"),
        (PLUGIN, "the guard's own name is 'here': give both one name"),
        (GuardPlugin("g", NoConfig, make, stages=frozenset()), "its stages are not among input, output, tool"),
    ],
)
def test_an_object_that_is_no_guard_is_refused(value: Any, fault: str) -> None:  # noqa: ANN401 - as packages have it
    """With the reason."""
    with pytest.raises(AgentDefinitionError) as caught:
        guard_plugin("g", value)
    assert str(caught.value).startswith(fault)
