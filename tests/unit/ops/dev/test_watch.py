"""Edits of the user's agents are noticed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from ops.dev.watch import edits, stamp


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the user's on the path, with a module and a sub-package."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    folder = tmp_path / "watched_agents"
    (folder / "deep").mkdir(parents=True)
    for file in (folder / "__init__.py", folder / "support.py", folder / "deep" / "tools.py"):
        file.write_text("")
    return folder


def _touch(file: Path) -> None:
    found = file.stat().st_mtime_ns
    os.utime(file, ns=(found + 1, found + 1))


def test_nothing_happens_without_an_edit(package: Path) -> None:
    """A restart costs what runs."""
    assert stamp("watched_agents.support:agents") == stamp("watched_agents.support:agents")


@pytest.mark.parametrize("name", ["support.py", "deep/tools.py"])
def test_an_edit_anywhere_in_the_package_counts(package: Path, name: str) -> None:
    """Agents are seldom in one file."""
    before = stamp("watched_agents.support")

    _touch(package / name)

    assert stamp("watched_agents.support") != before


def test_a_new_module_counts(package: Path) -> None:
    """And so does one that is gone."""
    before = stamp("watched_agents")

    (package / "more.py").write_text("")

    assert stamp("watched_agents") != before


@pytest.mark.parametrize(
    ("name", "counts"),
    [("watched_alone.py", True), ("tools_beside.py", True), ("test_watched.py", False), ("watched_agents/x.py", False)],
)
def test_a_single_module_is_watched_with_the_modules_beside_it(package: Path, name: str, counts: bool) -> None:  # noqa: FBT001 - a case
    """It may import them. A test or another package is no part of its agents."""
    (package.parent / "watched_alone.py").write_text("")
    before = stamp("watched_alone")

    (package.parent / name).write_text("changed = True")

    assert (stamp("watched_alone") != before) is counts


@pytest.mark.anyio
async def test_an_edit_before_the_watch_began_is_noticed(package: Path) -> None:
    """A stage may have loaded the agents before it: they would be old without an end."""
    before = stamp("watched_agents")
    _touch(package / "support.py")

    async with asyncio.timeout(20):
        async for _ in edits("watched_agents", before):
            return
