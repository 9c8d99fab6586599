"""A new folder begins as a copy of one that Kafka's own tool has formatted."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.embedded import storage
from ops.embedded.kafka import Kafka, embedded_kafka
from ops.embedded.storage import Pattern
from streams.transport.admin import Admin
from streams.transport.connection import Connection

SETTINGS = "node.id=1"
FORMATTED = {"meta.properties": "#\ncluster.id=the-first\nnode.id=1\n", "log-0/0.checkpoint": "voters"}


def formatted(folder: Path, **files: str) -> Path:
    """A folder as the tool leaves it."""
    for name, text in (FORMATTED | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def files_of(folder: Path) -> dict[str, str]:
    """What is in it."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.anyio
async def test_a_second_folder_needs_no_java_of_its_own_to_be_formatted(
    kafka: Kafka, tmp_path: Path, embedded_cache: Path
) -> None:
    """Only the first folder of a machine waits for the tool; the others serve like it, each as its own cluster."""
    async with embedded_kafka(tmp_path, embedded_cache) as other:
        async with await Admin.open(Connection(other.bootstrap)) as admin:
            cluster_id = await admin.cluster_id()

        assert cluster_id == storage.cluster_of(tmp_path / "data") != kafka.cluster_id
        assert not (tmp_path / "format.log").exists()
        assert not (tmp_path / "new").exists()


def test_a_copy_differs_by_its_cluster_alone(tmp_path: Path) -> None:
    """Two clusters of one id would take each other's clients."""
    pattern = Pattern.of(tmp_path, [Path("kafka-1.jar")], SETTINGS)
    pattern.keep(formatted(tmp_path / "made"))

    assert pattern.copied(tmp_path / "copy", "the-second")

    assert storage.cluster_of(tmp_path / "copy") == "the-second"
    assert files_of(tmp_path / "copy") == FORMATTED | {"meta.properties": "#\ncluster.id=the-second\nnode.id=1\n"}


def test_without_a_pattern_nothing_is_copied(tmp_path: Path) -> None:
    """Then the tool has to run."""
    assert not Pattern.of(tmp_path, [], SETTINGS).copied(tmp_path / "copy", "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("jar", "settings"), [("kafka-2.jar", SETTINGS), ("kafka-1.jar", "node.id=2")])
def test_other_jars_and_other_settings_have_a_pattern_of_their_own(tmp_path: Path, jar: str, settings: str) -> None:
    """What one Kafka formats another may not read."""
    Pattern.of(tmp_path, [Path("kafka-1.jar")], SETTINGS).keep(formatted(tmp_path / "made"))

    assert not Pattern.of(tmp_path, [Path(jar)], settings).copied(tmp_path / "copy", "x")


def test_of_two_that_keep_a_pattern_at_once_the_first_stays_whole(tmp_path: Path) -> None:
    """Two platforms start at the same time, and nothing is left beside it."""
    pattern = Pattern.of(tmp_path / "cache", [Path("kafka-1.jar")], SETTINGS)
    pattern.keep(formatted(tmp_path / "one"))
    pattern.keep(formatted(tmp_path / "two", **{"log-0/0.checkpoint": "others"}))

    assert files_of(pattern.path) == FORMATTED
    assert list((tmp_path / "cache").iterdir()) == [pattern.path]
