"""Run a stage as a process: alone, as one of several, or under a parent that sends its settings."""

from __future__ import annotations

from ops import early_stop

if __name__ == "__main__":
    early_stop.install()

import asyncio
import gc
import importlib
import io
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any, TypeAlias

from ops import import_guard
from ops.settings import Settings, debugging
from schemas.clock import Clock, SystemClock

AGENT = "agent"
"""The stage that runs the user's agents."""

READY = b"ready"
"""The line that a stage sends when it serves its shards. A line with an address tells where its health is."""

AT_TERMINAL = "--at-terminal"
"""The third argument of a stage that owns the terminal."""

COMMAND = (sys.executable, "-P", "-m", "ops.processes")
"""Takes a stage and a descriptor. ``-P`` keeps modules in the working directory from replacing Headrace's."""
LAST_WORDS_S = 2.0
"""Seconds for a stage to drain after its parent has died, and with it the broker that the parent ran."""
LINE_LIMIT = 1 << 20

Changes: TypeAlias = Mapping[str, Any]
"""Fields of the settings that the parent sends; they override the environment."""


def run_alone(
    stage: str,
    settings: Settings,
    tell: Callable[[bytes], None] = lambda _: None,
    clock: Clock | None = None,
    *,
    at_terminal: bool = False,
) -> None:
    """Run one stage in this process until it is told to stop. Raises OperationError if it cannot.

    *tell* receives the lines for a parent: READY, and the address of the stage's health. *clock* replaces the machine's
    clock. With *at_terminal*, the process may be paused by a debugger.
    """
    import_guard.add_user_folder(Path.cwd(), settings.agents)
    if stage == AGENT:
        _check_agents(settings)
    if settings.guards is not None:
        _check_guards(settings)
    from ops import logs  # noqa: PLC0415 - who only starts such a process need not wait for what it loads
    from ops.stages import StageCallbacks, run_stage  # noqa: PLC0415 - as above

    logs.configure(settings, stage=stage)
    _show_prints_at_once()

    told = StageCallbacks(ready=lambda: tell(READY), http=lambda address: tell(address.encode()))
    _run(run_stage(settings, stage, told, clock or SystemClock(), at_terminal=at_terminal))


def _show_prints_at_once() -> None:
    """Write what agents print line by line, although it goes to a file or a pipe."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


def _check_agents(settings: Settings) -> None:
    """Import the user's agents before any client starts. Raises AgentsError."""
    from ops.agent_check import checked_agents  # noqa: PLC0415 - as below

    checked_agents(settings.agents)


def _check_guards(settings: Settings) -> None:
    """Make the platform's guards before any client starts. Raises InvalidError."""
    from ops.guard_settings import guard_registry  # noqa: PLC0415 - as above

    guard_registry(settings)


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run *main* on uvloop where it is available."""
    from ops.exit_guard import run_until_main_ends  # noqa: PLC0415 - as ``logs`` above

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        run_until_main_ends(runner.get_loop(), main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not built for every platform

    return uvloop.new_event_loop


def settings_line(changes: Changes) -> bytes:
    """Return the line with the settings. A socket carries it: others can read an environment or a command line."""
    return json.dumps(dict(changes)).encode() + b"\n"


def run_supervised(stage: str, descriptor: int, *, at_terminal: bool = False) -> None:
    """Run one stage with the settings that the parent sends, report when it is ready, and end with the parent.

    With *at_terminal*, Ctrl-C is as ``ops.debugging`` describes. The stage's modules are imported before the settings
    arrive, while the parent still starts the broker.
    """
    channel = socket.socket(fileno=descriptor)
    if at_terminal:
        from ops.debugging import take_interrupts  # noqa: PLC0415 - only for this

        take_interrupts()
    _preload(stage)
    with channel.makefile("rb") as lines:
        settings = Settings.model_validate(json.loads(lines.readline(LINE_LIMIT)))
        threading.Thread(target=_end_with_parent, args=(channel,), daemon=True).start()
        run_alone(stage, settings, tell=lambda line: _tell(channel, line), at_terminal=at_terminal)


def _preload(stage: str) -> None:
    """Import a stage's modules without garbage collection, which would find nothing and cost a tenth of the time."""
    gc.disable()
    importlib.import_module("ops.stages")
    importlib.import_module("ops.health")
    if stage == AGENT:
        importlib.import_module("consumers.agent.models.openai_client")
    gc.enable()


def _tell(channel: socket.socket, line: bytes) -> None:
    with suppress(OSError):  # the parent may have ended
        channel.sendall(line + b"\n")


def _end_with_parent(channel: socket.socket) -> None:
    """End this process when its parent closes the channel. A thread runs this, so that a stuck loop ends too."""
    with suppress(OSError):
        while channel.recv(1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(LAST_WORDS_S)
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Run a stage under a parent and return the exit status.

    It skips the imports of the command line, which take a fifth of a start.
    """
    try:
        run_supervised(arguments[0], int(arguments[1]), at_terminal=arguments[2:] == [AT_TERMINAL])
    except Exception as error:  # noqa: BLE001 - the last place where an error can still become a sentence
        from ops.failures import report  # noqa: PLC0415 - only for this

        return report(error, debug=debugging())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
