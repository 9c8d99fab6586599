"""Detect edits of the user's agents by the modification times of their package, or of the modules beside their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

LOOK_S = 0.5
TEST = "test_"

Stamp = frozenset[tuple[Path, int]]


async def edits(agents: str, files: Stamp) -> AsyncIterator[None]:
    """Yield after each edit since the stamp *files*, without end."""
    while True:
        await asyncio.sleep(LOOK_S)
        now = await asyncio.to_thread(stamp, agents)
        if now != files:
            files = now
            yield


def stamp(agents: str) -> Stamp:
    """Return every source file of *agents* with its modification time; skip a file that disappears meanwhile."""
    return frozenset(_stamped(_files(agents.partition(":")[0].partition(".")[0])))


def _files(top: str) -> Iterator[Path]:
    spec = find_spec(top)
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        yield from Path(folder).rglob("*.py")
    if not spec.submodule_search_locations and spec.origin:
        yield from _beside(Path(spec.origin))


def _beside(module: Path) -> Iterator[Path]:
    """Return the module and the modules of its folder, which it may import. Tests are none."""
    return (file for file in module.parent.glob("*.py") if not file.name.startswith(TEST))


def _stamped(files: Iterator[Path]) -> Iterator[tuple[Path, int]]:
    for file in files:
        try:
            yield file, file.stat().st_mtime_ns
        except FileNotFoundError:
            continue
