"""List the user's agents in a separate process, so that their module's import affects only that process."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from ops.errors import StackError
from ops.settings import stage_environment

PATIENCE_S = 30.0


async def names_of(agents: str) -> tuple[str, ...]:
    """Return the names of the agents in ``package.module[:attribute]``. Raises StackError with the module's error."""
    command = (sys.executable, "-P", "-m", "ops.dev.agents", agents)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=stage_environment()
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise StackError(f"the module {agents} was not imported within {PATIENCE_S:g} s") from None
    if process.returncode:
        raise StackError(f"the module {agents} cannot be used: {_last(errors)}")
    return tuple(json.loads(out.splitlines()[-1]))


def _last(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def main(agents: str) -> None:
    """Print the names on the last line: the module may print lines of its own before."""
    from consumers.agent.registry import load  # noqa: PLC0415 - only here, in the process that needs it
    from ops import import_guard  # noqa: PLC0415 - as above

    import_guard.add_user_folder(Path.cwd(), agents)
    print(json.dumps([agent.name for agent in load(agents)]))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(sys.argv[1])
