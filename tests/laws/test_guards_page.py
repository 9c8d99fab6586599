"""The package, the settings and the commands of the page about guards, as they are printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.cli.guard_changes import guard_changes, with_guards
from ops.guard_settings import check_guards
from ops.settings import Settings
from schemas.guards import TenantGuards
from schemas.tenants import Tenant
from tests.howto_pages import blocks_of, install_page

PAGE = "guards.md"


def blocks(language: str) -> list[str]:
    """The code blocks of a language on the page."""
    return blocks_of(PAGE, language)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path that has the page's package as an installer would leave it."""
    install_page(PAGE, "acme_guards", tmp_path, monkeypatch)
    (tmp_path / "guards.json").write_text(blocks("json")[0])
    (tmp_path / "texts.jsonl").write_text(blocks("jsonl")[0])
    return tmp_path


def run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """The end of a command that has the folder on its path."""
    return subprocess.run(
        [sys.executable, "-m", *command], input=text, capture_output=True, text=True, check=False, timeout=120
    )


def judged(*options: str, text: str) -> list[dict[str, Any]]:
    """The lines of ``headrace guard check``."""
    done = run("ops.cli.app", "guard", "check", *options, text=text)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_test_of_the_page_passes_as_it_is_printed(folder: Path) -> None:
    """In a folder of a user, by a pytest without our configuration."""
    (folder / "test_mine.py").write_text(blocks("python")[1])
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = run("pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_texts_of_the_page_are_judged(folder: Path) -> None:
    """By the default guards, and by the settings of the page's file."""
    texts = (folder / "texts.jsonl").read_text()

    assert [(each["id"], each["action"]) for each in judged(text=texts)] == [("plain", "pass"), ("attack", "block")]

    more = texts + '{"id": "name", "text": "Bluebird starts in May"}\n'
    plain, attack, name = judged("--guards", "guards.json", text=more)
    assert (plain["guards"], attack["action"], name["action"]) == ([], "pass", "redact")
    assert attack["guards"][0]["note"].startswith("shadow block")
    assert name["guards"] == [{"guard": "codenames", "action": "redact", "score": 1.0, "note": "name of a project"}]


def test_the_package_is_listed(folder: Path) -> None:
    """Both of its guards can be used."""
    done = run("ops.cli.app", "plugins", "--json")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["name"]: each["state"] for each in listed if each["distribution"] == "acme-guards"} == {
        "codenames": "ok",
        "shouting": "ok",
    }


def test_the_changes_of_the_page_are_accepted(folder: Path) -> None:
    """Each command changes the guards of a tenant, one after the other."""
    known = TenantGuards()
    commands = [line for block in blocks("console") for line in block.splitlines() if "tenants set" in line]
    assert len(commands) == 4
    for line in commands:
        options = re.findall(r"--guard (?:'(.*?)'|(\S+))", line)
        known = with_guards(known, guard_changes(quoted or plain for quoted, plain in options))
        check_guards(Settings(), Tenant(id="acme", guards=known))
    assert list(known.input) == ["secrets"]
    assert known.output["pii"].enabled is False


def test_an_empty_name_is_refused_by_the_package_itself(folder: Path) -> None:
    """Its ValueError is the operator's line."""
    (folder / "wrong.json").write_text('{"input": {"codenames": {"config": {"names": [""]}}}}')
    done = run("ops.cli.app", "guard", "check", "--guards", "wrong.json")
    assert (done.returncode, done.stderr) == (2, "headrace: guard input:codenames: a name is empty\n")
