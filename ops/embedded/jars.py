"""Kafka's jars: a committed list of names and hashes, fetched once into the user's cache, never trusted unseen."""

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
"""Called with the bytes that have arrived and the bytes that have to."""

LOCK = "kafka.lock.json"
MODIFIED = 1_000_000_000
"""Modification time of every cached jar, in seconds: Java's ahead-of-time cache depends on it, so it stays."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked file; ``path`` is its place in a Maven repository, ``size`` is in bytes."""

    name: str
    path: str
    version: str
    size: int
    sha256: str


def locked() -> tuple[Jar, ...]:
    """The committed list, in class path order."""
    return tuple(Jar(**row) for row in orjson.loads(files("ops.embedded").joinpath(LOCK).read_bytes())["jars"])


@dataclass(frozen=True, slots=True)
class Jars:
    """Where the jars are kept and where they come from."""

    folder: Path
    """Shared by all instances of the user; two may fill it at once."""

    repository: str | None = None
    """Base address of a Maven repository. None: the public one."""

    neighbour: Path | None = None
    """A local Maven repository that may have them already; it is only read."""

    locked: tuple[Jar, ...] = field(default_factory=locked)

    async def ready(self, progress: Progress | None = None) -> list[Path]:
        """The class path, every jar present and verified.

        Raises JarsUnavailableError, WrongJarError, or NotInstalledError.
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
    """One reason stands for all: when the network is away, every jar has the same."""
    error = failed.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


@dataclass(slots=True)
class _Arrived:
    """How much of the whole is here, while several jars arrive side by side."""

    total: int
    progress: Progress
    sizes: dict[Jar, int] = field(default_factory=dict)

    def report(self, jar: Jar, size: int) -> None:
        self.sizes[jar] = size
        self.progress(sum(self.sizes.values()), self.total)


def _unwatched(_arrived: int, _total: int) -> None:
    """Nobody looks at the progress."""


def genuine(path: Path, jar: Jar) -> bool:
    """Whether the file is there and is, byte for byte, the locked one."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size == jar.size and _sha256(file) == jar.sha256
    except FileNotFoundError:
        return False


def _sha256(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _complete(target: Path) -> Generator[Path]:
    """A file of our own beside the target, which takes its name only when the block ends well."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        os.utime(part, (MODIFIED, MODIFIED))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
