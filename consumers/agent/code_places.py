"""Places in the user's code: where an agent is defined, and where an error comes from. Headrace's own code is none."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from traceback import walk_stack, walk_tb
from types import FrameType

ROOMS = frozenset({"headrace", "schemas", "producers", "consumers", "streams", "ops"})
_LIBRARIES = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, slots=True)
class CodePlace:
    """A line of code. ``str(place)`` is ``FILE:LINE``."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def is_library(self) -> bool:
        """True for the standard library and installed packages."""
        return self.file.startswith(_LIBRARIES)


def defined_at(definers: str) -> str:
    """Return the line that called the module *definers*, as ``FILE:LINE``; empty if it is Headrace's own.

    Call it from that module. Frames of generated code, such as a dataclass's, are skipped.
    """
    for frame, line in walk_stack(sys._getframe(1)):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        file, name = frame.f_code.co_filename, frame.f_globals.get("__name__")
        if name != definers and not file.startswith("<"):
            return "" if _package(frame) in ROOMS else f"{file}:{line}"
    return ""


def user_places(frames: Iterable[tuple[FrameType, int]]) -> Iterator[CodePlace]:
    """Yield the places of *frames* that are neither Headrace's nor generated code."""
    for frame, line in frames:
        file = frame.f_code.co_filename
        if not file.startswith("<") and _package(frame) not in ROOMS | {"importlib"}:
            yield CodePlace(file, line, frame.f_code.co_name)


def _package(frame: FrameType) -> str:
    """Return the top-level package of a frame. A program started by ``python -m`` has its name in its spec."""
    spec, name = frame.f_globals.get("__spec__"), frame.f_globals.get("__name__")
    return str(getattr(spec, "name", name)).partition(".")[0]


def raised_at(error: BaseException) -> CodePlace | None:
    """Return the user's line that *error* comes from: the innermost that is no library, else the outermost.

    A user's package may itself be installed as a library. Then the outermost line is the one in that package.
    """
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return CodePlace(error.filename, error.lineno or 1)
    places = list(user_places(walk_tb(error.__traceback__)))
    own = [place for place in places if not place.is_library]
    return own[-1] if own else next(iter(places), None)
