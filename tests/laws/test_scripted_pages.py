"""The examples of the pages about scripted models, as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ops.embedded.scenario import ScenarioMatch, ScenarioRule
from ops.embedded.scenario_file import read_scenario
from ops.embedded.scripts import ScriptedAnswer
from tests.unit.ops.embedded.chats import called, chat, returned, said

DOCS = Path(__file__).parents[2] / "docs"
SCENARIOS, HOWTO = DOCS / "reference" / "scenarios.md", DOCS / "howto" / "test-agents.md"
QUEUE_ONLY = {"times", "match"}


def block(page: Path, language: str) -> str:
    """The only code block of a language on a page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def test_the_scenario_of_the_reference_answers_as_it_reads(tmp_path: Path) -> None:
    """Its rules, and the built-in scenario behind them."""
    file = tmp_path / "scenario.toml"
    file.write_text(block(SCENARIOS, "toml"))
    play = read_scenario(file)
    question = chat(said("The weather?"), tools=("get_weather", "search"))
    after = chat(*question["messages"], called("get_weather"), returned("rain"), tools=("get_weather",))
    answers = [
        play(body)
        for body in (
            question,
            after,
            chat(said(" Refund "), system="You do billing."),
            chat(said("overload")),
            chat(said("search boats"), tools=("search",)),
        )
    ]

    first, second, third, fourth, fifth = (answer or ScriptedAnswer() for answer in answers)
    assert first.tool_calls[0].arguments == '{"city": "Oslo"}'
    assert second.text == "You asked: The weather? It is: rain"
    assert (third.text, third.delay) == ("Refunded.", 0.5)
    assert (fourth.status, fourth.retry_after) == (503, 1)
    assert fifth.tool_calls[0].name == "search"


def test_the_reference_names_every_condition_and_field() -> None:
    """A field that is not on the page is found by nobody."""
    page = SCENARIOS.read_text(encoding="utf-8")
    fields = {*ScenarioMatch.model_fields, *ScenarioRule.model_fields, *ScriptedAnswer.model_fields} - QUEUE_ONLY

    assert [name for name in sorted(fields) if name not in page] == []


def test_the_tests_of_the_guide_pass_as_they_are_printed(tmp_path: Path) -> None:
    """In a folder of a user, by a pytest without our configuration."""
    (tmp_path / "test_mine.py").write_text(block(HOWTO, "python"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
