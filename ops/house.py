"""Our packages have plain names: they are found first, and a user's of the same name is refused, never mixed in."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from ops.errors import NameTakenError, NoSuchModuleError

ROOMS = ("headrace", "schemas", "producers", "consumers", "streams", "ops")
HOME = Path(__file__).resolve().parents[1]
"""The folder that our packages are in."""


def admit(folder: Path, agents: str | None = None) -> None:
    """Let the user's modules in *folder* be imported, after everything that is installed.

    *agents* is ``package.module`` or ``package.module:attribute``. Raises NameTakenError for a folder or module beside
    the user's that has the name of one of ours, NoSuchModuleError if *agents* is not to be found.
    """
    refuse_doubles(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    if agents is not None:
        refuse_doubles(folder_of(agents))


def refuse_doubles(folder: Path) -> None:
    """Raise NameTakenError if *folder* has a package or a module that is called like one of ours and is another."""
    for room in ROOMS:
        for path in (folder / room, folder / f"{room}.py"):
            if _is_code(path) and path.resolve() != HOME / room:
                raise NameTakenError(room, path)


def _is_code(path: Path) -> bool:
    """Whether it is meant for Python: a module, or a folder unless it holds only files of other kinds."""
    return path.is_file() or (path.is_dir() and (any(path.glob("*.py")) or not any(path.iterdir())))


def folder_of(agents: str) -> Path:
    """The folder that the topmost package of *agents* is in. Raises NoSuchModuleError."""
    module = agents.partition(":")[0]
    top = module.partition(".")[0]
    spec = find_spec(top) if top.isidentifier() else None
    if spec is None:
        raise NoSuchModuleError(module)
    place = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or ""))
    return place.resolve().parent
