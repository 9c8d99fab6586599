"""An agent is written at a terminal: what it prints and raises is seen, and it stops at a breakpoint."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.journey.platform import CLI, START_S, clean_environment, scripted
from tests.journey.terminal import INTERRUPT, Terminal, terminal

pytestmark = pytest.mark.timeout(240)

SESSION_S = 6.0
AGENTS = """from headrace import agent


def price(text):
    raise KeyError(f"no price for {text}")


@agent("buyer")
async def buyer(text):
    print("asked for", text)
    return price(text)


@agent("plain")
def plain(text):
    return text.upper()


@agent("stops")
async def stops(text):
    found = text * 2
    breakpoint()
    return found
"""


@contextmanager
def dev(folder: Path, *options: str) -> Generator[tuple[Terminal, dict[str, str]]]:
    """``headrace dev`` at a terminal, ready, and the environment of another terminal."""
    (folder / "mine.py").write_text(AGENTS)
    with scripted(folder / "model") as model:
        environment = clean_environment(
            HEADRACE_MODEL_BASE_URL=model.base_url,
            HEADRACE_MODEL_API_KEY="scripted",
            TMPDIR=str(folder),
            TERM="dumb",
            XDG_STATE_HOME=str(folder / "state"),
        )
        with terminal([*CLI, "dev", "--agents", "mine", *options], folder, environment) as screen:
            screen.expect("Ctrl-C drains", START_S)
            yield screen, environment


def ask(agent: str, text: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Ask from another terminal."""
    command = [*CLI, "submit", "--tenant", "acme", "--agent", agent, "--wait", "--timeout", "60s", text]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_what_an_agent_prints_and_raises_is_seen_at_once(tmp_path: Path) -> None:
    """With the user's lines first; the client gets the safe message only."""
    with dev(tmp_path) as (screen, environment):
        out, errors = ask("buyer", "a bike", tmp_path, environment).communicate(timeout=60)
        assert out == ""
        assert errors.endswith("failed: internal: the agent 'buyer' raised KeyError\n")

        screen.expect("agent | asked for a bike\r\n", 5)
        screen.expect("agent | error run_failed", 5)
        screen.expect("agent |   KeyError: 'no price for a bike'\r\n", 5)
        screen.expect(f"agent |     {tmp_path}/mine.py:11 buyer: return price(text)\r\n", 5)
        screen.expect(f"agent |     {tmp_path}/mine.py:5 price: raise KeyError", 5)
        assert ask("plain", "hello", tmp_path, environment).communicate(timeout=60)[0] == "HELLO\n"

        screen.type(INTERRUPT)
        assert screen.end() == 0


def test_a_breakpoint_stops_a_run_for_as_long_as_a_person_needs(tmp_path: Path) -> None:
    """Longer than the session and than the watchdog's first report. Ctrl-C there interrupts only the debugger."""
    with dev(tmp_path, "--debug") as (screen, environment):
        asked = ask("stops", "ab", tmp_path, environment)
        screen.expect("(Pdb) ")
        time.sleep(SESSION_S + 3)
        screen.type(INTERRUPT)
        screen.expect("(Pdb) ")
        screen.type("p found + '!'\n")
        screen.expect("'abab!'")
        screen.type("found = 'changed'\n")
        screen.expect("(Pdb) ")
        screen.type("c\n")

        assert asked.communicate(timeout=60)[0] in {"changed\n", "abab\n"}  # Python 3.13 writes locals back
        assert ask("plain", "still here", tmp_path, environment).communicate(timeout=60)[0] == "STILL HERE\n"
        assert "loop_blocked" not in screen.seen

        screen.type(INTERRUPT)
        assert screen.end() == 0
        assert "starting it again" not in screen.seen


def test_quitting_the_debugger_fails_that_run_only(tmp_path: Path) -> None:
    """The worker goes on with the next one."""
    with dev(tmp_path, "--debug") as (screen, environment):
        asked = ask("stops", "ab", tmp_path, environment)
        screen.expect("(Pdb) ")
        screen.type("q\n")
        assert "the agent 'stops' raised" in asked.communicate(timeout=60)[1]

        again = ask("stops", "cd", tmp_path, environment)
        screen.expect("(Pdb) ")
        screen.type("c\n")
        assert again.communicate(timeout=60)[0] == "cdcd\n"

        screen.type(INTERRUPT)
        assert screen.end() == 0


def test_debug_without_a_terminal_is_refused(tmp_path: Path) -> None:
    """A breakpoint would read the end of a file, and fail the run."""
    command = [*CLI, "dev", "--debug"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (2, "headrace: --debug needs a terminal: breakpoint() reads from it\n")
