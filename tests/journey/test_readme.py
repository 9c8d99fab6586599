"""What the README tells a newcomer to do, done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.journey.platform import platform

README = Path(__file__).parents[2] / "README.md"
FAULTS = README.parent / "docs" / "reference" / "faults.md"
PROOFS = sorted(
    {
        proof
        for page in (README, FAULTS)
        for proof in re.findall(r"`pytest (?:-m slow )?([^`]+)`", page.read_text(encoding="utf-8"))
        if "/" in proof
    }
)


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_own_agent_works_as_it_is_printed(tmp_path: Path) -> None:
    """Copied, started, asked: one function, one model call, and two model calls in a function."""
    (source,) = blocks("python")
    (tmp_path / "my_agents.py").write_text(source)
    with platform("compact", tmp_path, "--agents", "my_agents") as running:
        running.model.script({"text": "We open at nine."}, {"text": "Nine."}, {"text": "At nine, gladly."})
        shout = running.cli("submit", "--tenant", "acme", "--agent", "shout", "--wait", "it works")
        support = running.cli("submit", "--tenant", "acme", "--agent", "support", "--wait", "When do you open?")
        second = running.cli("submit", "--tenant", "acme", "--agent", "second-opinion", "--wait", "--json", "When?")
        asked = running.model.calls()["calls"]

    assert (shout.returncode, shout.stdout.strip()) == (0, "IT WORKS"), shout.stderr
    assert (support.returncode, support.stdout.strip()) == (0, "We open at nine."), support.stderr
    assert '"first":"Nine."' in second.stdout
    assert '"for":"acme"' in second.stdout
    assert asked[0]["body"]["messages"][0]["content"].startswith("You answer for a bicycle shop.")


@pytest.mark.parametrize("proof", PROOFS)
def test_every_promise_names_tests_that_exist(proof: str) -> None:
    """A table of promises, or of faults, is worth what its commands find."""
    paths, _, chosen = proof.partition(" -k ")
    found = [Path(README.parent, path) for path in paths.split()]
    assert all(path.exists() for path in found), proof
    words = re.findall(r"\w+", chosen.replace(" or ", " "))
    names = re.findall(r"def (test_\w+)", "".join(path.read_text() for path in found if path.is_file()))
    assert all(any(word in name for name in names) for word in words), proof
