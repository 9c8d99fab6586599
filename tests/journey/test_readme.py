"""The README's own-agent example, and the tests that the documentation names as proofs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.journey.platform import platform

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PROMISES = ROOT / "docs" / "reference" / "promises.md"
FAULTS = ROOT / "docs" / "reference" / "faults.md"
INVARIANTS = ROOT / "docs" / "why" / "invariants.md"


def proofs(page: Path) -> set[str]:
    """Return the arguments of the page's pytest commands."""
    found: list[str] = re.findall(r"`pytest (?:-m slow )?([^`]+)`", page.read_text(encoding="utf-8"))
    return {proof for proof in found if "/" in proof}


PROOFS = sorted(proofs(PROMISES) | proofs(FAULTS))


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_own_agent_works_as_it_is_printed(tmp_path: Path) -> None:
    """Copied, started as its console block says, asked: a tool call, a handoff, and a function."""
    (source,) = blocks("python")
    (start, ask), answer = commands_after(source)
    (tmp_path / "my_agents.py").write_text(source)
    with platform("compact", tmp_path, *start[2:]) as running:
        support = running.cli(*ask[1:])
        refunds = running.cli(*ask[1:-1], "Please transfer to refunds")
        shout = running.cli("submit", "--tenant", "acme", "--agent", "shout", "--wait", "it works")

    assert (support.returncode, support.stdout) == (0, answer), support.stderr
    assert (refunds.returncode, refunds.stdout) == (0, "scripted: Please transfer to refunds\n"), refunds.stderr
    assert (shout.returncode, shout.stdout) == (0, "IT WORKS, acme\n"), shout.stderr


def commands_after(source: str) -> tuple[list[list[str]], str]:
    """Return the commands of the console block behind a block of code, and what the last one prints."""
    _, _, after = README.read_text(encoding="utf-8").partition(source)
    block = re.findall(r"```console\n(.*?)```", after, re.DOTALL)[0]
    *_, answer = block.splitlines(keepends=True)
    return [shlex.split(line, comments=True) for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)], answer


@pytest.mark.parametrize("page", [PROMISES, FAULTS], ids=lambda page: page.stem)
def test_a_page_of_proofs_names_some(page: Path) -> None:
    """An empty list of proofs would pass every check below."""
    assert len(proofs(page)) >= 20


def test_every_promise_has_a_command() -> None:
    """A promise without a proof is a claim."""
    _, *rows = [line for line in PROMISES.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    unproven = [row for row in rows if not re.search(r"\| .*`(pytest|make|headrace) [^`]+`.* \|$", row)]
    assert unproven == []


def test_the_readme_links_the_promises() -> None:
    """A newcomer finds the proofs from the first page."""
    assert str(PROMISES.relative_to(ROOT)) in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("proof", PROOFS)
def test_every_promise_names_tests_that_exist(proof: str) -> None:
    """A table of promises or faults is worth the tests that its commands find."""
    paths, _, chosen = proof.partition(" -k ")
    found = [Path(ROOT, path) for path in paths.split()]
    assert all(path.exists() for path in found), proof
    words = re.findall(r"\w+", chosen.replace(" or ", " "))
    names = re.findall(r"def (test_\w+)", "".join(path.read_text() for path in found if path.is_file()))
    assert all(any(word in name for name in names) for word in words), proof


def test_every_invariant_names_tests_that_exist() -> None:
    """Code cites I1 to I18; each has its own heading and a test that shows it."""
    _, *parts = re.split(r"^## (I\d+)$", INVARIANTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(sections) == [f"I{number}" for number in range(1, 19)]
    for invariant, text in sections.items():
        shown = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", text)
        assert shown, invariant
        missing = [
            (path, name) for path, name in shown if f"def {name}" not in (ROOT / path).read_text(encoding="utf-8")
        ]
        assert missing == []
