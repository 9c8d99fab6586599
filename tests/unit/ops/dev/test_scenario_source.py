"""The scenario of a local platform follows its file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.background import background
from ops.dev.scenario_source import ScenarioSource
from ops.embedded.errors import ScenarioFileError
from ops.embedded.scenario import ANY_TOOLS, Scenario

pytestmark = pytest.mark.anyio

RULE = "[[rules]]\nanswer = {{ text = '{}' }}\n"


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - a file's edit is no event
            await asyncio.sleep(0.01)


def texts(scenarios: list[Scenario]) -> list[str | None]:
    """The text of each scenario's first answer."""
    return [scenario.rules[0].answer.text for scenario in scenarios]


async def test_an_edit_changes_the_answers_and_a_faulty_one_does_not(tmp_path: Path) -> None:
    """A person saves half a line, and goes on with the old answers until it is right."""
    file = tmp_path / "a.toml"
    file.write_text(RULE.format("one"))
    source, played, told = ScenarioSource.of(file), list[Scenario](), list[str]()
    file.write_text(RULE.format("before the watch began"))

    async with background(source.watch(played.append, told.append)):
        await _until(lambda: len(played) == 1)
        file.write_text("[[rules]\n")
        await _until(lambda: len(told) == 2)
        file.unlink()
        await asyncio.sleep(1.2)
        file.write_text(RULE.format("right again"))
        await _until(lambda: len(played) == 2)

    assert texts([source.scenario, *played]) == ["one", "before the watch began", "right again"]
    assert "has changed" in told[0]
    assert "(at line 1, column 8); the scenario stays as it was" in told[1]
    assert len(told) == 3


async def test_the_built_in_scenario_needs_no_file() -> None:
    """And is not watched."""
    source = ScenarioSource.of(None)

    async with asyncio.timeout(5):
        await source.watch(lambda _: None, lambda _: None)
    assert source.scenario is ANY_TOOLS
    assert "get_weather" in source.told()


def test_a_faulty_file_is_refused_at_once(tmp_path: Path) -> None:
    """Before a server starts."""
    with pytest.raises(ScenarioFileError):
        ScenarioSource.of(tmp_path / "none.toml")
