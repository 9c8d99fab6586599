"""No text of a tenant or a model controls a terminal."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from ops import logs
from ops.cli import output
from ops.cli.results import row_of
from ops.errors import StackError
from ops.failures import report
from ops.settings import Settings
from ops.terminal import escaped, escaped_json, one_line
from schemas.errors import MalformedError
from tests.unit.schemas.test_results import DONE

HOSTILE = "x\x1b]0;pwned\x07\x1b[2J\r\x9b31m\x7f\u202egnp\u2066\U000e0041\ud800"
"""Sets a window's title, clears the screen, writes over its line, begins a C1 sequence, and turns its text around."""
SHOWN = r"x\x1b]0;pwned\x07\x1b[2J\x0d\x9b31m\x7f\u202egnp\u2066\U000e0041\ud800"
ENCODABLE = HOSTILE.removesuffix("\ud800")


def _safe(text: str) -> bool:
    """True if no character of *text* is more to a terminal than a glyph, a line break or a tab."""
    categories = {unicodedata.category(character) for character in text if character not in "\n\t"}
    return not categories & {"Cc", "Cs", "Zl", "Zp"} and not set("\u061c\u200e\u200f\u202a\u202b\u202d\u202e") & set(
        text
    )


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Logging as it was, afterwards: it belongs to the process."""
    loggers = (logging.getLogger(), logging.getLogger(logs.OWN))
    before = [(each, list(each.handlers), each.level, each.propagate) for each in loggers]
    yield
    structlog.reset_defaults()
    for each, handlers, level, propagate in before:
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


def test_control_characters_are_shown_as_escapes() -> None:
    """An operator sees that they were there."""
    assert escaped(HOSTILE) == SHOWN
    assert one_line("two\nlines\tand a tab") == r"two\nlines\tand a tab"


@pytest.mark.parametrize(
    "text", ["two\nlines\tand a tab", "naïve café", "日本語", "العربية", "👩‍👩‍👧 می‌خواهم", r"C:\x1b"]
)
def test_text_for_people_stays_as_it_is(text: str) -> None:
    """All alphabets, joined emoji, and a zero-width joiner that a language needs."""
    assert escaped(text) == text


@given(st.text(st.characters()))
def test_no_text_gets_through(text: str) -> None:
    """Whatever it is made of."""
    assert _safe(escaped(text))
    assert "\n" not in one_line(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_keeps_its_values(text: str) -> None:
    """A program that reads it gets what was sent."""
    printed = escaped_json(to_json({"a": text}).decode())

    assert _safe(printed)
    assert json.loads(printed) == {"a": text}


def test_what_a_command_prints_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """Text, tables, notes and JSON."""
    output.text(HOSTILE)
    output.note(HOSTILE)
    output.table("", ("a", "b"), [(ENCODABLE, "one\nline")])
    output.line({"a": ENCODABLE})

    captured = capsys.readouterr()
    assert _safe(captured.out)
    assert captured.err == f"{SHOWN}\n"
    assert json.loads(captured.out.splitlines()[-1]) == {"a": ENCODABLE}


def test_a_row_of_results_is_one_line() -> None:
    """A tenant chose the id and the agent's name."""
    names = {"request_id": f"a\n{ENCODABLE}", "agent": "b\nc"}
    result = DONE.model_copy(update={**names, "output": "d\n\ne"})

    assert row_of(result) == rf"a\n{escaped(ENCODABLE)}  succeeded  b\nc  d e"


@pytest.mark.parametrize("debug", [True, False])
def test_an_error_is_escaped(capsys: pytest.CaptureFixture[str], *, debug: bool) -> None:
    """It may quote a stage's last line, and that a tenant."""
    report(StackError(HOSTILE), debug=debug)

    said = capsys.readouterr().err
    assert _safe(said)
    assert r"\x1b" in said


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.usefixtures("logging_restored")
def test_a_log_line_is_escaped(capsys: pytest.CaptureFixture[str], style: str) -> None:
    """On the console and as JSON, Headrace's own lines and those of libraries."""
    logs.configure(Settings.model_validate({"log": style}), stage="auth")
    structlog.get_logger().error(
        "request_refused", agent=f"{ENCODABLE}\n", ids=[ENCODABLE], exc_info=MalformedError(detail=ENCODABLE)
    )
    logging.getLogger("library").warning("said %s", ENCODABLE)

    said = capsys.readouterr().err
    assert _safe(said)
    assert len(said.splitlines()) == (3 if style == "console" else 2)  # the console's exception has its own line
