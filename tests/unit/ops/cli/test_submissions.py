"""Requests as the command line reads them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ops.cli.submissions import lines_of, request_of
from ops.errors import InvalidError


def test_the_options_make_a_request() -> None:
    """What is not given is left to the tenant's record."""
    submission = request_of("hello", {"agent": "echo", "session": None, "deadline": 2.0, "metadata": {"a": "b"}}, "r-1")

    assert submission.request_id == "r-1"
    assert submission.request.model_dump(exclude_unset=True) == {
        "agent": "echo",
        "input": "hello",
        "deadline": 2.0,
        "metadata": {"a": "b"},
    }


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts come through a pipe."""
    monkeypatch.setattr("sys.stdin", io.StringIO("from the pipe"))

    assert request_of("-", {"agent": "echo"}, None).request.input == "from the pipe"


def test_without_an_agent_the_fault_is_named() -> None:
    """The field's name is the option's."""
    with pytest.raises(InvalidError, match="agent: field required"):
        request_of("hello", {"agent": None}, None)


def test_a_file_has_one_request_a_line(tmp_path: Path) -> None:
    """A line may leave out what the options say, and may bring its own id."""
    file = tmp_path / "requests.jsonl"
    file.write_text('{"input": "one"}\n\n{"agent": "assistant", "input": "two", "id": "r-2"}\n')

    submissions = lines_of(file, {"agent": "echo"})

    assert [(each.request.agent, each.request.input, each.request_id) for each in submissions] == [
        ("echo", "one", None),
        ("assistant", "two", "r-2"),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("not json", ":1 is not JSON"),
        ("[]", ":1 is not an object"),
        ('{"agent": "echo", "input": "x"}\n{"agent": "echo"}', ":2: input"),
        ('{"agent": "echo", "input": "x", "id": 7}', ":1: the id is not a text"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_sent(tmp_path: Path, text: str, fault: str) -> None:
    """Half a file sent is worse than none."""
    file = tmp_path / "requests.jsonl"
    file.write_text(text)

    with pytest.raises(InvalidError, match=fault):
        lines_of(file, {})


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """Exit code 2, and the name of the file."""
    with pytest.raises(InvalidError, match=r"nowhere\.jsonl cannot be read"):
        lines_of(tmp_path / "nowhere.jsonl", {})
