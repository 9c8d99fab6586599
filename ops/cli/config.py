"""``headrace config``: print each setting, and where its value comes from."""

from __future__ import annotations

from typing import Annotated

import typer


def config(
    agents: Annotated[str | None, typer.Option(help="As for run and dev: shows what the option changes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Print each setting with its value and origin: default, an environment variable, or an option."""
    import sys
    from dataclasses import asdict

    from ops.cli import output
    from ops.cli.command_settings import settings_with
    from ops.setting_values import as_text, setting_values

    found = list(setting_values(settings_with(agents), {} if agents is None else {"agents": "--agents"}))
    if as_json:
        for each in found:
            output.line(asdict(each), with_nulls=True)
    elif sys.stdout.isatty():
        output.table(
            "", ("setting", "value", "origin"), [(each.name, as_text(each.value), each.origin) for each in found]
        )
    else:
        for each in found:
            output.text(f"{each.name}\t{as_text(each.value)}\t{each.origin}")
