"""User code beside ours: found after it, and never mixed up with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import import_guard
from ops.errors import NameTakenError, NoSuchModuleError


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The import path as it was, afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.path_importer_cache.clear()


def _module(folder: Path, name: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    return file


def test_the_users_folder_comes_last(tmp_path: Path) -> None:
    """What is installed must not change because of what lies in a working directory."""
    import_guard.add_user_folder(tmp_path)
    import_guard.add_user_folder(tmp_path)

    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize("name", ["schemas/__init__.py", "ops/tool.py", "streams.py", "producers/x.py", "consumers.py"])
def test_a_users_package_with_a_name_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    """Mixed up, it would fail later, somewhere else, and without a word about the reason."""
    _module(tmp_path, name)

    with pytest.raises(NameTakenError, match=name.partition("/")[0].removesuffix(".py")):
        import_guard.add_user_folder(tmp_path)


def test_an_empty_folder_is_a_package_about_to_be(tmp_path: Path) -> None:
    """Better told now than when its first module is not found."""
    (tmp_path / "schemas").mkdir()

    with pytest.raises(NameTakenError, match="schemas"):
        import_guard.add_user_folder(tmp_path)


def test_a_folder_without_modules_is_nobodys_package(tmp_path: Path) -> None:
    """JSON Schemas are often kept in a folder `schemas`."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.json").write_text("{}")

    import_guard.add_user_folder(tmp_path)

    assert str(tmp_path) in sys.path


def test_our_own_checkout_is_not_refused() -> None:
    """Headrace is developed in a folder that has all of its packages."""
    import_guard.add_user_folder(import_guard.HOME)

    assert str(import_guard.HOME) in sys.path


def test_a_name_of_ours_beside_the_agents_is_refused(tmp_path: Path) -> None:
    """The agents may be installed from a folder that is not the working directory."""
    agents, handler = tmp_path / "agents", tmp_path / "work"
    handler.mkdir()
    _module(agents, "my_agents_beside.py")
    _module(agents, "schemas/order.py")
    sys.path.append(str(agents))

    with pytest.raises(NameTakenError, match="schemas"):
        import_guard.add_user_folder(handler, "my_agents_beside:support")


@pytest.mark.parametrize("agents", ["no_such_module_here", "no_such_package_here.agents", "../agents", ""])
def test_agents_that_are_not_there_are_named(tmp_path: Path, agents: str) -> None:
    """A typing error in a module's name is the commonest mistake of a first start."""
    with pytest.raises(NoSuchModuleError, match="no module"):
        import_guard.add_user_folder(tmp_path, agents)


def test_agents_in_the_working_directory_are_found(tmp_path: Path) -> None:
    """The working directory has joined the path before the agents are looked for."""
    _module(tmp_path, "my_agents_found/support.py")

    import_guard.add_user_folder(tmp_path, "my_agents_found.support:agents")

    assert import_guard.folder_of("my_agents_found.support") == tmp_path.resolve()
