"""The house rules that no tool knows: who spells a topic or a key, who reads the environment, what does not land."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.contract.planted import ROOMS, ROOT, copy, plant, run

Finding: TypeAlias = tuple[str, int]
"""Path and line."""

_TOPIC = re.compile(r"\W*(tenants|platform)\\?\.")
_KEY = re.compile(r"\{[^{}]*\}:")
_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
_STARTS = {
    "create_subprocess_exec",
    "create_subprocess_shell",
    "Popen",
    "check_call",
    "check_output",
    "spawnv",
    "execv",
}
_UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")
_MACHINE = re.compile(r"(?<![\w.~$}{*-])/(work|root|home|Users|tmp)/\w")
_REGISTRY = re.compile(
    r"\b(pypi|pythonhosted|npmjs|crates|repo1\.maven|repo\.maven|maven\.apache)\.(org|io|com|apache)\b"
)
_OPENING = re.compile(r"(What|Who|Whose|Whom|Whether|How|Of|Where|When|That|Those|Nobody|Nothing)\b")
_VAGUE = re.compile(r"\b(nobody|somebody|whoever|whatever|everybody|anybody|is said|it says|stands)\b", re.IGNORECASE)
_TEXTS = {".cfg", ".json", ".lua", ".md", ".py", ".sh", ".toml", ".txt", ".xml", ".yaml", ".yml"}


def _files(tree: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((tree / folder).rglob("*.py"))


def _texts(tree: Path) -> Iterator[Path]:
    for folder in (*ROOMS, "tests", "docs", "requirements", ".ci"):
        inside = (tree / folder).rglob("*")
        yield from sorted(file for file in inside if file.suffix in _TEXTS or file == tree / ".ci" / "run")
    yield from sorted(file for file in tree.iterdir() if file.suffix in _TEXTS or file.name == "Makefile")


def _strings(tree: ast.Module) -> Iterator[ast.Constant]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def _template(node: ast.AST) -> str:
    """A string as a template: what an f-string fills in is left out, its own braces stay."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=parts):
            return "".join(_template(part) for part in parts)
        case _:
            return ""


def _spells_topic(tree: ast.Module) -> Iterator[ast.expr]:
    yield from (node for node in _strings(tree) if _TOPIC.match(str(node.value)))


def _spells_key(tree: ast.Module) -> Iterator[ast.expr]:
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    yield from (node for node in (*_strings(tree), *formatted) if _KEY.match(_template(node)))


def _reads_environment(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in _ENVIRONMENT:
                yield node
            case ast.ImportFrom(module="os", names=names) if _ENVIRONMENT & {alias.name for alias in names}:
                yield node
            case ast.Import(names=names) if any(alias.name == "os" and alias.asname for alias in names):
                yield node
            case ast.ImportFrom(module="pydantic_settings") | ast.keyword(arg="envvar"):
                yield node
            case _:
                pass


def _starts_without_environment(tree: ast.Module) -> Iterator[ast.Call]:
    """A call that starts a process and passes no ``env``: such a child inherits every secret of its parent."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not any(keyword.arg in {"env", None} for keyword in node.keywords):
            called = ast.unparse(node.func)
            if {called, called.rpartition(".")[2]} & _STARTS:
                yield node


def _promises_later(tree: ast.Module) -> Iterator[ast.AST]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "NotImplementedError")


def _by_syntax(rule: Callable[[ast.Module], Iterator[ast.AST]], *but: str) -> Callable[[Path], list[Finding]]:
    def find(tree: Path) -> list[Finding]:
        files = {str(file.relative_to(tree)): file for file in _files(tree, *ROOMS)}
        parsed = {path: ast.parse(file.read_text(encoding="utf-8")) for path, file in files.items() if path not in but}
        return [(path, getattr(node, "lineno", 0)) for path, module in parsed.items() for node in rule(module)]

    return find


def _by_text(rule: re.Pattern[str]) -> Callable[[Path], list[Finding]]:
    def find(tree: Path) -> list[Finding]:
        return [
            (str(file.relative_to(tree)), number)
            for file in _texts(tree)
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
            if rule.search(line)
        ]

    return find


def _folders_that_are_no_package(tree: Path) -> list[Finding]:
    folders = {parent for file in _files(tree, *ROOMS, "tests") for parent in file.parents if parent != tree}
    inside = sorted(folder for folder in folders if tree in folder.parents)
    return [(str(folder.relative_to(tree)), 0) for folder in inside if not (folder / "__init__.py").exists()]


def _classes(tree: Path) -> Iterator[tuple[str, Path, int]]:
    for file in _files(tree, *ROOMS):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, file, node.lineno


def _class_names_used_twice(tree: Path) -> list[Finding]:
    found = list(_classes(tree))
    counts = Counter(name for name, _, _ in found)
    return [(str(file.relative_to(tree)), line) for name, file, line in found if counts[name] > 1]


def _docstrings(tree: Path) -> Iterator[tuple[Path, int, str]]:
    for file in _files(tree, *ROOMS):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield file, getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def _riddles(tree: Path) -> list[Finding]:
    found = [each for each in _docstrings(tree) if _OPENING.match(each[2]) or _VAGUE.search(each[2])]
    return [(str(file.relative_to(tree)), line) for file, line, _ in found]


def _rooms_without_a_purpose(tree: Path) -> list[Finding]:
    purposes = {file: text for file, line, text in _docstrings(tree) if file.name == "__init__.py" and line == 1}
    return [(str(file.relative_to(tree)), 1) for file, text in purposes.items() if not text]


RULES = {
    "only schemas/topics.py spells a topic": _by_syntax(_spells_topic, "schemas/topics.py"),
    "only schemas/keys.py spells a key": _by_syntax(_spells_key, "schemas/keys.py"),
    "only ops/settings.py reads the environment": _by_syntax(_reads_environment, "ops/settings.py"),
    "every child process has its own environment": _by_syntax(_starts_without_environment, "ops/embedded/tether.py"),
    "nothing is left for later": _by_syntax(_promises_later),
    "no note about what is missing": _by_text(_UNFINISHED),
    "no path of a machine": _by_text(_MACHINE),
    "no host of a registry": _by_text(_REGISTRY),
    "every folder is a package": _folders_that_are_no_package,
    "one class name, one meaning": _class_names_used_twice,
    "a docstring names its subject": _riddles,
    "every package states its purpose": _rooms_without_a_purpose,
}

PLANTS = [
    ("only schemas/topics.py spells a topic", "streams/planted.py", 'TOPIC = "platform.screened"\n'),
    (
        "only schemas/topics.py spells a topic",
        "ops/planted.py",
        'def of(t: str) -> str:\n    return f"tenants.{t}.results"\n',
    ),
    ("only schemas/topics.py spells a topic", "ops/planted.py", 'PATTERN = r"^tenants\\..*"\n'),
    (
        "only schemas/keys.py spells a key",
        "consumers/planted.py",
        'def of(t: str) -> str:\n    return f"{{{t}}}:rate"\n',
    ),
    ("only schemas/keys.py spells a key", "consumers/planted.py", 'KEY = "{acme}:journal"\n'),
    ("only ops/settings.py reads the environment", "streams/planted.py", "import os\nos.environ['HOME']\n"),
    ("only ops/settings.py reads the environment", "ops/planted.py", "from os import getenv\n"),
    ("only ops/settings.py reads the environment", "ops/planted.py", "import os as system\n"),
    ("only ops/settings.py reads the environment", "ops/planted.py", "from pydantic_settings import BaseSettings\n"),
    ("every child process has its own environment", "ops/planted.py", "from os import execv\n\nexecv('a', ['a'])\n"),
    (
        "every child process has its own environment",
        "streams/planted.py",
        "import asyncio\n\nasyncio.create_subprocess_exec('a', stdin=1)\n",
    ),
    ("nothing is left for later", "producers/planted.py", "def later() -> None:\n    raise NotImplementedError\n"),
    ("no note about what is missing", "schemas/planted.py", "# " + "TO" + "DO: think\n"),
    ("no path of a machine", "ops/planted.py", 'DATA = "/' + 'root/data"\n'),
    ("no path of a machine", "docs/planted.md", "Look into /" + "tmp/headrace.log\n"),
    ("no host of a registry", "requirements/planted.txt", "--index-url https://py" + "pi.org/simple\n"),
    ("every folder is a package", "streams/planted/module.py", "WORD = 1\n"),
    ("one class name, one meaning", "ops/planted.py", "class Record:\n    pass\n"),
    ("a docstring names its subject", "streams/planted.py", '"""What nobody knows."""\n'),
    ("every package states its purpose", "streams/planted/__init__.py", ""),
]

BANNED = [
    ("import asyncio\n\nasyncio.create_task(work())\n", "streams/planted.py"),
    ("import asyncio\n\nasyncio.gather(work())\n", "tests/unit/planted.py"),
    ("from asyncio import ensure_future\n\nensure_future(work())\n", "consumers/planted.py"),
    ("import time\n\ntime.time()\n", "streams/planted.py"),
    ("import os\n\nos.getenv('HOME')\n", "ops/planted.py"),
    ("import os\n\nos.environ['HOME']\n", "schemas/clock_face.py"),
]


@pytest.mark.parametrize("rule", RULES)
def test_the_house_rule_is_kept(rule: str) -> None:
    """A rule that is only written down is kept until the first busy day."""
    assert RULES[rule](ROOT) == []


@pytest.mark.planted
@pytest.mark.parametrize(("rule", "path", "text"), PLANTS)
def test_a_broken_house_rule_is_reported(tmp_path: Path, rule: str, path: str, text: str) -> None:
    """Each rule has been seen to say no."""
    tree = copy(tmp_path)
    plant(tree, path, text)

    assert {found for found, _ in RULES[rule](tree)} & {path, str(Path(path).parent)}


@pytest.mark.planted
@pytest.mark.parametrize(("text", "path"), BANNED)
def test_a_banned_call_is_reported(text: str, path: str) -> None:
    """The linter names what to use instead, beside the line."""
    done = run(
        ROOT, "ruff", "check", "--select", "TID251", "--output-format", "concise", "--stdin-filename", path, text=text
    )

    assert done.returncode == 1
    assert "TID251" in done.stdout


@pytest.mark.planted
def test_the_settings_may_read_the_environment() -> None:
    """The one exception is one file."""
    text = "import os\n\nos.environ['HOME']\n"

    done = run(ROOT, "ruff", "check", "--select", "TID251", "--stdin-filename", "ops/settings.py", text=text)

    assert done.returncode == 0, done.stdout
