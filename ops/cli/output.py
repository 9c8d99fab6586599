"""Print a command's output: data on standard output, on request as JSON lines; all else on standard error.

Control characters in data are escaped (``ops/terminal.py``). JSON keeps its values.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ops.terminal import escaped, escaped_json, one_line

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.progress import Progress


def line(value: BaseModel | dict[str, Any], *, with_nulls: bool = False) -> None:
    """Print *value* as one line of JSON, and flush it. Fields that are None are left out unless *with_nulls*."""
    from pydantic_core import to_json

    print(escaped_json(to_json(value, exclude_none=not with_nulls).decode()), flush=True)


def text(value: object) -> None:
    """Print *value* as text for people, and flush it."""
    print(escaped(str(value)), flush=True)


def text_of(value: object) -> str:
    """Return *value* as text: a string as it is, all else as JSON."""
    from pydantic_core import to_json

    return value if isinstance(value, str) else escaped_json(to_json(value).decode())


def close() -> None:
    """Redirect standard output to the null device, because its reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(message: str) -> None:
    """Print a message for the person at the terminal on standard error."""
    print(escaped(message), file=sys.stderr, flush=True)


def console(*, errors: bool = False) -> Console:
    """Return a terminal for people."""
    from rich.console import Console

    return Console(stderr=errors, highlight=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as a table for people."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*(Text("" if cell is None else one_line(cell)) for cell in row))
    console().print(shown)


def progress(*, quiet: bool) -> Progress:
    """Return a progress bar on standard error; hidden if *quiet*, or if standard error is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console(errors=True), disable=quiet or not sys.stderr.isatty(), transient=True)
