"""Import the user's agents and check them, in this process or in one that ends afterwards.

The check comes before any server or client starts, and before each reload, so that a mistake costs seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from traceback import walk_stack
from typing import TYPE_CHECKING

from ops.errors import AgentsError
from ops.settings import stage_environment

if TYPE_CHECKING:
    from consumers.agent.registry import AgentRegistry

IMPORT_S = 20.0
"""Seconds for the import of the user's module."""

PATIENCE_S = 30.0
"""Seconds for the process that imports it."""

ANSWER = "headrace-agents:"
"""Begins the line with the names. The module may print lines of its own."""


def checked_agents(agents: str | None) -> AgentRegistry:
    """Return the agents that every worker has, joined with those of ``package.module[:attribute]``.

    Names that they refer to exist, and plugins that they use are loaded. Raises AgentsError, one line with the place in
    the user's code, or with the plugin.
    """
    from consumers.agent.builtin import BUILTIN  # noqa: PLC0415 - a process that only asks has no agents
    from consumers.agent.definition_error import AgentDefinitionError  # noqa: PLC0415 - as above
    from consumers.agent.references import check_models, resolved  # noqa: PLC0415 - as above
    from consumers.agent.registry import AgentRegistry, load  # noqa: PLC0415 - as above
    from ops.agent_plugins import installed_plugins, used_plugins  # noqa: PLC0415 - as above

    try:
        found, plugins = AgentRegistry(BUILTIN).joined(load(agents) if agents else ()), installed_plugins()
        check_models(found, plugins)
        found = resolved(found, plugins)
        used_plugins(found, plugins)
    except AgentDefinitionError as error:
        raise AgentsError(str(error)) from error
    return found


async def names_of(agents: str | None) -> tuple[str, ...]:
    """Return the names of the user's agents, checked in a process of their own. Raises AgentsError as above."""
    if agents is None:
        return ()
    command = (sys.executable, "-P", "-m", "ops.agent_check", agents)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=stage_environment()
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, errors = await process.communicate()
    except TimeoutError:
        raise AgentsError(f"{agents}: its import did not end within {PATIENCE_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _names(out) if process.returncode == 0 else _fail(agents, process.returncode or 0, errors)


def _names(out: bytes) -> tuple[str, ...]:
    answers = [line for line in out.decode(errors="replace").splitlines() if line.startswith(ANSWER)]
    return tuple(answers[-1].removeprefix(ANSWER).split()) if answers else ()


def _fail(agents: str, status: int, errors: bytes) -> tuple[str, ...]:
    """Raise AgentsError with the last line; HEADRACE_LOG_LEVEL=debug shows the note, which has the traceback."""
    lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
    ended = f"{agents}: its import ended the process with status {status}"
    error = AgentsError(lines[-1] if lines and status == AgentsError.exit_code else ended)
    error.add_note("\n".join(lines[:-1]))
    raise error


def _give_up(thread: int) -> None:
    """Name the line at which the import stays, and end the process."""
    from consumers.agent.code_places import user_places  # noqa: PLC0415 - see above

    frame = sys._current_frames()[thread]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    place = next((place for place in user_places(walk_stack(frame)) if not place.is_library), "the module")
    _end(f"{place}: the import did not end within {IMPORT_S:g} s", AgentsError.exit_code)


def _end(line: str, status: int) -> None:
    """Write the last line, and end at once: threads of the user's module may go on for ever."""
    stream = sys.stderr if status else sys.stdout
    stream.write(f"{line}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(agents: str) -> None:
    """Print the names of the user's agents; or the traceback, and the error as the last line."""
    from consumers.agent.builtin import BUILTIN  # noqa: PLC0415 - only here, in the process that imports the module
    from ops import import_guard  # noqa: PLC0415 - as above
    from ops.failures import trace_of  # noqa: PLC0415 - as above

    limit = threading.Timer(IMPORT_S, _give_up, [threading.get_ident()])
    limit.daemon = True
    limit.start()
    try:
        import_guard.add_user_folder(Path.cwd(), agents)
        found = checked_agents(agents)
    except Exception as error:  # noqa: BLE001 - the parent shows it
        sys.stderr.write(trace_of(error))
        _end(" ".join(str(error).split()), AgentsError.exit_code)
    else:
        every_workers = {each.name for each in BUILTIN}
        _end(f"{ANSWER}{' '.join(name for name in found if name not in every_workers)}", 0)


if __name__ == "__main__":
    main(sys.argv[1])
