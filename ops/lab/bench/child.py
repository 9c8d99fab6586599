"""A server in a child process, so that its CPU time is not counted in this process."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ops.errors import StackError
from ops.settings import child_environment

START_S = 60.0
STOP_S = 5.0


@asynccontextmanager
async def announced(module: str) -> AsyncGenerator[str]:
    """Run *module* in a child process for the block, and yield its first output line. Raise StackError without one."""
    command = (sys.executable, "-P", "-m", module)
    child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=child_environment())
    try:
        yield await _first_line(child, module)
    finally:
        if child.returncode is None:
            child.terminate()
        async with asyncio.timeout(STOP_S):
            await child.wait()


async def _first_line(child: asyncio.subprocess.Process, module: str) -> str:
    async with asyncio.timeout(START_S):
        line = b"" if child.stdout is None else await child.stdout.readline()
    if not line:
        raise StackError(f"{module} did not start")
    return line.decode().strip()
