"""The scenario of a local platform's scripted model: the built-in one, or a file that is read again on change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.errors import ScenarioFileError
from ops.embedded.scenario import ANY_TOOLS, Scenario
from ops.embedded.scenario_file import read_scenario

LOOK_S = 0.5

FileStamp = tuple[int, int]
"""Modification time in nanoseconds, and size in bytes."""


@dataclass(frozen=True, slots=True)
class ScenarioSource:
    """A scenario as it was read, and its file."""

    scenario: Scenario = ANY_TOOLS
    file: Path | None = None
    """None: the built-in scenario, which never changes."""

    stamp: FileStamp | None = None
    """The stamp of the file, taken before it was read, so that no edit is missed."""

    @classmethod
    def of(cls, file: Path | None) -> ScenarioSource:
        """Read the file. Raises ScenarioFileError."""
        if file is None:
            return cls()
        stamp = _stamp(file)
        return cls(read_scenario(file), file, stamp)

    def told(self) -> str:
        """Return the line that tells a person which answers to expect."""
        if self.file is not None:
            return f"no real model: a scripted one answers by {self.file}"
        return "no real model: a scripted one calls each tool that you name, as in `get_weather Oslo`, or repeats you"

    async def watch(self, play: Callable[[Scenario], None], tell: Callable[[str], None]) -> None:
        """Call *play* with the scenario after each edit of the file, without end. A faulty one changes nothing."""
        if self.file is None:
            return
        seen = self.stamp
        while True:
            await asyncio.sleep(LOOK_S)
            now = await asyncio.to_thread(_stamp, self.file)
            if now not in (None, seen):
                seen = now
                await self._reread(self.file, play, tell)

    async def _reread(self, file: Path, play: Callable[[Scenario], None], tell: Callable[[str], None]) -> None:
        try:
            play(await asyncio.to_thread(read_scenario, file))
        except ScenarioFileError as error:
            tell(f"{error}; the scenario stays as it was")
        else:
            tell(f"the scenario {file} has changed, and answers from now on")


def _stamp(file: Path) -> FileStamp | None:
    """Return the file's stamp; None while an editor replaces it."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
