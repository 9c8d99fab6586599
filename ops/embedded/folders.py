"""A data folder that belongs to one instance, by a lock that all processes of the instance share."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ops.embedded.errors import FolderInUseError

LOCK = "owner"
PATIENCE = 20.0
"""Seconds to wait for the children of an instance that was killed."""
LOOK = 0.1


class Owned(NamedTuple):
    """A folder that this process owns."""

    path: Path
    """The absolute path of the folder."""
    lock: int
    """The file descriptor that holds the lock. A child that inherits it also holds the lock."""


@asynccontextmanager
async def owned(folder: Path, patience: float = PATIENCE) -> AsyncGenerator[Owned]:
    """Own ``folder`` for the block, and for as long as children that inherit the lock run. Create it if missing.

    Raise FolderInUseError: at once if the owner is alive, or after ``patience`` seconds if only its children are.
    """
    mine = _opened(folder)
    try:
        await _locked(mine.lock, mine.path, patience)
        os.ftruncate(mine.lock, 0)
        os.pwrite(mine.lock, str(os.getpid()).encode(), 0)
        yield mine
    finally:
        os.close(mine.lock)


def _opened(folder: Path) -> Owned:
    path = folder.resolve()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep_private(path)
    return Owned(path, os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def keep_private(folder: Path) -> None:
    """Let only this user into an existing *folder*. The mode of another user's folder is left to that user."""
    with suppress(PermissionError):
        folder.chmod(0o700)


def is_data_folder(folder: Path) -> bool:
    """Return True if *folder* is empty, or holds the data of an instance."""
    return not any(folder.iterdir()) or any(folder.glob(f"*/{LOCK}"))


async def _locked(descriptor: int, folder: Path, patience: float) -> None:
    try:
        async with asyncio.timeout(patience):
            while not _taken(descriptor):
                _refuse_if_alive(_owner(descriptor), folder)
                await asyncio.sleep(LOOK)
    except TimeoutError:
        message = f"{folder} is still held by processes of an instance that was killed: end them, or use another folder"
        raise FolderInUseError(message) from None


def _taken(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _owner(descriptor: int) -> int:
    """Return the process id of the owner, or 0 before the owner has written it."""
    return int(os.pread(descriptor, 32, 0) or b"0")


def _refuse_if_alive(owner: int, folder: Path) -> None:
    if owner and _alive(owner):
        message = f"{folder} is in use by process {owner}: stop that one first, or use another folder"
        raise FolderInUseError(message)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def user_cache(xdg: str | None) -> Path:
    """Return this user's cache folder: below ``xdg`` (the value of XDG_CACHE_HOME) or the system's default."""
    if xdg:
        return Path(xdg) / "headrace"
    usual = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return Path.home() / usual / "headrace"
