"""The file by which commands find the platform of another terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops import dev_state
from ops.dev_state import NAME, DevState, StalePlatform, announced, running_platform, start_of

BROKER, CLUSTER = "127.0.0.1:19092", "hcluster"
VALKEY = "redis://:{}@127.0.0.1:6379/0".format("w" * 8)


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Choose the cluster that answers."""

    def answers(cluster_id: str | None) -> None:
        async def cluster_at(_bootstrap: str) -> str | None:
            return cluster_id

        monkeypatch.setattr(dev_state, "_cluster_at", cluster_at)

    answers(CLUSTER)
    return answers


def test_a_running_platform_is_found_by_this_user_only(tmp_path: Path) -> None:
    """The file is private, and gone afterwards."""
    folder = tmp_path / "state" / "headrace"
    with announced(folder, BROKER, CLUSTER, VALKEY):
        found = running_platform(folder)
        assert (folder / NAME).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700

    assert found == DevState(BROKER, CLUSTER, os.getpid(), start_of(os.getpid()), VALKEY)
    assert VALKEY not in repr(found), "it has a password"
    assert list(folder.iterdir()) == []
    assert running_platform(folder) is None


def test_the_newest_platform_wins_and_the_older_leaves_its_file_alone(tmp_path: Path) -> None:
    """The older one ends first, or last: the file belongs to the one that wrote it."""
    with announced(tmp_path, BROKER, "older"):
        newer = announced(tmp_path, BROKER, CLUSTER)
        newer.__enter__()
    found = running_platform(tmp_path)
    newer.__exit__(None, None, None)

    assert isinstance(found, DevState)
    assert found.cluster_id == CLUSTER
    assert running_platform(tmp_path) is None


def test_a_process_of_the_same_id_that_started_later_is_another(tmp_path: Path) -> None:
    """Process ids are used again, and a killed platform removes no file."""
    with announced(tmp_path, BROKER, CLUSTER):
        file = tmp_path / NAME
        file.write_text(json.dumps({**json.loads(file.read_text()), "started": "1"}))
        found = running_platform(tmp_path)

    assert isinstance(found, StalePlatform)
    assert "a platform that has ended" in found.reason


def test_a_process_that_has_ended_is_no_platform(tmp_path: Path) -> None:
    """It was killed."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    file = tmp_path / NAME
    file.touch(0o600)
    file.write_text(json.dumps({"bootstrap": BROKER, "cluster_id": CLUSTER, "pid": ended.pid, "started": ""}))

    assert isinstance(running_platform(tmp_path), StalePlatform)
    assert start_of(ended.pid) == ""


@pytest.mark.parametrize("other", [None, "another"])
def test_a_broker_of_another_cluster_is_not_used(
    tmp_path: Path, cluster: Callable[[str | None], None], other: str | None
) -> None:
    """A request must not go to a stranger that has taken the port."""
    with announced(tmp_path, BROKER, CLUSTER):
        cluster(other)
        found = running_platform(tmp_path)

    assert isinstance(found, StalePlatform)
    assert f"does not answer at {BROKER}" in found.reason


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"bootstrap": "x", "cluster_id": "c", "pid": 1, "started": "1"}', '{"more": 1}']
)
def test_an_odd_file_counts_as_none(tmp_path: Path, content: str) -> None:
    """It is from another version, or was cut."""
    file = tmp_path / NAME
    file.touch(0o600)
    file.write_text(content)

    assert running_platform(tmp_path) is None


def test_a_file_that_others_may_write_counts_as_none(tmp_path: Path) -> None:
    """They could lead this user's requests to their broker."""
    with announced(tmp_path, BROKER, CLUSTER):
        (tmp_path / NAME).chmod(0o666)
        assert running_platform(tmp_path) is None
