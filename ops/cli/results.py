"""``headrace results``: print the results of a tenant's requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ops.settings import Settings
    from schemas.results import Result


def results(
    tenant: Annotated[str, typer.Option(help="Tenant id.")],
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new results.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many results.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Print the committed results that are retained, oldest first."""
    import asyncio

    from ops.cli.command_settings import begun_anywhere

    asyncio.run(_print(begun_anywhere(), tenant, follow=follow, limit=limit, as_json=as_json))


async def _print(settings: Settings, tenant: str, *, follow: bool, limit: int | None, as_json: bool) -> None:
    from contextlib import aclosing

    from ops.cli import output
    from ops.client import results as read

    count = 0
    async with aclosing(read(settings, tenant, follow=follow, tell=output.note)) as found:
        async for result in found:
            output.line(result) if as_json else output.text(row_of(result))
            count += 1
            if count == limit:
                return


def row_of(result: Result) -> str:
    """Return *result* as one line for people."""
    from ops.cli import output
    from ops.terminal import one_line

    error = result.error
    said = f"{error.code}: {error.message}" if error else output.text_of(result.output)
    names = (one_line(name) for name in (result.request_id, result.status, result.agent))
    return "  ".join([*names, " ".join(said.split())])
