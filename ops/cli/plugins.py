"""``headrace plugins``: the extension points, and what fills them."""

from __future__ import annotations

from typing import Annotated

import typer


def plugins(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False) -> None:
    """Print Headrace's own planners, models, memories and guards, and those of installed packages with their errors.

    Exit with 1 if one of them cannot be used.
    """
    import sys
    from contextlib import redirect_stdout
    from dataclasses import asdict

    from ops.agent_plugins import installed_plugins
    from ops.cli import output
    from ops.errors import OperationError

    with redirect_stdout(sys.stderr):  # a module may print when it is imported, and the output is data
        found = installed_plugins().listed()
    if as_json:
        for each in found:
            output.line(asdict(each))
    else:
        columns = ("state", "group", "name", "package", "value")
        rows = [
            (each.state, each.group, each.name, f"{each.distribution} {each.version}", each.value) for each in found
        ]
        output.table("", columns, rows)
        for each in found:
            if each.error:
                output.text(each.error)
    if failed := [each for each in found if each.state == "failed"]:
        raise OperationError(f"{len(failed)} of {len(found)} plugins cannot be used")
