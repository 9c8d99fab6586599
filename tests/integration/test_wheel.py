"""The wheel as its image runs it: a user without rights, and nowhere to write."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.transport.connection import Connection
from tests.integration.read_only import Installed, installed, said
from tests.journey.platform import running

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="containers are Linux, and so are mount namespaces"),
]

PROBE = """
import json, ops, os, pathlib, tempfile
def tried(place):
    try:
        pathlib.Path(place, "written").touch()
    except OSError as error:
        return error.errno
    return 0
app = pathlib.Path(ops.__file__).parents[1]
status = pathlib.Path("/proc/self/status").read_text()
places = ("/", "/tmp", "/dev/shm", "/var/tmp", app, pathlib.Path.cwd())
print(json.dumps({
    "user": os.geteuid(), "capabilities": int(status.partition("CapEff:")[2].split()[0], 16), "app": str(app),
    "written": [str(place) for place in places if not tried(place)],
}))
"""


@pytest.fixture(scope="module")
def wheel() -> Generator[Installed]:
    """Built and installed once."""
    with installed() as found:
        yield found


def test_the_place_is_as_strict_as_a_container(wheel: Installed) -> None:
    """Otherwise the next test would prove nothing."""
    done = said(wheel.command("-c", PROBE))

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["user"] != 0
    assert (found["capabilities"], found["written"], found["app"]) == (0, [], str(wheel.image / "app"))


async def test_the_wheel_answers_a_request_there(wheel: Installed, bare_cluster: Connection, tmp_path: Path) -> None:
    """From an empty cluster to a result, with every stage of the journey, each drained in the end."""
    settings = [f"HEADRACE_KAFKA_BOOTSTRAP={bare_cluster.bootstrap}", "HEADRACE_HTTP_PORT=0"]

    def command(*arguments: str) -> list[str]:
        whole = wheel.headrace(*arguments)
        at = whole.index("-i") + 1
        return [*whole[:at], *settings, *whole[at:]]

    async def headrace(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(said, command(*arguments))

    applied = await headrace("topics", "apply", "--journey", "compact", "--shards", "4")
    assert applied.returncode == 0, applied.stderr
    added = await headrace("tenants", "add", "acme", "--agent", "echo", "--no-wait")
    assert added.returncode == 0, added.stderr
    with ExitStack() as stack:
        stages = []
        for stage in ("ingress", "agent", "retries"):
            (folder := tmp_path / stage).mkdir()
            stages.append(stack.enter_context(running(command("run", stage), folder, {"PATH": "/usr/bin:/bin"})))
        answered = await headrace("submit", "--tenant", "acme", "--agent", "echo", "--wait", "hello")
        stopped = [await asyncio.to_thread(stage.stop) for stage in stages]

    assert (answered.returncode, answered.stdout) == (0, "hello\n"), answered.stderr
    assert stopped == [0, 0, 0], [stage.errors.read_text()[-2000:] for stage in stages]
