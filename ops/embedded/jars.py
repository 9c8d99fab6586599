"""Kafka's jars: a committed list of names and hashes, downloaded once into the user's cache, always verified."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import orjson

from ops.embedded.errors import JarsUnavailableError, WrongJarError

if TYPE_CHECKING:
    from ops.embedded.repository import Repository

Progress: TypeAlias = Callable[[int, int], None]
"""A callback with the bytes downloaded so far and the total number of bytes."""

LOCK = "kafka.lock.json"
MODIFIED = 1_000_000_000
"""The modification time of every cached jar, in seconds. Java's ahead-of-time cache requires that it is constant."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked file. ``path`` is its path in a Maven repository, ``size`` is in bytes."""

    name: str
    path: str
    version: str
    size: int
    sha256: str


def locked() -> tuple[Jar, ...]:
    """Return the committed list, in class path order."""
    return tuple(Jar(**row) for row in orjson.loads(files("ops.embedded").joinpath(LOCK).read_bytes())["jars"])


@dataclass(frozen=True, slots=True)
class Jars:
    """The jar cache and the repository that fills it."""

    folder: Path
    """The cache folder, shared by all instances of the user. Two instances may fill it at once."""

    repository: str | None = None
    """The base address of a Maven repository, or None for the public one."""

    neighbour: Path | None = None
    """A local Maven repository that may already have the jars. It is only read."""

    locked: tuple[Jar, ...] = field(default_factory=locked)

    async def ready(self, progress: Progress | None = None) -> list[Path]:
        """Return the class path, with every jar present and verified.

        Raise JarsUnavailableError, WrongJarError, or NotInstalledError.
        """
        try:
            missing = await asyncio.to_thread(self._missing)
            if missing:
                await self._fetch(missing, _Arrived(sum(jar.size for jar in missing), progress or _unwatched))
        except OSError as error:
            message = (
                f"Kafka's jars cannot be kept in {self.folder} ({error.strerror}): make room, or set XDG_CACHE_HOME"
            )
            raise JarsUnavailableError(message) from error
        return [self.folder / jar.name for jar in self.locked]

    def _missing(self) -> list[Jar]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return [jar for jar in self.locked if not (genuine(self.folder / jar.name, jar) or self._borrowed(jar))]

    def _borrowed(self, jar: Jar) -> bool:
        source = self.neighbour / jar.path if self.neighbour else None
        if source is None or not genuine(source, jar):
            return False
        with _complete(self.folder / jar.name) as part:
            shutil.copyfile(source, part)
        return True

    async def _fetch(self, missing: list[Jar], arrived: _Arrived) -> None:
        try:
            from ops.embedded.repository import opened  # noqa: PLC0415 - a web client, for the first start only

            async with opened(self.repository) as repository, asyncio.TaskGroup() as group:
                for jar in missing:
                    group.create_task(self._fetch_one(repository, jar, arrived))
        except ExceptionGroup as failed:
            raise _first(failed) from None

    async def _fetch_one(self, repository: Repository, jar: Jar, arrived: _Arrived) -> None:
        with _complete(self.folder / jar.name) as part:
            await repository.fetch(jar.path, part, lambda size: arrived.report(jar, size))
            if not await asyncio.to_thread(genuine, part, jar):
                message = f"{repository.host} served a wrong {jar.name}: set HEADRACE_MAVEN_REPOSITORY to another one"
                raise WrongJarError(message)


def _first(failed: ExceptionGroup[Exception]) -> Exception:
    """Return the first error as the reason for all: without a network, every jar fails the same way."""
    error = failed.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


@dataclass(slots=True)
class _Arrived:
    """The download progress of several concurrent jars."""

    total: int
    progress: Progress
    sizes: dict[Jar, int] = field(default_factory=dict)

    def report(self, jar: Jar, size: int) -> None:
        self.sizes[jar] = size
        self.progress(sum(self.sizes.values()), self.total)


def _unwatched(_arrived: int, _total: int) -> None:
    """Ignore the progress."""


def genuine(path: Path, jar: Jar) -> bool:
    """Return True if the file exists and has the size and hash of the locked jar."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size == jar.size and _sha256(file) == jar.sha256
    except FileNotFoundError:
        return False


def _sha256(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _complete(target: Path) -> Generator[Path]:
    """Yield a temporary file beside the target, and rename it to the target only if the block succeeds."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        os.utime(part, (MODIFIED, MODIFIED))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
