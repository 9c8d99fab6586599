"""The lines of the user's code that errors and definitions come from."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from consumers.agent.agents import Agent
from consumers.agent.builtin import BUILTIN
from consumers.agent.code_places import raised_at

MINE = Agent("mine")


def _error_of(text: str, file: str = "users.py") -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any
        exec(compile(text, file, "exec"), {"__name__": "users"})  # noqa: S102 - code of the test
    return caught.value


def _line_of(start: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(start))


def test_an_agent_knows_the_line_that_defines_it() -> None:
    """Two agents of one name are found by their lines."""
    assert MINE.place == f"{__file__}:{_line_of('MINE = ')}"


def test_agents_of_headrace_have_no_place() -> None:
    """They are not the user's to rename."""
    assert [each.place for each in BUILTIN] == ["", ""]


def test_an_error_comes_from_the_users_innermost_line() -> None:
    """Not from the library that the user has called: nothing there can be mended."""
    assert str(raised_at(_error_of("import json\n\njson.loads('{')"))) == "users.py:3"


def test_a_syntax_error_has_its_own_place() -> None:
    """The file was never run, so no frame of a traceback shows it."""
    assert str(raised_at(_error_of("x = 1\nx = (", file="users.py"))) == "users.py:2"


def test_a_library_counts_if_there_is_nothing_else() -> None:
    """A user's package may be installed."""
    installed = f"{sysconfig.get_path('purelib')}/users.py"
    caught = RuntimeError()
    try:
        exec(compile("1 / 0", installed, "exec"), {"__name__": "users"})  # noqa: S102 - code of the test
    except ZeroDivisionError as error:
        caught.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None

    assert str(raised_at(caught)) == f"{installed}:1"


def test_an_error_without_a_traceback_has_no_place() -> None:
    """It was never raised."""
    assert raised_at(ValueError("x")) is None
