"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ops.cli.app import execute

HEAVY = ("aiohttp", "aiokafka", "openai", "opentelemetry", "pydantic", "redis", "rich", "structlog")
LIST = f"import sys, ops.cli.app; print(*[name for name in {HEAVY} if name in sys.modules])"


def test_help_needs_none_of_the_clients() -> None:
    """A command loads what it uses: the first thing a user sees must not take seconds."""
    done = subprocess.run([sys.executable, "-P", "-c", LIST], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.split() == []


def test_help_names_every_command_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Nouns and verbs of the contract."""
    assert execute(["--help"]) == 0

    said = capsys.readouterr().out
    assert {"chaos", "dev", "demo", "run", "submit", "results", "tenants", "topics", "schemas"} <= set(said.split())
    assert "3 refused" in " ".join(said.split())


@pytest.mark.parametrize("arguments", [[], ["tenants"], ["topics"]])
def test_a_noun_alone_shows_its_help(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """As it is made for reading, and as a usage error."""
    assert execute(arguments) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Usage: headrace")
    assert len(said.err.splitlines()) > 3
