"""Pages of docs/howto as tests run them: their code blocks, and the package that a page has its reader write."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.distributions import install

PAGES = Path(__file__).parents[1] / "docs" / "howto"


def blocks_of(page: str, language: str) -> list[str]:
    """Return the code blocks of a language on a page."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def install_page(page: str, module: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the page's package into *folder* as an installer would, and go there."""
    project = tomllib.loads(blocks_of(page, "toml")[0])["project"]
    install(folder, project["name"], project["entry-points"], **{module: blocks_of(page, "python")[0]})
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, module, raising=False)
