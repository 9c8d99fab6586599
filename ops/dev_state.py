"""The file by which commands in another terminal find the running ``headrace dev``.

It names the newest platform. A reader checks that its process still is the one that wrote the file, and that the broker
at its address belongs to its cluster.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from ops.addresses import HIGHEST_PORT

NAME = "dev.json"


@dataclass(frozen=True, slots=True)
class DevState:
    """A running platform."""

    bootstrap: str
    """The address of its broker on loopback, ``host:port``."""

    cluster_id: str
    pid: int
    started: str
    """The start time of the process, as the system tells it: another process may get the same id later."""

    valkey: str = field(default="", repr=False)
    """The URL of its Valkey, with the password. Other users cannot read the file."""


@dataclass(frozen=True, slots=True)
class StalePlatform:
    """A platform that the file names and that no longer runs."""

    reason: str


@contextmanager
def announced(folder: Path, bootstrap: str, cluster_id: str, valkey: str = "") -> Generator[None]:
    """Name this process' platform for the block. Leave a file alone that another platform has written since."""
    state = DevState(bootstrap, cluster_id, os.getpid(), start_of(os.getpid()), valkey)
    file = folder / NAME
    _write(file, state)
    try:
        yield
    finally:
        if _read(file) == state:
            file.unlink(missing_ok=True)


def running_platform(folder: Path) -> DevState | StalePlatform | None:
    """Return the platform that the file names if it runs; None without a file of this user's."""
    file = folder / NAME
    state = _read(file)
    if state is None:
        return None
    if not state.started or start_of(state.pid) != state.started:
        return StalePlatform(f"{file} names a platform that has ended")
    if asyncio.run(_cluster_at(state.bootstrap)) != state.cluster_id:
        return StalePlatform(f"the platform that {file} names does not answer at {state.bootstrap}")
    return state


def start_of(pid: int) -> str:
    """Return the start time of a process; empty if there is none."""
    if sys.platform != "linux":
        told = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return told.stdout.strip()
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


async def _cluster_at(bootstrap: str) -> str | None:
    from ops.embedded.probe import cluster_at  # noqa: PLC0415 - only with a platform to check

    found = await cluster_at(int(bootstrap.rpartition(":")[2]))
    return found.id if found else None


def _write(file: Path, state: DevState) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(f".{state.pid}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as out:
        out.write(to_json(asdict(state)))
    new.replace(file)


def _read(file: Path) -> DevState | None:
    """Return the content; None if the file is missing, unreadable, or not this user's own."""
    with suppress(OSError, ValueError, TypeError):
        found = file.stat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return _state(from_json(file.read_bytes()))
    return None


def _state(fields: dict[str, Any]) -> DevState:
    state = DevState(**fields)
    port = int(state.bootstrap.rpartition(":")[2])
    if not 0 < port <= HIGHEST_PORT or state.pid <= 0:
        raise ValueError(state.bootstrap)
    return state
