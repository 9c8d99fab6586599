"""A cached, formatted data folder: Kafka's own tool creates it once, and further folders are copies of it.

Only its cluster id is specific to a cluster, so a copy with a new id equals a newly formatted folder. The copy saves
each new platform the start of a second Java.
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
    """The content of a newly formatted folder for these jars and settings."""

    path: Path

    @classmethod
    def of(cls, cache: Path, jars: Sequence[Path], settings: str) -> Pattern:
        """Return the pattern below *cache*. Jars are identified by their names, which contain their versions."""
        made_of = repr(([jar.name for jar in jars], settings))
        return cls(cache / f"kafka-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}")

    def copied(self, target: Path, cluster_id: str) -> bool:
        """Copy the pattern to *target*, which must not exist. Return False if there is no pattern yet."""
        if not self.path.is_dir():
            return False
        shutil.copytree(self.path, target)
        meta = target / META
        lines = [_renamed(line, cluster_id) for line in meta.read_text().splitlines(keepends=True)]
        meta.write_text("".join(lines))
        _on_disk(target)
        return True

    def keep(self, source: Path) -> None:
        """Save a folder as the pattern. If two processes do so at once, the first is kept."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        try:
            shutil.copytree(source, beside / "new")
            _on_disk(beside / "new")
            with suppress(OSError):  # another process was faster: a folder with files is not replaced
                (beside / "new").rename(self.path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def cluster_of(data: Path) -> str | None:
    """Return the id that a folder was formatted with, or None if it has none."""
    for line in (data / META).read_text().splitlines():
        key, _, value = line.partition("=")
        if key == CLUSTER:
            return value
    return None


def _renamed(line: str, cluster_id: str) -> str:
    return f"{CLUSTER}={cluster_id}\n" if line.startswith(f"{CLUSTER}=") else line


def _on_disk(folder: Path) -> None:
    """Sync the files' contents before their folder is used: a power cut must not leave an empty file."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
