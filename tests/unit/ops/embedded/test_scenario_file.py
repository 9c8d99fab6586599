"""A scenario in a file, and the one line that says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.embedded.errors import ScenarioFileError
from ops.embedded.scenario_file import read_scenario

TOML = """
otherwise = "tools"

[[rules]]
match = { user_contains = "weather", step = 0 }
answer = { tool_calls = [{ name = "get_weather", arguments = { city = "Oslo", on = 2026-01-31 } }] }
"""


def test_toml_and_json_give_the_same_scenario(tmp_path: Path) -> None:
    """A person writes one, a program the other."""
    toml, json = tmp_path / "a.toml", tmp_path / "a.json"
    toml.write_text(TOML)

    scenario = read_scenario(toml)
    json.write_text(scenario.model_dump_json())

    assert read_scenario(json) == scenario
    assert scenario.rules[0].answer.tool_calls[0].arguments == '{"city": "Oslo", "on": "2026-01-31"}'


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.toml", b"[[rules]\n", "(at line 1, column 8)"),
        ("a.json", b'{"rules": [}', "line 1 column 12"),
        ("a.json", b"\xff", "utf-8"),
        ("a.json", b"[" * 100_000, "recursion"),
        ("a.json", b"[]", "valid dictionary"),
        ("a.toml", b"[[rules]]\n[[rules]]\nanswer = {}", "rules[0].answer: Field required"),
        ("a.toml", b"[[rules]]\nanswer = { txt = 'x' }", "rules[0].answer.txt: Extra inputs are not permitted"),
        ("a.toml", b"[[rules]]\nanswer = { text = '{nope}' }", "rules[0]: {nope} is no placeholder"),
        ("a.yaml", b"", "neither .toml nor .json"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    """In one line, which begins with the path."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ScenarioFileError) as caught:
        read_scenario(path)

    assert str(caught.value).startswith(f"the scenario {path}: ")
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A folder too."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ScenarioFileError):
            read_scenario(path)
