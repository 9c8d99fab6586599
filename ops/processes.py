"""A stage as a process: alone, in several processes, or at the hand of a parent that tells it where everything is."""

from __future__ import annotations

import asyncio
import gc
import importlib
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

from ops import house
from ops.settings import Settings, debugging
from schemas.clock import Clock, SystemClock

READY = b"ready"
"""The line by which a stage says that it serves what it owns; a line with an address says where its health is."""

COMMAND = (sys.executable, "-P", "-m", "ops.processes")
"""Takes a stage and a descriptor. ``-P``: what lies in the working directory must not be imported in place of ours."""
LAST_WORDS_S = 2.0
"""Seconds that a stage has for its drain once its parent is dead, and with it the broker that the parent ran."""
LINE_LIMIT = 1 << 20

Changes: TypeAlias = Mapping[str, str]
"""Fields of the settings that a parent knows better than the environment."""


def run_alone(
    stage: str, settings: Settings, tell: Callable[[bytes], None] = lambda _: None, clock: Clock | None = None
) -> None:
    """Run one stage in this process until it is told to stop. Raises OperationError if it cannot.

    *tell* takes what a parent may want to hear: READY, and the address of the stage's health. *clock* takes the place
    of the machine's.
    """
    house.admit(Path.cwd(), settings.agents)
    from ops import logs  # noqa: PLC0415 - who only starts such a process need not wait for what it loads
    from ops.stages import Told, run_stage  # noqa: PLC0415 - as above

    logs.configure(settings, stage=stage)

    told = Told(ready=lambda: tell(READY), http=lambda address: tell(address.encode()))
    _run(run_stage(settings, stage, told, clock or SystemClock()))


def _run(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one."""
    from ops.outliving import run_whatever_is_raised  # noqa: PLC0415 - as ``logs`` above

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        run_whatever_is_raised(runner.get_loop(), main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not built for every platform

    return uvloop.new_event_loop


def settings_line(changes: Changes) -> bytes:
    """What a parent sends: not by environment or command line, which others can read."""
    return json.dumps(dict(changes)).encode() + b"\n"


def run_supervised(stage: str, descriptor: int) -> None:
    """Run one stage with the settings that the parent sends; say when it is ready; end when the parent does.

    What a stage imports is imported before the settings come, while the parent still starts the broker.
    """
    channel = socket.socket(fileno=descriptor)
    _preload(stage)
    with channel.makefile("rb") as lines:
        settings = Settings.model_validate(json.loads(lines.readline(LINE_LIMIT)))
        threading.Thread(target=_end_with_parent, args=(channel,), daemon=True).start()
        run_alone(stage, settings, tell=lambda line: _tell(channel, line))


def _preload(stage: str) -> None:
    """What is imported stays: to look for garbage meanwhile finds none, and takes a tenth of the time."""
    gc.disable()
    importlib.import_module("ops.stages")
    importlib.import_module("ops.health")
    if stage == "agent":
        importlib.import_module("consumers.agent.models.openai_client")
    gc.enable()


def _tell(channel: socket.socket, line: bytes) -> None:
    with suppress(OSError):  # a parent that is gone need not know
        channel.sendall(line + b"\n")


def _end_with_parent(channel: socket.socket) -> None:
    """A thread, so that a loop that is stuck ends too."""
    with suppress(OSError):
        while channel.recv(1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(LAST_WORDS_S)
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Run a stage at the hand of a parent, without what a command line needs: a fifth of a start. The exit status."""
    try:
        run_supervised(arguments[0], int(arguments[1]))
    except Exception as error:  # noqa: BLE001 - the last place where an error can still become a sentence
        from ops.failures import report  # noqa: PLC0415 - only for this

        return report(error, debug=debugging())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
