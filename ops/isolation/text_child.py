"""The process for text work: it runs one task after another, from the worker's pipe, and knows no settings."""

from __future__ import annotations

import gc
import marshal
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from consumers.guard.text_tasks import text_task

HEAD: Final = 4
"""Bytes of the length before each message. A message is plain values, written by ``marshal``."""

NICENESS: Final = 5
"""The worker's loop and the brokers come first, wherever processors are few. Linux gives such a process a third of the
share of an ordinary one. With 10, it would be a tenth: on a busy machine, texts would exceed the guards' time limit."""

AUTOGROUP: Final = Path("/proc/self/autogroup")
"""The niceness of the whole session, where Linux schedules sessions against each other (sched(7), "The autogroup
feature"). The niceness of a process then counts only within its session, and this process is alone in its own."""


def message(value: tuple[Any, ...]) -> bytes:
    """Return the encoded message."""
    encoded = marshal.dumps(value)
    return len(encoded).to_bytes(HEAD) + encoded


def answer(encoded: bytes) -> bytes:
    """Run one task. Return the message with its result, or with the class of its error."""
    name, texts = marshal.loads(encoded)  # noqa: S302 - the worker's own bytes
    try:
        return message((None, tuple(text_task(name)(*texts))))
    except Exception as error:  # noqa: BLE001 - the worker decides what a failure means
        return message((type(error).__name__, ()))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the worker ends."""
    while len(head := requests.read(HEAD)) == HEAD:
        answers.write(answer(requests.read(int.from_bytes(head))))
        answers.flush()


def yield_processors() -> None:
    """Lower the priority of this process, and of its session if it leads one."""
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # a kernel without autogroups compares processes only
            AUTOGROUP.write_text(str(NICENESS))


def main() -> None:
    """Serve standard input and output."""
    yield_processors()
    gc.disable()  # a task makes many small values, and none of them refer to each other
    serve(sys.stdin.buffer, sys.stdout.buffer)


def result_of(encoded: bytes) -> tuple[Any, ...]:
    """Return the result in a message; raise RuntimeError with the class of the task's error."""
    failure, result = marshal.loads(encoded)  # noqa: S302 - our own process wrote it
    if failure is not None:
        raise RuntimeError(failure)
    return tuple(result)


if __name__ == "__main__":
    main()
