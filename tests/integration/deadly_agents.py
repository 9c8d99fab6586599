"""Agents that are as deadly as their input says."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from headrace import Run, agent

CHUNK = 16 * 1024 * 1024
BLOCK_S = 15.0
"""Seconds of a block: more than a worker's session, less than the silence after which a suspect's process is killed."""
ENOUGH = 1_024 * 1024 * 1024
"""Bytes after which the kernel would end a worker that has no limit of its own."""


def _grow() -> None:
    """Allocate without end. The kernel's part is played: nobody's machine is to suffer for a test."""
    held: list[bytearray] = []
    while len(held) * CHUNK < ENOUGH:
        held.append(bytearray(CHUNK))
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    while True:
        pass


DEATHS = {
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": os.abort,
    "grow": _grow,
    "hang": _hang,
}


@agent("deadly")
async def deadly(text: str, run: Run) -> str:
    """Dies of some texts, a little later; answers all others, with the process that it runs in."""
    await asyncio.sleep(float(run.metadata.get("sleep", 0.02)))
    _, pays, text = text.rpartition("pays, then ")
    if pays:
        run.spending.add(7, 3)
        await asyncio.sleep(0.1)
    if text in DEATHS:
        DEATHS[text]()
    if text == "block":
        time.sleep(BLOCK_S)
    if text == "wait":
        await asyncio.sleep(60)
    if text == "leave":
        raise SystemExit(3)
    if text == "fail":
        raise ValueError("what it fails with is not for others")
    return f"{text} {os.getpid()}"
