"""Import a user's modules after Headrace's own packages, and refuse a module that has the name of one."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from ops.errors import NameTakenError, NoSuchModuleError, RoomNamedError

ROOMS = ("headrace", "schemas", "producers", "consumers", "streams", "ops")
HOME = Path(__file__).resolve().parents[1]
"""The folder that contains Headrace's packages."""


def add_user_folder(folder: Path, agents: str | None = None) -> None:
    """Append *folder* to the import path: the user's modules there are found after everything installed.

    *agents* is ``package.module`` or ``package.module:attribute``. Raises NameTakenError if a folder or module beside
    the user's has the name of one of Headrace's packages. Raises NoSuchModuleError if *agents* cannot be found.
    """
    refuse_name_clashes(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    if agents is not None:
        refuse_name_clashes(folder_of(agents))


def refuse_name_clashes(folder: Path) -> None:
    """Raise NameTakenError if *folder* has another package or module with the name of one of Headrace's."""
    for room in ROOMS:
        for path in (folder / room, folder / f"{room}.py"):
            if _is_code(path) and path.resolve() != HOME / room:
                raise NameTakenError(room, path)


def _is_code(path: Path) -> bool:
    """Return True if *path* is a module, or a folder that has Python files or is empty."""
    return path.is_file() or (path.is_dir() and (any(path.glob("*.py")) or not any(path.iterdir())))


def folder_of(agents: str) -> Path:
    """Return the folder that contains the top-level package of *agents*. Raises NoSuchModuleError.

    Raises RoomNamedError if it is one of Headrace's own packages.
    """
    module = agents.partition(":")[0]
    top = module.partition(".")[0]
    if module in ROOMS:
        raise RoomNamedError(module)
    spec = find_spec(top) if top.isidentifier() else None
    if spec is None:
        raise NoSuchModuleError(module)
    place = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or ""))
    return place.resolve().parent
