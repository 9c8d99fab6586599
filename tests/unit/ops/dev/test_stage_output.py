"""The lines of a stage that a person at the terminal sees."""

from __future__ import annotations

import json
from pathlib import Path

from ops.dev.stage_output import CHUNK, StageOutput, console_line, plain_line

FAILED = {
    "timestamp": "2026-11-30T00:00:00Z",
    "level": "error",
    "event": "run_failed",
    "stage": "agent",
    "tenant": "acme",
    "session": None,
    "exception": [
        {
            "type": "InternalError",
            "code": "internal",
            "message": "the agent 'x' raised KeyError",
            "at": ["ours.py:1 f"],
        },
        {"type": "KeyError", "message": "'no\nshop'", "at": ["mine.py:3 x: raise KeyError", "lib.py:1 g: f()"]},
    ],
}


def _output(path: Path) -> tuple[StageOutput, list[str]]:
    told: list[str] = []
    return StageOutput("agent", path, told.append, plain_line), told


def test_a_failed_run_is_shown_with_the_users_code_first() -> None:
    """The developer sees the message and the line without a look into the log."""
    assert console_line("agent", json.dumps(FAILED)) == (
        "agent | error run_failed tenant=acme\n"
        "agent |   the agent 'x' raised KeyError\n"
        "agent |   KeyError: 'no\n"
        "agent | shop'\n"
        "agent |     mine.py:3 x: raise KeyError\n"
        "agent |     lib.py:1 g: f()"
    )
    assert plain_line("agent", json.dumps(FAILED)) == json.dumps(FAILED)


def test_ordinary_log_lines_stay_in_the_file() -> None:
    """They would hide what the user's own code prints."""
    for level, event in (("info", "shard_opened"), ("warning", "few_copies_found"), ("error", "aiokafka.conn")):
        line = json.dumps({**FAILED, "level": level, "event": event})
        assert plain_line("agent", line) is None
        assert console_line("agent", line) is None
    blocked = json.dumps({**FAILED, "level": "warning", "event": "loop_blocked"})
    assert plain_line("agent", blocked) == blocked


def test_what_an_agent_prints_is_shown_whatever_it_looks_like() -> None:
    """Also JSON, whole or cut."""
    for line in ("hello", "", '{"level": "info"}', "{", "{}", '{"event": 3'):
        assert plain_line("agent", line) == console_line("agent", line) == f"agent | {line}"


def test_new_lines_are_shown_once_they_are_whole(tmp_path: Path) -> None:
    """A line may be written in parts, and the file may not exist yet."""
    output, told = _output(tmp_path / "agent.log")
    output.look()
    with (tmp_path / "agent.log").open("w") as file:
        for text in ("one\ntw", "o\n", "three"):
            file.write(text)
            file.flush()
            output.look()

    assert told == ["agent | one", "agent | two"]


def test_a_file_is_read_to_its_end_when_another_takes_its_place(tmp_path: Path) -> None:
    """The last words of a process explain its end."""
    path = tmp_path / "agent.log"
    path.write_text("one\n")
    output, told = _output(path)
    output.look()
    with path.open("a") as file:
        file.write("two\nlast")
    path.replace(tmp_path / "agent.before.log")
    path.write_text("three\n")
    output.look()

    assert told == ["agent | one", "agent | two", "agent | last", "agent | three"]


def test_a_line_without_an_end_is_shown_in_pieces(tmp_path: Path) -> None:
    """It must not fill the memory."""
    path = tmp_path / "agent.log"
    path.write_text("x" * (3 * CHUNK))
    output, told = _output(path)
    output.look()

    assert sum(line.count("x") for line in told) >= 2 * CHUNK
