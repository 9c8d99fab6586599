"""Processes as a test sees them from outside."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for its parent's attention does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


async def gone(pids: Iterable[int], within: float) -> None:
    """Wait until none of them runs. TimeoutError after ``within`` seconds."""
    async with asyncio.timeout(within):
        for pid in pids:
            while alive(pid):  # noqa: ASYNC110  (they are nobody's children now)
                await asyncio.sleep(0.05)


@asynccontextmanager
async def parent(what: str, folder: Path, cache: Path) -> AsyncGenerator[tuple[Process, dict[str, Any]]]:
    """A parent of its own (see ``embedded_parent``) and what it tells; killed when the block ends."""
    command = [sys.executable, "-m", "tests.integration.embedded_parent", what, str(folder), str(cache)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            told = await process.stdout.readline()
        yield process, json.loads(told)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
