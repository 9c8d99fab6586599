"""A whole platform in processes of its own, as a user starts it, for the tests of the journey."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from ops.dev.stages import DISCOVERY
from ops.settings import Settings, child_environment

CLI = (sys.executable, "-P", "-m", "ops.cli.app")
START_S = 90.0
"""Seconds until the platform is ready; a machine that builds something else meanwhile is slow."""
STOP_S = 60.0
COMMAND_S = 60.0


@dataclass(frozen=True, slots=True)
class Model:
    """The scripted model, seen from another process."""

    address: str

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes."""
        return f"{self.address}/v1"

    def script(self, *answers: Mapping[str, Any]) -> None:
        """Queue answers (fields of ``ScriptedAnswer``)."""
        self._ask("POST", "/script", json.dumps(answers).encode())

    def play(self, scenario: Mapping[str, Any]) -> None:
        """Give it a scenario (``ops.embedded.scenario``)."""
        self._ask("PUT", "/scenario", json.dumps(scenario).encode())

    def clear(self) -> None:
        """Forget what has not been said."""
        self._ask("DELETE", "/script")

    def calls(self) -> dict[str, Any]:
        """What it was asked (``Calls.report``)."""
        return self._ask("GET", "/calls")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        host = self.address.removeprefix("http://")
        with closing(HTTPConnection(host, timeout=10)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            assert answer.status == HTTPStatus.OK, answer.read()
            return dict(json.load(answer))


@dataclass(slots=True)
class Running:
    """A process that speaks by lines on its standard output; its standard error goes to a file."""

    process: subprocess.Popen[str]
    errors: Path
    lines: Queue[str | None] = field(default_factory=Queue[str | None])
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def close(self) -> None:
        """Read what is left, once the process has ended."""
        self.reader.join(STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def line(self, within: float) -> str:
        """The next line; the test fails if the process ends, or says nothing."""
        try:
            line = self.lines.get(timeout=within)
        except Empty:
            line = None
        if line is None:
            status = self.process.poll()
            raise AssertionError(f"no line (exit status {status}): {self.errors.read_text()[-4000:]}")
        return line

    def rest(self) -> list[str]:
        """Every further line, once the process has ended."""
        lines: list[str] = []
        while (line := self.lines.get(timeout=STOP_S)) is not None:
            lines.append(line)
        return lines

    def stop(self, within: float = STOP_S) -> int:
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)


def until(answer: Callable[[], object], within: float = 20.0) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + within
    while not answer():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def runs(pid: int) -> bool:
    """Whether there is such a process, zombies left aside: nobody here waits for a stranger's children."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@contextmanager
def running(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Generator[Running]:
    """Start a command in *folder*; whatever becomes of the test, it is gone afterwards."""
    errors = folder / "stderr.txt"
    with errors.open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=out, text=True
        )
    one = Running(process, errors)
    try:
        yield one
    finally:
        try:
            one.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        one.close()


@contextmanager
def scripted(folder: Path) -> Generator[Model]:
    """The scripted model in a process of its own."""
    folder.mkdir(exist_ok=True)
    with running((sys.executable, "-P", "-m", "ops.embedded.scripted"), folder, clean_environment()) as process:
        yield Model(json.loads(process.line(START_S))["base_url"].removesuffix("/v1"))


def clean_environment(**changes: str) -> dict[str, str]:
    """The environment of the tests without what would point the platform elsewhere; jars may come from a mirror."""
    mirror = Settings().maven_repository
    own = {"XDG_STATE_HOME": str(Path(tempfile.gettempdir()) / f"headrace-state-{os.getpid()}")}
    return {**child_environment(), **({"HEADRACE_MAVEN_REPOSITORY": mirror} if mirror else {}), **own, **changes}


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that is up. ``ready`` is the line that it said so with."""

    journey: str
    ready: Mapping[str, Any]
    dev: Running
    model: Model
    env: dict[str, str]
    """What a client or a further stage needs to find it."""

    folder: Path

    @property
    def bootstrap(self) -> str:
        """The broker, ``host:port``."""
        return str(self.ready["kafka"])

    @property
    def valkey(self) -> str:
        """The address of the shared state, with its password."""
        return str(self.ready["valkey"])

    @property
    def http(self) -> str:
        """The address of the platform's pages."""
        return str(self.ready["http"])

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids as they were at the start; a stage that was restarted has another."""
        return dict(self.ready["pids"])

    def cli(
        self, *arguments: str, text: str | None = None, within: float = COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        """Run ``headrace ARGUMENTS`` against the platform, with *text* as its standard input."""
        return subprocess.run(
            [*CLI, *arguments],
            cwd=self.folder,
            env=self.env,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )


@contextmanager
def platform(journey: str, folder: Path, *options: str, **changes: str) -> Generator[Platform]:
    """``headrace dev`` with a scripted model, until the block ends; fails if it does not drain to exit status 0."""
    with scripted(folder / "model") as model:
        environment = clean_environment(
            HEADRACE_MODEL_BASE_URL=model.base_url,
            HEADRACE_MODEL_API_KEY="scripted",
            TMPDIR=str(folder),  # what a killed platform leaves goes with the test's own folder
            **changes,
        )
        command = [*CLI, "dev", "--json", "--journey", journey, *options]
        with running(command, folder, environment) as dev:
            ready = json.loads(dev.line(START_S))
            found = {"HEADRACE_KAFKA_BOOTSTRAP": ready["kafka"], "HEADRACE_VALKEY_URL": ready["valkey"]}
            yield Platform(journey, ready, dev, model, {**environment, **found}, folder)


def get(address: str, path: str) -> tuple[int, Any]:
    """Return the status and the content of a page, read if it is JSON."""
    with closing(HTTPConnection(address.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.load(answer) if path == DISCOVERY else answer.read().decode()


def targets(own: Platform) -> dict[str, str]:
    """Return the address of each stage's pages."""
    _, groups = get(own.http, DISCOVERY)
    return {group["labels"]["__meta_headrace_stage"]: target for group in groups for target in group["targets"]}
