"""Kafka's jars: fetched, verified, and refused, from a repository on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ops.embedded import ports
from ops.embedded.errors import JarsUnavailableError, WrongJarError
from ops.embedded.jars import MODIFIED, Jar, Jars, locked

pytestmark = pytest.mark.anyio

CONTENTS = {f"part-{number}.jar": bytes([number]) * 700_000 for number in range(12)}


def _jar(name: str, content: bytes) -> Jar:
    return Jar(name, f"org/example/{name}", "1", len(content), hashlib.sha256(content).hexdigest())


JARS = tuple(_jar(name, content) for name, content in CONTENTS.items())


class Served:
    """A repository that can have bad moments, and counts."""

    def __init__(self) -> None:
        self.contents = {f"/maven/{jar.path}": CONTENTS[jar.name] for jar in JARS}
        self.failures = 0
        self.asked: list[str] = []
        self.base = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        content = self.contents.get(request.path)
        return web.Response(status=404) if content is None else web.Response(body=content)


@pytest.fixture
async def repository() -> AsyncGenerator[Served]:
    """On this machine, with every jar."""
    served, app = Served(), web.Application()
    app.router.add_get("/{path:.*}", served.answer)
    async with TestServer(app) as server:
        served.base = str(server.make_url("/maven/"))
        yield served


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_missing_jars_are_fetched_once_and_their_progress_is_told(repository: Served, tmp_path: Path) -> None:
    """The first start shows a bar that ends at the end; the second start is silent and asks nobody."""
    steps: list[tuple[int, int]] = []
    jars = Jars(tmp_path, repository.base, locked=JARS)

    path = await jars.ready(lambda arrived, total: steps.append((arrived, total)))
    again = await Jars(tmp_path, "http://127.0.0.1:9", locked=JARS).ready()

    whole = sum(map(len, CONTENTS.values()))
    assert path == again == [tmp_path / jar.name for jar in JARS]
    assert [each.read_bytes() for each in path] == list(CONTENTS.values())
    assert {each.stat().st_mtime for each in path} == {MODIFIED}
    assert steps == sorted(steps)
    assert steps[-1] == (whole, whole)
    assert len(steps) > len(JARS)
    assert len(repository.asked) == len(JARS)
    assert _names(tmp_path) == sorted(CONTENTS)


async def test_a_corrupted_jar_in_the_cache_is_fetched_again(repository: Served, tmp_path: Path) -> None:
    """A disk may lie, and a half-copied cache has the right names; the size alone does not tell."""
    first, second, *_ = await Jars(tmp_path, repository.base, locked=JARS).ready()
    repository.asked.clear()
    first.write_bytes(b"!" + first.read_bytes()[1:])
    second.write_bytes(second.read_bytes()[:-1])

    await Jars(tmp_path, repository.base, locked=JARS).ready()

    assert [first.read_bytes(), second.read_bytes()] == list(CONTENTS.values())[:2]
    assert sorted(repository.asked) == [f"/maven/{jar.path}" for jar in JARS[:2]]


async def test_a_wrong_jar_is_refused_and_not_kept(repository: Served, tmp_path: Path) -> None:
    """The hash is what we trust, not the repository."""
    repository.contents[f"/maven/{JARS[3].path}"] = b"!" * JARS[3].size

    with pytest.raises(WrongJarError, match=r"^127\.0\.0\.1:\d+ served a wrong part-3\.jar: .*$"):
        await Jars(tmp_path, repository.base, locked=JARS).ready()

    assert JARS[3].name not in _names(tmp_path)
    assert all(name in CONTENTS for name in _names(tmp_path))


async def test_without_a_network_one_line_says_what_to_do(tmp_path: Path) -> None:
    """Whatever fails first, the person reads one sentence and none of the 46 reasons."""
    nobody = f"http://127.0.0.1:{ports.free()}/maven"

    with pytest.raises(JarsUnavailableError) as unavailable:
        await Jars(tmp_path, nobody).ready()

    assert re.fullmatch(
        r"Kafka's jars cannot be fetched from 127\.0\.0\.1:\d+ \(.+\): connect this machine to the network once, "
        r"or set HEADRACE_MAVEN_REPOSITORY to a mirror, or --use-cluster with HEADRACE_KAFKA_BOOTSTRAP",
        str(unavailable.value),
    )
    assert _names(tmp_path) == []


async def test_a_repository_without_the_jar_is_named_and_not_asked_again(repository: Served, tmp_path: Path) -> None:
    """A mirror that lacks a jar will lack it in a second too."""
    lacking = _jar("lacking.jar", b"x")

    with pytest.raises(JarsUnavailableError, match=r"127\.0\.0\.1:\d+ \(404"):
        await Jars(tmp_path, repository.base, locked=(lacking,)).ready()

    assert len(repository.asked) == 1


async def test_a_bad_moment_of_the_repository_is_outlived(repository: Served, tmp_path: Path) -> None:
    """One 503 must not cost the whole start."""
    repository.failures = 2

    await Jars(tmp_path, repository.base, locked=JARS[:1]).ready()

    assert len(repository.asked) == 3
    assert _names(tmp_path) == [JARS[0].name]


async def test_two_instances_fill_one_cache_at_once(repository: Served, tmp_path: Path) -> None:
    """Two terminals, one user, one first start."""
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(Jars(tmp_path, repository.base, locked=JARS).ready()) for _ in range(2)]

    assert both[0].result() == both[1].result()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == CONTENTS


async def test_a_local_repository_spares_the_network_but_not_the_hash(repository: Served, tmp_path: Path) -> None:
    """Java developers have most of it; what they have may be damaged."""
    for jar in JARS[:3]:
        (tmp_path / "m2" / jar.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m2" / jar.path).write_bytes(CONTENTS[jar.name])
    damaged = tmp_path / "m2" / JARS[1].path
    damaged.write_bytes(b"!" * JARS[1].size)

    path = await Jars(tmp_path / "jars", repository.base, tmp_path / "m2", JARS[:3]).ready()

    assert [each.read_bytes() for each in path] == list(CONTENTS.values())[:3]
    assert repository.asked == [f"/maven/{JARS[1].path}"]
    assert damaged.read_bytes() == b"!" * JARS[1].size


async def test_a_cache_that_cannot_be_written_is_one_line_too(repository: Served, tmp_path: Path) -> None:
    """A full disk and a file in the way are no bugs of ours either."""
    (tmp_path / "jars").write_text("in the way")

    with pytest.raises(
        JarsUnavailableError, match=r"^Kafka's jars cannot be kept in .*/jars \(File exists\): make room, .*$"
    ):
        await Jars(tmp_path / "jars", repository.base, locked=JARS).ready()


def test_the_lock_names_one_kafka_and_one_logging_binding() -> None:
    """Resolved together they would bring an older client library; resolved without the binding, Kafka would be mute."""
    names = [jar.name for jar in locked()]
    versions = {jar.version for jar in locked() if jar.path.startswith("org/apache/kafka/")}

    assert names == sorted(set(names))
    assert {"kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar", "log4j-slf4j-impl-2.25.4.jar"} <= set(names)
    assert versions == {"4.3.1"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) and jar.path.endswith(f"/{jar.name}") for jar in locked())
