"""A formatted data folder: Kafka's own tool makes one, kept in the cache; every further folder begins as a copy of it.

Nothing in it is of one cluster but the id, so a copy with an id of its own is what the tool would have made. That saves
each new platform the start of a Java of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

META = "meta.properties"
CLUSTER = "cluster.id"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a folder of these jars and these settings looks like when it has just been formatted."""

    path: Path

    @classmethod
    def of(cls, cache: Path, jars: Sequence[Path], settings: str) -> Pattern:
        """The pattern below *cache*: jars are known by their names, which hold their versions."""
        made_of = repr(([jar.name for jar in jars], settings))
        return cls(cache / f"kafka-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}")

    def copied(self, target: Path, cluster_id: str) -> bool:
        """Make *target*, a folder that does not exist, of it; False if there is no pattern yet."""
        if not self.path.is_dir():
            return False
        shutil.copytree(self.path, target)
        meta = target / META
        lines = [_renamed(line, cluster_id) for line in meta.read_text().splitlines(keepends=True)]
        meta.write_text("".join(lines))
        _on_disk(target)
        return True

    def keep(self, source: Path) -> None:
        """Take a folder as the pattern; of two that do so at once, the first is kept."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        try:
            shutil.copytree(source, beside / "new")
            _on_disk(beside / "new")
            with suppress(OSError):  # somebody was faster: a folder that has files is not replaced
                (beside / "new").rename(self.path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def cluster_of(data: Path) -> str | None:
    """The id that a folder was formatted with."""
    for line in (data / META).read_text().splitlines():
        key, _, value = line.partition("=")
        if key == CLUSTER:
            return value
    return None


def _renamed(line: str, cluster_id: str) -> str:
    return f"{CLUSTER}={cluster_id}\n" if line.startswith(f"{CLUSTER}=") else line


def _on_disk(folder: Path) -> None:
    """The files' contents at least as early as their names: a power cut must not leave an empty one."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
