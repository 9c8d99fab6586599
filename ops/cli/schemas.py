"""``headrace schemas``: the contracts of the platform's messages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Export the JSON Schemas and the AsyncAPI document."
)
FOLDER = Path("docs/reference")


@app.callback()
def schemas() -> None:
    """Export the contracts of the platform's messages."""


@app.command("export")
def export(
    folder: Annotated[Path, typer.Option(file_okay=False, help="Folder to write to.")] = FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Write the JSON Schema of each payload, and the AsyncAPI document."""
    from ops.cli import output
    from streams.contracts import render

    for name, content in render().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        output.line({"path": str(path)}) if as_json else output.text(path)
