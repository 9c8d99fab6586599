"""The tutorial, followed to the letter: its files are written, its commands run, its screens compared."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journey.platform import COMMAND_S, START_S, clean_environment, running
from tests.journey.terminal import INTERRUPT, Terminal, terminal

pytestmark = pytest.mark.timeout(240)

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial" / "support-desk.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
ANYTHING = "…"
"""Any text, in an output on the page."""

PID = "4711"
"""The process to kill, on the page."""

RELOADED = "the agents have changed, loading them anew"
SCRIPTS = Path(sys.executable).parent
"""The folder of ``headrace`` in the reader's Python environment."""


def is_shown(expected: str, line: str) -> bool:
    """True if a line is as the page prints it."""
    return re.fullmatch(".*".join(map(re.escape, expected.split(ANYTHING))), line) is not None


@dataclass(slots=True)
class Reader:
    """A person with two terminals: the first one runs ``headrace dev``."""

    folder: Path
    environment: Mapping[str, str]
    first: Terminal
    worker: str = ""
    """The process id that the first terminal has named last."""

    def follow(self, language: str, text: str) -> None:
        """Do what a block says."""
        if language == "python":
            self.write(text)
        elif language == "text":
            self.see(text.splitlines())
        else:
            for command, shown in COMMAND.findall(text):
                self.run(command, shown.splitlines())

    def write(self, text: str) -> None:
        """Write the file that the block's first line names, and wait until the first terminal has noticed it."""
        name = text.partition("\n")[0].removeprefix("# ")
        (self.folder / name).write_text(text)
        if not name.startswith("test_"):
            self.first.expect(RELOADED)

    def see(self, lines: list[str]) -> None:
        """Wait until the first terminal shows the lines."""
        for line in lines:
            before, varies, _ = line.partition(ANYTHING)
            self.first.expect(before, START_S)
            self.worker = self.first.expect("\r\n") if varies else self.worker

    def run(self, command: str, expected: list[str]) -> None:
        """Run a command in the second terminal, and compare its output."""
        command = command.replace(PID, self.worker)
        shown = self.results(command, expected) if "--follow" in command else self.output(command)
        assert len(shown) == len(expected), (command, shown)
        assert all(map(is_shown, expected, shown)), (command, shown)
        if ">> shop.py" in command:
            self.first.expect(RELOADED)

    def output(self, command: str) -> list[str]:
        """Return the lines that a command prints; of pytest, the last one."""
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        lines = done.stdout.splitlines()
        return lines[-1:] if "pytest" in command else lines

    def results(self, command: str, expected: list[str]) -> list[str]:
        """Follow the results until there is one of each request on the page; return these in the page's order."""
        ids = [line.split()[0] for line in expected]
        found: dict[str, str] = {}
        program, *arguments = shlex.split(command)
        with running([str(SCRIPTS / program), *arguments], self.folder, self.environment) as process:
            while not found.keys() >= set(ids):
                line = process.line(COMMAND_S).rstrip("\n")
                assert line.split()[0] not in found, line
                found[line.split()[0]] = line
        return [found[each] for each in ids]


def test_the_page_has_its_files_commands_and_screens() -> None:
    """A page whose blocks are not found would pass."""
    files = [text.partition("\n")[0] for language, text in BLOCKS if language == "python"]
    commands = [command for language, text in BLOCKS if language == "console" for command, _ in COMMAND.findall(text)]

    assert files == ["# desk.py", "# shop.py", "# desk.py", "# desk.py", "# desk.py", "# test_desk.py"]
    assert len(commands) == 15
    assert f"kill -9 {PID}" in commands
    assert f"`{RELOADED}`" in PAGE


def test_the_tutorial_works_as_it_is_printed(tmp_path: Path) -> None:
    """One refund, one parcel and one result of each request, although the worker dies in the middle."""
    folder = tmp_path / "support-desk"
    folder.mkdir()
    environment = clean_environment(TMPDIR=str(tmp_path), TERM="dumb", XDG_STATE_HOME=str(tmp_path / "state"))
    environment["PATH"] = f"{SCRIPTS}:{environment['PATH']}"
    _, (_, first_file), (_, start), *rest = BLOCKS
    (folder / "desk.py").write_text(first_file)
    program, *arguments = shlex.split(start.removeprefix("$ "))
    with terminal([str(SCRIPTS / program), *arguments], folder, environment) as screen:
        reader = Reader(folder, environment, screen)
        for language, text in rest:
            reader.follow(language, text)
        screen.type(INTERRUPT)

        assert screen.end() == 0
