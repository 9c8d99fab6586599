"""The agent of the chaos runs: it answers its input as `echo` does, and logs a line for every run it starts.

The lines go to a file in the worker's working directory. A repeated run leaves two lines, independent of Kafka.
"""

from __future__ import annotations

import os
from pathlib import Path

from consumers.agent.agents import agent
from consumers.agent.builtin import answer_the_same
from consumers.agent.run import Run
from schemas.clock import SystemClock

MODULE = "ops.lab.chaos.agents"
NAME = "probe"
RUNS = "runs.log"


@agent(NAME, description="Answers its input, and leaves a line of every run that it starts.")
async def probe(text: str, run: Run) -> str:
    """Return the text itself, after ``metadata.sleep`` seconds, ``metadata.times`` times over."""
    _leave(f"{run.request_id} {run.attempt} {SystemClock().now_ms()} {os.getpid()}\n")  # not the settable clock
    return await answer_the_same(text, run) * int(run.metadata.get("times", "1"))


def _leave(line: str) -> None:
    """Append the line in one write: other writers cannot split it, and a kill cannot undo it."""
    descriptor = os.open(Path(RUNS), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
