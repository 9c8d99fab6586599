"""A copy of the tree to plant a violation in: a checker that has never been seen to fail checks nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("headrace", "schemas", "producers", "consumers", "streams", "ops")
_FILES = ("pyproject.toml", "README.md", "LICENSE", "requirements.lock", ".gitignore")
_MADE = shutil.ignore_patterns("__pycache__", "*.pyc")


def copy(into: Path) -> Path:
    """The rooms and what describes them, copied to a new folder below *into*."""
    tree = into / "tree"
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=_MADE)
    for name in _FILES:
        shutil.copy(ROOT / name, tree / name)

    return tree


def plant(tree: Path, path: str, text: str) -> None:
    """Append *text* to a file of the copy; the file need not exist."""
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(text)


def run(tree: Path, tool: str, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a development tool of this environment in *tree*, with *text* as its input; at most a minute."""
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    return subprocess.run(command, cwd=tree, input=text, capture_output=True, text=True, check=False, timeout=60)
